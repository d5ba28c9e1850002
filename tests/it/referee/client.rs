//! A client as grpc-go and clientv3 are.

use std::time::{Duration, Instant};

use etcdtap::http2::Side;

use super::call::{self, Kind};
use super::endpoint::{ENABLE_PUSH, Endpoint, Heard, Taste};
use super::frame;
use super::judge::Docket;
use super::random::Random;
use super::stream::Piece;

pub const CANCEL: u32 = 8;
const NO_ERROR: u32 = 0;

/// A call that the client makes.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: Kind,
    /// Requests after the first one.
    pub more: usize,
    /// Whether it is left open at the end (streams).
    pub stays: bool,
    /// How long the client waits for it.
    pub patience: Option<Duration>,
}

/// A call under way.
#[derive(Debug)]
pub struct Open {
    pub call: Call,
    pub stream: u32,
    pub left: usize,
    pub deadline: Option<Instant>,
    pub half_closed: bool,
    pub gave_up: Option<Instant>,
}

#[derive(Debug)]
pub struct ClientModel {
    pub end: Endpoint,
    pub plan: Vec<Call>,
    pub calls: Vec<Open>,
    /// When anything was last received, for keepalive.
    active: Instant,
    /// grpc-go's `ClientParameters.Time`.
    pub keepalive: Duration,
    /// Whether calls above a GOAWAY's last stream are given up at once.
    pub heeds_goaway: bool,
}

/// A call as chance has it.
pub fn random_call(random: &mut Random) -> Call {
    let kind = random.pick(&Kind::ALL);
    let patience = match random.below(10) {
        0 => Some(Duration::from_millis(random.within(1, 300) as u64)),
        1..4 => Some(Duration::from_millis(random.within(1000, 20_000) as u64)),
        _ => None,
    };
    Call {
        kind,
        more: match kind {
            Kind::KeepAlive => random.below(6),
            _ => 0,
        },
        stays: random.chance(50),
        patience: patience.filter(|_| kind.is_unary()),
    }
}

impl ClientModel {
    /// A client that has just connected, and greets.
    pub fn new(plan: Vec<Call>, taste: Taste, mut random: Random, now: Instant) -> ClientModel {
        let odd = random.chance(50);
        let mut end = Endpoint::new(Side::Client, taste, random, now);
        end.out.extend_from_slice(frame::PREFACE);
        let mut settings = vec![(ENABLE_PUSH, 0)];
        if odd {
            settings.extend(end.random_settings(!taste.bandwidth));
        }
        end.send_settings(&settings);
        ClientModel {
            end,
            plan,
            calls: Vec::new(),
            active: now,
            keepalive: Duration::from_secs(30),
            heeds_goaway: false,
        }
    }

    /// When something is due here by itself.
    pub fn next_timer(&self, eager: bool) -> Option<Instant> {
        let open = self.calls.iter().filter(|call| !self.is_over(call));
        let deadline = open.clone().filter_map(|call| call.deadline).min();
        let ping = self.active + self.keepalive;
        let keepalive = Some(ping).filter(|_| !eager && open.count() > 0);
        deadline.into_iter().chain(keepalive).min()
    }

    pub fn is_over(&self, call: &Open) -> bool {
        self.end.streams[&call.stream].is_closed()
    }

    /// The client does something. `eager`: all that it can.
    pub fn act(&mut self, eager: bool, now: Instant) -> bool {
        self.end.now = now;
        let mut did = false;
        while let Some(heard) = self.end.heard.pop_front() {
            self.active = now;
            match heard {
                // Padding or a reader that waits: windows are looked at again.
                Heard::Data(id) if self.end.streams[&id].reader.wanted > 0 => {
                    self.end.read(id, now);
                }
                // grpc-go resets a stream that ended before its own side did.
                Heard::Ended(id) if self.end.streams[&id].may_send() => {
                    self.end.reset(id, NO_ERROR);
                    did = true;
                }
                // Nobody had them: they are sent again elsewhere.
                Heard::Goaway { last, .. } if self.heeds_goaway => {
                    for n in 0..self.calls.len() {
                        let call = &self.calls[n];
                        if call.stream > last && !self.is_over(call) {
                            self.give_up(n, now);
                            did = true;
                        }
                    }
                }
                _ => {}
            }
        }
        for n in 0..self.calls.len() {
            let call = &self.calls[n];
            if call.deadline.is_some_and(|at| at <= now) && !self.is_over(call) {
                self.give_up(n, now);
                did = true;
            }
        }
        if now >= self.active + self.keepalive {
            self.active = now;
            if self.end.open_streams() > 0 && !self.end.pings.contains(&[0; 8]) {
                self.end.send_ping([0; 8]);
                did = true;
            }
        }
        while !self.plan.is_empty() && self.end.may_open() && (eager || self.end.random.chance(30))
        {
            self.open(now);
            did = true;
            if !eager {
                break;
            }
        }
        for n in 0..self.calls.len() {
            did |= self.go_on(n, eager, now);
        }
        if !eager && self.end.random.chance(self.end.taste.restless) {
            let windows = !self.end.taste.bandwidth;
            let settings = self.end.random_settings(windows);
            self.end.send_settings(&settings);
        }
        let portions = if eager {
            10_000
        } else {
            self.end.random.below(8)
        };
        did | self.end.flush(portions, now)
    }

    fn open(&mut self, now: Instant) {
        let call = self.plan.remove(0);
        let head = call::request_head(call.kind, &mut self.end.random);
        let stream = self.end.open_stream(head);
        let message = call::request(call.kind, u64::from(stream), &mut self.end.random);
        self.end.queue(stream, Piece::Data(message, 0));
        if call.kind.is_unary() {
            self.end.queue(stream, Piece::End);
        }
        self.calls.push(Open {
            stream,
            left: call.more,
            deadline: call.patience.map(|patience| now + patience),
            half_closed: call.kind.is_unary(),
            gave_up: None,
            call,
        });
    }

    /// Reading, and the later requests of a stream.
    fn go_on(&mut self, n: usize, eager: bool, now: Instant) -> bool {
        let appetite = self.end.taste.appetite;
        let call = &mut self.calls[n];
        let stream = &self.end.streams[&call.stream];
        if stream.sent.reset.is_some() {
            return false;
        }
        let unread = stream.received.data.len() > stream.reader.taken;
        let idle = stream.reader.wanted == 0 && !stream.is_closed();
        let id = call.stream;
        let mut did = false;
        if (unread || idle) && (eager || self.end.random.chance(appetite)) {
            self.end.read(id, now);
            did = true;
        }
        let may = self.end.streams[&id].may_send();
        if may && call.left > 0 && (eager || self.end.random.chance(20)) {
            call.left -= 1;
            let message = call::request(call.call.kind, u64::from(id), &mut self.end.random);
            self.end.queue(id, Piece::Data(message, 0));
            did = true;
        }
        let answered = self.end.streams[&id].reader.messages > call.call.more;
        let over = answered && call.left == 0 && !call.call.stays && !call.half_closed;
        if may && over && (eager || self.end.random.chance(10)) {
            call.half_closed = true;
            self.end.queue(id, Piece::End);
            did = true;
        }
        if !eager && may && self.end.random.below(2000) == 0 {
            self.give_up(n, now);
            did = true;
        }
        did
    }

    pub fn give_up(&mut self, n: usize, now: Instant) {
        self.end.now = now;
        let call = &mut self.calls[n];
        call.gave_up = Some(now);
        let id = call.stream;
        self.end.reset(id, CANCEL);
    }

    /// Gives up every call that does not end by itself: all unary ones, the streams
    /// that are not to stay, and those that somebody touched.
    pub fn give_up_the_rest(&mut self, touched: &Docket, now: Instant) -> bool {
        let mut did = false;
        for n in 0..self.calls.len() {
            let call = &self.calls[n];
            let stays = call.call.stays && !call.call.kind.is_unary();
            let ends = !stays || touched.lock().unwrap().contains_key(&call.stream);
            if ends && !self.is_over(call) {
                self.give_up(n, now);
                did = true;
            }
        }
        did
    }
}
