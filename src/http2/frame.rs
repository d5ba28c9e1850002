//! Frame headers: length, type, flags, stream (RFC 9113, section 4.1).

use std::fmt;

use super::StreamId;

/// What a client sends before its first frame (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The fixed size of a frame header (RFC 9113, section 4.1).
pub const FRAME_HEADER_LEN: usize = 9;

/// The payload size every receiver accepts (RFC 9113, section 4.2).
pub const DEFAULT_MAX_FRAME_SIZE: u32 = 1 << 14;

/// The largest payload the length field can tell (RFC 9113, section 4.2).
pub const LARGEST_FRAME_SIZE: u32 = (1 << 24) - 1;

/// The nine octets that begin every frame (RFC 9113, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Payload length in bytes, padding included; 24 bits.
    pub length: u32,
    /// The frame's type.
    pub kind: FrameType,
    /// Flags; what they mean depends on the type.
    pub flags: Flags,
    /// The stream it belongs to.
    pub stream: StreamId,
}

impl FrameHeader {
    /// Reads a header. Every nine octets are one: the rules are the deframer's.
    pub const fn parse(octets: [u8; FRAME_HEADER_LEN]) -> FrameHeader {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = octets;
        FrameHeader {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: FrameType(kind),
            flags: Flags(flags),
            stream: StreamId::from_bits(u32::from_be_bytes([s0, s1, s2, s3])),
        }
    }

    /// Writes the header. A length beyond 24 bits loses its upper octet; the
    /// frame encoder never builds one.
    pub const fn encode(self) -> [u8; FRAME_HEADER_LEN] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.number().to_be_bytes();
        [l0, l1, l2, self.kind.0, self.flags.0, s0, s1, s2, s3]
    }
}

/// A frame type (RFC 9113, section 6). Types without a name here are legal and
/// must pass (RFC 9113, section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameType(pub u8);

impl FrameType {
    /// Payload of a request or response (section 6.1).
    pub const DATA: FrameType = FrameType(0x0);
    /// Opens a stream or ends it with trailers (section 6.2).
    pub const HEADERS: FrameType = FrameType(0x1);
    /// Obsolete priority signal (section 6.3).
    pub const PRIORITY: FrameType = FrameType(0x2);
    /// Ends a stream at once (section 6.4).
    pub const RST_STREAM: FrameType = FrameType(0x3);
    /// Parameters of the connection (section 6.5).
    pub const SETTINGS: FrameType = FrameType(0x4);
    /// Announces a pushed stream (section 6.6).
    pub const PUSH_PROMISE: FrameType = FrameType(0x5);
    /// Liveness and round-trip time (section 6.7).
    pub const PING: FrameType = FrameType(0x6);
    /// Announces the end of the connection (section 6.8).
    pub const GOAWAY: FrameType = FrameType(0x7);
    /// Flow-control credit (section 6.9).
    pub const WINDOW_UPDATE: FrameType = FrameType(0x8);
    /// The rest of a field block (section 6.10).
    pub const CONTINUATION: FrameType = FrameType(0x9);

    /// The RFC's name; `None` for a type it does not define.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            FrameType::DATA => "DATA",
            FrameType::HEADERS => "HEADERS",
            FrameType::PRIORITY => "PRIORITY",
            FrameType::RST_STREAM => "RST_STREAM",
            FrameType::SETTINGS => "SETTINGS",
            FrameType::PUSH_PROMISE => "PUSH_PROMISE",
            FrameType::PING => "PING",
            FrameType::GOAWAY => "GOAWAY",
            FrameType::WINDOW_UPDATE => "WINDOW_UPDATE",
            FrameType::CONTINUATION => "CONTINUATION",
            _ => return None,
        })
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {:#04x}", self.0),
        }
    }
}

/// Frame flags (RFC 9113, section 4.1). One bit may mean different things on
/// different frame types: `END_STREAM` and `ACK` share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// DATA, HEADERS: the sender's last on this stream.
    pub const END_STREAM: Flags = Flags(0x01);
    /// SETTINGS, PING: an acknowledgement.
    pub const ACK: Flags = Flags(0x01);
    /// HEADERS, PUSH_PROMISE, CONTINUATION: the field block ends here.
    pub const END_HEADERS: Flags = Flags(0x04);
    /// DATA, HEADERS, PUSH_PROMISE: a pad length and padding are present.
    pub const PADDED: Flags = Flags(0x08);
    /// HEADERS: the obsolete priority fields are present.
    pub const PRIORITY: Flags = Flags(0x20);

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and `other`'s, where `condition` holds.
    #[must_use]
    pub const fn with_if(self, other: Flags, condition: bool) -> Flags {
        if condition {
            Flags(self.0 | other.0)
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_a_round_trip() {
        let octets = [0x01, 0x02, 0x03, 0x01, 0x25, 0x00, 0x00, 0x01, 0x0b];
        let header = FrameHeader::parse(octets);
        assert_eq!(header.length, 0x010203);
        assert_eq!(header.kind, FrameType::HEADERS);
        assert!(header.flags.contains(Flags::PRIORITY));
        assert!(!header.flags.contains(Flags::PADDED));
        assert_eq!(header.stream.number(), 267);
        assert_eq!(header.encode(), octets);
    }

    #[test]
    fn reserved_bit_is_ignored() {
        let header = FrameHeader::parse([0, 0, 0, 0, 0, 0x80, 0, 0, 1]);
        assert_eq!(header.stream.number(), 1);
    }

    #[test]
    fn types_print_by_name_or_number() {
        assert_eq!(FrameType::RST_STREAM.to_string(), "RST_STREAM");
        assert_eq!(FrameType(0x0b).to_string(), "type 0x0b");
    }
}
