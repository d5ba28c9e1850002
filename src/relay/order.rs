//! What the layer above may ask of a stream.

use bytes::Bytes;

use crate::http2::{ErrorCode, Side};

/// What the layer above asks of the stream at hand. Endings happen after the
/// frame at hand has been dealt with, all else before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// How far what this side sends may pass, from now on.
    Gate(Side, Gate),
    /// Whether the DATA frames that this side sends pass whole or not at all: so
    /// a frame whose last byte decides can still be held, and one that turns out
    /// to be none of ours passes byte for byte.
    Careful(Side, bool),
    /// Whether what this side sends is diverted, from its next DATA frame on: it
    /// does not pass by itself then, and [`Order::Insert`] says what leaves in
    /// its place. Each piece that is shown says whether it was
    /// ([`Data::diverted`](super::Data::diverted)).
    Divert(Side, bool),
    /// Content that leaves in what this side sends, behind what has been given
    /// or queued: whole messages between two of the sender's, or the rest of a
    /// diverted one. It passes where content up to `at` would.
    Insert {
        /// Whose direction.
        side: Side,
        /// How far the sender's own content had come.
        at: u64,
        /// The content.
        bytes: Bytes,
    },
    /// What this side sent ends here, for its peer: what its gate lets pass
    /// still does, the ending follows, and what else comes is swallowed.
    Finish(Side, Finish),
    /// RST_STREAM towards this side, at once. What was held for it is dropped;
    /// what it still sends on the stream is swallowed. Nothing, where the
    /// stream is over for it already.
    Reset(Side, ErrorCode),
}

/// How far one direction of a stream may pass. Content is counted in bytes of
/// DATA without padding, from the stream's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// Everything passes.
    #[default]
    Open,
    /// The head passes, and content up to here; what comes behind (trailers and
    /// END_STREAM, in any case) is held.
    Until(u64),
    /// Nothing passes, not even the head.
    Shut,
    /// What is held is dropped, and what comes is swallowed.
    Sink,
}

impl Gate {
    /// The offset below which content passes.
    pub(super) fn limit(self) -> u64 {
        match self {
            Gate::Open => u64::MAX,
            Gate::Until(offset) => offset,
            Gate::Shut | Gate::Sink => 0,
        }
    }
}

/// An ending in the place of the sender's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// Trailers; after a head of our own, where none has passed.
    Trailers(Vec<HeaderField>),
    /// END_STREAM on DATA.
    EndStream,
    /// RST_STREAM.
    Reset(ErrorCode),
}

/// A field of a header block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField {
    /// Its name, in lower case.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
    /// No hop may index it (RFC 7541, section 6.2.3).
    pub never_indexed: bool,
}

impl HeaderField {
    /// A field that may be indexed.
    pub fn new(name: &str, value: impl AsRef<[u8]>) -> HeaderField {
        HeaderField {
            name: name.as_bytes().into(),
            value: value.as_ref().into(),
            never_indexed: false,
        }
    }
}
