//! gRPC status codes and messages (gRPC over HTTP/2, "Responses").

use std::fmt;

use crate::http2::ErrorCode;

/// A gRPC status code. Numbers outside the 17 that gRPC names are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u32);

impl Code {
    /// Success.
    pub const OK: Code = Code(0);
    /// The call was cancelled, nearly always by the client.
    pub const CANCELLED: Code = Code(1);
    /// Nobody knows how the call ended.
    pub const UNKNOWN: Code = Code(2);
    /// The request makes no sense, whatever the state of the system.
    pub const INVALID_ARGUMENT: Code = Code(3);
    /// The call's deadline passed.
    pub const DEADLINE_EXCEEDED: Code = Code(4);
    /// What was asked for does not exist.
    pub const NOT_FOUND: Code = Code(5);
    /// The caller may not do that.
    pub const PERMISSION_DENIED: Code = Code(7);
    /// A limit was reached (etcd: too many requests, no space).
    pub const RESOURCE_EXHAUSTED: Code = Code(8);
    /// The system is not in the state that the call needs.
    pub const FAILED_PRECONDITION: Code = Code(9);
    /// Past the valid range (etcd: compacted and future revisions).
    pub const OUT_OF_RANGE: Code = Code(11);
    /// The server knows no such method.
    pub const UNIMPLEMENTED: Code = Code(12);
    /// An invariant broke.
    pub const INTERNAL: Code = Code(13);
    /// The service cannot answer now (etcd: no leader, connection lost).
    pub const UNAVAILABLE: Code = Code(14);
    /// Data was lost for good, or is corrupt.
    pub const DATA_LOSS: Code = Code(15);
    /// The caller did not say who it is, or was not believed.
    pub const UNAUTHENTICATED: Code = Code(16);

    /// Reads the `grpc-status` trailer: ASCII decimal.
    pub fn parse(value: &[u8]) -> Option<Code> {
        std::str::from_utf8(value).ok()?.parse().ok().map(Code)
    }

    /// gRPC's own name (`OK`, `UNAVAILABLE`); `None` for a number it does not
    /// name.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "OK",
            1 => "CANCELLED",
            2 => "UNKNOWN",
            3 => "INVALID_ARGUMENT",
            4 => "DEADLINE_EXCEEDED",
            5 => "NOT_FOUND",
            6 => "ALREADY_EXISTS",
            7 => "PERMISSION_DENIED",
            8 => "RESOURCE_EXHAUSTED",
            9 => "FAILED_PRECONDITION",
            10 => "ABORTED",
            11 => "OUT_OF_RANGE",
            12 => "UNIMPLEMENTED",
            13 => "INTERNAL",
            14 => "UNAVAILABLE",
            15 => "DATA_LOSS",
            16 => "UNAUTHENTICATED",
            _ => return None,
        })
    }

    /// The code that gRPC calls so (`UNAVAILABLE`).
    pub fn from_name(name: &str) -> Option<Code> {
        Code::named().find(|code| code.name() == Some(name))
    }

    /// The 17 codes that gRPC names.
    pub fn named() -> impl Iterator<Item = Code> {
        (0..=16).map(Code)
    }

    /// The code that gRPC gives a stream which ended with RST_STREAM and no
    /// trailers (gRPC over HTTP/2, "HTTP2 Transport Mapping: Errors").
    pub const fn from_reset(code: ErrorCode) -> Code {
        match code {
            // It was never processed.
            ErrorCode::REFUSED_STREAM => Code::UNAVAILABLE,
            ErrorCode::CANCEL => Code::CANCELLED,
            ErrorCode::ENHANCE_YOUR_CALM => Code::RESOURCE_EXHAUSTED,
            ErrorCode::INADEQUATE_SECURITY => Code::PERMISSION_DENIED,
            _ => Code::INTERNAL,
        }
    }

    /// The code that gRPC gives a response without `grpc-status`, by its HTTP
    /// status ("HTTP to gRPC Status Code Mapping").
    pub const fn from_http(status: u16) -> Code {
        match status {
            400 => Code::INTERNAL,
            401 => Code::UNAUTHENTICATED,
            403 => Code::PERMISSION_DENIED,
            404 => Code::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Code::UNAVAILABLE,
            _ => Code::UNKNOWN,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "CODE_{}", self.0),
        }
    }
}

/// Percent-encodes a text for `grpc-message`: all but the printable ASCII
/// characters, and the percent sign itself.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Undoes the percent-encoding of `grpc-message`. Broken escapes stay as they
/// are, as the specification asks; bytes that are no UTF-8 are replaced.
pub fn percent_decode(value: &[u8]) -> String {
    fn hex(byte: u8) -> Option<u8> {
        (byte as char).to_digit(16).map(|digit| digit as u8)
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, ..] = *tail
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_grpcs_names() {
        assert_eq!(Code::parse(b"14"), Some(Code::UNAVAILABLE));
        assert_eq!(Code::UNAVAILABLE.to_string(), "UNAVAILABLE");
        assert_eq!(Code(99).to_string(), "CODE_99");
        assert_eq!(Code::parse(b"x"), None);
        assert_eq!(Code::from_name("DATA_LOSS"), Some(Code::DATA_LOSS));
        assert_eq!(Code::from_name("unavailable"), None);
    }

    #[test]
    fn messages_are_percent_decoded_and_broken_escapes_kept() {
        assert_eq!(
            percent_decode(b"etcdserver: no%20leader"),
            "etcdserver: no leader"
        );
        assert_eq!(percent_encode("100 % 你"), "100 %25 %E4%BD%A0");
        assert_eq!(percent_decode(b"100%"), "100%");
        assert_eq!(percent_decode(b"%zz%4"), "%zz%4");
        assert_eq!(percent_decode(b"%E4%BD%A0"), "你");
    }
}
