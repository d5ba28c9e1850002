//! A piece of DATA: given out as it came, held, or swallowed.

use std::ops::Range;

use super::half::{Half, Passing};
use super::held::HoldAccount;
use super::interfere::hold_data;
use super::order::Gate;
use super::stream::{Item, Lane, Slot};
use crate::http2::{FRAME_HEADER_LEN, Flags, FrameHeader, Side};

/// A DATA frame's piece.
pub(super) struct DataFrame<'a> {
    pub chunk: &'a [u8],
    pub flow_controlled: u32,
    pub frame_end: bool,
    pub end_stream: bool,
}

/// How a DATA frame that begins is to pass.
pub(super) fn passing<S>(
    from: Side,
    slot: &mut Slot<S>,
    half: &Half,
    careful: bool,
    whole: bool,
) -> Passing {
    // What the receiver has room for on the connection, this piece included.
    let fits = half.ahead <= 0 || whole && half.blocked.is_empty() && half.room() >= 0;
    match &slot.touch {
        None if fits && careful => Passing::Careful,
        None if fits => Passing::AsCame,
        None => Passing::Held,
        Some(touch) => {
            let lane = &touch.lanes[from];
            if touch.is_dead() || lane.swallows() || lane.diverted {
                Passing::Not
            } else if !fits || !lane.queue.is_empty() || lane.ahead > 0 {
                Passing::Held
            } else if careful {
                Passing::Careful
            } else if lane.gate == Gate::Open {
                Passing::AsCame
            } else {
                Passing::Held
            }
        }
    }
}

/// Gives out, holds or swallows a piece of a DATA frame.
pub(super) fn pass_data<S>(
    from: Side,
    slot: &mut Slot<S>,
    half: &mut Half,
    held: &HoldAccount,
    bytes: &[u8],
    unit: Range<usize>,
    frame: DataFrame<'_>,
) {
    let content = slot.content[from];
    if half.passing == Passing::Careful {
        half.at = unit.end;
        half.careful_bytes += frame.flow_controlled;
        if !frame.frame_end {
            half.carry.extend_from_slice(&bytes[unit]);
            return;
        }
        let whole = std::mem::take(&mut half.careful_bytes);
        let Some(touch) = &mut slot.touch else {
            half.pass_unit(unit);
            half.passing = Passing::AsCame;
            return;
        };
        let dead = touch.is_dead();
        let lane = &mut touch.lanes[from];
        if !dead && lane.gate.limit() >= content && (!frame.end_stream || lane.gate == Gate::Open) {
            half.pass_unit(unit);
            lane.passed = content;
            lane.delivered |= frame.end_stream;
            half.passing = Passing::AsCame;
            return;
        }
        // It is one of ours after all.
        half.carry.extend_from_slice(&bytes[unit]);
        let raw = std::mem::take(&mut half.carry);
        half.passing = match lane.swallows() || dead {
            true => Passing::Not,
            false => Passing::Held,
        };
        half.ahead -= i64::from(whole);
        if half.passing == Passing::Not {
            touch.lanes[from].ahead -= i64::from(whole);
            return;
        }
        hold_data(&mut touch.lanes[from], held, content_of(&raw), whole);
        if frame.end_stream {
            touch.lanes[from].queue.push_back(Item::EndStream);
        }
        return;
    }
    match half.passing {
        Passing::AsCame => {
            half.pass_part(unit, frame.frame_end);
            if frame.frame_end
                && let Some(touch) = &mut slot.touch
            {
                touch.lanes[from].passed = content;
                touch.lanes[from].delivered |= frame.end_stream;
            }
        }
        Passing::Not => {
            half.swallow(unit, frame.flow_controlled);
            if let Some(touch) = &mut slot.touch {
                let ends = frame.end_stream && !touch.is_dead();
                let lane = &mut touch.lanes[from];
                lane.ahead -= i64::from(frame.flow_controlled);
                if ends && lane.diverted && !lane.swallows() {
                    lane.queue.push_back(Item::EndStream);
                }
            }
        }
        Passing::Held | Passing::Careful => {
            half.swallow(unit, frame.flow_controlled);
            let touch = slot.touched();
            if touch.is_dead() || touch.lanes[from].swallows() {
                // Killed in the middle of the frame.
                touch.lanes[from].ahead -= i64::from(frame.flow_controlled);
                return;
            }
            let lane = &mut touch.lanes[from];
            hold_data(lane, held, frame.chunk, frame.flow_controlled);
            if frame.end_stream {
                lane.queue.push_back(Item::EndStream);
            }
        }
    }
}

/// `part`, as a part of `bytes`.
pub(super) fn within<'b>(bytes: &'b [u8], part: &[u8]) -> &'b [u8] {
    let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    // An empty one may lie anywhere.
    let range = start..start.saturating_add(part.len());
    bytes.get(range).unwrap_or_default()
}

/// The content of a whole DATA frame.
pub(super) fn content_of(raw: &[u8]) -> &[u8] {
    let Some((header, payload)) = raw.split_first_chunk::<FRAME_HEADER_LEN>() else {
        return &[];
    };
    let padded = FrameHeader::parse(*header).flags.contains(Flags::PADDED);
    let content = match payload.split_first() {
        // The deframer has checked that the padding fits.
        Some((padding, rest)) if padded => {
            rest.get(..rest.len().saturating_sub(usize::from(*padding)))
        }
        _ => Some(payload),
    };
    content.unwrap_or_default()
}

impl Lane {
    /// Whether a header block has to wait.
    pub(super) fn holds_block(&self, end_stream: bool) -> bool {
        !self.queue.is_empty()
            || match self.gate {
                Gate::Open => false,
                Gate::Until(_) => end_stream,
                Gate::Shut | Gate::Sink => true,
            }
    }
}
