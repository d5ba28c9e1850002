//! A message's fields, as they come: which bytes of it are to be replaced.
//!
//! The walk needs no more of a message than a part: the bytes that it has not
//! done with and those that came since. It waits for the rest of a field, or of
//! a small message with a value in it, if that is at most [`MOST_HELD`] bytes;
//! greater ones are done in parts.

use super::findings::Why;
use super::judge::{Verdict, judge_field, judge_message, judge_value};
use super::policy::Policy;
use super::shape::{Role, Shapes};
use crate::kube::secret::text_end;
use crate::kube::token::{LOOKAHEAD, Run, Search};

/// Bytes of a message that are held back at most until more of it comes.
pub const MOST_HELD: usize = 64 << 10;

/// How much of a value that is not held as a whole is looked at before it is
/// known what becomes of it.
const HEAD: usize = 32 << 10;

/// How deep messages may nest. etcd's own nest seven deep; only a Txn within a
/// Txn goes deeper.
const DEEPEST: usize = 64;

/// What a message's bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A number, with its tag.
    Number { len: usize },
    /// Four or eight bytes behind a tag of `head` bytes; `len` is all of it.
    Fixed { head: usize, len: usize },
    /// `len` bytes behind a tag and a length of `head` bytes.
    Bytes { number: u32, head: usize, len: u64 },
    /// The bytes end before that can be told.
    Short,
    /// This is no protobuf.
    Broken,
}

/// Tells the field at the beginning of `bytes`.
#[inline]
pub(super) fn next_field(bytes: &[u8]) -> Field {
    let (tag, head) = match varint(bytes) {
        Ok(read) => read,
        Err(field) => return field,
    };
    let number = match u32::try_from(tag >> 3) {
        Ok(number) if (1..1 << 29).contains(&number) => number,
        _ => return Field::Broken,
    };
    let fixed = |size| match bytes.len() >= head + size {
        true => Field::Fixed {
            head,
            len: head + size,
        },
        false => Field::Short,
    };
    match tag & 7 {
        0 => match number_len(&bytes[head..]) {
            Ok(size) => Field::Number { len: head + size },
            Err(field) => field,
        },
        1 => fixed(8),
        5 => fixed(4),
        2 => match varint(&bytes[head..]) {
            Ok((len, size)) => Field::Bytes {
                number,
                head: head + size,
                len,
            },
            Err(field) => field,
        },
        // Groups: etcd has none.
        _ => Field::Broken,
    }
}

/// How many bytes a varint takes. Most of a message's fields are numbers, which nobody
/// has to know here.
#[inline]
fn number_len(bytes: &[u8]) -> Result<usize, Field> {
    // The first byte below 0x80 is the last one.
    const MORE: u64 = 0x8080_8080_8080_8080;
    if let Some(eight) = bytes.first_chunk() {
        let ends = !u64::from_le_bytes(*eight) & MORE;
        if ends != 0 {
            return Ok(ends.trailing_zeros() as usize / 8 + 1);
        }
    }
    varint(bytes).map(|(_, size)| size)
}

/// A varint and its bytes.
#[inline]
fn varint(bytes: &[u8]) -> Result<(u64, usize), Field> {
    match bytes {
        [byte, ..] if *byte < 0x80 => Ok((u64::from(*byte), 1)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Result<(u64, usize), Field> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has room for one bit only.
        if at == 9 && *byte > 1 {
            return Err(Field::Broken);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Ok((value, at + 1));
        }
    }
    Err(match bytes.len() {
        0..10 => Field::Short,
        _ => Field::Broken,
    })
}

/// The message is no protobuf from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Bytes that are to be replaced: a range, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    pub end: u64,
    pub why: Why,
    /// The range begins here.
    pub begins: bool,
    /// The range ends here.
    pub ends: bool,
}

impl Part {
    fn whole(start: u64, end: u64, why: Why) -> Part {
        Part {
            start,
            end,
            why,
            begins: true,
            ends: true,
        }
    }
}

/// The bytes at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'b> {
    pub bytes: &'b [u8],
    /// Where they begin in the message.
    pub base: u64,
    /// There may be tokens in them, and these are to be replaced.
    pub suspected: bool,
}

impl<'b> View<'b> {
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// What is there of a range.
    fn part(&self, start: u64, end: u64) -> &'b [u8] {
        let index = |at: u64| {
            let index = usize::try_from(at.saturating_sub(self.base));
            index.unwrap_or(usize::MAX).min(self.bytes.len())
        };
        &self.bytes[index(start)..index(end)]
    }
}

/// A message that the walk is in.
#[derive(Debug, Clone, Copy)]
struct Frame {
    shape: u16,
    end: u64,
    /// What the keys say that were seen.
    verdict: Verdict,
    /// All keys were seen before the walk began.
    judged: bool,
}

/// A field that is done in parts.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    end: u64,
    done: Done,
}

#[derive(Debug, Clone, Copy)]
enum Done {
    /// It is replaced.
    Hide { why: Why, begun: bool },
    /// Tokens are looked for.
    Scan { inside: Option<Run> },
}

/// The walk through one message.
#[derive(Debug, Default)]
pub(super) struct Walk {
    frames: Vec<Frame>,
    leaf: Option<Leaf>,
    /// Everything before it is done with.
    pos: u64,
    begun: bool,
}

impl Walk {
    pub fn pos(&self) -> u64 {
        self.pos
    }

    /// Goes on with another message.
    pub fn restart(&mut self) {
        self.frames.clear();
        self.leaf = None;
        self.pos = 0;
        self.begun = false;
    }

    /// Goes as far as the bytes reach in a message of `length` bytes. What is to
    /// be replaced is added to `parts`, in order.
    pub fn advance(
        &mut self,
        policy: &Policy,
        root: u16,
        length: u64,
        view: View<'_>,
        parts: &mut Vec<Part>,
    ) -> Result<(), Broken> {
        if !self.begun {
            self.begun = self.enter(policy, root, 0, length, view)?;
        }
        if !self.begun {
            return Ok(());
        }
        loop {
            if self.leaf.is_some() {
                if !self.continue_leaf(view, parts) {
                    return Ok(());
                }
                continue;
            }
            let Some(frame) = self.frames.last().copied() else {
                return Ok(());
            };
            if frame.end == self.pos {
                self.frames.pop();
                continue;
            }
            let mut available = view.part(self.pos, frame.end);
            let mut field = next_field(available);
            while let Field::Number { len } = field {
                self.pos += len as u64;
                available = &available[len..];
                if available.is_empty() {
                    break;
                }
                field = next_field(available);
            }
            match field {
                // It was the last one.
                Field::Number { .. } => {}
                Field::Fixed { head, len } => {
                    // etcd has no such fields.
                    let (start, end) = (self.pos + head as u64, self.pos + len as u64);
                    parts.push(Part::whole(start, end, Why::UnknownField));
                    self.pos = end;
                }
                Field::Bytes { number, head, len } => {
                    let start = self.pos + head as u64;
                    let end = start.checked_add(len).filter(|end| *end <= frame.end);
                    let end = end.ok_or(Broken)?;
                    if !self.field(policy, frame, number, start..end, view, parts)? {
                        return Ok(());
                    }
                }
                Field::Short if frame.end <= view.end() => return Err(Broken),
                Field::Short => return Ok(()),
                Field::Broken => return Err(Broken),
            }
        }
    }

    /// Enters a message, unless it has to be waited for.
    fn enter(
        &mut self,
        policy: &Policy,
        shape: u16,
        start: u64,
        end: u64,
        view: View<'_>,
    ) -> Result<bool, Broken> {
        if self.frames.len() == DEEPEST {
            return Err(Broken);
        }
        let known = Shapes::built_in().shape(shape);
        let here = end <= view.end();
        if known.bears_value && !here && end - start <= MOST_HELD as u64 {
            return Ok(false);
        }
        let judged = known.bears_value && here;
        self.frames.push(Frame {
            shape,
            end,
            verdict: match judged {
                true => judge_message(policy, known, view.part(start, end)),
                false => Verdict::NoKey,
            },
            judged,
        });
        self.pos = start;
        Ok(true)
    }

    /// Does a length-delimited field, unless it has to be waited for.
    fn field(
        &mut self,
        policy: &Policy,
        frame: Frame,
        number: u32,
        range: std::ops::Range<u64>,
        view: View<'_>,
        parts: &mut Vec<Part>,
    ) -> Result<bool, Broken> {
        let std::ops::Range { start, end } = range;
        let shape = Shapes::built_in().shape(frame.shape);
        let role = shape.role(number);
        let here = end <= view.end();
        let available = view.part(start, end);
        if let Role::Nested(inner) = role {
            if shape.bears_value && !frame.judged {
                // A message with a key for the values beside it: they are small.
                if !here && end - start <= MOST_HELD as u64 {
                    return Ok(false);
                }
                self.note(match here {
                    true => judge_field(policy, role, available),
                    false => Verdict::Hide(policy.keyless()),
                });
            }
            return self.enter(policy, inner, start, end, view);
        }
        if !here && (end - start <= MOST_HELD as u64 || available.len() < HEAD) {
            return Ok(false);
        }
        let hidden = match role {
            Role::Unknown => Some(Why::UnknownField),
            Role::Value => judge_value(policy, frame.verdict, available, !here),
            Role::Key | Role::Election | Role::RangeEnd if shape.bears_value && !frame.judged => {
                self.note(match here {
                    true => judge_field(policy, role, available),
                    false => Verdict::Hide(policy.keyless()),
                });
                None
            }
            _ => None,
        };
        match hidden {
            Some(why) if here => {
                if start < end {
                    parts.push(Part::whole(start, end, why));
                }
                self.pos = end;
            }
            None if here => {
                if view.suspected {
                    scan(available, start, role == Role::Value, parts);
                }
                self.pos = end;
            }
            hidden => {
                let done = match hidden {
                    Some(why) => Done::Hide { why, begun: false },
                    None => Done::Scan { inside: None },
                };
                self.leaf = Some(Leaf { end, done });
                self.pos = start;
            }
        }
        Ok(true)
    }

    /// A key of the message at hand was seen.
    fn note(&mut self, verdict: Verdict) {
        if let Some(frame) = self.frames.last_mut() {
            frame.verdict = frame.verdict.and(verdict);
        }
    }

    /// Goes on in a field; gives whether it is done.
    fn continue_leaf(&mut self, view: View<'_>, parts: &mut Vec<Part>) -> bool {
        let Some(Leaf { end, done }) = &mut self.leaf else {
            return true;
        };
        let (start, end) = (self.pos, *end);
        let last = end <= view.end();
        match done {
            Done::Hide { why, begun } => {
                let until = end.min(view.end());
                if start < until || last {
                    parts.push(Part {
                        start,
                        end: until,
                        why: *why,
                        begins: !*begun,
                        ends: last,
                    });
                    *begun = true;
                }
                self.pos = until;
            }
            Done::Scan { inside } => {
                let available = view.part(start, end);
                let until = match last {
                    true => available.len(),
                    false => available.len().saturating_sub(LOOKAHEAD),
                };
                let done = if view.suspected || inside.is_some() {
                    let mut search = Search::part(available, until, inside.take());
                    for found in search.by_ref() {
                        let at = |index: usize| start + index as u64;
                        parts.push(Part::whole(at(found.start), at(found.end), Why::Token));
                    }
                    let (done, run) = search.rest();
                    *inside = run;
                    done
                } else {
                    until
                };
                self.pos = start + done as u64;
            }
        }
        if last {
            self.leaf = None;
        }
        last
    }
}

/// Looks for tokens in a field that is there as a whole.
fn scan(bytes: &[u8], start: u64, is_value: bool, parts: &mut Vec<Part>) {
    let mut search = Search::new(bytes);
    while let Some(mut found) = search.next() {
        // The byte behind a token may look like one of it, where it is the tag of
        // the next field of an object.
        if is_value {
            let end = text_end(bytes, found.start);
            if end < found.end {
                found.end = end;
                search.ended_at(end);
            }
        }
        let at = |index: usize| start + index as u64;
        parts.push(Part::whole(at(found.start), at(found.end), Why::Token));
    }
}
