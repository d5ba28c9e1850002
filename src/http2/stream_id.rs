//! Stream identifiers (RFC 9113, section 5.1.1).

use std::fmt;

use super::Side;

/// A stream identifier: 31 bits; 0 names the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId(u32);

impl StreamId {
    /// The connection itself.
    pub const CONNECTION: StreamId = StreamId(0);

    /// The identifier in the low 31 bits; the reserved bit is ignored, as
    /// RFC 9113, section 4.1 asks.
    pub const fn from_bits(bits: u32) -> StreamId {
        StreamId(bits & 0x7fff_ffff)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether this is the connection rather than a stream.
    pub const fn is_connection(self) -> bool {
        self.0 == 0
    }

    /// Which side opens streams of this number; `None` for the connection.
    pub const fn initiator(self) -> Option<Side> {
        match (self.0, self.0 % 2) {
            (0, _) => None,
            (_, 1) => Some(Side::Client),
            _ => Some(Side::Server),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
