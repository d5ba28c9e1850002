//! Reading protobuf as it passes: a push reader that keeps its place between
//! chunks, descends only where its visitor wants to, and never holds more than
//! the visitor asks it to keep. It is how a Range answer of a gigabyte is
//! counted without being held.

/// How deep messages may nest before the rest is skipped. etcd's own nest seven
/// deep (a nested Txn's answer down to a key), nested Txns are not followed.
const MAX_DEPTH: usize = 8;

/// What to do with a length-delimited field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Read it as a message, calling it by this node from then on.
    Enter(u8),
    /// Give its first bytes, at most so many, once they are whole.
    Take(usize),
    /// Pass over it.
    Skip,
}

/// Receives the fields of a message. `node` is the name that the visitor gave
/// to the message at hand ([`Want::Enter`]); the outermost one's is given to
/// [`Reader::new`].
pub trait Visitor {
    /// A length-delimited field of `len` bytes begins.
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want;
    /// A varint field.
    fn varint(&mut self, node: u8, field: u32, value: u64);
    /// The first bytes of a field that [`Want::Take`] asked for; `len` is its
    /// whole length.
    fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64);
    /// A message that was entered is whole.
    fn leave(&mut self, node: u8);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Tag,
    Varint,
    Length,
    Skip {
        left: u64,
    },
    Take {
        left: u64,
        keep: usize,
        len: u64,
    },
    /// What came is no protobuf; the rest is ignored.
    Malformed,
}

/// The push reader of one message.
#[derive(Debug)]
pub struct Reader {
    state: State,
    depth: u8,
    shift: u8,
    field: u32,
    accumulated: u64,
    position: u64,
    nodes: [u8; MAX_DEPTH],
    ends: [u64; MAX_DEPTH],
    kept: Vec<u8>,
}

impl Reader {
    /// A reader at the start of a message that the visitor knows as `root`.
    pub fn new(root: u8) -> Reader {
        let mut reader = Reader {
            state: State::Tag,
            depth: 0,
            shift: 0,
            field: 0,
            accumulated: 0,
            position: 0,
            nodes: [0; MAX_DEPTH],
            ends: [u64::MAX; MAX_DEPTH],
            kept: Vec::new(),
        };
        reader.nodes[0] = root;
        reader
    }

    /// Starts over with another message; what was allocated stays.
    pub fn restart(&mut self, root: u8) {
        self.state = State::Tag;
        self.depth = 0;
        self.shift = 0;
        self.accumulated = 0;
        self.position = 0;
        self.nodes[0] = root;
        self.kept.clear();
    }

    /// The message's next bytes.
    pub fn push<V: Visitor>(&mut self, mut chunk: &[u8], visitor: &mut V) {
        while !chunk.is_empty() {
            match self.state {
                State::Tag => {
                    let Some(tag) = self.take_varint(&mut chunk) else {
                        continue;
                    };
                    self.field = match u32::try_from(tag >> 3) {
                        Ok(0) | Err(_) => {
                            self.state = State::Malformed;
                            continue;
                        }
                        Ok(field) => field,
                    };
                    self.state = match tag & 7 {
                        0 => State::Varint,
                        1 => State::Skip { left: 8 },
                        2 => State::Length,
                        5 => State::Skip { left: 4 },
                        _ => State::Malformed,
                    };
                }
                State::Varint => {
                    let Some(value) = self.take_varint(&mut chunk) else {
                        continue;
                    };
                    self.state = State::Tag;
                    visitor.varint(self.node(), self.field, value);
                    self.close(visitor);
                }
                State::Length => {
                    let Some(len) = self.take_varint(&mut chunk) else {
                        continue;
                    };
                    self.begin_field(len, visitor);
                }
                State::Skip { left } => {
                    let n = left.min(chunk.len() as u64);
                    self.advance(n, &mut chunk);
                    if n == left {
                        self.state = State::Tag;
                        self.close(visitor);
                    } else {
                        self.state = State::Skip { left: left - n };
                    }
                }
                State::Take { left, keep, len } => {
                    self.take(left, keep, len, &mut chunk, visitor);
                }
                State::Malformed => return,
            }
        }
    }

    /// Whether the bytes so far were whole fields of well-formed protobuf.
    pub fn is_whole(&self) -> bool {
        self.state == State::Tag && self.depth == 0 && self.shift == 0
    }

    fn node(&self) -> u8 {
        self.nodes[usize::from(self.depth)]
    }

    fn advance(&mut self, n: u64, chunk: &mut &[u8]) {
        self.position += n;
        // `n` is at most the chunk's length.
        *chunk = &chunk[n as usize..];
    }

    fn begin_field<V: Visitor>(&mut self, len: u64, visitor: &mut V) {
        let end = match self.position.checked_add(len) {
            Some(end) if end <= self.ends[usize::from(self.depth)] => end,
            _ => {
                self.state = State::Malformed;
                return;
            }
        };
        self.state = match visitor.field(self.node(), self.field, len) {
            Want::Enter(node) if usize::from(self.depth) + 1 < MAX_DEPTH => {
                self.depth += 1;
                self.nodes[usize::from(self.depth)] = node;
                self.ends[usize::from(self.depth)] = end;
                State::Tag
            }
            Want::Take(keep) => State::Take {
                left: len,
                keep,
                len,
            },
            Want::Enter(_) | Want::Skip => State::Skip { left: len },
        };
        if len == 0 {
            match self.state {
                State::Take { .. } => visitor.bytes(self.node(), self.field, &[], 0),
                State::Tag | State::Skip { .. } => {}
                State::Varint | State::Length | State::Malformed => return,
            }
            self.state = State::Tag;
            self.close(visitor);
        }
    }

    fn take<V: Visitor>(
        &mut self,
        left: u64,
        keep: usize,
        len: u64,
        chunk: &mut &[u8],
        visitor: &mut V,
    ) {
        let n = left.min(chunk.len() as u64);
        let part = &chunk[..n as usize];
        let whole_at_once = left == len && n == len;
        if whole_at_once {
            visitor.bytes(self.node(), self.field, &part[..part.len().min(keep)], len);
        } else {
            let room = keep.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&part[..part.len().min(room)]);
            if n == left {
                visitor.bytes(self.node(), self.field, &self.kept, len);
                self.kept = Vec::new();
            }
        }
        self.advance(n, chunk);
        if n == left {
            self.state = State::Tag;
            self.close(visitor);
        } else {
            self.state = State::Take {
                left: left - n,
                keep,
                len,
            };
        }
    }

    /// Leaves the messages that end here.
    fn close<V: Visitor>(&mut self, visitor: &mut V) {
        while self.depth > 0 && self.position >= self.ends[usize::from(self.depth)] {
            if self.position > self.ends[usize::from(self.depth)] {
                self.state = State::Malformed;
                return;
            }
            let node = self.node();
            self.depth -= 1;
            visitor.leave(node);
        }
    }

    fn take_varint(&mut self, chunk: &mut &[u8]) -> Option<u64> {
        // The usual case first: one byte, nothing pending.
        if self.shift == 0
            && let [byte, rest @ ..] = *chunk
            && *byte < 0x80
        {
            *chunk = rest;
            self.position += 1;
            return Some(u64::from(*byte));
        }
        // The next usual one: all of it is there, as a revision's or a member's.
        if self.shift == 0
            && let Some((value, len)) = read_at_once(chunk)
        {
            *chunk = &chunk[len..];
            self.position += len as u64;
            return Some(value);
        }
        while let Some((&byte, rest)) = chunk.split_first() {
            *chunk = rest;
            self.position += 1;
            if self.shift > 63 {
                self.state = State::Malformed;
                return None;
            }
            self.accumulated |= u64::from(byte & 0x7f) << self.shift;
            if byte < 0x80 {
                self.shift = 0;
                return Some(std::mem::take(&mut self.accumulated));
            }
            self.shift += 7;
        }
        None
    }
}

/// A varint that lies there whole and has eight bytes at least before the chunk's end,
/// and its length. The groups of seven bits are moved together, neighbour by neighbour.
#[inline]
fn read_at_once(chunk: &[u8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*chunk.first_chunk()?);
    // The first byte below 0x80 is the last one.
    let ends = !word & 0x8080_8080_8080_8080;
    if ends != 0 {
        let len = ends.trailing_zeros() / 8 + 1;
        return Some((packed(word & (u64::MAX >> (64 - 8 * len))), len as usize));
    }
    // An identity: it takes nine bytes or ten.
    match chunk[8..] {
        [ninth @ 0..0x80, ..] => Some((packed(word) | u64::from(ninth) << 56, 9)),
        [ninth, tenth @ 0..0x80, ..] => {
            let above = u64::from(ninth & 0x7f) << 56 | u64::from(tenth) << 63;
            Some((packed(word) | above, 10))
        }
        _ => None,
    }
}

/// The lower seven bits of each byte, side by side.
#[inline]
fn packed(word: u64) -> u64 {
    let bits = word & 0x7f7f_7f7f_7f7f_7f7f;
    let bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
    let bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) >> 2;
    bits & 0x0fff_ffff | (bits & 0x0fff_ffff_0000_0000) >> 4
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes down everything, entering field 1 and 2, taking 3, skipping the
    /// rest.
    #[derive(Default, Debug, PartialEq)]
    struct Script(Vec<String>);

    impl Visitor for Script {
        fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
            self.0.push(format!("field {node} {field} {len}"));
            match field {
                1 | 2 => Want::Enter(node + field as u8),
                3 => Want::Take(4),
                _ => Want::Skip,
            }
        }
        fn varint(&mut self, node: u8, field: u32, value: u64) {
            self.0.push(format!("varint {node} {field} {value}"));
        }
        fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64) {
            self.0.push(format!("bytes {node} {field} {head:?} {len}"));
        }
        fn leave(&mut self, node: u8) {
            self.0.push(format!("leave {node}"));
        }
    }

    fn read(bytes: &[u8], step: usize) -> (Script, bool) {
        let mut script = Script::default();
        let mut reader = Reader::new(0);
        for chunk in bytes.chunks(step) {
            reader.push(chunk, &mut script);
        }
        (script, reader.is_whole())
    }

    proptest! {
        #[test]
        fn a_varint_at_once_is_the_varint_byte_by_byte(
            bytes in prop::array::uniform12(any::<u8>()),
            more in 0..12_usize,
        ) {
            // One in two of random bytes ends a varint.
            let mut bytes = bytes;
            bytes[..more].iter_mut().for_each(|byte| *byte |= 0x80);
            let mut reader = Reader::new(0);
            let mut rest = &bytes[..];
            let mut slow = None;
            while slow.is_none() && reader.state != State::Malformed {
                let (mut byte, after) = rest.split_at(1);
                rest = after;
                slow = reader.take_varint(&mut byte);
            }
            let slow = slow.map(|value| (value, bytes.len() - rest.len()));
            prop_assert_eq!(read_at_once(&bytes), slow);
            if let Some((_, len)) = slow && len > 8 {
                prop_assert_eq!(read_at_once(&bytes[..len - 1]), None);
            }
        }
    }

    #[test]
    fn nested_messages_are_entered_and_left() {
        // 1: { 4: 150, 1: {} }, 3: "hello", 5 (fixed32), 6: 7
        let bytes = [
            0x0a, 5, 0x20, 0x96, 0x01, 0x0a, 0, 0x1a, 5, b'h', b'e', b'l', b'l', b'o', 0x2d, 1, 2,
            3, 4, 0x30, 7,
        ];
        for step in 1..=bytes.len() {
            let (script, whole) = read(&bytes, step);
            assert!(whole);
            assert_eq!(
                script.0,
                [
                    "field 0 1 5",
                    "varint 1 4 150",
                    "field 1 1 0",
                    "leave 2",
                    "leave 1",
                    "field 0 3 5",
                    "bytes 0 3 [104, 101, 108, 108] 5",
                    "varint 0 6 7",
                ],
                "in chunks of {step}"
            );
        }
    }

    #[test]
    fn a_field_longer_than_its_message_stops_the_reading() {
        let (script, whole) = read(&[0x0a, 2, 0x1a, 9, 1, 2, 3], 7);
        assert_eq!(script.0, ["field 0 1 2"]);
        assert!(!whole);
    }

    #[test]
    fn a_varint_without_end_stops_the_reading() {
        let (_, whole) = read(&[0xff; 40], 3);
        assert!(!whole);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..64) {
            let (whole, a) = read(&bytes, bytes.len().max(1));
            let (cut, b) = read(&bytes, step);
            prop_assert_eq!(whole, cut);
            prop_assert_eq!(a, b);
        }
    }
}
