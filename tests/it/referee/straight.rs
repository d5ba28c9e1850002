//! The models against each other, and through a core that has nothing to do.

use std::time::Instant;

use etcdtap::etcd::verdict::{Asked, FaultId, Judge, Refreshed, Suspicion, Verdict};
use etcdtap::http2::Side;

use super::wire::{Core, Straight, Wire};
use super::world::{Setup, World};

/// How many seeds are tried: `ETCDTAP_SEEDS`, or so many.
pub fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("ETCDTAP_SEEDS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}

/// What happened in many runs.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    whole: usize,
    given_up: usize,
    reset_by_server: usize,
    open_at_the_end: usize,
    executed: usize,
    bytes: usize,
    bandwidth_grew: usize,
    goaways: usize,
    /// Runs in which DATA waited for the connection's window, and for a stream's.
    starved: [usize; 2],
}

impl Seen {
    fn count<W: Wire>(&mut self, world: &World<W>) {
        let (client, server) = (&world.client.end, &world.server.end);
        self.executed += world.server.executed.len();
        self.goaways += client.goaways_received.len();
        self.bandwidth_grew += usize::from(client.bandwidth > 65_535);
        for n in [0, 1] {
            self.starved[n] += usize::from(client.starved[n] + server.starved[n] > 0);
        }
        for call in &world.client.calls {
            let stream = &client.streams[&call.stream];
            self.calls += 1;
            self.given_up += usize::from(call.gave_up.is_some());
            self.whole += usize::from(stream.received.trailers.is_some());
            self.reset_by_server += usize::from(stream.received.reset.is_some());
            self.open_at_the_end += usize::from(!stream.is_closed());
            self.bytes += stream.received.data.len() + stream.sent.data.len();
        }
    }
}

/// One run, and the exactness of all its streams.
fn run<W: Wire>(seed: u64, wire: impl FnOnce(Instant) -> W) -> World<W> {
    let mut world = World::new(Setup::random(seed), wire);
    let result = world.run().and_then(|()| world.exact());
    if let Err(failure) = result {
        panic!("{failure}");
    }
    world
}

#[test]
fn the_models_agree_with_each_other() {
    let mut seen = Seen::default();
    for seed in 0..seeds(500) {
        seen.count(&run(seed, |_| Straight));
    }
    println!("{seen:#?}");
    assert!(seen.whole * 2 > seen.calls, "most calls are answered");
    for often in [
        seen.given_up,
        seen.reset_by_server,
        seen.open_at_the_end,
        seen.bandwidth_grew,
        seen.goaways,
        seen.starved[0],
        seen.starved[1],
    ] {
        assert!(often * 1000 > seen.calls, "everything happens");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..20 {
        let (once, again) = (run(seed, |_| Straight), run(seed, |_| Straight));
        assert_eq!(once.trace, again.trace);
    }
}

/// A judge who never has anything to say.
#[derive(Debug)]
struct Idle;

impl Judge for Idle {
    fn refresh(&mut self, _: Instant) -> Refreshed {
        Refreshed::default()
    }

    fn suspects(&mut self, _: &Asked<'_>, _: Instant) -> Suspicion {
        Suspicion::None
    }

    fn judge(&mut self, _: &Asked<'_>, _: Instant) -> Option<Box<Verdict>> {
        None
    }

    fn is_lifted(&self, _: FaultId) -> bool {
        false
    }

    fn gave_up(&mut self, _: FaultId, why: &str) {
        panic!("the core gave up: {why}");
    }
}

#[test]
fn a_core_without_a_judge_is_a_wire() {
    is_a_wire(|now| Core::transparent(None, now));
}

#[test]
fn a_core_whose_judge_is_idle_is_a_wire() {
    is_a_wire(|now| Core::transparent(Some(Box::new(Idle)), now));
}

fn is_a_wire(core: impl Fn(Instant) -> Core) {
    let mut through = Seen::default();
    for seed in 0..seeds(150) {
        let (plain, core) = (run(seed, |_| Straight), run(seed, &core));
        // The core's own timers may split time; what was said is the same.
        for (id, stream) in &plain.client.end.streams {
            let other = &core.client.end.streams[id];
            assert_eq!(stream.received.differs_from(&other.received), None);
        }
        for side in [Side::Client, Side::Server] {
            assert_eq!(plain.frames(side), core.frames(side), "seed {seed}");
        }
        through.count(&core);
    }
    assert!(through.whole > 0);
}
