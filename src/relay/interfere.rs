//! Orders carried out, what was held let go, and credit settled.

use std::time::Instant;

use super::connection::{Connection, Phase};
use super::follow::split;
use super::half::Half;
use super::held::HoldAccount;
use super::order::{Finish, Gate, Order};
use super::recode::{Frame, made_up_head};
use super::stream::{Item, Lane, Slot, size_of_fields};
use super::tap::{StreamEnd, Tap};
use crate::http2::{Both, DEFAULT_INITIAL_WINDOW_SIZE, Side, StreamId, frame_encoder};

/// What is needed to act on a stream that is open.
pub(super) struct Hands<'a, T> {
    pub tap: &'a mut T,
    /// The half of `from`.
    pub half: &'a mut Half,
    pub peer: &'a mut Half,
    pub interposed: &'a mut bool,
    pub held: &'a HoldAccount,
    pub dirty: &'a mut Vec<StreamId>,
    /// Who was heard.
    pub from: Side,
    pub now: Instant,
}

/// Carries out the orders that count for the frame at hand, and leaves the rest.
pub(super) fn apply_gates<S>(orders: &mut Vec<Order>, slot: &mut Slot<S>, held: &HoldAccount) {
    orders.retain_mut(|order| match order {
        Order::Careful(side, careful) => {
            slot.careful[*side] = *careful;
            false
        }
        Order::Gate(side, gate) => {
            let lane = &mut slot.touched().lanes[*side];
            if !lane.finished {
                lane.gate = *gate;
            }
            if *gate == Gate::Sink && !lane.finished {
                lane.cut(0, false);
                held.remove(lane.uncounted());
            }
            false
        }
        Order::Divert(side, diverted) => {
            slot.touched().lanes[*side].divert = *diverted;
            false
        }
        Order::Insert { side, at, bytes } => {
            let bytes = std::mem::take(bytes);
            let touch = slot.touched();
            if !touch.is_dead() {
                touch.lanes[*side].insert(bytes, *at, held);
            }
            false
        }
        Order::Finish(..) | Order::Reset(..) => true,
    });
}

/// Holds content that came in `flow_controlled` bytes.
pub(super) fn hold_data(lane: &mut Lane, held: &HoldAccount, chunk: &[u8], flow_controlled: u32) {
    if lane.gate != Gate::Open {
        // What only waits for a window is no fault's.
        held.add(chunk.len() as u64);
        lane.counted += chunk.len() as u64;
    }
    lane.hold(chunk, flow_controlled);
}

impl<T: Tap> Hands<'_, T> {
    /// A frame of the stream has been dealt with: carries out what is left of
    /// its orders, and lets go what may pass. Gives whether the stream is over
    /// for both sides.
    pub fn finish_frame(
        &mut self,
        id: StreamId,
        slot: &mut Slot<T::Stream>,
        orders: &mut Vec<Order>,
    ) -> bool {
        if slot.touch.is_some() || !orders.is_empty() {
            for side in [Side::Client, Side::Server] {
                self.drain(side, id, slot);
            }
            // Carrying one out may bring about others.
            while !orders.is_empty() {
                apply_gates(orders, slot, self.held);
                let mut doing = std::mem::take(orders);
                for order in doing.drain(..) {
                    match order {
                        Order::Finish(side, how) => self.finish(side, how, slot),
                        Order::Reset(side, code) => self.reset(side, code, id, slot),
                        _ => {}
                    }
                }
                if orders.is_empty() {
                    // Its room is for the next ones.
                    *orders = doing;
                }
                for side in [Side::Client, Side::Server] {
                    self.drain(side, id, slot);
                }
            }
            // What orders have ended or let pass needs no letting go.
            if self.let_go_too_much(slot) {
                for side in [Side::Client, Side::Server] {
                    self.drain(side, id, slot);
                }
            }
            if let Some(touch) = &mut slot.touch
                && !touch.listed
            {
                touch.listed = true;
                self.dirty.push(id);
            }
        }
        slot.is_over_for(Side::Client) && slot.is_over_for(Side::Server)
    }

    /// Tells of a stream that is over.
    pub fn over(&mut self, slot: Option<Slot<T::Stream>>, how: StreamEnd) {
        let Some(slot) = slot else { return };
        self.held.remove(slot.held());
        self.tap.ended(slot.state, how, self.now);
    }

    fn half_of(&mut self, side: Side) -> &mut Half {
        match side == self.from {
            true => self.half,
            false => self.peer,
        }
    }

    /// Opens the gates of a stream when too much is held; whether it did.
    fn let_go_too_much(&mut self, slot: &mut Slot<T::Stream>) -> bool {
        if !self.held.is_too_much() {
            return false;
        }
        let Some(touch) = &mut slot.touch else {
            return false;
        };
        let mut let_go = false;
        for side in [Side::Client, Side::Server] {
            let lane = &mut touch.lanes[side];
            if lane.holds_bytes() && matches!(lane.gate, Gate::Shut | Gate::Until(_)) {
                lane.gate = Gate::Open;
                let_go = true;
            }
        }
        if let_go {
            self.tap.let_go(&mut slot.state);
        }
        let_go
    }

    /// Ends what `side` sent, for its peer.
    fn finish(&mut self, side: Side, how: Finish, slot: &mut Slot<T::Stream>) {
        if slot.is_over_for(side.peer()) {
            return;
        }
        *self.interposed = true;
        let touch = slot.touched();
        let lane = &mut touch.lanes[side];
        if lane.finished || lane.delivered {
            return;
        }
        let limit = lane.gate.limit();
        lane.cut(limit, !matches!(lane.gate, Gate::Shut | Gate::Sink));
        self.held.remove(lane.uncounted());
        let has_head = lane.head_given || matches!(lane.queue.front(), Some(Item::Fields(..)));
        lane.gate = Gate::Open;
        lane.finished = true;
        match how {
            Finish::EndStream => {
                if !has_head {
                    let head = made_up_head(side);
                    lane.hold_fields(head, Frame::default(), self.held);
                }
                lane.queue.push_back(Item::EndStream);
            }
            Finish::Reset(code) => lane.queue.push_back(Item::Reset(code)),
            Finish::Trailers(mut fields) => {
                if !has_head {
                    // Trailers alone: head and trailers in one block.
                    let trailers = std::mem::replace(&mut fields, made_up_head(side));
                    fields.extend(trailers);
                }
                let frame = Frame {
                    end_stream: true,
                    ..Frame::default()
                };
                lane.hold_fields(fields, frame, self.held);
            }
        }
    }

    /// RST_STREAM towards `side`.
    fn reset(
        &mut self,
        side: Side,
        code: crate::http2::ErrorCode,
        id: StreamId,
        slot: &mut Slot<T::Stream>,
    ) {
        if slot.is_over_for(side) {
            return;
        }
        *self.interposed = true;
        let touch = slot.touched();
        let lane = &mut touch.lanes[side.peer()];
        lane.cut(0, false);
        self.held.remove(lane.uncounted());
        lane.blocked = false;
        touch.dead[side] = true;
        frame_encoder::rst_stream(self.half_of(side.peer()).out.own(), id, code);
    }

    /// Gives out what may pass of what `side` sent on the stream.
    pub fn drain(&mut self, side: Side, id: StreamId, slot: &mut Slot<T::Stream>) {
        let Slot {
            windows,
            touch,
            state,
            ..
        } = slot;
        let Some(touch) = touch else { return };
        let lane = &mut touch.lanes[side];
        if lane.queue.is_empty() || touch.dead[side.peer()] {
            return;
        }
        *self.interposed = true;
        let half = match side == self.from {
            true => &mut *self.half,
            false => &mut *self.peer,
        };
        let window = windows[side];
        let least = half.allowed.initial_window.least;
        let largest = half.allowed.max_frame_size.least as usize;
        let was_delivered = lane.delivered;
        while let Some(item) = lane.queue.front_mut() {
            match item {
                Item::Fields(fields, frame) => {
                    let passes = match lane.gate {
                        Gate::Open => true,
                        Gate::Until(_) => !frame.end_stream,
                        Gate::Shut | Gate::Sink => false,
                    };
                    if !passes {
                        break;
                    }
                    half.write_block(id, fields, *frame);
                    lane.fields -= size_of_fields(fields);
                    lane.head_given = true;
                    lane.delivered |= frame.end_stream;
                }
                Item::Data(chunk) => {
                    let behind = lane.gate.limit().saturating_sub(lane.passed);
                    let stream_room = window.available(least) - lane.ahead;
                    let room = half.room().min(stream_room).max(0) as u64;
                    let n = (chunk.len() as u64).min(behind).min(room) as usize;
                    if n == 0 {
                        if behind > 0 && stream_room > 0 && !lane.blocked {
                            lane.blocked = true;
                            half.blocked.push_back(id);
                        }
                        break;
                    }
                    let part = chunk.split_to(n.min(largest));
                    let rest = !chunk.is_empty();
                    let n = part.len();
                    let last = !rest
                        && lane.gate == Gate::Open
                        && matches!(lane.queue.get(1), Some(Item::EndStream));
                    frame_encoder::data(half.out.own(), id, &part, last);
                    lane.passed += n as u64;
                    lane.pending -= n as u64;
                    lane.ahead += n as i64;
                    half.ahead += n as i64;
                    self.held.remove(lane.uncounted());
                    lane.delivered |= last;
                    if rest {
                        continue;
                    }
                    if last {
                        lane.queue.pop_front();
                    }
                }
                Item::Inserted(bytes, at) => {
                    if lane.gate.limit() < *at {
                        break;
                    }
                    if !lane.head_given {
                        // The sender has answered nothing yet, and we do.
                        half.write_block(id, &made_up_head(side), Frame::default());
                        lane.head_given = true;
                        lane.head_made_up = true;
                    }
                    let stream_room = window.available(least) - lane.ahead;
                    let room = half.room().min(stream_room).max(0) as u64;
                    let n = (bytes.len() as u64).min(room) as usize;
                    if n == 0 {
                        if stream_room > 0 && !lane.blocked {
                            lane.blocked = true;
                            half.blocked.push_back(id);
                        }
                        break;
                    }
                    let part = bytes.split_to(n.min(largest));
                    frame_encoder::data(half.out.own(), id, &part, false);
                    let n = part.len();
                    lane.pending -= n as u64;
                    lane.ahead += n as i64;
                    half.ahead += n as i64;
                    if !bytes.is_empty() {
                        self.held.remove(lane.uncounted());
                        continue;
                    }
                }
                Item::EndStream => {
                    if lane.gate != Gate::Open {
                        break;
                    }
                    frame_encoder::data(half.out.own(), id, &[], true);
                    lane.delivered = true;
                }
                Item::Reset(code) => {
                    if lane.gate != Gate::Open {
                        break;
                    }
                    frame_encoder::rst_stream(half.out.own(), id, *code);
                    touch.dead[side.peer()] = true;
                }
            }
            lane.queue.pop_front();
            self.held.remove(lane.uncounted());
        }
        if lane.delivered && !was_delivered {
            self.tap.passed(side, state, self.now);
        }
    }
}

impl<T: Tap> Connection<T> {
    /// Has the tap look at a stream again, after `first`, and does what it
    /// orders.
    pub fn nudge(
        &mut self,
        stream: StreamId,
        now: Instant,
        first: impl FnOnce(&mut T, &mut T::Stream),
    ) {
        if self.phase == Phase::Following {
            let clear = Both {
                client: self.halves.client.deframer.data_left() == 0,
                server: self.halves.server.deframer.data_left() == 0,
            };
            self.act(stream, now, |tap, state, orders| {
                first(tap, state);
                tap.nudged(state, clear, orders, now);
            });
            self.settle_credit();
        }
    }

    /// As [`Connection::nudge`], for all streams.
    pub fn nudge_all(&mut self, now: Instant, mut first: impl FnMut(&mut T, &mut T::Stream)) {
        let mut streams: Vec<StreamId> = self.streams.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.nudge(stream, now, &mut first);
        }
    }

    /// What was held of a stream may pass, as far as its gates and the windows
    /// allow.
    pub(super) fn release(&mut self, stream: StreamId, now: Instant) {
        self.act(stream, now, |_, _, _| {});
    }

    /// As [`Connection::release`], for all streams.
    pub(super) fn release_all(&mut self, side: Side, now: Instant) {
        if !self.interposed {
            return;
        }
        let waits = |slot: &Slot<T::Stream>| {
            let touch = slot.touch.as_ref();
            touch.is_some_and(|touch| !touch.lanes[side].queue.is_empty())
        };
        let waiting = self.streams.iter().filter(|(_, slot)| waits(slot));
        let mut waiting: Vec<StreamId> = waiting.map(|(id, _)| *id).collect();
        waiting.sort_unstable();
        for stream in waiting {
            self.release(stream, now);
        }
    }

    /// As [`Connection::release`], for the streams that wait for the connection's
    /// window, in the order of waiting.
    pub(super) fn release_blocked(&mut self, side: Side, now: Instant) {
        let mut waiting = std::mem::take(&mut self.halves[side].blocked);
        while self.halves[side].room() > 0
            && let Some(stream) = waiting.pop_front()
        {
            if let Some(slot) = self.streams.get_mut(&stream)
                && let Some(touch) = &mut slot.touch
            {
                touch.lanes[side].blocked = false;
                self.release(stream, now);
            }
        }
        // Those that are still waiting come before those that wait anew.
        let anew = std::mem::replace(&mut self.halves[side].blocked, waiting);
        self.halves[side].blocked.extend(anew);
    }

    fn act(
        &mut self,
        stream: StreamId,
        now: Instant,
        ask: impl FnOnce(&mut T, &mut T::Stream, &mut Vec<Order>),
    ) {
        let Some(slot) = self.streams.get_mut(&stream) else {
            return;
        };
        ask(&mut self.tap, &mut slot.state, &mut self.orders);
        if !self.orders.is_empty() {
            apply_gates(&mut self.orders, slot, &self.held);
        }
        self.finish_frame(Side::Client, stream, now);
    }

    /// A frame of the stream has been dealt with, `from`'s if it was one: carries
    /// out what is left of its orders, and ends the stream if it is over.
    pub(super) fn finish_frame(&mut self, from: Side, stream: StreamId, now: Instant) {
        let Some(slot) = self.streams.get_mut(&stream) else {
            return;
        };
        let (half, peer) = split(&mut self.halves, from);
        let mut hands = Hands {
            tap: &mut self.tap,
            half,
            peer,
            interposed: &mut self.interposed,
            held: &self.held,
            dirty: &mut self.dirty,
            from,
            now,
        };
        if hands.finish_frame(stream, slot, &mut self.orders) {
            let slot = self.streams.remove(&stream);
            hands.over(slot, StreamEnd::Complete);
        }
    }

    /// Gives the senders what they are due: for what was held or swallowed, on
    /// the connection; for what was swallowed, on the stream as well.
    pub(super) fn settle_credit(&mut self) {
        if !self.interposed && self.dirty.is_empty() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for stream in dirty.drain(..) {
            let Some(slot) = self.streams.get_mut(&stream) else {
                continue;
            };
            let open = [Side::Client, Side::Server]
                .map(|side| !slot.ended[side] && !slot.is_over_for(side));
            let Slot { windows, touch, .. } = slot;
            if let Some(touch) = touch {
                touch.listed = false;
                for (side, open) in [Side::Client, Side::Server].into_iter().zip(open) {
                    let lane = &mut touch.lanes[side];
                    let due = lane.due();
                    if due == 0 || !open || touch.dead[side] {
                        continue;
                    }
                    let least = self.halves[side].allowed.initial_window.least;
                    // What was spent before is given back, so it fits.
                    if windows[side].credit(due, least).is_ok() {
                        lane.ahead += i64::from(due);
                        let out = self.halves[side.peer()].out.own();
                        frame_encoder::window_update(out, stream, due);
                    }
                }
            }
            slot.let_be();
        }
        self.dirty = dirty;
        for side in [Side::Client, Side::Server] {
            let half = &mut self.halves[side];
            let due = u32::try_from(-half.ahead).unwrap_or(0);
            if due > 0 && half.window.credit(due, DEFAULT_INITIAL_WINDOW_SIZE).is_ok() {
                half.ahead = 0;
                let out = self.halves[side.peer()].out.own();
                frame_encoder::window_update(out, StreamId::CONNECTION, due);
            }
        }
    }
}
