//! Frames, cut and written without the house's own code.

use std::fmt;

use super::violation::Rule;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// END_STREAM, and ACK.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A whole frame.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
    /// Where it begins in all that was fed.
    pub at: u64,
}

impl Frame {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload as a big-endian number, if it is 4 bytes.
    pub fn number(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.payload[..].try_into().ok()?))
    }
}

pub fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub struct Cutter {
    waiting: Vec<u8>,
    taken: usize,
    pub position: u64,
}

impl Cutter {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.waiting.drain(..self.taken);
        self.taken = 0;
        self.waiting.extend_from_slice(bytes);
    }

    pub fn rest(&self) -> &[u8] {
        &self.waiting[self.taken..]
    }

    pub fn skip(&mut self, n: usize) {
        self.taken += n;
        self.position += n as u64;
    }

    /// The next whole frame. A frame above `limit` is seen by its head.
    pub fn next(&mut self, limit: u32) -> Result<Option<Frame>, (Rule, String)> {
        let rest = self.rest();
        let Some(head) = rest.get(..9) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        if length > limit {
            let what = format!("a frame of {length} bytes where {limit} are allowed");
            return Err((Rule::FrameSize, what));
        }
        let whole = 9 + length as usize;
        let Some(frame) = rest.get(..whole) else {
            return Ok(None);
        };
        let frame = Frame {
            kind,
            flags,
            stream,
            payload: frame[9..].to_vec(),
            at: self.position,
        };
        self.skip(whole);
        Ok(Some(frame))
    }
}

/// A frame as the history keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    kind: u8,
    flags: u8,
    stream: u32,
    length: usize,
    head: [u8; 8],
    milliseconds: u64,
}

impl Seen {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8], milliseconds: u64) -> Seen {
        let mut head = [0; 8];
        let n = payload.len().min(8);
        head[..n].copy_from_slice(&payload[..n]);
        Seen {
            kind,
            flags,
            stream,
            length: payload.len(),
            head,
            milliseconds,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES.get(usize::from(self.kind)).unwrap_or(&"UNKNOWN");
        let Seen {
            flags,
            stream,
            length,
            milliseconds,
            ..
        } = self;
        write!(
            f,
            "{milliseconds:>8} ms {name} stream {stream} flags {flags:#04x}, {length} bytes"
        )?;
        let head = &self.head[..self.length.min(8)];
        match self.kind {
            RST_STREAM | WINDOW_UPDATE if self.length == 4 => {
                let number = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                write!(f, ": {number}")
            }
            _ => write!(f, ": {head:02x?}"),
        }
    }
}
