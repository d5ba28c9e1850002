//! What a peer did against the protocol.

use std::borrow::Cow;
use std::fmt;

use super::hpack::HpackError;
use super::{ErrorCode, Side, StreamId};

/// What a peer did against the protocol, with enough words for one log line:
/// `client sent a PING frame of 7 bytes instead of 8 (FRAME_SIZE_ERROR,
/// RFC 9113 section 6.7)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Who did it.
    pub by: Side,
    /// The code a strict endpoint would answer with (RFC 9113, section 7).
    pub code: ErrorCode,
    /// Where: a stream, or the connection.
    pub stream: StreamId,
    /// The rest of a sentence whose subject is `by`.
    pub what: Cow<'static, str>,
    /// The rule it broke: `RFC 9113 section 4.2`, or a bound of our own.
    pub rule: Cow<'static, str>,
}

impl Offence {
    /// An offence. `what` goes on after "client" or "server" and names the
    /// stream where there is one; `rule` is where one reads it up.
    pub fn new(
        by: Side,
        code: ErrorCode,
        stream: StreamId,
        rule: &'static str,
        what: impl Into<Cow<'static, str>>,
    ) -> Offence {
        Offence {
            by,
            code,
            stream,
            what: what.into(),
            rule: Cow::Borrowed(rule),
        }
    }

    /// A field block that could not be decoded (RFC 9113, section 4.3).
    pub fn field_block(by: Side, stream: StreamId, error: &HpackError) -> Offence {
        Offence::new(
            by,
            error.code(),
            stream,
            error.rule(),
            format!("sent a header block on stream {stream} that cannot be decoded: {error}"),
        )
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Offence {
            by,
            code,
            what,
            rule,
            ..
        } = self;
        write!(f, "{by} {what} ({code}, {rule})")
    }
}

impl std::error::Error for Offence {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_sentence() {
        let offence = Offence::new(
            Side::Client,
            ErrorCode::FRAME_SIZE_ERROR,
            StreamId::from_bits(5),
            "RFC 9113 section 4.2",
            "sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed",
        );
        assert_eq!(
            offence.to_string(),
            "client sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed \
             (FRAME_SIZE_ERROR, RFC 9113 section 4.2)"
        );
    }
}
