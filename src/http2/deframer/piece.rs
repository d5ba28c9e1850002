//! What a deframer tells.

use crate::http2::{ErrorCode, FrameType, SettingId, StreamId};

/// The next thing a direction carries, borrowed from the input or from the
/// deframer until it is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The client's preface is complete (RFC 9113, section 3.4).
    Preface,
    /// A part of a DATA frame (RFC 9113, section 6.1), as large as the input
    /// at hand allows. A frame without payload is one piece with an empty
    /// chunk; so is padding that arrives by itself.
    Data {
        /// The stream.
        stream: StreamId,
        /// Payload without padding, where it lies in the input.
        chunk: &'a [u8],
        /// Window bytes this piece accounts for: the chunk, and the pad length
        /// octet and padding that came with it. The pieces of a frame sum up
        /// to the frame's length.
        flow_controlled: u32,
        /// The frame's first piece.
        frame_start: bool,
        /// The frame's last piece.
        frame_end: bool,
        /// The frame's last piece, and the stream's: END_STREAM.
        end_stream: bool,
    },
    /// A whole field block: HEADERS or PUSH_PROMISE with all its CONTINUATION
    /// frames, padding and priority taken off (RFC 9113, section 4.3).
    HeaderBlock {
        /// The stream it came on.
        stream: StreamId,
        /// The block, to be decoded by this direction's HPACK decoder.
        block: &'a [u8],
        /// END_STREAM.
        end_stream: bool,
        /// PUSH_PROMISE: the stream the block announces.
        promised: Option<StreamId>,
        /// The obsolete priority fields: dependency with its exclusive bit, weight.
        priority: Option<(u32, u8)>,
    },
    /// An obsolete priority signal (RFC 9113, section 6.3).
    Priority {
        /// The stream.
        stream: StreamId,
    },
    /// A stream ends at once (RFC 9113, section 6.4).
    RstStream {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// Settings or their acknowledgement (RFC 9113, section 6.5).
    Settings(SettingsFrame<'a>),
    /// PING (RFC 9113, section 6.7).
    Ping {
        /// The answer to one.
        ack: bool,
        /// What the answer repeats.
        payload: [u8; 8],
    },
    /// The connection is coming to its end (RFC 9113, section 6.8).
    GoAway {
        /// Streams above it were not and will not be processed.
        last_stream: StreamId,
        /// Why.
        code: ErrorCode,
        /// The first [`MAX_GOAWAY_DEBUG`](super::MAX_GOAWAY_DEBUG) bytes of
        /// what the sender added.
        debug: &'a [u8],
    },
    /// Flow-control credit (RFC 9113, section 6.9). Zero is a stream error; on
    /// the connection it does not get this far.
    WindowUpdate {
        /// The stream, or the connection.
        stream: StreamId,
        /// Bytes of credit.
        increment: u32,
    },
    /// A frame of a type that RFC 9113 does not define (section 5.5), told when
    /// its header is known; its payload is skipped as it comes.
    Unknown {
        /// The type.
        kind: FrameType,
        /// The stream.
        stream: StreamId,
        /// Payload bytes.
        length: u32,
    },
}

/// A SETTINGS frame whose values are in their ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsFrame<'a> {
    pub(super) ack: bool,
    pub(super) payload: &'a [u8],
}

impl<'a> SettingsFrame<'a> {
    /// Whether it acknowledges the peer's settings; it then carries none.
    pub const fn is_ack(self) -> bool {
        self.ack
    }

    /// The settings in the order in which they apply.
    pub fn iter(self) -> impl Iterator<Item = (SettingId, u32)> + use<'a> {
        self.payload
            .as_chunks::<6>()
            .0
            .iter()
            .map(|&[i0, i1, v0, v1, v2, v3]| {
                (
                    SettingId(u16::from_be_bytes([i0, i1])),
                    u32::from_be_bytes([v0, v1, v2, v3]),
                )
            })
    }
}
