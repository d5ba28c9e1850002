//! What a whole payload says (RFC 9113, section 6).

use std::ops::Range;

use super::rules::{check_padding, fixed_len, protocol_error, section};
use super::{GOAWAY_FIXED, MAX_GOAWAY_DEBUG, OpenBlock, Piece, SettingsFrame};
use crate::http2::frame::LARGEST_FRAME_SIZE;
use crate::http2::{
    DEFAULT_MAX_FRAME_SIZE, ErrorCode, Flags, FrameHeader, FrameType, MAX_WINDOW, Offence,
    SettingId, Side, StreamId,
};

/// Checks what a whole SETTINGS frame sets; a GOAWAY frame may say anything.
pub(super) fn check(sender: Side, header: FrameHeader, payload: &[u8]) -> Result<(), Offence> {
    if header.kind == FrameType::SETTINGS {
        for (id, value) in settings(header, payload).iter() {
            check_setting(sender, header, id, value)?;
        }
    }
    Ok(())
}

/// The piece that a whole SETTINGS or GOAWAY frame is. Its size has passed the
/// rules; the end of a GOAWAY frame may be missing.
pub(super) fn piece(header: FrameHeader, payload: &[u8]) -> Piece<'_> {
    if header.kind != FrameType::GOAWAY {
        return Piece::Settings(settings(header, payload));
    }
    let debug = payload.get(GOAWAY_FIXED..).unwrap_or_default();
    Piece::GoAway {
        last_stream: StreamId::from_bits(u32_at(payload, 0)),
        code: ErrorCode(u32_at(payload, 4)),
        debug: &debug[..debug.len().min(MAX_GOAWAY_DEBUG)],
    }
}

fn settings(header: FrameHeader, payload: &[u8]) -> SettingsFrame<'_> {
    SettingsFrame {
        ack: header.flags.contains(Flags::ACK),
        payload,
    }
}

/// The ranges of RFC 9113, section 6.5.2.
fn check_setting(
    sender: Side,
    header: FrameHeader,
    id: SettingId,
    value: u32,
) -> Result<(), Offence> {
    let (code, allowed) = match id {
        SettingId::ENABLE_PUSH if value > 1 => (ErrorCode::PROTOCOL_ERROR, "0 or 1"),
        SettingId::ENABLE_PUSH if value == 1 && sender == Side::Server => {
            (ErrorCode::PROTOCOL_ERROR, "0, the only value for a server")
        }
        SettingId::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
            (ErrorCode::FLOW_CONTROL_ERROR, "at most 2147483647")
        }
        SettingId::MAX_FRAME_SIZE
            if !(DEFAULT_MAX_FRAME_SIZE..=LARGEST_FRAME_SIZE).contains(&value) =>
        {
            (ErrorCode::PROTOCOL_ERROR, "16384 to 16777215")
        }
        _ => return Ok(()),
    };
    Err(Offence::new(
        sender,
        code,
        header.stream,
        "RFC 9113 section 6.5.2",
        format!("sent SETTINGS with {id} = {value} instead of {allowed}"),
    ))
}

/// The piece that a frame with a payload of fixed size is. The size has passed
/// the rules.
pub(super) fn short_piece<'p>(
    sender: Side,
    header: FrameHeader,
    payload: &[u8],
) -> Result<Piece<'p>, Offence> {
    let stream = header.stream;
    Ok(match header.kind {
        FrameType::RST_STREAM => Piece::RstStream {
            stream,
            code: ErrorCode(u32_at(payload, 0)),
        },
        FrameType::PING => Piece::Ping {
            ack: header.flags.contains(Flags::ACK),
            payload: payload.first_chunk().copied().unwrap_or_default(),
        },
        FrameType::WINDOW_UPDATE => {
            let increment = u32_at(payload, 0) & MAX_WINDOW;
            if increment == 0 && stream.is_connection() {
                let what = "sent a WINDOW_UPDATE frame for the connection with an increment of 0";
                let rule = section(header.kind);
                return Err(protocol_error(sender, header, rule, what.to_owned()));
            }
            Piece::WindowUpdate { stream, increment }
        }
        _ => Piece::Priority { stream },
    })
}

/// Where in a whole HEADERS, PUSH_PROMISE or CONTINUATION payload the field
/// block fragment lies. What stands before it goes into `block`.
pub(super) fn fields(
    sender: Side,
    header: FrameHeader,
    payload: &[u8],
    block: &mut OpenBlock,
) -> Result<Range<usize>, Offence> {
    let FrameHeader { kind, flags, .. } = header;
    if kind == FrameType::CONTINUATION {
        return Ok(0..payload.len());
    }
    let start = fixed_len(kind, flags) as usize;
    let room = payload.len().saturating_sub(start);
    let padding = match payload.first() {
        Some(padding) if flags.contains(Flags::PADDED) => *padding,
        _ => 0,
    };
    check_padding(sender, header, padding, room as u32)?;
    if kind == FrameType::PUSH_PROMISE {
        let at = usize::from(flags.contains(Flags::PADDED));
        let promised = StreamId::from_bits(u32_at(payload, at));
        if promised.initiator() != Some(Side::Server) {
            let what = format!(
                "promised stream {promised} on stream {}; a server's streams have even numbers",
                header.stream
            );
            return Err(protocol_error(sender, header, section(kind), what));
        }
        block.promised = Some(promised);
    } else if flags.contains(Flags::PRIORITY) {
        let at = usize::from(flags.contains(Flags::PADDED));
        let weight = payload.get(at + 4).copied().unwrap_or_default();
        block.priority = Some((u32_at(payload, at), weight));
    }
    Ok(start..payload.len() - usize::from(padding))
}

/// The 32-bit number at `at`; 0 if the payload is too short, which the rules
/// have excluded.
fn u32_at(payload: &[u8], at: usize) -> u32 {
    payload
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |octets| u32::from_be_bytes(*octets))
}
