//! Through a core on whose connection faults strike as a whole, as chance has
//! it: GOAWAY, PINGs that wait, a limit on streams; besides those on calls.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Delays, FaultId};
use etcdtap::etcd::warden::{Admitted, Conditions, Farewell, Outlook, Pings, Strike, Warden};
use etcdtap::http2::ErrorCode;
use etcdtap::relay::{HoldBudget, Peers};

use super::fates;
use super::judge::{Abilities, Complaints, Docket, RandomJudge};
use super::random::Random;
use super::straight::seeds;
use super::violation::Rule;
use super::wire::Core;
use super::world::{Failure, Setup, World};

/// What a warden did, by name.
type Did = BTreeMap<&'static str, usize>;

/// Changes its mind as chance has it, and lets all go in the end.
#[derive(Debug)]
struct RandomWarden {
    random: Random,
    /// When it changes its mind next, and how often it will.
    next: Instant,
    left: usize,
    /// GOAWAYs that it asked for.
    goaways: Arc<AtomicUsize>,
    did: Arc<std::sync::Mutex<Did>>,
}

#[derive(Debug)]
struct Drawer(Random);

impl Delays for Drawer {
    fn next(&mut self) -> Duration {
        Duration::from_millis(self.0.pick(&[0, 1, 50, 1000, 6000]))
    }
}

impl RandomWarden {
    fn note(&self, what: &'static str) {
        *self.did.lock().unwrap().entry(what).or_default() += 1;
    }

    fn conditions(&mut self) -> Conditions {
        let pings = match self.random.below(3) {
            0 => Pings::Pass,
            1 => {
                self.note("late pings");
                Pings::Late(Box::new(Drawer(self.random.fork())))
            }
            _ => {
                self.note("unanswered pings");
                Pings::Unanswered
            }
        };
        let most_streams = self.random.chance(50).then(|| {
            self.note("fewer streams");
            self.random.below(4) as u32
        });
        Conditions {
            pings,
            most_streams,
            ..Conditions::default()
        }
    }
}

impl Warden for RandomWarden {
    fn admit(&mut self, _: Instant) -> Admitted {
        Admitted::default()
    }

    fn stands(&mut self, _: &Arc<Peers>) {}

    fn look(&mut self, now: Instant) -> Outlook {
        let mut outlook = Outlook::default();
        if self.left == 0 {
            return outlook;
        }
        if now < self.next {
            outlook.look_at = Some(self.next);
            return outlook;
        }
        self.left -= 1;
        if self.left == 0 {
            outlook.conditions = Some(Conditions::default());
            return outlook;
        }
        if self.random.chance(60) {
            outlook.conditions = Some(self.conditions());
        }
        if self.random.chance(15) {
            let graceful = self.random.chance(50);
            self.note(if graceful {
                "graceful goaway"
            } else {
                "goaway"
            });
            self.goaways
                .fetch_add(1 + usize::from(graceful), Ordering::Relaxed);
            let farewell = Farewell {
                code: ErrorCode(self.random.pick(&[0, 11])),
                debug: self.random.pick(&["", "too_many_pings"]).into(),
                graceful,
            };
            outlook.strikes = vec![Strike::Goaway(FaultId(1), farewell)];
        }
        let longest = self.random.pick(&[10, 500, 20_000]);
        self.next = now + Duration::from_millis(self.random.within(1, longest) as u64);
        outlook.look_at = Some(self.next);
        outlook
    }

    fn gave_up(&mut self, _: FaultId, why: &str) {
        panic!("gave up: {why}");
    }
}

/// One run; `touched`: calls are touched as well. Gives streams that the client
/// was told nobody had.
fn run(seed: u64, touched: bool, did: &Arc<std::sync::Mutex<Did>>) -> Result<usize, Box<Failure>> {
    let (docket, wrong) = (Docket::default(), Complaints::default());
    let mut random = Random::new(seed ^ 0x9119_9119);
    let abilities = Abilities {
        duplicates: touched && random.chance(50),
        lets_go: false,
    };
    let goaways = Arc::new(AtomicUsize::new(0));
    let judge: Option<Box<dyn etcdtap::etcd::verdict::Judge>> = match touched {
        true => Some(Box::new(RandomJudge::new(seed, abilities, &docket, &wrong))),
        false => None,
    };
    let mut world = World::new(Setup::random(seed), |now| {
        let warden = RandomWarden {
            next: now + Duration::from_millis(random.below(300) as u64),
            left: random.within(2, 12),
            random: random.fork(),
            goaways: Arc::clone(&goaways),
            did: Arc::clone(did),
        };
        Core::holding(HoldBudget::default(), judge, now).under(Box::new(warden), goaways, now)
    });
    world.doomed = docket.clone();
    world.client.heeds_goaway = true;
    world.run()?;
    let checked = fates::check(&world.client, &world.server, &world.errands, &docket);
    checked.map_err(|violation| world.failure(violation))?;
    if let Some(words) = wrong.lock().unwrap().first() {
        return Err(world.failure(world.client.end.wrong(Rule::Fate, 0, 0, words)));
    }
    let last = world.client.end.goaway_limit().unwrap_or(u32::MAX);
    let streams = world.client.end.streams.keys();
    Ok(streams.filter(|id| **id > last).count())
}

fn run_all(range: Range<u64>, touched: bool) {
    let did = Arc::default();
    let (mut failed, mut unprocessed) = (Vec::new(), 0);
    for seed in range.clone() {
        match run(seed, touched, &did) {
            Ok(streams) => unprocessed += streams,
            Err(failure) => failed.push(failure),
        }
    }
    if let Some(failure) = failed.first() {
        let seeds: Vec<String> = failed
            .iter()
            .map(|f| format!("{} {:?}", f.seed, f.violation.rule))
            .collect();
        panic!("{failure}\n{} failed: {}", failed.len(), seeds.join(", "));
    }
    println!(
        "{:?}, {unprocessed} streams unprocessed",
        did.lock().unwrap()
    );
    if range.count() > 1 {
        assert_eq!(did.lock().unwrap().len(), 5, "everything happens");
        assert!(unprocessed > 0, "no stream was above the last one");
    }
}

/// As in `interposed`.
fn range(usual: u64) -> Range<u64> {
    let alone = std::env::var("ETCDTAP_SEED").ok();
    let alone = alone.and_then(|seed| seed.parse::<u64>().ok());
    alone.map_or(0..seeds(usual), |seed| seed..seed + 1)
}

#[test]
fn both_peers_are_content_with_what_befalls_their_connection() {
    run_all(range(300), false);
}

#[test]
fn also_where_calls_are_touched_besides() {
    run_all(range(300), true);
}
