//! Error codes, as RST_STREAM and GOAWAY carry them (RFC 9113, section 7).

use std::fmt;

/// An error code. Unknown numbers are legal and mean nothing special.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Not an error: a graceful end.
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    /// The peer broke the protocol in a way no other code names.
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    /// The sender of the code failed by itself.
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    /// The peer overran a flow-control window.
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    /// A frame came for a stream that was half-closed.
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    /// A frame had a size its type or the receiver does not allow.
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    /// The stream was refused before anything was done for it.
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    /// The field compression context cannot be kept.
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    /// A tunnel's TCP connection failed.
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xa);
    /// The peer causes more load than is accepted.
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xb);
    /// The transport below is not secure enough.
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xc);
    /// HTTP/1.1 is asked for instead.
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xd);

    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];

    /// Reads what `Display` shows: the RFC's name, or the number in hexadecimal.
    pub fn parse(text: &str) -> Option<ErrorCode> {
        let named = ErrorCode::NAMES.iter().position(|name| *name == text);
        let number = match named {
            Some(number) => u32::try_from(number).ok(),
            None => u32::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
        };
        number.map(ErrorCode)
    }

    /// The RFC's name; `None` for a number it does not define.
    pub const fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = ErrorCode::NAMES;
        if (self.0 as usize) < NAMES.len() {
            Some(NAMES[self.0 as usize])
        } else {
            None
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_print_by_name_or_number() {
        assert_eq!(ErrorCode::CANCEL.to_string(), "CANCEL");
        assert_eq!(
            ErrorCode::HTTP_1_1_REQUIRED.to_string(),
            "HTTP_1_1_REQUIRED"
        );
        assert_eq!(ErrorCode(0xe).to_string(), "0xe");
        for code in [ErrorCode::NO_ERROR, ErrorCode::CANCEL, ErrorCode(0xfeed)] {
            assert_eq!(ErrorCode::parse(&code.to_string()), Some(code));
        }
        assert_eq!(ErrorCode::parse("NOPE"), None);
    }
}
