//! Real connections: what the captured peers sent is legal in the referee's eyes,
//! and stays so behind a core that interferes. (The peers are recorded and do not
//! react: what became of a touched call can be told only where it was delayed.)

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{Delays, Judge, Verdict};
use etcdtap::http2::{Both, Side};

use super::judge::{Abilities, Complaints, Docket, RandomJudge};
use super::overhear::Bystander;
use super::random::Random;
use super::said::Said;
use super::saying::Saying;
use super::wire::{Core, Straight, Wire};
use crate::pcap::{self, Connection};

/// Two bystanders, and a wire between the recorded peers.
struct Replay<W: Wire> {
    ends: Both<Bystander>,
    wire: W,
    now: Instant,
    to: Both<Vec<u8>>,
}

impl<W: Wire> Replay<W> {
    fn new(wire: impl FnOnce(Instant) -> W) -> Replay<W> {
        let now = Instant::now();
        Replay {
            ends: Both {
                client: Bystander::beside(Side::Client, now),
                server: Bystander::beside(Side::Server, now),
            },
            wire: wire(now),
            now,
            to: Both::default(),
        }
    }

    fn run(&mut self, connection: &Connection) {
        let began = self.now;
        for segment in &connection.segments {
            self.pass(began + segment.at);
            self.ends[segment.side].says(&segment.bytes, self.now);
            let now = self.now;
            self.wire
                .bytes(segment.side, &segment.bytes, now, &mut self.to);
            self.deliver();
        }
        self.pass(self.now + Duration::from_secs(3600));
    }

    fn pass(&mut self, to: Instant) {
        while let Some(due) = self.wire.timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.wire.fire(self.now, &mut self.to);
            self.deliver();
            assert_ne!(self.wire.timeout(), Some(due), "the timer moves");
        }
        self.now = self.now.max(to);
    }

    fn deliver(&mut self) {
        for side in [Side::Client, Side::Server] {
            let bytes = std::mem::take(&mut self.to[side]);
            let judged = self.ends[side].gets(&bytes, self.now);
            if let Err(violation) = judged {
                let history: String = self.ends[side]
                    .end
                    .history_in
                    .iter()
                    .map(|seen| format!("  {seen}\n"))
                    .collect();
                panic!("{violation}\nthe {side} received, at last:\n{history}");
            }
        }
        if let Some(words) = self.wire.complaint() {
            panic!("{words}");
        }
    }

    fn received(&self, side: Side) -> BTreeMap<u32, &Said> {
        let streams = self.ends[side].end.streams.iter();
        streams
            .map(|(id, stream)| (*id, &stream.received))
            .collect()
    }
}

fn captures() -> impl Iterator<Item = &'static Connection> {
    pcap::APISERVER_0_36
        .iter()
        .chain(pcap::APISERVER_1_20.iter())
}

#[test]
fn real_peers_keep_the_rules() {
    let (mut streams, mut frames) = (0, 0);
    for connection in captures() {
        let mut replay = Replay::new(|_| Straight);
        replay.run(connection);
        streams += replay.received(Side::Client).len();
        frames += replay.ends.client.end.frames[0] + replay.ends.server.end.frames[0];
        for said in replay.received(Side::Client).values() {
            let status = said.closing("grpc-status");
            assert!(said.ended.is_none() || status.is_some());
            assert!(!said.is_torn() || said.ended.is_none());
        }
    }
    assert_eq!(streams, 3597 + 2514);
    assert!(frames > 50_000, "{frames}");
}

#[derive(Debug)]
struct Little(Random);

impl Delays for Little {
    fn next(&mut self) -> Duration {
        Duration::from_millis(self.0.below(20) as u64)
    }
}

/// Delays responses and their messages as chance has it.
fn slow(seed: u64) -> Box<dyn Judge> {
    Saying::of(move |call| {
        let mut random = Random::new(seed ^ u64::from(call.stream.number()) << 32);
        let delay = Duration::from_millis(random.below(100) as u64);
        let messages = random.chance(50);
        random.chance(50).then(|| Verdict {
            response_delay: delay,
            response_messages: messages.then(|| Box::new(Little(random)) as Box<dyn Delays>),
            ..Verdict::default()
        })
    })
}

/// What leaves a core that delays responses is legal, and says the same.
#[test]
fn delayed_responses_of_real_peers_are_the_same_responses() {
    for (n, connection) in captures().enumerate() {
        let mut plain = Replay::new(|_| Straight);
        plain.run(connection);
        let judge = slow(n as u64);
        let mut slow = Replay::new(|now| Core::judged(Some(judge), now));
        slow.ends.client.echoes = 2;
        slow.run(connection);
        for side in [Side::Client, Side::Server] {
            let (was, is) = (plain.received(side), slow.received(side));
            assert!(was.keys().eq(is.keys()), "connection {n}: the same streams");
            for (id, said) in &is {
                let reset = slow.ends[side].end.streams[id].sent.reset.is_some();
                let difference = match reset {
                    true => said.is_beginning_of(was[id]),
                    false => said.differs_from(was[id]),
                };
                assert_eq!(difference, None, "connection {n}, stream {id}, {side}");
            }
        }
    }
}

/// Whatever is done to some calls of real peers, it is legal, and the others are
/// what they were.
#[test]
fn calls_beside_touched_ones_of_real_peers_are_the_same_calls() {
    let mut touched = 0;
    for (n, connection) in captures().enumerate() {
        let mut plain = Replay::new(|_| Straight);
        plain.run(connection);
        let (docket, wrong) = (Docket::default(), Complaints::default());
        let judge = RandomJudge::new(n as u64, Abilities::default(), &docket, &wrong);
        let mut rough = Replay::new(|now| Core::judged(Some(Box::new(judge)), now));
        rough.ends.client.echoes = 2;
        rough.run(connection);
        assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
        let docket = docket.lock().unwrap();
        touched += docket.len();
        for side in [Side::Client, Side::Server] {
            let (was, is) = (plain.received(side), rough.received(side));
            for (id, was) in was.iter().filter(|(id, _)| !docket.contains_key(id)) {
                let reset = rough.ends[side].end.streams[id].sent.reset.is_some();
                let difference = match is.get(id) {
                    None => Some("nothing of it came".into()),
                    Some(is) if reset => is.is_beginning_of(was),
                    Some(is) => is.differs_from(was),
                };
                assert_eq!(difference, None, "connection {n}, stream {id}, {side}");
            }
        }
    }
    assert!(touched > 500, "{touched} calls were touched");
}
