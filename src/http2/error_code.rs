//! Error codes (RFC 9113, section 7).

/// An error code of RST_STREAM or GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);
