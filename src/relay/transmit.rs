//! What leaves a connection's core.

use std::ops::Range;

/// Bytes that leave towards the peer of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A run of the bytes that this side just handed in, as they came.
    AsCame(Range<usize>),
    /// Bytes of the core's own making, or that it has held.
    Own(Vec<u8>),
}

/// How a side's bytes came to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfBytes {
    /// In order (FIN; with TLS, whether or not close_notify came before it).
    Closed,
    /// By a reset or another error of the transport.
    Lost,
}
