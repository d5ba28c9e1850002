//! The lethal case of `drip.py`: watch events that are released one by one.

use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Delays, Judge, Verdict};

use super::call::Kind;
use super::client::Call;
use super::endpoint::Taste;
use super::saying::Saying;
use super::server::Manner;
use super::violation::Rule;
use super::wire::{Core, Dripper, Straight, Wire};
use super::world::{Setup, World};

const GAP: Duration = Duration::from_millis(150);
const EVENTS: usize = 12;

/// One watch, whose events leave all at once; peers as grpc-go has them.
fn watch() -> Setup {
    let taste = Taste {
        oddities: 0,
        window_target: 65_535,
        window_step: 65_535 / 4,
        stream_share: 4,
        bandwidth: true,
        appetite: 100,
        restless: 0,
        limits_streams: false,
        sip: false,
        late_credit: true,
    };
    Setup {
        seed: 1,
        calls: vec![Call {
            kind: Kind::Watch,
            more: 0,
            stays: true,
            patience: None,
        }],
        client: taste,
        server: taste,
        manner: Manner {
            failures: 0,
            burst: Some(EVENTS),
            thought: 0,
            drains: false,
        },
        steps: 0,
    }
}

fn run<W: Wire>(wire: impl FnOnce(Instant) -> W) -> World<W> {
    World::new(watch(), wire)
}

#[test]
fn at_once_it_is_harmless() {
    let mut world = run(|_| Straight);
    if let Err(failure) = world.run() {
        panic!("{failure}");
    }
    let stream = &world.client.end.streams[&1];
    assert_eq!(stream.received.whole.len(), 1 + EVENTS);
}

#[test]
fn a_naive_dripper_kills_the_connection() {
    let mut world = run(|_| Dripper::new(GAP));
    let failure = world.run().unwrap_err();
    assert_eq!(failure.violation.rule, Rule::PingStrikes, "{failure}");
    let released = world.client.end.streams[&1].received.whole.len();
    assert_eq!(released, 4, "as the experiment saw it");
}

#[derive(Debug)]
struct Always(Duration);

impl Delays for Always {
    fn next(&mut self) -> Duration {
        self.0
    }
}

/// Delays every message of every response.
fn dripping() -> Box<dyn Judge> {
    Saying::of(|_| {
        Some(Verdict {
            response_messages: Some(Box::new(Always(GAP))),
            ..Verdict::default()
        })
    })
}

/// The first test that the interposing core has to pass.
#[test]
fn the_core_drips_and_nobody_is_killed() {
    let mut world = run(|now| Core::judged(Some(dripping()), now));
    if let Err(failure) = world.run() {
        panic!("{failure}");
    }
    let (client, server) = (&world.client.end.streams[&1], &world.server.end.streams[&1]);
    assert_eq!(client.received.differs_from(&server.sent), None);
    assert_eq!(client.received.whole.len(), 1 + EVENTS);
    let pairs = client.received.whole.iter().zip(&server.sent.begun);
    for (n, ((_, whole), begun)) in pairs.enumerate() {
        assert!(*whole >= *begun + GAP, "message {n} came too early");
    }
    let times: Vec<_> = client.received.whole.iter().map(|(_, at)| *at).collect();
    assert!(times.is_sorted());
}
