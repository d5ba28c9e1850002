//! What a connection hands over: header blocks and pieces of messages, in the
//! order in which they passed, in one buffer.
//!
//! It is written on the relay's thread, where every byte counts, and read on the
//! recorder's; nobody else ever sees one.

use rustc_hash::FxHashSet;

use crate::http2::{Side, StreamId};

/// Something that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// A header block.
    Head {
        /// Of which call, and whose.
        of: Lane,
        /// Whether it is an answer's trailers.
        trailers: bool,
        /// The block's number; equal blocks of a connection share it.
        id: u64,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
        /// The fields, as [`fields`] reads them; empty for a block that was told
        /// before.
        fields: &'a [u8],
    },
    /// A message begins.
    Begin {
        /// Of which call, and whose.
        of: Lane,
        /// The channel of the method's messages; 0 where the method is unknown.
        channel: u16,
        /// The call's path, where the channel is 0.
        path: &'a str,
        /// Whether it is compressed.
        compressed: bool,
        /// Its bytes on the wire.
        length: u32,
        /// Messages of that side before it.
        index: u64,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
    },
    /// Bytes of the message that began last in this lane.
    Body {
        /// Of which call, and whose.
        of: Lane,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// That message is whole.
    End {
        /// Of which call, and whose.
        of: Lane,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
    },
    /// A piece of the content of a plain HTTP request, or of its answer.
    Content {
        /// Of which request, and whose.
        of: Lane,
        /// Requests before it on its connection, with HTTP/1.1.
        index: u64,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
        /// Bytes of the content before it.
        offset: u64,
        /// The request's method.
        method: &'a str,
        /// Its target, without the query.
        target: &'a str,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// That content is over.
    ContentEnd {
        /// Of which request, and whose.
        of: Lane,
        /// Bytes that it had.
        size: u64,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
    },
    /// The call is over.
    Over {
        /// Which.
        stream: StreamId,
        /// When, in nanoseconds since the recorder's beginning.
        at: u64,
    },
}

/// One direction of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The call's stream.
    pub stream: StreamId,
    /// Who sends.
    pub from: Side,
}

const HEAD: u8 = 1;
const BEGIN: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 4;
const OVER: u8 = 5;
const CONTENT: u8 = 6;
const CONTENT_END: u8 = 7;

/// In the byte after the kind.
const SERVER: u8 = 1;
const FLAG: u8 = 2;

impl Op<'_> {
    /// Appends it to a buffer.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Op::Head {
                of,
                trailers,
                id,
                at,
                fields,
            } => {
                let mut fixed = Fixed::<26>::new(HEAD, of, trailers);
                fixed.put(id.to_le_bytes());
                fixed.put(at.to_le_bytes());
                fixed.put(length(fields));
                out.extend_from_slice(&fixed.bytes);
                out.extend_from_slice(fields);
            }
            Op::Begin {
                of,
                channel,
                path,
                compressed,
                length: expected,
                index,
                at,
            } => {
                let mut fixed = Fixed::<32>::new(BEGIN, of, compressed);
                fixed.put(at.to_le_bytes());
                fixed.put(index.to_le_bytes());
                fixed.put(expected.to_le_bytes());
                fixed.put(channel.to_le_bytes());
                fixed.put(length(path.as_bytes()));
                out.extend_from_slice(&fixed.bytes);
                out.extend_from_slice(path.as_bytes());
            }
            Op::Body { of, bytes } => {
                let mut fixed = Fixed::<10>::new(BODY, of, false);
                fixed.put(length(bytes));
                out.extend_from_slice(&fixed.bytes);
                out.extend_from_slice(bytes);
            }
            Op::End { of, at } => {
                let mut fixed = Fixed::<14>::new(END, of, false);
                fixed.put(at.to_le_bytes());
                out.extend_from_slice(&fixed.bytes);
            }
            Op::Content {
                of,
                index,
                at,
                offset,
                method,
                target,
                bytes,
            } => {
                let mut fixed = Fixed::<30>::new(CONTENT, of, false);
                for number in [index, at, offset] {
                    fixed.put(number.to_le_bytes());
                }
                out.extend_from_slice(&fixed.bytes);
                for text in [method.as_bytes(), target.as_bytes(), bytes] {
                    out.extend_from_slice(&length(text));
                    out.extend_from_slice(text);
                }
            }
            Op::ContentEnd { of, size, at } => {
                let mut fixed = Fixed::<22>::new(CONTENT_END, of, false);
                fixed.put(size.to_le_bytes());
                fixed.put(at.to_le_bytes());
                out.extend_from_slice(&fixed.bytes);
            }
            Op::Over { stream, at } => {
                let of = Lane {
                    stream,
                    from: Side::Client,
                };
                let mut fixed = Fixed::<14>::new(OVER, of, false);
                fixed.put(at.to_le_bytes());
                out.extend_from_slice(&fixed.bytes);
            }
        }
    }
}

/// What has its place in an [`Op`] of a kind, put together on the stack: a buffer is
/// asked for room once.
struct Fixed<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Fixed<N> {
    #[inline]
    fn new(kind: u8, of: Lane, flag: bool) -> Fixed<N> {
        let side = match of.from {
            Side::Client => 0,
            Side::Server => SERVER,
        };
        let flag = if flag { FLAG } else { 0 };
        let mut fixed = Fixed {
            bytes: [0; N],
            at: 0,
        };
        fixed.put([kind, side | flag]);
        fixed.put(of.stream.number().to_le_bytes());
        fixed
    }

    #[inline]
    fn put<const M: usize>(&mut self, bytes: [u8; M]) {
        self.bytes[self.at..self.at + M].copy_from_slice(&bytes);
        self.at += M;
    }
}

#[inline]
fn length(bytes: &[u8]) -> [u8; 4] {
    // No piece is longer than what is read of a socket at once.
    (bytes.len() as u32).to_le_bytes()
}

/// Reads what was written by [`Op::write`]. Ends early at anything else.
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    left: &'a [u8],
}

impl<'a> Ops<'a> {
    /// The things in a buffer.
    pub fn new(bytes: &'a [u8]) -> Ops<'a> {
        Ops { left: bytes }
    }

    #[inline]
    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (number, left) = self.left.split_first_chunk()?;
        self.left = left;
        Some(*number)
    }

    #[inline]
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.number()?);
        self.bytes(length)
    }

    #[inline]
    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, left) = self.left.split_at_checked(length as usize)?;
        self.left = left;
        Some(bytes)
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    #[inline]
    fn next(&mut self) -> Option<Op<'a>> {
        let [kind, flags, a, b, c, d] = self.number()?;
        let stream = StreamId::from_bits(u32::from_le_bytes([a, b, c, d]));
        let of = Lane {
            stream,
            from: match flags & SERVER {
                0 => Side::Client,
                _ => Side::Server,
            },
        };
        let flag = flags & FLAG != 0;
        Some(match kind {
            HEAD => Op::Head {
                of,
                trailers: flag,
                id: u64::from_le_bytes(self.number()?),
                at: u64::from_le_bytes(self.number()?),
                fields: self.sized()?,
            },
            BEGIN => Op::Begin {
                of,
                compressed: flag,
                at: u64::from_le_bytes(self.number()?),
                index: u64::from_le_bytes(self.number()?),
                length: u32::from_le_bytes(self.number()?),
                channel: u16::from_le_bytes(self.number()?),
                path: str::from_utf8(self.sized()?).unwrap_or_default(),
            },
            BODY => Op::Body {
                of,
                bytes: self.sized()?,
            },
            END => Op::End {
                of,
                at: u64::from_le_bytes(self.number()?),
            },
            OVER => Op::Over {
                stream,
                at: u64::from_le_bytes(self.number()?),
            },
            CONTENT => Op::Content {
                of,
                index: u64::from_le_bytes(self.number()?),
                at: u64::from_le_bytes(self.number()?),
                offset: u64::from_le_bytes(self.number()?),
                method: str::from_utf8(self.sized()?).unwrap_or_default(),
                target: str::from_utf8(self.sized()?).unwrap_or_default(),
                bytes: self.sized()?,
            },
            CONTENT_END => Op::ContentEnd {
                of,
                size: u64::from_le_bytes(self.number()?),
                at: u64::from_le_bytes(self.number()?),
            },
            _ => return None,
        })
    }
}

/// Appends a header field to a block's fields.
#[inline]
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let mut lengths = [0; 8];
    lengths[..4].copy_from_slice(&length(name));
    lengths[4..].copy_from_slice(&length(value));
    out.reserve(lengths.len() + name.len() + value.len());
    out.extend_from_slice(&lengths);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// The fields of a block, in their order.
pub fn fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut ops = Ops { left: block };
    std::iter::from_fn(move || {
        let name = u32::from_le_bytes(ops.number()?);
        let value = u32::from_le_bytes(ops.number()?);
        Some((ops.bytes(name)?, ops.bytes(value)?))
    })
}

/// What is lost with a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// The calls of which it has a header block or a part of a message.
    pub calls: FxHashSet<StreamId>,
    /// The messages of which it has a part.
    pub messages: u64,
    /// The bytes of those that begin in it, and the bytes that it has of others.
    pub bytes: u64,
}

impl Toll {
    /// What is lost with `batch`.
    pub fn of(batch: &[u8]) -> Toll {
        let mut toll = Toll::default();
        // Lanes whose message at hand is counted.
        let mut begun = FxHashSet::default();
        let mut counted = FxHashSet::default();
        for op in Ops::new(batch) {
            let of = match op {
                Op::Over { .. } | Op::ContentEnd { .. } => continue,
                // Of no call; the recorder sees the gap.
                Op::Content { offset, bytes, .. } => {
                    toll.messages += u64::from(offset == 0);
                    toll.bytes += bytes.len() as u64;
                    continue;
                }
                Op::Head { of, .. } => of,
                Op::Begin { of, length, .. } => {
                    toll.messages += 1;
                    toll.bytes += u64::from(length);
                    begun.insert(of);
                    of
                }
                Op::Body { of, bytes } => {
                    if !begun.contains(&of) {
                        toll.messages += u64::from(counted.insert(of));
                        toll.bytes += bytes.len() as u64;
                    }
                    of
                }
                Op::End { of, .. } => {
                    if !begun.contains(&of) {
                        toll.messages += u64::from(counted.insert(of));
                    }
                    of
                }
            };
            toll.calls.insert(of.stream);
        }
        toll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let of = Lane {
            stream: StreamId::from_bits(5),
            from: Side::Server,
        };
        let mut block = Vec::new();
        write_field(b":status", b"200", &mut block);
        write_field(b"content-type", b"", &mut block);
        let ops = [
            Op::Head {
                of,
                trailers: true,
                id: 9,
                at: 1,
                fields: &block,
            },
            Op::Begin {
                of,
                channel: 0,
                path: "/a/B",
                compressed: true,
                length: 3,
                index: 2,
                at: 4,
            },
            Op::Body { of, bytes: b"abc" },
            Op::End { of, at: 6 },
            Op::Content {
                of,
                index: 8,
                at: 9,
                offset: 10,
                method: "POST",
                target: "/v3/kv/range",
                bytes: b"{}",
            },
            Op::ContentEnd {
                of,
                size: 12,
                at: 11,
            },
            Op::Over {
                stream: of.stream,
                at: 7,
            },
        ];
        let mut bytes = Vec::new();
        for op in &ops {
            op.write(&mut bytes);
        }
        assert_eq!(Ops::new(&bytes).collect::<Vec<_>>(), ops);
        assert_eq!(
            fields(&block).collect::<Vec<_>>(),
            [(&b":status"[..], &b"200"[..]), (b"content-type", b"")]
        );
        for cut in 0..bytes.len() {
            assert!(Ops::new(&bytes[..cut]).count() < ops.len());
        }
    }
}
