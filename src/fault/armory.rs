//! What is loaded: the faults that stand, shared by all connections.
//!
//! A connection's judge keeps the rules that fit it and looks at one number to
//! learn whether they changed; its warden, who decides about the connection
//! itself, looks when it is woken. A call that no rule fits takes no lock and
//! writes nothing that another thread reads.

mod chance;
mod compose;
mod facts;
mod fitting;
mod glance;
mod judge;
mod rate;
mod refused;
mod rule;
mod schedule;
mod status;
mod warden;
mod watches;
mod words;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::plan::{FaultSpec, Plan};
use crate::etcd::verdict::{FaultId, Judge};
use crate::etcd::warden::Warden;
use crate::kube::key::KeySpace;
use crate::notation::nearest;
use crate::relay::Peers;
use chance::Chance;
use judge::ConnectionJudge;
use rate::Shared;
use rule::Rule;
use schedule::Schedule;
use warden::ConnectionWarden;

pub use refused::Refused;
pub use status::{FaultState, FaultStatus, Over};

/// Most faults that can stand at a time.
pub const MOST_FAULTS: usize = 1024;

/// For how long a fault whose time to live is over is still listed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The faults that stand, in the order in which they are tried.
///
/// A fault whose time to live is over strikes no more. It is listed as over for
/// ten minutes, or until another one takes its name, and is then forgotten.
pub struct Armory {
    seed: u64,
    /// What the instants of shared speeds are counted from.
    began: Instant,
    rules: ArcSwap<Vec<Arc<Rule>>>,
    /// Counts changes of any kind, so that a judge sees by one number whether
    /// its own copy still holds.
    generation: AtomicU64,
    /// Held by whoever changes `rules`; the number for the next fault.
    changing: Mutex<FaultId>,
    wakes: Mutex<Vec<Arc<Wake>>>,
}

type Wake = dyn Fn() + Send + Sync;

impl Armory {
    /// An armory with nothing in it. `seed` is for faults that are added one by
    /// one, and for plans without a seed of their own.
    pub fn new(seed: u64, now: Instant) -> Arc<Armory> {
        Arc::new(Armory {
            seed,
            began: now,
            rules: ArcSwap::default(),
            generation: AtomicU64::new(0),
            changing: Mutex::new(FaultId(1)),
            wakes: Mutex::default(),
        })
    }

    /// Puts a plan in the place of everything that stood. Its faults have no
    /// time to live.
    ///
    /// # Errors
    /// When it has more than [`MOST_FAULTS`] faults, or two of one name; then
    /// nothing has changed.
    pub fn load(&self, plan: Plan, now: Instant) -> Result<(), Refused> {
        if plan.faults.len() > MOST_FAULTS {
            return Err(Refused::Full);
        }
        for (at, fault) in plan.faults.iter().enumerate() {
            if plan.faults[..at]
                .iter()
                .any(|other| other.name == fault.name)
            {
                return Err(Refused::NameTaken(fault.name.shared()));
            }
        }
        let seed = plan.seed.unwrap_or(self.seed);
        let mut next = self.change_rules();
        let rules = plan
            .faults
            .into_iter()
            .map(|spec| self.rule(&mut next, spec, None, seed, now))
            .collect();
        self.publish(next, rules);
        Ok(())
    }

    /// Adds a fault behind the others. It is removed by itself after `lives`.
    ///
    /// # Errors
    /// When a fault of that name stands, or [`MOST_FAULTS`] do.
    pub fn add(
        &self,
        fault: FaultSpec,
        lives: Option<Duration>,
        now: Instant,
    ) -> Result<FaultId, Refused> {
        let mut ids = self.add_all(vec![fault], self.seed, lives, now)?;
        // As many as were given.
        Ok(ids.remove(0))
    }

    /// Adds a plan's faults behind the others, all of them at the same moment.
    /// They are removed by themselves after `lives`.
    ///
    /// # Errors
    /// When a fault of one of the names stands, two of them have the same name,
    /// or more than [`MOST_FAULTS`] would stand; then nothing has changed.
    pub fn add_plan(
        &self,
        plan: Plan,
        lives: Option<Duration>,
        now: Instant,
    ) -> Result<Vec<FaultId>, Refused> {
        self.add_all(plan.faults, plan.seed.unwrap_or(self.seed), lives, now)
    }

    fn add_all(
        &self,
        faults: Vec<FaultSpec>,
        seed: u64,
        lives: Option<Duration>,
        now: Instant,
    ) -> Result<Vec<FaultId>, Refused> {
        let mut next = self.change_rules();
        // One that has outlived itself does not keep its name.
        let is_new = |rule: &Arc<Rule>| faults.iter().any(|fault| *fault.name == *rule.name);
        let mut rules: Vec<_> = self
            .standing(now)
            .filter(|rule| !rule.is_outlived(now) || !is_new(rule))
            .collect();
        let mut ids = Vec::with_capacity(faults.len());
        for fault in faults {
            if rules.iter().any(|rule| *rule.name == *fault.name) {
                return Err(Refused::NameTaken(fault.name.shared()));
            }
            if rules.len() >= MOST_FAULTS {
                return Err(Refused::Full);
            }
            let rule = self.rule(&mut next, fault, lives, seed, now);
            ids.push(rule.id);
            rules.push(rule);
        }
        self.publish(next, rules);
        Ok(ids)
    }

    /// Puts `fault` in the place of the one called `name`, which must be its own
    /// name. It is a new fault: counts, windows and time to live start anew, and
    /// what the old one holds is let go.
    ///
    /// # Errors
    /// When there is no fault of that name, or `fault` has another one.
    pub fn change(
        &self,
        name: &str,
        fault: FaultSpec,
        lives: Option<Duration>,
        now: Instant,
    ) -> Result<FaultId, Refused> {
        if *fault.name != *name {
            return Err(Refused::OtherName {
                asked: name.into(),
                given: fault.name.shared(),
            });
        }
        let mut next = self.change_rules();
        let mut rules: Vec<_> = self.standing(now).collect();
        let Some(at) = rules.iter().position(|rule| *rule.name == *name) else {
            return Err(unknown(name, &rules));
        };
        rules[at] = self.rule(&mut next, fault, lives, self.seed, now);
        let id = rules[at].id;
        self.publish(next, rules);
        Ok(id)
    }

    /// Takes a fault away; what it holds is let go.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn remove(&self, name: &str) -> Result<FaultId, Refused> {
        let next = self.change_rules();
        let mut rules = Vec::clone(&self.rules.load());
        let Some(at) = rules.iter().position(|rule| *rule.name == *name) else {
            return Err(unknown(name, &rules));
        };
        let gone = rules.remove(at);
        self.publish(next, rules);
        Ok(gone.id)
    }

    /// Lets a fault rest; what it holds is let go. Its windows and its time to
    /// live go on.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn pause(&self, name: &str) -> Result<FaultId, Refused> {
        self.rest(name, true)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// When there is no fault of that name.
    pub fn resume(&self, name: &str) -> Result<FaultId, Refused> {
        self.rest(name, false)
    }

    fn rest(&self, name: &str, rests: bool) -> Result<FaultId, Refused> {
        let next = self.change_rules();
        let rules = Vec::clone(&self.rules.load());
        let Some(rule) = rules.iter().find(|rule| *rule.name == *name) else {
            return Err(unknown(name, &rules));
        };
        rule.rest(rests);
        let id = rule.id;
        self.publish(next, rules);
        Ok(id)
    }

    /// Takes all faults away, and says how many there were.
    pub fn clear(&self) -> usize {
        let next = self.change_rules();
        let count = self.rules.load().len();
        self.publish(next, Vec::new());
        count
    }

    /// All faults and how they fare, in the order in which they are tried.
    pub fn list(&self, now: Instant) -> Vec<FaultStatus> {
        self.standing(now).map(|rule| rule.status(now)).collect()
    }

    /// A connection's judge. The API server's objects are below the prefix of
    /// `keys`.
    pub fn judge(self: &Arc<Self>, peers: &Arc<Peers>, keys: KeySpace) -> Box<dyn Judge> {
        Box::new(ConnectionJudge::new(self, peers, keys))
    }

    /// Who decides about a connection as a whole, which was accepted at `opened`,
    /// on a listener with TLS if it is `encrypted`.
    pub fn warden(
        self: &Arc<Self>,
        peers: &Arc<Peers>,
        encrypted: bool,
        opened: Instant,
    ) -> Box<dyn Warden> {
        Box::new(ConnectionWarden::new(self, peers, encrypted, opened))
    }

    /// Has `wake` called after every change, so that connections that hold
    /// something, or sleep, look at the rules again. A fault that begins, ends
    /// or is used up by itself is no change.
    pub fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        lock(&self.wakes).push(wake.into());
    }

    /// The number of the last change.
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes every judge look again, for a fault was used up.
    fn note_used_up(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn rule(
        &self,
        next: &mut FaultId,
        spec: FaultSpec,
        lives: Option<Duration>,
        seed: u64,
        now: Instant,
    ) -> Arc<Rule> {
        let id = *next;
        next.0 += 1;
        let chance = Chance::new(seed, &spec.name);
        let schedule = Schedule::new(&spec, lives, now);
        let shared = Shared::new(&spec.action, self.began);
        Arc::new(Rule::new(id, spec, now, schedule, chance, shared))
    }

    fn change_rules(&self) -> MutexGuard<'_, FaultId> {
        lock(&self.changing)
    }

    /// Those that are not to be forgotten yet.
    fn standing(&self, now: Instant) -> impl Iterator<Item = Arc<Rule>> + use<> {
        let rules = self.rules.load_full();
        (0..rules.len())
            .map(move |at| Arc::clone(&rules[at]))
            .filter(move |rule| {
                rule.expires()
                    .is_none_or(|end| now.saturating_duration_since(end) <= REMEMBERED)
            })
    }

    fn publish(&self, held: MutexGuard<'_, FaultId>, rules: Vec<Arc<Rule>>) {
        self.rules.store(Arc::new(rules));
        self.generation.fetch_add(1, Ordering::Release);
        drop(held);
        let wakes = lock(&self.wakes).clone();
        for wake in wakes {
            wake();
        }
    }
}

impl fmt::Debug for Armory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armory")
            .field("seed", &self.seed)
            .field("generation", &self.generation)
            .field("rules", &self.rules.load())
            .finish_non_exhaustive()
    }
}

fn unknown(name: &str, rules: &[Arc<Rule>]) -> Refused {
    Refused::Unknown {
        name: name.into(),
        meant: nearest(name, rules.iter().map(|rule| &*rule.name)).map(Into::into),
    }
}

/// What stands behind a poisoned lock here is whole: it is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
