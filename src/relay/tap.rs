//! What a relay shows to the layer above it.

use std::time::Instant;

use crate::http2::{ErrorCode, Offence, Side, StreamId};

/// Watches the streams of one connection. The relay keeps one value of
/// [`Tap::Stream`] for each open stream and hands it in with everything that
/// happens there; all of it is called before the bytes concerned are given out
/// again.
pub trait Tap {
    /// What is kept of an open stream.
    type Stream;

    /// The client opens a stream: its header block begins.
    fn opened(&mut self, id: StreamId, now: Instant) -> Self::Stream;

    /// One field of a header block, in order.
    fn field(&mut self, from: Side, stream: &mut Self::Stream, name: &[u8], value: &[u8]);

    /// The header block is whole: a request's or response's head, or trailers.
    /// With `end_stream` it was the last that `from` sends on this stream.
    fn headers(&mut self, from: Side, stream: &mut Self::Stream, end_stream: bool, now: Instant);

    /// A part of the stream's content, without padding, as it lies in the input.
    /// It may be empty; with `end_stream` it is the last that `from` sends.
    fn data(
        &mut self,
        from: Side,
        stream: &mut Self::Stream,
        chunk: &[u8],
        end_stream: bool,
        now: Instant,
    );

    /// The stream is over; nothing of it will be shown any more.
    fn ended(&mut self, stream: Self::Stream, how: StreamEnd, now: Instant);

    /// The relay can no longer follow the connection. Every open stream was
    /// ended before.
    fn stopped(&mut self, offence: Offence, now: Instant);
}

/// How a stream came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// Both sides sent END_STREAM.
    Complete,
    /// RST_STREAM.
    Reset {
        /// Who sent it.
        by: Side,
        /// The code it gave.
        code: ErrorCode,
    },
    /// The connection ended under it.
    ConnectionLost {
        /// Whose end went away first.
        by: Side,
    },
    /// Tracing stopped; the stream itself goes on unseen.
    TracingStopped,
}
