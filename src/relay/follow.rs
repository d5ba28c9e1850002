//! One frame at a time: what it changes, what of it passes.

use std::time::Instant;

use super::connection::{Connection, acknowledged};
use super::content::{DataFrame, pass_data, passing, within};
use super::half::{Announced, Goaway, Half, MOST_UNACKNOWLEDGED, Passing};
use super::interfere::apply_gates;
use super::keepalive::PingFate;
use super::offences::{after_end, check_opening, closed_or_idle, overflow, overrun};
use super::order::{Gate, HeaderField};
use super::recode::Frame;
use super::stream::{Item, Slot};
use super::tap::{Data, StreamEnd, Tap};
use crate::http2::{
    Both, DEFAULT_INITIAL_WINDOW_SIZE, ErrorCode, Offence, Piece, Settings, Side, StreamId,
    frame_encoder,
};

/// The halves of a sender and of its peer.
pub(super) fn split(halves: &mut Both<Half>, from: Side) -> (&mut Half, &mut Half) {
    match from {
        Side::Client => (&mut halves.client, &mut halves.server),
        Side::Server => (&mut halves.server, &mut halves.client),
    }
}

impl<T: Tap> Connection<T> {
    /// Handles one piece of `input`, the rest of `bytes`; false when it is used
    /// up.
    pub(super) fn step(
        &mut self,
        from: Side,
        input: &mut &[u8],
        bytes: &[u8],
        now: Instant,
    ) -> Result<bool, Offence> {
        let Connection {
            tap,
            halves,
            streams,
            last_client_stream,
            opened,
            interposed,
            keepalive,
            goodbye,
            pings,
            stream_limit,
            held,
            orders,
            ..
        } = self;
        let (half, peer) = split(halves, from);
        half.pass_skipped(bytes.len());
        if half.in_a_run {
            half.at = bytes.len() - input.len();
        }
        let Some(piece) = half.deframer.next(input)? else {
            if half.in_a_run && half.at < bytes.len() {
                // It waits for its end.
                half.end_run();
            }
            half.keep_the_rest(bytes);
            return Ok(false);
        };
        let mut framed = half.framed;
        let unit = half.at..bytes.len() - input.len();
        match piece {
            Piece::Data {
                stream,
                chunk,
                flow_controlled,
                frame_start,
                frame_end,
                end_stream,
            } => {
                // The chunk lies in the input: the deframer is free again.
                let chunk = within(bytes, chunk);
                if !frame_end {
                    framed = half.single_out();
                }
                if from == Side::Server {
                    keepalive.spoke();
                }
                half.window.spend(flow_controlled);
                let left = half.window.available(DEFAULT_INITIAL_WINDOW_SIZE);
                // An empty frame needs no window, not even one that SETTINGS made
                // negative (RFC 9113, section 6.9.1).
                let spends = flow_controlled > 0;
                if spends && left < 0 {
                    return Err(overrun(from, StreamId::CONNECTION, -left));
                }
                half.stall.spent(left, &mut half.stalls, now);
                let Some(slot) = streams.get_mut(&stream) else {
                    closed_or_idle(from, stream, *last_client_stream, "DATA")?;
                    if framed {
                        if frame_start || half.passing == Passing::Careful {
                            let over = is_gone(*interposed, stream);
                            half.passing = match over {
                                true => Passing::Not,
                                false => Passing::AsCame,
                            };
                            let waiting = std::mem::take(&mut half.careful_bytes);
                            if over {
                                half.ahead -= i64::from(waiting);
                            }
                        }
                        match half.passing {
                            Passing::AsCame => half.pass_part(unit, frame_end),
                            _ => half.swallow(unit, flow_controlled),
                        }
                    }
                    return Ok(true);
                };
                if slot.ended[from] {
                    return Err(after_end(from, stream, "DATA"));
                }
                slot.windows[from].spend(flow_controlled);
                let left = slot.windows[from].available(half.allowed.initial_window.most);
                if spends && left < 0 {
                    return Err(overrun(from, stream, -left));
                }
                if !end_stream {
                    slot.stalls[from].spent(left, &mut half.stalls, now);
                }
                if slot.touch.is_some() {
                    framed = half.single_out();
                }
                if framed && frame_start {
                    slot.begin_frame(from);
                }
                let offset = slot.content[from];
                let data = Data {
                    from,
                    chunk,
                    offset,
                    end_stream,
                    diverted: slot.is_diverted(from),
                    now,
                };
                tap.data(&mut slot.state, data, orders);
                if !orders.is_empty() {
                    framed = half.single_out();
                    // What a touch begins with must not count what is at hand.
                    if framed {
                        apply_gates(orders, slot, held);
                    }
                }
                if framed && frame_start {
                    let careful = slot.careful[from] || tap.may_decide(from, &slot.state);
                    half.passing = passing(from, slot, half, careful, frame_end);
                    if half.passing == Passing::Held {
                        slot.touched();
                    }
                }
                slot.content[from] += chunk.len() as u64;
                if end_stream {
                    slot.ended[from] = true;
                    slot.stalls[from].over(&mut half.stalls, now);
                }
                if framed {
                    let frame = DataFrame {
                        chunk,
                        flow_controlled,
                        frame_end,
                        end_stream,
                    };
                    pass_data(from, slot, half, held, bytes, unit, frame);
                    *interposed |= half.passing == Passing::Held || half.passing == Passing::Not;
                }
                let passed = half.in_a_run || framed && half.passing == Passing::AsCame;
                if end_stream && passed {
                    tap.passed(from, &mut slot.state, now);
                }
                if slot.touch.is_some() || !orders.is_empty() || end_stream {
                    self.finish_frame(from, stream, now);
                }
            }
            Piece::HeaderBlock {
                stream,
                block,
                end_stream,
                promised,
                priority,
            } => {
                if from == Side::Server {
                    keepalive.spoke();
                }
                let mut frame = Frame {
                    end_stream,
                    priority,
                    promised,
                };
                let broken = |error: &_| Offence::field_block(from, stream, error);
                let anew = framed && half.recoder.is_stateless();
                let mut fields: Vec<HeaderField> = Vec::new();
                if promised.is_some() {
                    // A pushed stream carries no call; its block carries table
                    // state all the same.
                    half.blocks
                        .decode(block, |field| {
                            if anew {
                                fields.push(owned(field));
                            }
                        })
                        .map_err(|error| broken(&error))?;
                    if half.single_out() {
                        half.pass_block(unit, stream, &fields, frame);
                    }
                    return Ok(true);
                }
                if from == Side::Client && stream > *last_client_stream {
                    check_opening(from, stream, streams.len())?;
                    *last_client_stream = stream;
                    // The server does not get what the client was told it would
                    // not.
                    if !goodbye.is_above(stream) {
                        *opened += 1;
                        let touchable = framed || half.in_a_run;
                        streams.insert(stream, Slot::new(tap.opened(stream, touchable, now)));
                    }
                }
                let Some(slot) = streams.get_mut(&stream) else {
                    let over = is_gone(*interposed, stream);
                    let summary = half
                        .blocks
                        .decode(block, |field| {
                            if anew && !over {
                                fields.push(owned(field));
                            }
                        })
                        .map_err(|error| broken(&error))?;
                    closed_or_idle(from, stream, *last_client_stream, "HEADERS")?;
                    framed = half.single_out();
                    if framed && over {
                        half.swallow_block(unit, summary.table_changed);
                    } else if framed {
                        half.pass_block(unit, stream, &fields, frame);
                    }
                    return Ok(true);
                };
                let may_be_held = slot.touch.is_some() && (framed || half.in_a_run);
                let collect = anew || may_be_held;
                let state = &mut slot.state;
                let known = match collect {
                    true => None,
                    false => half.blocks.again(block),
                };
                let table_changed = match known {
                    Some(number) if tap.again(from, state, number) => false,
                    _ => {
                        let summary = half
                            .blocks
                            .decode(block, |field| {
                                tap.field(from, state, field.name, field.value);
                                if collect {
                                    fields.push(owned(field));
                                }
                            })
                            .map_err(|error| broken(&error))?;
                        if !collect && !summary.table_changed {
                            let number = known.or_else(|| half.blocks.remember(block));
                            if let Some(number) = number {
                                tap.remember(from, state, number);
                            }
                        }
                        summary.table_changed
                    }
                };
                if slot.ended[from] {
                    return Err(after_end(from, stream, "HEADERS"));
                }
                tap.headers(from, state, end_stream, orders, now);
                if slot.touch.is_some() || !orders.is_empty() {
                    framed = half.single_out();
                    // What a touch begins with must not count what is at hand.
                    if framed && !orders.is_empty() {
                        apply_gates(orders, slot, held);
                    }
                }
                let is_head = !std::mem::replace(&mut slot.head[from], true);
                if end_stream {
                    slot.ended[from] = true;
                    slot.stalls[from].over(&mut half.stalls, now);
                }
                let mut passed = end_stream && (framed || half.in_a_run);
                if framed {
                    match &mut slot.touch {
                        None => half.pass_block(unit, stream, &fields, frame),
                        Some(touch) => {
                            // What stands in a queue depends on nothing any more.
                            let dead = touch.is_dead();
                            let lane = &mut touch.lanes[from];
                            if dead || lane.swallows() {
                                half.swallow_block(unit, table_changed);
                                *interposed = true;
                                passed = false;
                            } else if collect && is_head && lane.head_made_up {
                                // The receiver has had ours; an end may come with it.
                                half.swallow_block(unit, table_changed);
                                *interposed = true;
                                passed = false;
                                frame.priority = None;
                                if end_stream {
                                    fields.retain(|field| !belongs_to_head(&field.name));
                                    lane.hold_fields(fields, frame, held);
                                }
                            } else if collect && lane.holds_block(end_stream) {
                                half.swallow_block(unit, table_changed);
                                *interposed = true;
                                passed = false;
                                frame.priority = None;
                                lane.hold_fields(fields, frame, held);
                            } else {
                                half.pass_block(unit, stream, &fields, frame);
                                lane.head_given = true;
                                lane.delivered |= end_stream;
                            }
                        }
                    }
                } else {
                    half.owed_table = None;
                }
                if passed {
                    tap.passed(from, &mut slot.state, now);
                }
                if slot.touch.is_some() || !orders.is_empty() || end_stream {
                    self.finish_frame(from, stream, now);
                }
            }
            Piece::RstStream { stream, code } => {
                half.resets.count += 1;
                half.resets.last = Some(code);
                let Some(slot) = streams.get_mut(&stream) else {
                    closed_or_idle(from, stream, *last_client_stream, "RST_STREAM")?;
                    half.pass_unless(is_gone(*interposed, stream), unit);
                    return Ok(true);
                };
                if slot.touch.is_some() {
                    framed = half.single_out();
                }
                if framed && slot.touch.as_ref().is_some_and(|touch| touch.dead[from]) {
                    // It crosses a reset of ours, and its peer knows better.
                    half.swallow(unit, 0);
                    return Ok(true);
                }
                if framed && reset_is_held(from, slot) {
                    half.swallow(unit, 0);
                    *interposed = true;
                    let touch = slot.touched();
                    touch.dead[from] = true;
                    touch.lanes[from].queue.push_back(Item::Reset(code));
                    let back = &mut touch.lanes[from.peer()];
                    back.cut(0, false);
                    held.remove(back.uncounted());
                    return Ok(true);
                }
                let over = slot.is_over_for(from.peer());
                *interposed |= framed && over;
                half.pass_unless(over, unit);
                if let Some(touch) = &mut slot.touch {
                    // An answer that was to be touched must not slip by now.
                    *interposed |= touch.lanes.server.gate != Gate::Open;
                    for side in [Side::Client, Side::Server] {
                        touch.lanes[side].cut(0, false);
                        held.remove(touch.lanes[side].uncounted());
                    }
                }
                slot.stalls[from].over(&mut half.stalls, now);
                slot.stalls[from.peer()].over(&mut peer.stalls, now);
                if let Some(slot) = streams.remove(&stream) {
                    tap.ended(slot.state, StreamEnd::Reset { by: from, code }, now);
                }
            }
            Piece::Settings(settings) if settings.is_ack() => {
                let ours = Self::acknowledges_ours(from, peer.unacknowledged.front());
                half.pass_unless(ours, unit);
                acknowledged(half, peer);
                // Larger windows hold for us from now on.
                self.release_all(from, now);
            }
            Piece::Settings(frame) => {
                let mut settings = half.announced.clone().unwrap_or_default();
                for (id, value) in frame.iter() {
                    settings.apply(id, value);
                }
                if framed && from == Side::Server && stream_limit.changes() {
                    let own = settings.max_concurrent_streams;
                    let values = stream_limit.rewritten(&frame, own);
                    announced(settings, from, half, peer)?;
                    half.swallow(unit, 0);
                    let mut rewritten = Vec::new();
                    frame_encoder::settings(&mut rewritten, &values);
                    half.out.settings(rewritten);
                    *interposed = true;
                    return Ok(true);
                }
                announced(settings, from, half, peer)?;
                half.pass_if_framed(unit);
                if framed || half.in_a_run {
                    half.out.begin();
                }
            }
            Piece::Ping { ack, payload } => {
                if ack {
                    if from == Side::Client && goodbye.took_ack(payload, now) {
                        half.pass_unless(true, unit);
                        return Ok(true);
                    }
                    peer.pings.acknowledged(payload, now);
                    if from == Side::Server {
                        keepalive.acknowledged();
                    }
                    half.pass_if_framed(unit);
                    return Ok(true);
                }
                half.pings.sent(payload, now);
                if from == Side::Server {
                    half.pass_if_framed(unit);
                    return Ok(true);
                }
                // One of which a part has passed passes whole.
                if !*interposed || !framed {
                    keepalive.passed(now);
                    half.pass_if_framed(unit);
                    return Ok(true);
                }
                if pings.holds() {
                    half.swallow(unit, 0);
                    pings.take(payload, now);
                    return Ok(true);
                }
                let serving = streams.values().any(|slot| !slot.is_over_for(Side::Server));
                match keepalive.judge(serving, now) {
                    PingFate::Pass => half.pass_unit(unit),
                    PingFate::Answer => {
                        half.swallow(unit, 0);
                        frame_encoder::ping(peer.out.own(), true, payload);
                        half.pings.forget(payload);
                    }
                    PingFate::Swallow => half.swallow(unit, 0),
                }
            }
            Piece::GoAway {
                last_stream,
                code,
                debug,
            } => {
                let clamped = match from {
                    Side::Server => goodbye.clamp(last_stream).filter(|_| framed),
                    Side::Client => None,
                };
                // Its text lies in the deframer, which is to be free.
                let said = clamped.map(|_| debug.to_vec());
                half.goaway = Some(Goaway {
                    last_stream,
                    code,
                    debug: String::from_utf8_lossy(debug).into(),
                });
                match (clamped, said) {
                    (Some(last), Some(said)) => {
                        half.swallow(unit, 0);
                        frame_encoder::goaway(half.out.own(), last, code, &said);
                    }
                    _ => half.pass_if_framed(unit),
                }
            }
            Piece::WindowUpdate { stream, increment } => {
                // It credits what the other side may send.
                let sender = from.peer();
                if stream.is_connection() {
                    let given = credit(&mut peer.ahead, 0, increment);
                    peer.window
                        .credit(given, DEFAULT_INITIAL_WINDOW_SIZE)
                        .map_err(|error| overflow(from, stream, &error))?;
                    let left = peer.window.available(DEFAULT_INITIAL_WINDOW_SIZE);
                    peer.stall.credited(left, &mut peer.stalls, now);
                    half.pass_credit(unit, stream, increment, given);
                    if !peer.blocked.is_empty() {
                        self.release_blocked(sender, now);
                    }
                    return Ok(true);
                }
                let Some(slot) = streams.get_mut(&stream) else {
                    closed_or_idle(from, stream, *last_client_stream, "WINDOW_UPDATE")?;
                    half.pass_unless(is_gone(*interposed, stream), unit);
                    return Ok(true);
                };
                let given = match &mut slot.touch {
                    None => increment,
                    Some(touch) => {
                        half.single_out();
                        let lane = &mut touch.lanes[sender];
                        let given = credit(&mut lane.ahead, lane.pending, increment);
                        match touch.dead[sender] {
                            true => 0,
                            false => given,
                        }
                    }
                };
                let initial = peer.allowed.initial_window;
                slot.windows[sender]
                    .credit(given, initial.least)
                    .map_err(|error| overflow(from, stream, &error))?;
                let left = slot.windows[sender].available(initial.most);
                slot.stalls[sender].credited(left, &mut peer.stalls, now);
                half.pass_credit(unit, stream, increment, given);
                *interposed |= given != increment;
                if slot.touch.is_some() {
                    self.release(stream, now);
                }
            }
            Piece::Preface | Piece::Priority { .. } => half.pass_if_framed(unit),
            Piece::Unknown { length, .. } => {
                framed = half.single_out();
                half.pass_if_framed(unit);
                if framed {
                    half.skip = length as usize;
                    half.out.set_mid_frame(length > 0);
                }
            }
        }
        Ok(true)
    }
}

/// Whether what still comes on a stream that is not followed is swallowed. A
/// pushed stream is nobody's that we follow.
fn is_gone(interposed: bool, stream: StreamId) -> bool {
    interposed && stream.initiator() == Some(Side::Client)
}

/// What of a receiver's credit its sender gets: not what it was given early, nor
/// what waits in a queue. `ahead` is left as it is when the sender has it.
fn credit(ahead: &mut i64, pending: u64, increment: u32) -> u32 {
    *ahead -= i64::from(increment);
    let due = (-*ahead - pending as i64).clamp(0, i64::from(increment));
    *ahead += due;
    // At most the increment, which is 31 bits.
    due as u32
}

/// Whether a reset of `from`'s has to wait for what the peer is still to be
/// given: a server that answered early says by a reset that it wants no more of
/// the request, and that must not overtake the answer.
fn reset_is_held<S>(from: Side, slot: &Slot<S>) -> bool {
    from == Side::Server
        && slot.ended[from]
        && slot
            .touch
            .as_ref()
            .is_some_and(|touch| !touch.dead[from.peer()] && !touch.lanes[from].delivered)
}

/// Whether a field stands in a response's head, and not in its trailers.
fn belongs_to_head(name: &[u8]) -> bool {
    name.starts_with(b":") || name == b"content-type"
}

fn owned(field: crate::http2::hpack::Field<'_>) -> HeaderField {
    HeaderField {
        name: field.name.into(),
        value: field.value.into(),
        never_indexed: field.never_indexed,
    }
}

/// `from`, whose half is `half`, announced `settings`.
fn announced(
    settings: Settings,
    from: Side,
    half: &mut Half,
    peer: &mut Half,
) -> Result<(), Offence> {
    if half.unacknowledged.len() == MOST_UNACKNOWLEDGED {
        return Err(Offence::new(
            from,
            ErrorCode::ENHANCE_YOUR_CALM,
            StreamId::CONNECTION,
            "a bound of etcdtap",
            format!("sent more than {MOST_UNACKNOWLEDGED} SETTINGS without an acknowledgement"),
        ));
    }
    peer.may_go_by(&settings);
    half.announced = Some(settings.clone());
    half.unacknowledged.push_back(Announced {
        settings,
        ours: false,
    });
    Ok(())
}
