//! The session between two peers, and what has to hold whatever happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::Errand;
use etcdtap::etcd::{Event, Session, SessionOptions};
use etcdtap::fault::Armory;
use etcdtap::fault::plan::{FaultSpec, Plan};
use etcdtap::http2::{Both, PREFACE, Side, frame_encoder};
use etcdtap::kube::key::KeySpace;
use etcdtap::relay::{ConnectionId, EndOfBytes, HoldBudget, Peers, Transmit};

use super::reader::Reader;
use super::speech::Speech;

/// More of anything than one step can give.
const ENDLESS: usize = 100_000;

pub struct Stand {
    pub session: Session,
    pub armory: Arc<Armory>,
    pub now: Instant,
    pub speech: Speech,
    pub errands: VecDeque<Errand>,
    budget: HoldBudget,
    came: Both<Flow>,
    left: Both<Flow>,
    /// A fault has struck.
    struck: bool,
    ended: Both<bool>,
    summaries: usize,
}

/// One direction's bytes, before the session or behind it.
struct Flow {
    bytes: Vec<u8>,
    reader: Reader,
}

impl Flow {
    fn new(sender: Side) -> Flow {
        Flow {
            bytes: Vec::new(),
            reader: Reader::new(sender),
        }
    }

    fn both() -> Both<Flow> {
        Both {
            client: Flow::new(Side::Client),
            server: Flow::new(Side::Server),
        }
    }
}

impl Stand {
    pub fn new(how: u8, faults: Vec<FaultSpec>) -> Stand {
        let now = Instant::now();
        let peers = Arc::new(Peers {
            id: ConnectionId(1),
            client: ([127, 0, 0, 1], 1).into(),
            listener: ([127, 0, 0, 1], 2).into(),
            upstream: "etcd:2379".into(),
            tls: None,
        });
        let budget = match how >> 4 & 3 {
            0 => HoldBudget::new(100, 1000),
            1 => HoldBudget::new(4000, 1000),
            _ => HoldBudget::default(),
        };
        let options = Arc::new(SessionOptions {
            hold: budget.clone(),
            ..SessionOptions::default()
        });
        let armory = Armory::new(u64::from(how), now);
        let plan = Plan { seed: None, faults };
        armory.load(plan, now).expect("the names differ");
        let judge = armory.judge(&peers, KeySpace::default());
        Stand {
            session: Session::with_judge(peers, &options, Some(judge), now),
            armory,
            now,
            speech: Speech::default(),
            errands: VecDeque::new(),
            budget,
            came: Flow::both(),
            left: Flow::both(),
            struck: false,
            ended: Both::default(),
            summaries: 0,
        }
    }

    /// The peers greet each other.
    pub fn greet(&mut self) {
        let mut hello = PREFACE.to_vec();
        frame_encoder::settings(&mut hello, &[]);
        self.hand_in(Side::Client, &hello);
        let mut answer = Vec::new();
        frame_encoder::settings(&mut answer, &[]);
        frame_encoder::settings_ack(&mut answer);
        self.hand_in(Side::Server, &answer);
        let mut acknowledged = Vec::new();
        frame_encoder::settings_ack(&mut acknowledged);
        self.hand_in(Side::Client, &acknowledged);
    }

    /// `n` of the bytes that `side` has said reach the session; all, where `n` is 0.
    pub fn hear(&mut self, side: Side, n: usize) {
        let said = &mut self.speech.said[side];
        let n = if n == 0 {
            said.len()
        } else {
            n.min(said.len())
        };
        let bytes: Vec<u8> = said.drain(..n).collect();
        self.hand_in(side, &bytes);
    }

    fn hand_in(&mut self, from: Side, bytes: &[u8]) {
        if self.session.must_close() || self.ended[from] {
            return;
        }
        let came = &mut self.came[from];
        came.bytes.extend_from_slice(bytes);
        // What it may be read for is checked below.
        let _ = came.reader.read(bytes);
        let announced = self.came[from.peer()].reader.announced();
        let reader = &mut self.came[from].reader;
        reader.go_by(announced);
        let granted = &self.left[from.peer()].reader;
        reader.broken |= reader.overrun(granted, announced).is_some();
        self.session.handle_bytes(from, bytes, self.now);
        self.drain(Some((from, bytes)));
    }

    /// Takes out all that waits, and looks at it.
    pub fn drain(&mut self, handed: Option<(Side, &[u8])>) {
        let mut left: Both<Vec<u8>> = Both::default();
        for from in [Side::Client, Side::Server] {
            let input = handed
                .filter(|(side, _)| *side == from)
                .map(|(_, bytes)| bytes);
            let mut at = 0;
            for n in 0.. {
                assert!(n < ENDLESS, "what leaves comes to an end");
                match self.session.poll_transmit(from) {
                    None => break,
                    Some(Transmit::Own(own)) => left[from].extend_from_slice(&own),
                    Some(Transmit::AsCame(range)) => {
                        assert!(at <= range.start, "in order, and nothing twice");
                        at = range.end;
                        left[from].extend_from_slice(&input.expect("bytes were handed in")[range]);
                    }
                }
            }
        }
        self.struck |= self.session.is_interposed();
        for from in [Side::Client, Side::Server] {
            self.look_at(from, &left[from]);
        }
        while let Some(event) = self.session.poll_event() {
            assert_eq!(self.summaries, 0, "the summary comes last");
            self.summaries += usize::from(matches!(event, Event::ConnectionEnded(_)));
        }
        while let Some(mut errand) = self.session.poll_errand() {
            // What the test keeps of it is not the session's.
            errand.hold.give_back();
            self.errands.push_back(errand);
        }
        if self.session.open_calls() == 0 {
            assert_eq!(
                self.budget.held(),
                0,
                "no call is open, and something is held"
            );
        }
    }

    fn look_at(&mut self, from: Side, left: &[u8]) {
        let flow = &mut self.left[from];
        let at = flow.bytes.len();
        flow.bytes.extend_from_slice(left);
        let came = &self.came[from];
        if !self.struck {
            let same = came
                .bytes
                .get(at..)
                .is_some_and(|came| came.starts_with(left));
            assert!(same, "no fault has struck, and what left is not what came");
        }
        let announced = self.came[from.peer()].reader.announced();
        flow.reader.go_by(announced);
        let read = flow.reader.read(left);
        if came.reader.broken {
            return;
        }
        if let Err(words) = read {
            panic!("what the {from} sent cannot be read any more: {words}");
        }
        let granted = &self.came[from.peer()].reader;
        if let Some(words) = flow.reader.overrun(granted, announced) {
            panic!("beyond what was granted to the {from}: {words}");
        }
    }

    /// Time passes, and timers fire when they are due.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        for n in 0.. {
            assert!(n < ENDLESS, "timers come to an end");
            let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) else {
                break;
            };
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain(None);
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the timer moves");
        }
        self.now = until;
    }

    /// `side` says no more.
    pub fn close(&mut self, side: Side, how: EndOfBytes) {
        if self.ended[side] {
            return;
        }
        self.ended[side] = true;
        self.session.handle_end(side, how, self.now);
        self.drain(None);
        if !self.struck {
            let (came, left) = (&self.came[side].bytes, &self.left[side].bytes);
            assert_eq!(came.len(), left.len(), "something of what came never left");
        }
    }

    /// The end of all.
    pub fn end(mut self, clears: bool) {
        for side in [Side::Client, Side::Server] {
            self.hear(side, 0);
        }
        if clears {
            self.armory.clear();
            self.session.handle_change(self.now);
            self.drain(None);
        }
        self.wait(Duration::from_secs(200));
        for side in [Side::Client, Side::Server] {
            self.close(side, EndOfBytes::Closed);
        }
        self.session.finish("the input ended", self.now);
        self.drain(None);
        assert_eq!(self.summaries, 1);
        assert_eq!(self.session.open_calls(), 0);
        assert_eq!(self.session.poll_timeout(), None);
    }
}
