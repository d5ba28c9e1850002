//! A server as grpc-go and etcd are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcdtap::http2::Side;

use super::call::{self, Kind};
use super::endpoint::{Endpoint, Heard, Taste};
use super::random::Random;
use super::stream::Piece;

/// grpc-go's `EnforcementPolicy.MinTime` as etcd sets it.
pub const MIN_PING_INTERVAL: Duration = Duration::from_secs(5);
/// grpc-go's `defaultPingTimeout`.
pub const IDLE_PING_INTERVAL: Duration = Duration::from_secs(2 * 3600);
/// grpc-go's `maxPingStrikes`.
pub const MAX_PING_STRIKES: u32 = 2;
pub const ENHANCE_YOUR_CALM: u32 = 11;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;

/// grpc-go's PING between the two GOAWAYs of a drain.
const GOAWAY_PING: [u8; 8] = [1, 6, 1, 8, 0, 3, 3, 9];

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Percent of calls that end in an error, are reset, are answered early.
    pub failures: usize,
    /// Watch events that leave at once, if not by chance.
    pub burst: Option<usize>,
    /// Longest time to think, in milliseconds.
    pub thought: usize,
    /// Whether it will ask the client to go away.
    pub drains: bool,
}

/// grpc-go's rule about PINGs.
#[derive(Debug, Default)]
struct Strikes {
    count: u32,
    last: Option<Instant>,
    /// HEADERS and DATA frames of ours when the last PING came.
    content: u64,
}

/// A request that was carried out.
#[derive(Debug, Clone, Copy)]
pub struct Executed {
    pub stream: u32,
    pub at: Instant,
}

#[derive(Debug)]
struct Handler {
    kind: Kind,
    executed: usize,
    /// Responses that are still to come, and when the next one is due.
    due: Vec<Instant>,
    answered: usize,
    over: bool,
}

#[derive(Debug)]
pub struct ServerModel {
    pub end: Endpoint,
    manner: Manner,
    handlers: BTreeMap<u32, Handler>,
    pub executed: Vec<Executed>,
    strikes: Strikes,
    /// It ended the connection for too many PINGs.
    pub struck_out: bool,
    draining: bool,
}

impl ServerModel {
    pub fn new(manner: Manner, taste: Taste, mut random: Random, now: Instant) -> ServerModel {
        let odd = random.chance(50);
        let mut end = Endpoint::new(Side::Server, taste, random, now);
        let settings = match odd {
            true => end.random_settings(!taste.bandwidth),
            false => Vec::new(),
        };
        end.send_settings(&settings);
        ServerModel {
            end,
            manner,
            handlers: BTreeMap::new(),
            executed: Vec::new(),
            strikes: Strikes::default(),
            struck_out: false,
            draining: false,
        }
    }

    pub fn next_timer(&self) -> Option<Instant> {
        let live = self.handlers.iter().filter(|(_, handler)| !handler.over);
        live.filter_map(|(_, handler)| handler.due.first().copied())
            .min()
    }

    /// Looks at PINGs when they come: what was sent between two of them counts.
    pub fn count_pings(&mut self, now: Instant) {
        let heard = self.end.heard.len();
        self.end.heard.retain(|heard| *heard != Heard::Ping);
        for _ in self.end.heard.len()..heard {
            self.strike(now);
        }
    }

    fn strike(&mut self, now: Instant) {
        let content = self.end.content_frames;
        let (last, before) = (self.strikes.last.replace(now), self.strikes.content);
        self.strikes.content = content;
        if content > before {
            self.strikes.count = 0;
            return;
        }
        let interval = match self.end.open_streams() {
            0 => IDLE_PING_INTERVAL,
            _ => MIN_PING_INTERVAL,
        };
        if last.is_some_and(|last| last + interval > now) {
            self.strikes.count += 1;
        }
        if self.strikes.count > MAX_PING_STRIKES && !self.struck_out {
            let last = self.end.last_stream;
            self.end
                .send_goaway(last, ENHANCE_YOUR_CALM, b"too_many_pings");
            self.struck_out = true;
        }
    }

    /// The server does something. `eager`: all that it can.
    pub fn act(&mut self, eager: bool, now: Instant) -> bool {
        self.end.now = now;
        let mut did = false;
        while let Some(heard) = self.end.heard.pop_front() {
            did = true;
            match heard {
                Heard::Head(id) => self.begin(id),
                Heard::Data(id) if self.end.streams[&id].reader.wanted > 0 => {
                    self.end.read(id, now);
                }
                Heard::PingAck(GOAWAY_PING) => {
                    let last = self.end.last_stream;
                    self.end.send_goaway(last, NO_ERROR, b"");
                }
                _ => {}
            }
        }
        if self.struck_out {
            return did;
        }
        let ids: Vec<u32> = self.handlers.keys().copied().collect();
        for id in ids {
            did |= self.handle(id, eager, now);
        }
        if !eager && self.end.random.chance(self.end.taste.restless) {
            let windows = !self.end.taste.bandwidth;
            let settings = self.end.random_settings(windows);
            self.end.send_settings(&settings);
        }
        if self.manner.drains && !self.draining && !eager && self.end.random.chance(2) {
            self.draining = true;
            self.end.send_goaway(0x7fff_ffff, NO_ERROR, b"");
            self.end.send_ping(GOAWAY_PING);
        }
        let portions = if eager {
            10_000
        } else {
            self.end.random.below(8)
        };
        did | self.end.flush(portions, now)
    }

    fn begin(&mut self, id: u32) {
        let head = self.end.streams[&id].received.head.as_ref();
        let kind = head
            .and_then(|head| Kind::of(head))
            .unwrap_or(Kind::Unknown);
        let handler = Handler {
            kind,
            executed: 0,
            due: Vec::new(),
            answered: 0,
            over: false,
        };
        self.handlers.insert(id, handler);
    }

    fn handle(&mut self, id: u32, eager: bool, now: Instant) -> bool {
        let appetite = self.end.taste.appetite;
        let stream = &self.end.streams[&id];
        let handler = self.handlers.get_mut(&id).expect("it runs");
        if stream.is_closed() {
            handler.over = true;
            handler.due.clear();
        }
        if handler.over {
            return false;
        }
        let mut did = false;
        let unread = stream.received.data.len() > stream.reader.taken;
        let idle = stream.reader.wanted == 0;
        if (unread || idle) && (eager || self.end.random.chance(appetite)) {
            self.end.read(id, now);
            did = true;
        }
        let stream = &self.end.streams[&id];
        let whole =
            stream.received.ended.is_some() && stream.received.data.len() == stream.reader.taken;
        while handler.executed < stream.reader.messages {
            handler.executed += 1;
            did = true;
            self.executed.push(Executed {
                stream: id,
                at: now,
            });
            let responses = match handler.kind {
                Kind::Watch => {
                    1 + self
                        .manner
                        .burst
                        .unwrap_or_else(|| self.end.random.below(10))
                }
                _ => 1,
            };
            let mut at = now;
            for _ in 0..responses {
                if self.manner.burst.is_none() {
                    let thought = self.end.random.below(self.manner.thought + 1);
                    at += Duration::from_millis(thought as u64);
                }
                handler.due.push(at);
            }
        }
        while handler.due.first().is_some_and(|due| *due <= now) {
            handler.due.remove(0);
            did = true;
            let random = &mut self.end.random;
            if random.chance(self.manner.failures) {
                handler.over = true;
                let (head, trailers) = (call::response_head(random), call::trailers(5, random));
                let reset = random.chance(30);
                if reset {
                    self.end.queue(id, Piece::Reset(INTERNAL_ERROR));
                } else if handler.answered == 0 {
                    let only = head.into_iter().chain(trailers).collect();
                    self.end.queue(id, Piece::Head(only));
                    self.end.queue(id, Piece::End);
                } else {
                    self.end.queue(id, Piece::Trailers(trailers));
                }
                return true;
            }
            let n = u64::from(id) * 100 + handler.answered as u64;
            let n = if handler.kind == Kind::Watch {
                n % 100
            } else {
                n
            };
            let (head, message) = (
                call::response_head(random),
                call::response(handler.kind, n, random),
            );
            let trailers = call::trailers(0, random);
            if handler.answered == 0 {
                self.end.queue(id, Piece::Head(head));
            }
            handler.answered += 1;
            self.end.queue(id, Piece::Data(message, 0));
            if handler.kind.is_unary() {
                self.end.queue(id, Piece::Trailers(trailers));
                handler.over = true;
                return true;
            }
        }
        if whole && handler.due.is_empty() {
            handler.over = true;
            let random = &mut self.end.random;
            let (head, trailers) = (call::response_head(random), call::trailers(0, random));
            if handler.answered == 0 {
                self.end.queue(id, Piece::Head(head));
            }
            self.end.queue(id, Piece::Trailers(trailers));
            did = true;
        }
        did
    }

    /// After its trailers the server resets a stream that the client has not
    /// ended (NO_ERROR), as grpc-go does.
    pub fn tidy(&mut self) {
        let left: Vec<u32> = self
            .end
            .streams
            .iter()
            .filter(|(_, s)| s.sent.ended.is_some() && s.may_receive())
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.end.reset(id, NO_ERROR);
        }
    }
}
