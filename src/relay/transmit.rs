//! What leaves a connection's core.

use std::ops::Range;

/// Bytes that leave towards the peer of the side that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// A run of the bytes that were just handed in, as they came.
    AsCame(Range<usize>),
}

/// How a side's bytes came to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfBytes {
    /// In order (FIN; with TLS, whether or not close_notify came before it).
    Closed,
    /// By a reset or another error of the transport.
    Lost,
}
