//! One fault as it stands: what was asked for, and what has become of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::chance::{Chance, Draws, Identity, Purpose};
use super::fitting::fits_caller;
use super::glance::{Glance, Heads};
use super::lock;
use super::rate::Shared;
use super::schedule::{Phase, Schedule};
use super::status::{FaultState, FaultStatus, Over};
use crate::etcd::verdict::{Asked, FaultId};
use crate::etcd::{Method, Request};
use crate::fault::plan::FaultSpec;

/// One fault.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: FaultId,
    pub name: Arc<str>,
    pub spec: Arc<FaultSpec>,
    loaded: Instant,
    schedule: Schedule,
    paused: AtomicBool,
    matched: AtomicU64,
    hits: AtomicU64,
    gave_up: AtomicU64,
    last_gave_up: Mutex<Option<Box<str>>>,
    chance: Chance,
    /// What its calls share, if it is a rate.
    pub shared: Shared,
    /// What it is not about, seen at a glance.
    glance: Glance,
}

/// What became of a match.
#[derive(Debug)]
pub(super) struct Struck {
    /// Its draws, if it was struck.
    pub draws: Option<Draws>,
    /// How long it waits for its turn, where the fault has turns.
    pub turn: Duration,
    /// Whether the fault strikes no more after this.
    pub used_up: bool,
}

impl Rule {
    pub fn new(
        id: FaultId,
        spec: FaultSpec,
        loaded: Instant,
        schedule: Schedule,
        chance: Chance,
        shared: Shared,
    ) -> Rule {
        Rule {
            id,
            glance: Glance::of(&spec),
            name: spec.name.shared(),
            spec: Arc::new(spec),
            loaded,
            schedule,
            paused: AtomicBool::new(false),
            matched: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            gave_up: AtomicU64::new(0),
            last_gave_up: Mutex::default(),
            chance,
            shared,
        }
    }

    pub fn rest(&self, rests: bool) {
        self.paused.store(rests, Ordering::Relaxed);
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Whether a call with this head could be meant.
    pub fn may_fit_head(&self, call: &Asked<'_>) -> bool {
        self.glance
            .may_fit_method(&self.spec, call.method, call.name)
            && fits_caller(&self.spec.matches, call)
    }

    /// Whether such a request could be, seen at a glance.
    pub fn may_fit_request(&self, method: Method, request: &Request) -> bool {
        self.glance.may_fit(method, request)
    }

    /// Adds what its calls' heads say to what those of others do.
    pub fn tell_heads(&self, heads: &mut Heads) {
        heads.add(&self.glance, &self.spec);
    }

    pub fn expires(&self) -> Option<Instant> {
        self.schedule.expires()
    }

    /// Which of its windows it is in.
    pub fn window(&self, now: Instant) -> u64 {
        self.schedule.window(now)
    }

    /// Whether its time to live is over.
    pub fn is_outlived(&self, now: Instant) -> bool {
        self.expires().is_some_and(|end| end <= now)
    }

    /// Where it stands, by its windows and by its counts; a pause aside.
    pub fn phase(&self, now: Instant) -> Phase {
        match self.schedule.phase(now) {
            over @ Phase::Over(_) => over,
            phase => self.used_up().map_or(phase, Phase::Over),
        }
    }

    /// If it strikes now: until when. `None` if it does not strike.
    pub fn active_until(&self, now: Instant) -> Option<Option<Instant>> {
        if self.is_paused() {
            return None;
        }
        match self.phase(now) {
            Phase::Active(until) => Some(until),
            Phase::Waiting(_) | Phase::Over(_) => None,
        }
    }

    /// The window that it is in, whether or not its counts are used up.
    pub fn window_now(&self, now: Instant) -> Option<(Instant, Option<Instant>)> {
        match self.is_paused() {
            true => None,
            false => self.schedule.window_now(now),
        }
    }

    /// When its next window begins.
    pub fn begins(&self, now: Instant) -> Option<Instant> {
        match self.schedule.phase(now) {
            Phase::Waiting(begins) => begins,
            Phase::Active(_) | Phase::Over(_) => None,
        }
    }

    /// Counts a match, and says whether it is struck. Counts are exact however
    /// many threads ask: no fault strikes more than `at_most` calls.
    pub fn strike(&self, identity: Identity, now: Instant) -> Struck {
        let before = self.matched.fetch_add(1, Ordering::Relaxed);
        let draws = self.chance.next(identity);
        let nth = before.saturating_add(1);
        let last_match = self.spec.first.is_some_and(|first| nth == first.get());
        let chosen = self.spec.first.is_none_or(|first| nth <= first.get())
            && self.spec.every.is_none_or(|every| nth % every == 0)
            && self.is_drawn(draws);
        // A call whose turn it is was not touched.
        let turn = match &self.shared {
            Shared::Turns(turns) if chosen => Some(turns.wait(now)),
            _ => None,
        };
        if !chosen || turn.is_some_and(|wait| wait.is_zero()) {
            return Struck {
                draws: None,
                turn: Duration::ZERO,
                used_up: last_match,
            };
        }
        let at_most = self.spec.at_most.map_or(u64::MAX, |at_most| at_most.get());
        let hit = self
            .hits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |hits| {
                (hits < at_most).then(|| hits + 1)
            });
        Struck {
            draws: hit.is_ok().then_some(draws),
            turn: turn.unwrap_or_default(),
            used_up: last_match || hit.is_ok_and(|before| before + 1 == at_most),
        }
    }

    fn is_drawn(&self, draws: Draws) -> bool {
        self.spec
            .probability
            .is_none_or(|likely| draws.of(Purpose::Probability).unit() <= likely.value())
    }

    pub fn give_up(&self, why: &str) {
        self.gave_up.fetch_add(1, Ordering::Relaxed);
        *lock(&self.last_gave_up) = Some(why.into());
    }

    pub fn status(&self, now: Instant) -> FaultStatus {
        let state = match self.phase(now) {
            Phase::Over(why) => FaultState::Over { why },
            _ if self.is_paused() => FaultState::Paused,
            Phase::Active(_) => FaultState::Active,
            Phase::Waiting(begins) => FaultState::Waiting {
                starts_in: begins.map_or(Duration::MAX, |at| at.saturating_duration_since(now)),
            },
        };
        FaultStatus {
            id: self.id,
            fault: Arc::clone(&self.spec),
            state,
            matched: self.matched.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            gave_up: self.gave_up.load(Ordering::Relaxed),
            last_gave_up: lock(&self.last_gave_up).clone(),
            time_left: match state {
                FaultState::Over { .. } => None,
                _ => (self.schedule.ends()).map(|end| end.saturating_duration_since(now)),
            },
            age: now.saturating_duration_since(self.loaded),
        }
    }

    fn used_up(&self) -> Option<Over> {
        let reached = |counter: &AtomicU64, most: Option<std::num::NonZeroU64>| {
            most.is_some_and(|most| counter.load(Ordering::Relaxed) >= most.get())
        };
        if reached(&self.hits, self.spec.at_most) {
            Some(Over::AtMost)
        } else if reached(&self.matched, self.spec.first) {
            Some(Over::First)
        } else {
            None
        }
    }
}
