//! What a peer did against the protocol.
use std::borrow::Cow;

use super::{ErrorCode, Side, StreamId};

/// What a peer did against the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Who did it.
    pub by: Side,
    /// What RFC 9113 calls it.
    pub code: ErrorCode,
    /// Where; the connection itself if it was no stream's doing.
    pub stream: StreamId,
    /// What was done.
    pub what: Cow<'static, str>,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.by, self.what)
    }
}
