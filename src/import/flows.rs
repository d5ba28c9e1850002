//! All connections of a capture, by their addresses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustc_hash::FxHashMap;

use super::connection::Connection;
use super::context::Context;
use super::packet::Segment;
use super::sink::Sink;
use super::tcp::{Begin, Opening, Reassembly};
use crate::http2::Side;
use crate::trace::Anchor;

/// Connections that are followed at once, ended ones included until they are
/// forgotten.
pub const MAX_FLOWS: usize = 65_536;

/// Bytes that all connections may hold while segments are missing.
pub const MAX_HELD_IN_ALL: usize = 256 << 20;

/// How far apart both sightings of one packet may be, where it is captured before
/// and after its addresses are translated.
const MIRROR_NANOS: u64 = 3_000_000_000;

/// Handshakes that are remembered for that.
const MAX_HANDSHAKES: usize = 16_384;

/// Packets of the capture that are waited for after a reset: what was sent before
/// it may be late in the file.
const RESET_PATIENCE: u64 = 64;

/// The ends of a connection, the smaller address first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ends {
    low: SocketAddr,
    high: SocketAddr,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Flows {
    all: FxHashMap<Ends, Flow>,
    /// What all connections hold.
    held: usize,
    packets: u64,
    /// Connections that were reset, with the number of the packet that did it.
    reset: VecDeque<(u64, Ends)>,
    /// The sequence numbers of both SYNs, with whose they were and when.
    handshakes: FxHashMap<(u32, u32), (Ends, u64)>,
}

#[derive(Debug)]
struct Flow {
    /// The number of its last packet.
    last: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Opening(Opening),
    Open(Box<Open>),
    /// Over, or seen elsewhere: what still comes belongs to nothing, its SYN once more
    /// included.
    Over(Begin),
}

#[derive(Debug)]
struct Open {
    low_is_client: bool,
    /// Where the client's direction begins.
    begin: Begin,
    tcp: Reassembly,
    connection: Connection,
}

/// How a capture's times become moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// A time of the wall clock, in nanoseconds since 1970.
    nanos: u64,
    /// The same moment on the monotonic clock.
    at: Instant,
}

impl Clock {
    pub fn new(anchor: Anchor) -> Clock {
        let since = anchor.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock {
            nanos: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            at: anchor.at,
        }
    }

    /// The moment of a packet; one that the monotonic clock has no room for is that
    /// of the anchor.
    pub fn moment(&self, nanos: u64) -> Instant {
        let moment = match nanos.checked_sub(self.nanos) {
            Some(later) => self.at.checked_add(Duration::from_nanos(later)),
            None => self
                .at
                .checked_sub(Duration::from_nanos(self.nanos - nanos)),
        };
        moment.unwrap_or(self.at)
    }
}

impl Flows {
    /// The next segment of the capture.
    pub fn handle<S: Sink>(
        &mut self,
        segment: &Segment<'_>,
        at: u64,
        clock: &Clock,
        context: &mut Context<S>,
    ) {
        let from_low = segment.from <= segment.to;
        let ends = match from_low {
            true => Ends {
                low: segment.from,
                high: segment.to,
            },
            false => Ends {
                low: segment.to,
                high: segment.from,
            },
        };
        self.packets += 1;
        self.end_reset(context);
        let opens = segment.syn && segment.ack.is_none();
        if opens
            && let Some(flow) = self.all.get_mut(&ends)
            && flow.is_another(from_low, segment)
        {
            // The ports are used again.
            if let Some(mut flow) = self.all.remove(&ends) {
                self.held -= flow.held();
                flow.leave(ends, None, clock, context);
            }
        }
        if !self.all.contains_key(&ends) && self.all.len() >= MAX_FLOWS {
            self.make_room(context);
        }
        let flow = self.all.entry(ends).or_insert_with(|| Flow {
            last: 0,
            state: State::Opening(Opening::default()),
        });
        flow.last = self.packets;
        let before = flow.held();
        match &mut flow.state {
            State::Opening(opening) => {
                opening.push(from_low, segment, at);
                let full = self.held + opening.held() > MAX_HELD_IN_ALL;
                if segment.rst && !opening.has_payload() {
                    flow.state = State::Over(opening.begin_of_caller()); // refused
                } else if opening.is_ready() || full {
                    let mirrored = opening.numbers().is_some_and(|numbers| {
                        is_mirrored(&mut self.handshakes, numbers, ends, at)
                    });
                    if mirrored {
                        context.report.mirrored += 1;
                        flow.state = State::Over(opening.begin_of_caller());
                    } else {
                        flow.open(ends, clock, context);
                    }
                }
            }
            State::Open(open) => open.handle(from_low, segment, clock.moment(at), context),
            State::Over(_) => {}
        }
        if segment.rst && flow.is_reset() {
            self.reset.push_back((self.packets, ends));
        }
        flow.close();
        self.held = self.held - before + flow.held();
        if self.held > MAX_HELD_IN_ALL
            && let State::Open(open) = &mut flow.state
        {
            let before = open.tcp.held();
            open.give_way(context);
            self.held = self.held - before + open.tcp.held();
        }
    }

    /// Ends the connections that were reset some packets ago.
    fn end_reset<S: Sink>(&mut self, context: &mut Context<S>) {
        while let Some((then, ends)) = self.reset.front().copied()
            && self.packets - then > RESET_PATIENCE
        {
            self.reset.pop_front();
            // The ports may have been used again since.
            if let Some(flow) = self.all.get_mut(&ends)
                && flow.is_reset()
                && let State::Open(open) = &mut flow.state
            {
                self.held -= open.tcp.held();
                open.settle(context);
                flow.close();
            }
        }
    }

    /// The capture has ended, at `end`.
    pub fn finish<S: Sink>(&mut self, end: Instant, clock: &Clock, context: &mut Context<S>) {
        let mut rest: Vec<_> = std::mem::take(&mut self.all).into_iter().collect();
        rest.sort_unstable_by_key(|(ends, flow)| (flow.last, *ends));
        for (ends, mut flow) in rest {
            flow.leave(ends, Some(end), clock, context);
        }
        self.held = 0;
    }

    /// Forgets connections that are over; if that is not enough, those that were
    /// silent for the longest time are given up.
    fn make_room<S: Sink>(&mut self, context: &mut Context<S>) {
        self.all
            .retain(|_, flow| !matches!(flow.state, State::Over(_)));
        if self.all.len() < MAX_FLOWS / 4 * 3 {
            return;
        }
        let mut oldest: Vec<_> = self
            .all
            .iter()
            .map(|(ends, flow)| (flow.last, *ends))
            .collect();
        oldest.sort_unstable();
        for (_, ends) in oldest.into_iter().take(MAX_FLOWS / 4) {
            let Some(flow) = self.all.remove(&ends) else {
                continue;
            };
            self.held -= flow.held();
            match flow.state {
                State::Open(mut open) => open.connection.give_up(context),
                // Of one that has hardly begun nothing is known.
                State::Opening(opening) if opening.has_payload() => context.report.other += 1,
                State::Opening(_) | State::Over(_) => {}
            }
        }
    }
}

impl Flow {
    fn held(&self) -> usize {
        match &self.state {
            State::Opening(opening) => opening.held(),
            State::Open(open) => open.tcp.held(),
            State::Over(_) => 0,
        }
    }

    /// Whether a SYN opens another connection than this one.
    fn is_another(&self, from_low: bool, segment: &Segment<'_>) -> bool {
        let begin = match &self.state {
            State::Opening(opening) => opening.begin(from_low),
            State::Open(open) if open.low_is_client == from_low => open.begin,
            State::Open(_) => return true,
            State::Over(begin) => *begin,
        };
        !begin.is_behind(segment.sequence)
    }

    /// Its first packets say where it begins: they go first.
    fn open<S: Sink>(&mut self, ends: Ends, clock: &Clock, context: &mut Context<S>) {
        let State::Opening(opening) =
            std::mem::replace(&mut self.state, State::Over(Begin::default()))
        else {
            return;
        };
        let Ends { low, high } = ends;
        let low_is_client = match (context.serves(low), context.serves(high)) {
            // Where ports are given, they decide.
            (true, false) if !context.options.ports.is_empty() => false,
            (false, true) if !context.options.ports.is_empty() => true,
            _ => opening.low_is_client(low, high, |address| context.serves(address)),
        };
        let (client, server) = match low_is_client {
            true => (low, high),
            false => (high, low),
        };
        let starts = opening.starts(low_is_client);
        let begun = opening.was_seen();
        let begin = opening.begin(low_is_client);
        let held = opening.into_held();
        let opened = clock.moment(held.first().map_or(0, |first| first.at));
        let mut open = Box::new(Open {
            low_is_client,
            begin,
            tcp: Reassembly::new(starts),
            connection: Connection::new(client, server, begun, opened),
        });
        for packet in &held {
            let (from, to) = match packet.low {
                true => (low, high),
                false => (high, low),
            };
            let segment = packet.segment(from, to);
            open.handle(packet.low, &segment, clock.moment(packet.at), context);
        }
        self.state = State::Open(open);
    }

    /// Whether a side has ended it with RST, and it waits for what may be late.
    fn is_reset(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.tcp.is_reset())
    }

    /// Forgets a connection that is over.
    fn close(&mut self) {
        if let State::Open(open) = &self.state
            && open.tcp.is_over()
        {
            self.state = State::Over(open.begin);
        }
    }

    /// No packet follows.
    fn leave<S: Sink>(
        &mut self,
        ends: Ends,
        end: Option<Instant>,
        clock: &Clock,
        context: &mut Context<S>,
    ) {
        if let State::Opening(opening) = &self.state {
            if !opening.has_payload() {
                return;
            }
            self.open(ends, clock, context);
        }
        if let State::Open(open) = &mut self.state {
            open.settle(context);
            open.connection.leave(end, context);
        }
    }
}

impl Open {
    fn handle<S: Sink>(
        &mut self,
        from_low: bool,
        segment: &Segment<'_>,
        now: Instant,
        context: &mut Context<S>,
    ) {
        let from = match from_low == self.low_is_client {
            true => Side::Client,
            false => Side::Server,
        };
        self.connection.turn(now, segment.cut);
        let connection = &mut self.connection;
        self.tcp
            .handle(from, segment, &mut |told| connection.handle(told, context));
    }

    fn settle<S: Sink>(&mut self, context: &mut Context<S>) {
        let connection = &mut self.connection;
        self.tcp
            .settle(&mut |told| connection.handle(told, context));
    }

    fn give_way<S: Sink>(&mut self, context: &mut Context<S>) {
        let connection = &mut self.connection;
        while self
            .tcp
            .give_way(&mut |told| connection.handle(told, context))
        {}
    }
}

/// Whether a connection is one that was seen already, under other addresses: the
/// sequence numbers of both its SYNs, which nobody chooses twice, are the same.
fn is_mirrored(
    handshakes: &mut FxHashMap<(u32, u32), (Ends, u64)>,
    numbers: (u32, u32),
    ends: Ends,
    at: u64,
) -> bool {
    // Which end is the smaller one may change with the addresses.
    let numbers = (numbers.0.min(numbers.1), numbers.0.max(numbers.1));
    if let Some((other, then)) = handshakes.get(&numbers)
        && *other != ends
        && at.abs_diff(*then) < MIRROR_NANOS
    {
        return true;
    }
    if handshakes.len() >= MAX_HANDSHAKES {
        handshakes.retain(|_, (_, then)| at.abs_diff(*then) < MIRROR_NANOS);
        if handshakes.len() >= MAX_HANDSHAKES {
            handshakes.clear();
        }
    }
    handshakes.insert(numbers, (ends, at));
    false
}
