//! What a relay shows to the layer above it.

use std::time::Instant;

use super::blocks::BlockNumber;
use super::order::Order;
use crate::http2::{Both, ErrorCode, Offence, Side, StreamId};

/// Watches the streams of one connection, and may interfere with them. The
/// relay keeps one value of [`Tap::Stream`] for each open stream and hands it in
/// with everything that happens there; all of it is called before the bytes
/// concerned are given out again. What is to be done to the stream goes into
/// `orders`.
pub trait Tap {
    /// What is kept of an open stream.
    type Stream;

    /// The client opens a stream: its header block begins. Orders for it are
    /// carried out only if it is `touchable`: if the client's frames pass whole,
    /// and one by one where they have to.
    fn opened(&mut self, id: StreamId, touchable: bool, now: Instant) -> Self::Stream;

    /// One field of a header block, in order.
    fn field(&mut self, from: Side, stream: &mut Self::Stream, name: &[u8], value: &[u8]);

    /// The header block that is whole now did not change the sender's table: while
    /// nothing does, equal ones of `from` are told by this number. One that had it
    /// before means nothing any more.
    fn remember(&mut self, _from: Side, _stream: &mut Self::Stream, _number: BlockNumber) {}

    /// A header block that was remembered has come again, for this stream. Says whether
    /// that is enough; otherwise its fields are shown.
    fn again(&mut self, _from: Side, _stream: &mut Self::Stream, _number: BlockNumber) -> bool {
        false
    }

    /// The header block is whole: a request's or response's head, or trailers.
    /// With `end_stream` it was the last that `from` sends on this stream.
    fn headers(
        &mut self,
        from: Side,
        stream: &mut Self::Stream,
        end_stream: bool,
        orders: &mut Vec<Order>,
        now: Instant,
    );

    /// A part of the stream's content, without padding, as it lies in the input.
    fn data(&mut self, stream: &mut Self::Stream, data: Data<'_>, orders: &mut Vec<Order>);

    /// Whether a DATA frame of `from`'s that begins may decide what becomes of the
    /// stream by its last byte: then it passes whole or not at all, as if that
    /// were ordered ([`Order::Careful`]).
    fn may_decide(&self, from: Side, stream: &Self::Stream) -> bool;

    /// What `from` sent on a stream that was touched has been given to the other
    /// side, END_STREAM included.
    fn passed(&mut self, from: Side, stream: &mut Self::Stream, now: Instant);

    /// More was held of the connection than may be; this stream was let go.
    fn let_go(&mut self, stream: &mut Self::Stream);

    /// The time that was asked for has come, or the rules have changed. `clear`
    /// says in which directions no DATA frame is on its way in pieces: where one
    /// is, nothing may be inserted that is not diverted.
    fn nudged(
        &mut self,
        stream: &mut Self::Stream,
        clear: Both<bool>,
        orders: &mut Vec<Order>,
        now: Instant,
    );

    /// Whether orders may come for a stream that is open.
    fn is_involved(&self) -> bool;

    /// The stream is over; nothing of it will be shown any more.
    fn ended(&mut self, stream: Self::Stream, how: StreamEnd, now: Instant);

    /// The relay can no longer follow the connection. Every open stream was
    /// ended before.
    fn stopped(&mut self, offence: Offence, now: Instant);
}

/// A part of a stream's content.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// Who sent it.
    pub from: Side,
    /// The bytes. They may be none.
    pub chunk: &'a [u8],
    /// Bytes of content that came before them on this stream.
    pub offset: u64,
    /// It is the last that the sender sends on this stream.
    pub end_stream: bool,
    /// It does not pass by itself: what leaves in its place is inserted.
    pub diverted: bool,
    /// When it came.
    pub now: Instant,
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
        /// Whose end went away first; `None` if neither did, but we ended both.
        by: Option<Side>,
    },
    /// Tracing stopped; the stream itself goes on unseen.
    TracingStopped,
}
