//! Frames to bytes (RFC 9113, section 6).
//!
//! Each function appends whole frames to a buffer. What does not fit into one
//! frame of the receiver's maximum size is split, or is the caller's to split
//! where the frame type does not allow it.

use super::frame::{FrameHeader, LARGEST_FRAME_SIZE};
use super::{ErrorCode, Flags, FrameType, SettingId, StreamId};

/// Appends a frame as it is told: any type, any flags.
///
/// # Panics
/// When the payload is longer than the 24 bits of its length field.
pub fn raw(out: &mut Vec<u8>, kind: FrameType, flags: Flags, stream: StreamId, payload: &[u8]) {
    header(out, kind, flags, stream, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a frame header for a payload that the caller appends behind it.
///
/// # Panics
/// When `length` is longer than the 24 bits of its field.
fn header(out: &mut Vec<u8>, kind: FrameType, flags: Flags, stream: StreamId, length: usize) {
    assert!(
        length <= LARGEST_FRAME_SIZE as usize,
        "a frame cannot hold {length} bytes"
    );
    let header = FrameHeader {
        length: length as u32,
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&header.encode());
}

/// Appends one DATA frame (section 6.1).
pub fn data(out: &mut Vec<u8>, stream: StreamId, chunk: &[u8], end_stream: bool) {
    padded_data(out, stream, chunk, None, end_stream);
}

/// Appends one DATA frame with a pad length field and so much padding.
pub fn padded_data(
    out: &mut Vec<u8>,
    stream: StreamId,
    chunk: &[u8],
    padding: Option<u8>,
    end_stream: bool,
) {
    let flags = Flags::NONE
        .with_if(Flags::END_STREAM, end_stream)
        .with_if(Flags::PADDED, padding.is_some());
    let length = chunk.len() + padding.map_or(0, |padding| 1 + usize::from(padding));
    header(out, FrameType::DATA, flags, stream, length);
    out.extend(padding);
    out.extend_from_slice(chunk);
    pad(out, padding);
}

/// A field block and how it is cut into frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderBlock<'a> {
    /// The encoded block.
    pub block: &'a [u8],
    /// END_STREAM on the HEADERS frame.
    pub end_stream: bool,
    /// Pad length, if the first frame is to have padding.
    pub padding: Option<u8>,
    /// The obsolete priority fields: dependency with its exclusive bit, weight.
    pub priority: Option<(u32, u8)>,
    /// The stream announced: makes it PUSH_PROMISE, which has no priority.
    pub promised: Option<StreamId>,
}

impl HeaderBlock<'_> {
    /// Appends the HEADERS or PUSH_PROMISE frame, and CONTINUATION frames for
    /// what is beyond `max_frame_size` (sections 6.2, 6.6 and 6.10). Only a
    /// maximum too small for the fixed fields, which no receiver may announce,
    /// is exceeded.
    pub fn encode(&self, out: &mut Vec<u8>, stream: StreamId, max_frame_size: usize) {
        let priority = self.priority.filter(|_| self.promised.is_none());
        let fixed = self.padding.map_or(0, |padding| 1 + usize::from(padding))
            + priority.map_or(0, |_| 5)
            + self.promised.map_or(0, |_| 4);
        let room = max_frame_size.saturating_sub(fixed).min(self.block.len());
        let (first, mut rest) = self.block.split_at(room);

        let kind = match self.promised {
            Some(_) => FrameType::PUSH_PROMISE,
            None => FrameType::HEADERS,
        };
        let flags = Flags::NONE
            .with_if(Flags::END_HEADERS, rest.is_empty())
            .with_if(Flags::PADDED, self.padding.is_some())
            .with_if(Flags::PRIORITY, priority.is_some())
            .with_if(
                Flags::END_STREAM,
                self.end_stream && self.promised.is_none(),
            );
        header(out, kind, flags, stream, fixed + first.len());
        out.extend(self.padding);
        if let Some((dependency, weight)) = priority {
            out.extend_from_slice(&dependency.to_be_bytes());
            out.push(weight);
        }
        if let Some(promised) = self.promised {
            out.extend_from_slice(&promised.number().to_be_bytes());
        }
        out.extend_from_slice(first);
        pad(out, self.padding);

        while !rest.is_empty() {
            let (part, after) = rest.split_at(max_frame_size.max(1).min(rest.len()));
            let flags = Flags::NONE.with_if(Flags::END_HEADERS, after.is_empty());
            raw(out, FrameType::CONTINUATION, flags, stream, part);
            rest = after;
        }
    }
}

/// Appends a field block on `stream` without padding and priority.
pub fn headers(
    out: &mut Vec<u8>,
    stream: StreamId,
    block: &[u8],
    end_stream: bool,
    max_frame_size: usize,
) {
    let block = HeaderBlock {
        block,
        end_stream,
        ..HeaderBlock::default()
    };
    block.encode(out, stream, max_frame_size);
}

/// Appends a PRIORITY frame (section 6.3).
pub fn priority(out: &mut Vec<u8>, stream: StreamId, dependency: u32, weight: u8) {
    let mut payload = [0, 0, 0, 0, weight];
    payload[..4].copy_from_slice(&dependency.to_be_bytes());
    raw(out, FrameType::PRIORITY, Flags::NONE, stream, &payload);
}

/// Appends a RST_STREAM frame (section 6.4).
pub fn rst_stream(out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
    let payload = code.0.to_be_bytes();
    raw(out, FrameType::RST_STREAM, Flags::NONE, stream, &payload);
}

/// Appends a SETTINGS frame (section 6.5).
pub fn settings(out: &mut Vec<u8>, values: &[(SettingId, u32)]) {
    let length = values.len() * 6;
    let stream = StreamId::CONNECTION;
    header(out, FrameType::SETTINGS, Flags::NONE, stream, length);
    for (id, value) in values {
        out.extend_from_slice(&id.0.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a SETTINGS acknowledgement (section 6.5.3).
pub fn settings_ack(out: &mut Vec<u8>) {
    let stream = StreamId::CONNECTION;
    raw(out, FrameType::SETTINGS, Flags::ACK, stream, &[]);
}

/// Appends a PING frame (section 6.7).
pub fn ping(out: &mut Vec<u8>, ack: bool, payload: [u8; 8]) {
    let flags = Flags::NONE.with_if(Flags::ACK, ack);
    raw(out, FrameType::PING, flags, StreamId::CONNECTION, &payload);
}

/// Appends a GOAWAY frame (section 6.8).
pub fn goaway(out: &mut Vec<u8>, last_stream: StreamId, code: ErrorCode, debug: &[u8]) {
    let length = 8 + debug.len();
    let stream = StreamId::CONNECTION;
    header(out, FrameType::GOAWAY, Flags::NONE, stream, length);
    out.extend_from_slice(&last_stream.number().to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(debug);
}

/// Appends a WINDOW_UPDATE frame (section 6.9). An increment of zero is an
/// error of the sender's.
pub fn window_update(out: &mut Vec<u8>, stream: StreamId, increment: u32) {
    let payload = increment.to_be_bytes();
    raw(out, FrameType::WINDOW_UPDATE, Flags::NONE, stream, &payload);
}

/// Appends padding, which is zeros (section 6.1).
fn pad(out: &mut Vec<u8>, padding: Option<u8>) {
    out.resize(out.len() + usize::from(padding.unwrap_or(0)), 0);
}
