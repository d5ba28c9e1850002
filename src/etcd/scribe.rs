//! Who writes down what passes: every header block and every message, as it
//! came.
//!
//! The core tells a [`Scribe`] what it sees and never waits for it; what is kept,
//! what is hidden and where it goes is the scribe's alone. It is told what each
//! side *sent*: what a fault made of it is told by the call's own end.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::method::MethodName;
use crate::http1::Piece;
use crate::http2::{Side, StreamId};
use crate::relay::{BlockNumber, Peers};

/// Gives every connection its scribe.
pub trait Scribes: fmt::Debug + Send + Sync {
    /// The scribe of a connection between `peers`.
    fn scribe(&self, peers: &Arc<Peers>) -> Box<dyn Scribe>;
}

/// Writes down the calls of one connection.
///
/// Of each side of a call: its header fields and [`Scribe::head`]; then for each
/// message one [`Scribe::begin`], any number of [`Scribe::body`], one
/// [`Scribe::end`]; of the server perhaps a second head, the trailers. Calls
/// interleave. After [`Scribe::over`] nothing more is told of a call, and a
/// message that had no end is one that was cut.
pub trait Scribe: fmt::Debug + Send {
    /// A header field of the block at hand. Blocks come whole.
    fn field(&mut self, name: &[u8], value: &[u8]);

    /// The block at hand may come again: then this number of `from`'s is told instead of
    /// its fields. What had it before is not told by it any more.
    fn remember(&mut self, from: Side, number: BlockNumber);

    /// The block at hand is the one that had this number last. Says whether it is still
    /// known; otherwise its fields are told.
    fn again(&mut self, from: Side, number: BlockNumber) -> bool;

    /// The block at hand is whole: the head of a call's request or response, or
    /// its trailers.
    fn head(&mut self, call: &Told<'_>, from: Side, trailers: bool, now: Instant);

    /// The block at hand is of no call.
    fn forget(&mut self);

    /// A message of `from` begins: `length` bytes on the wire.
    fn begin(&mut self, call: &Told<'_>, from: Side, message: Begun, now: Instant);

    /// Bytes of the message at hand.
    fn body(&mut self, stream: StreamId, from: Side, bytes: &[u8]);

    /// The message at hand is whole.
    fn end(&mut self, stream: StreamId, from: Side, now: Instant);

    /// The call is over.
    fn over(&mut self, stream: StreamId, now: Instant);

    /// A piece of the content of a plain HTTP request or of its answer: the JSON
    /// gateway, `/metrics`. With HTTP/1.1 the stream is that of the connection, and
    /// each side has one content at a time.
    fn content(&mut self, stream: StreamId, piece: &Piece<'_>, now: Instant);

    /// That content is over; it had `size` bytes, perhaps none. One that has no such
    /// end was cut.
    fn content_ended(&mut self, stream: StreamId, from: Side, size: u64, now: Instant);

    /// All that one input brought has been told.
    fn settle(&mut self);
}

/// Which call.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Its stream.
    pub stream: StreamId,
    /// Its method.
    pub name: &'a MethodName,
}

/// What a message's prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Whether it is compressed by the call's `grpc-encoding`.
    pub compressed: bool,
    /// Its bytes on the wire, without the prefix.
    pub length: u32,
    /// Messages that the same side sent on this stream before.
    pub index: u64,
}
