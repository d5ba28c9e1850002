//! An HTTP/2 connection as the relay follows it: frames, streams and windows of
//! both directions from byte 0 on, and what leaves in each.

use std::collections::VecDeque;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::goaway::Goodbye;
use super::half::{Goaway, Half, Resets};
use super::held::HoldAccount;
use super::held_pings::HeldPings;
use super::keepalive::Keepalive;
use super::order::{Gate, Order};
use super::pings::RoundTrips;
use super::stalls::FlowStalls;
use super::stream::Slot;
use super::stream_limit::StreamLimit;
use super::tap::{StreamEnd, Tap};
use super::transmit::Transmit;
use crate::http2::{Both, Offence, Settings, Side, StreamId, frame_encoder};

/// Streams that are followed at once on one connection. etcd sets no limit of
/// its own; beyond this a client is not one that we know how to follow.
pub const MAX_OPEN_STREAMS: usize = 100_000;

/// Follows one HTTP/2 connection, shows its streams to a [`Tap`], and gives out
/// what leaves in each direction.
///
/// It is *transparent* until a byte is held, dropped, added or changed, and
/// *interposed* from then on. Transparent, what leaves is what came, and bytes
/// that cannot be followed pass all the same. Interposed, every stream that
/// nobody touches carries the same content and the same fields in the same
/// order, and bytes that cannot be followed end the connection, for windows and
/// header tables are not the peers' own any more.
#[derive(Debug)]
pub struct Connection<T: Tap> {
    pub(super) tap: T,
    /// By sender.
    pub(super) halves: Both<Half>,
    pub(super) streams: FxHashMap<StreamId, Slot<T::Stream>>,
    pub(super) last_client_stream: StreamId,
    pub(super) opened: u64,
    pub(super) phase: Phase,
    /// Streams could be touched.
    pub(super) armed: bool,
    /// Streams could be touched, or are: frames pass one by one.
    pub(super) watchful: bool,
    /// Something was held, dropped, added or changed.
    pub(super) interposed: bool,
    pub(super) keepalive: Keepalive,
    /// What faults on the whole connection do.
    pub(super) goodbye: Goodbye,
    pub(super) pings: HeldPings,
    pub(super) stream_limit: StreamLimit,
    pub(super) held: HoldAccount,
    /// Streams whose senders may be due credit.
    pub(super) dirty: Vec<StreamId>,
    /// Room for the orders of one frame.
    pub(super) orders: Vec<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Following,
    /// Not followed any more: bytes pass as they come.
    Open,
    /// Torn down: bytes are swallowed.
    Closed,
}

/// What a side did on the connection, streams apart.
#[derive(Debug, Clone, Default)]
pub struct SideReport {
    /// What it announced last; `None` if it sent no SETTINGS.
    pub settings: Option<Settings>,
    /// PINGs it sent.
    pub pings: u64,
    /// Their round trips.
    pub round_trips: RoundTrips,
    /// Its last GOAWAY.
    pub goaway: Option<Goaway>,
    /// Its RST_STREAM frames.
    pub resets: Resets,
    /// How long its sending was stopped by flow control.
    pub stalls: FlowStalls,
}

impl<T: Tap> Connection<T> {
    /// A connection of which nothing has been seen yet. What it holds stands in
    /// `held`.
    pub fn new(tap: T, held: HoldAccount) -> Connection<T> {
        Connection {
            tap,
            halves: Both {
                client: Half::new(Side::Client),
                server: Half::new(Side::Server),
            },
            streams: FxHashMap::default(),
            last_client_stream: StreamId::CONNECTION,
            opened: 0,
            phase: Phase::Following,
            armed: false,
            watchful: false,
            interposed: false,
            keepalive: Keepalive::default(),
            goodbye: Goodbye::default(),
            pings: HeldPings::default(),
            stream_limit: StreamLimit::default(),
            held,
            dirty: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// Whether streams could be touched from now on. While they could not, bytes
    /// pass without being cut into frames.
    pub fn set_armed(&mut self, armed: bool) {
        self.armed = armed;
        self.watchful |= armed;
    }

    /// Reads what `from` sent, and gives it out again by
    /// [`Connection::poll_transmit`]. It never fails: when the bytes cannot be
    /// followed, the tap is told once, and the rest passes unread, unless the
    /// connection is interposed: then it ends.
    pub fn handle_bytes(&mut self, from: Side, bytes: &[u8], now: Instant) {
        if from == Side::Server {
            self.keepalive.heard(now);
        }
        if self.phase == Phase::Following {
            self.follow(from, bytes, now);
            if self.phase != Phase::Following {
                return;
            }
            for side in [Side::Client, Side::Server] {
                if !self.halves[side].blocked.is_empty() && self.halves[side].room() > 0 {
                    self.release_blocked(side, now);
                }
            }
            self.settle_credit();
            if self.interposed {
                self.say_goodbye(now);
                self.announce_limit();
            }
        } else if self.phase == Phase::Open {
            self.halves[from].out.pass(0..bytes.len());
        }
    }

    fn follow(&mut self, from: Side, bytes: &[u8], now: Instant) {
        let half = &mut self.halves[from];
        let framed = self.watchful || self.interposed || half.framed;
        half.at = 0;
        if !framed {
            half.out.pass(0..bytes.len());
            half.at = bytes.len();
        } else if !self.interposed && !half.framed && half.deframer.at_frame_boundary() {
            half.in_a_run = true;
        }
        // Until its next boundary the direction passes bytes as they come.
        let mut unaligned = framed && !half.framed && !half.in_a_run;
        let mut input = bytes;
        loop {
            if unaligned {
                unaligned = !self.align(from, &mut input, bytes);
            }
            match self.step(from, &mut input, bytes, now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(offence) => {
                    self.fail(from, bytes.len(), offence, now);
                    return;
                }
            }
        }
        if self.watchful && !self.armed && !self.interposed {
            // What a fault has begun before it was taken away goes on.
            self.watchful = self.tap.is_involved();
        }
        let half = &mut self.halves[from];
        if !half.framed {
            let left = if half.in_a_run { 0 } else { half.at };
            half.in_a_run = false;
            half.out.pass(left..bytes.len());
            half.out.set_mid_frame(!half.deframer.at_frame_boundary());
            if half.deframer.has_begun() {
                half.out.begin();
            }
        } else if !self.interposed && half.carry.is_empty() && half.deframer.at_frame_boundary() {
            // The next ones leave in a run again, or as they come.
            half.framed = false;
        }
    }

    /// Frames of `from` are to leave one by one from its next boundary on:
    /// whether that was reached. Of `input` nothing beyond it is taken.
    #[cold]
    fn align(&mut self, from: Side, input: &mut &[u8], bytes: &[u8]) -> bool {
        let half = &mut self.halves[from];
        let skip = half.deframer.skip_left().min(input.len());
        if skip > 0 {
            let (mut skipped, rest) = input.split_at(skip);
            // What is skipped is no piece, and no offence.
            let _ = half.deframer.next(&mut skipped);
            *input = rest;
        }
        if !half.deframer.at_frame_boundary() {
            return false;
        }
        half.at = bytes.len() - input.len();
        half.end_run();
        if half.deframer.has_begun() {
            half.out.begin();
        }
        true
    }

    /// What `by` sent cannot be followed.
    fn fail(&mut self, by: Side, len: usize, offence: Offence, now: Instant) {
        if self.interposed {
            self.tear_down(&offence);
            self.stop(offence, now);
        } else {
            let half = &mut self.halves[by];
            if half.in_a_run {
                half.end_run();
            }
            half.out.pass_carried(&mut half.carry);
            half.out.pass(half.at..len);
            self.stop(offence, now);
        }
    }

    /// Says goodbye to both sides on our own account (RFC 9113, section 5.4.1).
    fn tear_down(&mut self, offence: &Offence) {
        let last = self.last_client_stream;
        let debug = b"etcdtap cannot follow this connection any more";
        let client = self.halves.server.out.own();
        frame_encoder::goaway(client, last, offence.code, debug);
        let server = self.halves.client.out.own();
        frame_encoder::goaway(server, StreamId::CONNECTION, offence.code, debug);
    }

    /// A frame of `by`'s could not be handled because of a bug of ours. What was
    /// handed in last passes as it came where that is possible.
    pub fn abandon(&mut self, by: Side, len: usize) {
        if self.interposed {
            self.phase = Phase::Closed;
            return;
        }
        self.phase = Phase::Open;
        let half = &mut self.halves[by];
        if half.in_a_run {
            half.end_run();
        }
        let at = half.at.max(half.out.passed_to());
        if half.framed {
            half.out.pass_carried(&mut half.carry);
        }
        half.out.pass(at..len);
    }

    /// The next bytes that leave towards the peer of `from`.
    pub fn poll_transmit(&mut self, from: Side) -> Option<Transmit> {
        self.halves[from].out.poll()
    }

    /// `from` will send no more: the beginning of a frame that it leaves behind
    /// passes as well, unless windows and tables are not the peers' own any more.
    pub fn handle_end(&mut self, from: Side) {
        let half = &mut self.halves[from];
        if !self.interposed && !half.carry.is_empty() {
            half.out.pass_carried(&mut half.carry);
            half.out.set_mid_frame(true);
        }
    }

    /// Whether anything that `from` sent waits for a window of its peer's. What
    /// a fault holds back is not owed: it is lost with its connection.
    pub fn owes(&self, from: Side) -> bool {
        self.interposed
            && self.phase == Phase::Following
            && self.streams.values().any(|slot| {
                slot.touch.as_ref().is_some_and(|touch| {
                    let lane = &touch.lanes[from];
                    !touch.dead[from.peer()] && lane.gate == Gate::Open && !lane.queue.is_empty()
                })
            })
    }

    /// When to call [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.interposed || self.phase != Phase::Following {
            return None;
        }
        let next = [self.goodbye.next(), self.pings.next()];
        next.into_iter().flatten().min()
    }

    /// The time of [`Connection::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.say_goodbye(now);
        self.release_pings(now);
    }

    /// Both ends are gone; `by` went first, if either did.
    pub fn handle_loss(&mut self, by: Option<Side>, now: Instant) {
        self.end_all(StreamEnd::ConnectionLost { by }, now);
    }

    /// Gives up following the connection because of `offence`.
    pub fn stop(&mut self, offence: Offence, now: Instant) {
        if self.halt(now) {
            self.tap.stopped(offence, now);
        }
    }

    /// Gives up following the connection, which may go on; whether it was followed
    /// until now.
    pub fn halt(&mut self, now: Instant) -> bool {
        if self.phase != Phase::Following {
            return false;
        }
        self.phase = match self.interposed {
            true => Phase::Closed,
            false => Phase::Open,
        };
        self.end_all(StreamEnd::TracingStopped, now);
        self.streams = FxHashMap::default();
        for side in [Side::Client, Side::Server] {
            // What was buffered of a frame or a table is of no more use.
            let fresh = Half::new(side);
            let half = &mut self.halves[side];
            if self.phase == Phase::Open {
                half.out.pass_carried(&mut half.carry);
            }
            half.carry = fresh.carry;
            half.deframer = fresh.deframer;
            half.blocks = fresh.blocks;
        }
        true
    }

    /// Whether the connection is still followed.
    pub fn is_following(&self) -> bool {
        self.phase == Phase::Following
    }

    /// Whether it has to be closed: it was interposed, and cannot be followed any
    /// more.
    pub fn is_torn(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether anything was held, dropped, added or changed.
    pub fn is_interposed(&self) -> bool {
        self.interposed
    }

    /// PINGs of the client that were answered in the server's stead, so that it
    /// would not end the connection over them.
    pub fn pings_answered(&self) -> u64 {
        self.keepalive.answered
    }

    /// When a PING of the client passed that nobody has answered for a second;
    /// told once a silence.
    pub fn silent_ping(&mut self, now: Instant) -> Option<Instant> {
        self.halves.client.pings.silent_since(now)
    }

    /// Whether the client's preface was whole.
    pub fn preface_seen(&self) -> bool {
        self.halves.client.deframer.preface_seen()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams that the client has opened.
    pub fn opened_streams(&self) -> u64 {
        self.opened
    }

    /// What `side` did on the connection.
    pub fn report(&self, side: Side) -> SideReport {
        let half = &self.halves[side];
        SideReport {
            settings: half.announced.clone(),
            pings: half.pings.sent,
            round_trips: half.pings.round_trips,
            goaway: half.goaway.clone(),
            resets: half.resets,
            stalls: half.stalls,
        }
    }

    /// The layer above.
    pub fn tap(&mut self) -> &mut T {
        &mut self.tap
    }

    /// Has the layer above look at how many streams are open, and which.
    pub fn with_streams(&mut self, look: impl FnOnce(&mut T, usize, &dyn Fn(StreamId) -> bool)) {
        let streams = &self.streams;
        look(&mut self.tap, streams.len(), &|id| {
            streams.contains_key(&id)
        });
    }

    /// The layer above, to be looked at.
    pub fn tap_ref(&self) -> &T {
        &self.tap
    }

    fn end_all(&mut self, how: StreamEnd, now: Instant) {
        let mut slots: Vec<_> = self.streams.drain().collect();
        // In the order of their opening, so that the same bytes give the same
        // events.
        slots.sort_unstable_by_key(|(id, _)| *id);
        let Both { client, server } = &mut self.halves;
        for (_, mut slot) in slots {
            slot.stalls.client.over(&mut client.stalls, now);
            slot.stalls.server.over(&mut server.stalls, now);
            self.held.remove(slot.held());
            self.tap.ended(slot.state, how, now);
        }
        client.stall.over(&mut client.stalls, now);
        server.stall.over(&mut server.stalls, now);
    }
}

/// `half`'s sender acknowledged the oldest of the other side's SETTINGS. One too
/// many means nothing and harms nothing.
pub(super) fn acknowledged(half: &mut Half, peer: &mut Half) {
    if let Some(announced) = peer.unacknowledged.pop_front() {
        let later = peer.unacknowledged.iter().map(|later| &later.settings);
        half.must_go_by(&announced.settings, later);
    }
    if peer.unacknowledged.is_empty() {
        peer.unacknowledged = VecDeque::new();
    }
}
