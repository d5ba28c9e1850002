//! Watches under faults as chance has them, and what clientv3 would make of it.
//! `ETCDTAP_SEEDS=5000` runs more.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcdtap::etcd::SessionOptions;
use etcdtap::etcd::schema::etcdserverpb::WatchResponse;
use etcdtap::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use etcdtap::etcd::watch_verdict::{CancelAs, Moment, WatchAct};
use etcdtap::http2::{Side, frame_encoder};
use etcdtap::relay::HoldBudget;
use prost::Message;

use super::script::{id, prefixed};
use super::stand::StrikeWatch;
use super::watch_stand::{Watches, cancel, create, created, events, header, progress};
use crate::referee::random::Random;

/// What was decided, by what it was decided about.
#[derive(Default)]
struct Docket {
    /// By an event's key: whether it is dropped, and how often it comes more.
    events: HashMap<String, (bool, u32)>,
    /// By watch: it was cancelled.
    cancelled: Vec<i64>,
    /// In the order of asking: it was refused.
    refused: Vec<bool>,
    /// Order may be broken.
    reorders: bool,
    /// Progress may lie.
    falsifies: bool,
}

/// One watch as both ends know it.
#[derive(Default)]
struct Known {
    /// What etcd sent, in order: revision and key.
    sent: Vec<(i64, String)>,
    /// What the client got.
    got: Vec<(i64, String)>,
    /// The client was told that it ended.
    ended: bool,
    /// etcd has said its last word of it.
    confirmed: bool,
    /// Fragments that are not whole.
    run: Vec<(i64, String)>,
}

struct World {
    random: Random,
    watches: Watches,
    docket: Arc<Mutex<Docket>>,
    known: BTreeMap<i64, Known>,
    /// Creations that etcd has got and not answered.
    asked: VecDeque<()>,
    /// What the client has still to hear of its creations, in order.
    awaited: VecDeque<bool>,
    revision: i64,
    next_id: i64,
    /// Cancels that etcd has got.
    cancels: Vec<i64>,
    /// The rules, while they rest.
    resting: Option<Box<StrikeWatch>>,
}

fn decide(
    random: &mut Random,
    docket: &mut Docket,
    watch: i64,
    moment: Moment<'_>,
) -> Vec<WatchAct> {
    let late = Duration::from_millis(random.pick(&[0, 1, 50, 400]));
    match moment {
        Moment::Asked => {
            let refused = random.chance(15);
            docket.refused.push(refused);
            match refused {
                true => vec![WatchAct::Refuse {
                    reason: "no".into(),
                }],
                false => Vec::new(),
            }
        }
        Moment::Standing { .. } => match random.below(10) {
            0 => {
                docket.cancelled.push(watch);
                let told = match random.below(3) {
                    0 => CancelAs::Requested,
                    1 => CancelAs::Compacted(None),
                    _ => CancelAs::Server("no".into()),
                };
                vec![WatchAct::Cancel(told)]
            }
            1 => vec![WatchAct::Stall],
            _ => Vec::new(),
        },
        Moment::Event { key, .. } => {
            let key = String::from_utf8(key.to_vec()).unwrap();
            let mut fate = (false, 0);
            let mut acts = Vec::new();
            match random.below(8) {
                0 => {
                    fate.0 = true;
                    acts.push(WatchAct::Drop);
                }
                1 => {
                    fate.1 = 2;
                    acts.push(WatchAct::Duplicate(2));
                }
                2 | 3 => acts.push(WatchAct::Delay(late)),
                4 if docket.reorders => acts.push(WatchAct::Behind {
                    events: 1 + random.below(3) as u32,
                    within: Duration::from_millis(300),
                }),
                _ => {}
            }
            docket.events.insert(key, fate);
            acts
        }
        Moment::Progress => match random.below(6) {
            0 => vec![WatchAct::Drop],
            1 => vec![WatchAct::Delay(late)],
            2 if docket.falsifies => vec![WatchAct::Falsify { ahead: 100 }],
            _ => Vec::new(),
        },
        Moment::Message { .. } => match random.chance(30) {
            true => vec![WatchAct::Fragment { events: 1 }],
            false => Vec::new(),
        },
    }
}

impl World {
    fn new(seed: u64) -> (World, HoldBudget) {
        let mut random = Random::new(seed);
        let hold = HoldBudget::default();
        let options = SessionOptions {
            hold: hold.clone(),
            ..SessionOptions::default()
        };
        let docket = Arc::new(Mutex::new(Docket {
            reorders: random.chance(30),
            falsifies: random.chance(30),
            ..Docket::default()
        }));
        let world = World {
            random,
            watches: Watches::with(options),
            docket,
            known: BTreeMap::new(),
            asked: VecDeque::new(),
            awaited: VecDeque::new(),
            revision: 10,
            next_id: 0,
            cancels: Vec::new(),
            resting: None,
        };
        (world, hold)
    }

    fn arm(&mut self) {
        let mut random = self.random.fork();
        let docket = Arc::clone(&self.docket);
        let until = self.watches.stand.now + Duration::from_secs(2);
        self.watches.stand.bench.lock().unwrap().until = Some(until);
        self.watches.touch(move |watch, moment| {
            let mut docket = docket.lock().unwrap();
            decide(&mut random, &mut docket, watch, moment)
        });
    }

    fn send(&mut self, from: Side, messages: &[Vec<u8>]) {
        self.send_unheard(from, messages);
        self.listen();
    }

    /// Sends messages in DATA frames as chance has them.
    fn send_unheard(&mut self, from: Side, messages: &[Vec<u8>]) {
        let mut content = Vec::new();
        for message in messages {
            content.extend(prefixed(message, false));
        }
        let mut wire = Vec::new();
        while !content.is_empty() {
            let n = self.random.within(1, content.len());
            let rest = content.split_off(n);
            frame_encoder::data(&mut wire, id(1), &content, false);
            content = rest;
        }
        while !wire.is_empty() {
            let n = self.random.within(1, wire.len());
            let rest = wire.split_off(n);
            self.watches.stand.send(from, &wire);
            wire = rest;
        }
    }

    /// Both ends hear what has come for them.
    fn listen(&mut self) {
        for request in self.watches.server_got() {
            match request.request_union {
                Some(RequestUnion::CreateRequest(_)) => self.asked.push_back(()),
                Some(RequestUnion::CancelRequest(cancel)) => self.cancels.push(cancel.watch_id),
                other => panic!("nobody asked for {other:?}"),
            }
        }
        let mut answers = Vec::new();
        for message in self.watches.client_got() {
            self.hear(message, &mut answers);
        }
        for answer in answers {
            self.watches.ask(&cancel(answer));
        }
        // What clientv3 asks may have gone to etcd.
        for request in self.watches.server_got() {
            if let Some(RequestUnion::CancelRequest(cancel)) = request.request_union {
                self.cancels.push(cancel.watch_id);
            }
        }
    }

    fn hear(&mut self, message: WatchResponse, answers: &mut Vec<i64>) {
        let watch = message.watch_id;
        let revision = message.header.as_ref().expect("a header").revision;
        if message.created {
            // First in, first out: that is how clientv3 pairs them.
            let refused = self.awaited.pop_front().expect("somebody asked");
            assert_eq!(message.canceled, refused, "creations are answered in order");
            if !refused {
                self.known.entry(watch).or_default();
            }
            return;
        }
        if watch < 0 {
            for known in self.known.values().filter(|known| !known.ended) {
                self.check_progress(known, revision);
            }
            return;
        }
        let known = self.known.get_mut(&watch).expect("it was created");
        assert!(!known.ended, "{watch} has ended: {message:?}");
        if message.canceled {
            known.ended = true;
            answers.push(watch);
            return;
        }
        assert!(
            known.run.is_empty() || !message.events.is_empty(),
            "inside a run"
        );
        if message.events.is_empty() {
            let known = &self.known[&watch];
            return self.check_progress(known, revision);
        }
        for event in &message.events {
            let kv = event.kv.as_ref().unwrap();
            let key = String::from_utf8(kv.key.to_vec()).unwrap();
            known.run.push((kv.mod_revision, key));
        }
        if !message.fragment {
            known.got.append(&mut known.run);
        }
    }

    /// Progress moves the revision from which the client resumes.
    fn check_progress(&self, known: &Known, revision: i64) {
        let docket = self.docket.lock().unwrap();
        if docket.reorders || docket.falsifies {
            return;
        }
        for event in known.sent.iter().filter(|(at, _)| *at <= revision) {
            let dropped = docket
                .events
                .get(&event.1)
                .is_some_and(|(dropped, _)| *dropped);
            assert!(
                dropped || known.got.contains(event),
                "progress up to {revision} before {event:?}"
            );
        }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0 => {
                let before = self.docket.lock().unwrap().refused.len();
                self.send_unheard(Side::Client, &[create("a").encode_to_vec()]);
                let docket = self.docket.lock().unwrap();
                let refused = docket.refused.get(before).copied().unwrap_or(false);
                drop(docket);
                self.awaited.push_back(refused);
                self.listen();
            }
            1 | 2 if !self.asked.is_empty() => {
                self.asked.pop_front();
                let watch = self.next_id;
                self.next_id += 1;
                self.known.entry(watch).or_default();
                self.send(Side::Server, &[created(watch).encode_to_vec()]);
            }
            3 => {
                let wait = self.random.pick(&[1, 20, 300, 1500]);
                self.watches.stand.wait(wait);
                self.listen();
            }
            4 => {
                let watch = match self.random.chance(50) {
                    true => -1,
                    false => self.any(),
                };
                let confirmed = self.known.get(&watch).is_some_and(|known| known.confirmed);
                if self.next_id > 0 && !confirmed {
                    let said = progress(watch, self.revision);
                    self.send(Side::Server, &[said.encode_to_vec()]);
                }
            }
            5 if !self.cancels.is_empty() => {
                let watch = self.cancels.remove(0);
                let confirmed = WatchResponse {
                    header: header(self.revision),
                    watch_id: watch,
                    canceled: true,
                    ..WatchResponse::default()
                };
                self.send(Side::Server, &[confirmed.encode_to_vec()]);
                self.known
                    .get_mut(&watch)
                    .expect("it was created")
                    .confirmed = true;
            }
            6 => {
                if self.random.chance(30) {
                    // Rules are used up, and others come.
                    let mut bench = self.watches.stand.bench.lock().unwrap();
                    std::mem::swap(&mut bench.watches, &mut self.resting);
                }
                self.watches.stand.change();
                self.watches.stand.wait(20);
                self.listen();
            }
            _ if self.next_id > 0 => self.say_events(),
            _ => {}
        }
    }

    fn any(&mut self) -> i64 {
        self.random.below(self.next_id.max(1) as usize) as i64
    }

    fn say_events(&mut self) {
        let watch = self.any();
        if self.known[&watch].confirmed {
            return;
        }
        self.revision += 1;
        let count = self.random.within(1, 4);
        let keys: Vec<String> = (0..count)
            .map(|n| format!("k{}-{n}", self.revision))
            .collect();
        let ended = self.known[&watch].ended;
        if !ended {
            let sent = keys.iter().map(|key| (self.revision, key.clone()));
            self.known.get_mut(&watch).unwrap().sent.extend(sent);
        }
        // Sometimes as a run of fragments.
        let pieces: Vec<&[String]> = match self.random.chance(25) {
            true => keys.chunks(1).collect(),
            false => vec![&keys],
        };
        let last = pieces.len() - 1;
        let messages = pieces.iter().enumerate().map(|(n, keys)| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let message = WatchResponse {
                fragment: n < last,
                ..events(watch, self.revision, &keys)
            };
            message.encode_to_vec()
        });
        let messages: Vec<_> = messages.collect();
        self.send(Side::Server, &messages);
    }

    /// All that was held has come; was anything lost?
    fn settle(&mut self) {
        self.watches.stand.wait(10_000);
        {
            let mut bench = self.watches.stand.bench.lock().unwrap();
            bench.watches = None;
            bench.lifted = true;
        }
        self.watches.stand.change();
        self.listen();
        let docket = self.docket.lock().unwrap();
        for (watch, known) in &self.known {
            assert!(known.run.is_empty(), "a run of {watch} never ended");
            let cancelled = docket.cancelled.contains(watch);
            let mut expected = Vec::new();
            for event in &known.sent {
                let (dropped, more) = docket.events.get(&event.1).copied().unwrap_or_default();
                if !dropped {
                    expected.extend(std::iter::repeat_n(event.clone(), 1 + more as usize));
                }
            }
            let (mut got, in_order) =
                (known.got.clone(), known.got.is_sorted_by_key(|(at, _)| *at));
            assert!(
                in_order || docket.reorders,
                "{watch} is out of order: {got:?}"
            );
            if cancelled {
                assert!(got.iter().all(|event| known.sent.contains(event)));
                continue;
            }
            got.sort();
            expected.sort();
            assert_eq!(got, expected, "watch {watch}");
        }
    }
}

#[test]
fn clientv3_would_find_every_watch_in_order() {
    let seeds = std::env::var("ETCDTAP_SEEDS").ok();
    let seeds = seeds.and_then(|text| text.parse().ok()).unwrap_or(300);
    let (mut cancelled, mut dropped) = (0, 0);
    for seed in 0..seeds {
        let run = move || {
            let (mut world, hold) = World::new(seed);
            // Sometimes the faults come when watches stand already.
            let late = world.random.chance(50);
            if !late {
                world.arm();
            }
            world.watches.open();
            for n in 0..80 {
                if late && n == 40 {
                    world.arm();
                    world.watches.stand.change();
                }
                world.step();
            }
            world.settle();
            if world.next_id > 0 {
                // What is kept of a call that has not asked yet counts as well.
                assert_eq!(hold.held(), 0);
            }
            assert!(!world.watches.stand.session.must_close());
            let docket = world.docket.lock().unwrap();
            let dropped = docket.events.values().filter(|(dropped, _)| *dropped);
            (docket.cancelled.len(), dropped.count())
        };
        match std::panic::catch_unwind(run) {
            Ok((one, other)) => {
                cancelled += one;
                dropped += other;
            }
            Err(_) => panic!("seed {seed}: the words are above"),
        }
    }
    assert!(cancelled > 20 && dropped > 200, "{cancelled} {dropped}");
}
