//! The replacing of what may not stand in a file, in one message.

use std::sync::Arc;

use super::findings::{Findings, Redacted, Why};
use super::key::{FILL, Hashing, TAG_LEN, tag, told};
use super::method::{Plan, Treatment, plan, plan_of_http1};
use super::policy::Policy;
pub use super::walk::MOST_HELD;
use super::walk::{Broken, Part, View, Walk};
use crate::http2::Side;
use crate::kube::token;

/// Replaces what may not stand in a file in one message of a call.
///
/// The message comes in one piece or in several ([`push`]), and as many bytes
/// are given back at the same places. Of a message in several pieces up to
/// [`MOST_HELD`] bytes are held back until the next piece, or until the end
/// ([`finish`]). A message that comes as a whole is checked before anything of
/// it is given out; of one in pieces that turns out to be no protobuf, the rest
/// is replaced.
///
/// [`push`]: Redactor::push
/// [`finish`]: Redactor::finish
#[derive(Debug)]
pub struct Redactor {
    policy: Arc<Policy>,
    plan: Plan,
    /// Bytes that the message has; nobody knows it of HTTP/1.1's contents.
    length: Option<u64>,
    came: u64,
    /// All before it was looked at.
    done: u64,
    walk: Walk,
    /// What the walk finds, until it is replaced.
    parts: Vec<Part>,
    /// Bytes that were not given out.
    held: Vec<u8>,
    /// Where they begin in the message.
    base: u64,
    /// The range that is being replaced.
    open: Option<Open>,
    /// What came is no protobuf, and all that follows is replaced.
    broken: bool,
    findings: Findings,
}

/// A range that has begun.
#[derive(Debug, Clone)]
struct Open {
    start: u64,
    end: u64,
    why: Why,
    hashing: Hashing,
}

impl Redactor {
    /// A redactor for a message of `length` bytes that `from` sends on a call of
    /// `service` and `method` (the two parts of its path). `compressed` and
    /// `length` are those of its prefix.
    pub fn begin(
        policy: &Arc<Policy>,
        service: &str,
        method: &str,
        from: Side,
        compressed: bool,
        length: u64,
    ) -> Redactor {
        let plan = plan(policy, service, method, from, compressed);
        Redactor::new(policy, plan, Some(length))
    }

    /// A redactor for the content of a plain HTTP request with this target, or
    /// for that of its answer; its length need not be known.
    pub fn begin_http1(policy: &Arc<Policy>, target: &str, length: Option<u64>) -> Redactor {
        Redactor::new(policy, plan_of_http1(target), length)
    }

    /// A redactor for a message of which it is known already what becomes of it.
    pub(in crate::record) fn new(
        policy: &Arc<Policy>,
        plan: Plan,
        length: Option<u64>,
    ) -> Redactor {
        Redactor {
            policy: Arc::clone(policy),
            plan,
            length,
            came: 0,
            done: 0,
            walk: Walk::default(),
            parts: Vec::new(),
            held: Vec::new(),
            base: 0,
            open: None,
            broken: false,
            findings: Findings::default(),
        }
    }

    /// Goes on with another message of the same recording, and its memory.
    pub(in crate::record) fn restart(&mut self, plan: Plan, length: u64) {
        self.plan = plan;
        self.length = Some(length);
        (self.came, self.done, self.base) = (0, 0, 0);
        self.walk.restart();
        self.parts.clear();
        self.held.clear();
        self.open = None;
        self.broken = false;
        self.findings = Findings::default();
    }

    /// What becomes of the message.
    pub fn treatment(&self) -> Treatment {
        self.plan.into()
    }

    /// Bytes of memory that are held until the next piece.
    pub fn held(&self) -> usize {
        self.held.capacity()
    }

    /// Takes the message's next piece, and leaves in it what may stand in a
    /// file: of a message with [`Treatment::Never`] nothing at all.
    pub fn push(&mut self, piece: &mut Vec<u8>) {
        let first = self.came == 0;
        self.came += piece.len() as u64;
        match self.plan {
            Plan::Keep => {}
            Plan::Never => piece.clear(),
            Plan::Redact(shape) if first && self.length == Some(piece.len() as u64) => {
                self.redact_whole(shape, piece);
            }
            Plan::Redact(shape) => self.in_pieces(piece, |redactor| redactor.redact(shape)),
            Plan::LengthAndHash if first && self.length == Some(piece.len() as u64) => {
                self.hide_whole(piece);
            }
            Plan::LengthAndHash => self.in_pieces(piece, Redactor::hide_rest),
        }
    }

    /// The message is over, whole or not: `rest` becomes what was held back.
    pub fn finish(mut self, rest: &mut Vec<u8>) -> Findings {
        self.end(rest)
    }

    /// [`Redactor::finish`], for one that is restarted.
    pub(in crate::record) fn end(&mut self, rest: &mut Vec<u8>) -> Findings {
        rest.clear();
        match self.plan {
            Plan::Never if self.came > 0 => self.findings.add(Redacted {
                offset: 0,
                length: self.came,
                hash: None,
                why: Why::Credentials,
            }),
            Plan::Keep | Plan::Never => {}
            Plan::Redact(_) | Plan::LengthAndHash => {
                if self.done < self.came {
                    // A field that was cut off: what it would have been, nobody
                    // can say.
                    self.close();
                    self.hide_rest();
                }
                self.close();
                std::mem::swap(rest, &mut self.held);
            }
        }
        self.findings.whole = self.length.is_none_or(|length| length == self.came);
        std::mem::take(&mut self.findings)
    }

    fn redact_whole(&mut self, shape: u16, message: &mut Vec<u8>) {
        let view = View {
            bytes: message,
            base: 0,
            suspected: self.policy.hides_tokens() && token::suspected(message),
        };
        let length = message.len() as u64;
        let walked = (self.walk).advance(&self.policy, shape, length, view, &mut self.parts);
        match walked {
            Ok(()) => {
                let mut parts = std::mem::take(&mut self.parts);
                for part in parts.drain(..) {
                    self.replace(part, message);
                }
                self.parts = parts;
                (self.done, self.base) = (length, length);
            }
            Err(Broken) => self.hide_whole(message),
        }
    }

    fn hide_whole(&mut self, message: &mut [u8]) {
        let part = Part {
            start: 0,
            end: message.len() as u64,
            why: Why::Undecodable,
            begins: true,
            ends: true,
        };
        self.replace(part, message);
        self.base = self.done;
    }

    /// Puts a piece behind what is held, does what can be done, and gives out
    /// what is done with.
    fn in_pieces(&mut self, piece: &mut Vec<u8>, act: impl FnOnce(&mut Redactor)) {
        if self.held.is_empty() {
            std::mem::swap(&mut self.held, piece);
        } else {
            self.held.append(piece);
        }
        act(self);
        let until = match &self.open {
            // The hash will stand in the last bytes of the range.
            Some(open) => open.start.max(open.end.saturating_sub(TAG_LEN as u64)),
            None => self.done,
        };
        // It was counted from the bytes at hand.
        let given = (until - self.base) as usize;
        *piece = self.held.split_off(given);
        std::mem::swap(piece, &mut self.held);
        self.base = until;
    }

    fn redact(&mut self, shape: u16) {
        let length = self.length.unwrap_or(0);
        if !self.broken && self.came <= length {
            let mut parts = std::mem::take(&mut self.parts);
            let bytes = std::mem::take(&mut self.held);
            let undone = (self.done - self.base) as usize;
            let view = View {
                bytes: &bytes,
                base: self.base,
                suspected: self.policy.hides_tokens() && token::suspected(&bytes[undone..]),
            };
            let walked = (self.walk).advance(&self.policy, shape, length, view, &mut parts);
            self.held = bytes;
            self.replace_all(&mut parts);
            self.parts = parts;
            self.done = self.walk.pos();
            if walked.is_ok() {
                return;
            }
        }
        // Longer than its prefix said, or no protobuf.
        if !self.broken {
            self.broken = true;
            self.close();
        }
        self.hide_rest();
    }

    /// Replaces all that was not looked at, and goes on with that range.
    fn hide_rest(&mut self) {
        let part = Part {
            start: self.done,
            end: self.came,
            why: Why::Undecodable,
            begins: self.open.is_none(),
            ends: self.length == Some(self.came),
        };
        self.replace_all(&mut vec![part]);
    }

    fn replace_all(&mut self, parts: &mut Vec<Part>) {
        let mut held = std::mem::take(&mut self.held);
        for part in parts.drain(..) {
            self.replace(part, &mut held);
        }
        self.held = held;
    }

    /// Replaces a part of the bytes at hand.
    fn replace(&mut self, part: Part, bytes: &mut [u8]) {
        let index = |at: u64| (at - self.base) as usize;
        let range = &mut bytes[index(part.start)..index(part.end)];
        if part.begins || self.open.is_none() {
            self.open = Some(Open {
                start: part.start,
                end: part.start,
                why: part.why,
                hashing: self.policy.key.hashing(),
            });
        }
        if let Some(open) = &mut self.open {
            open.hashing.update(range);
            open.end = part.end;
            range.fill(FILL);
            self.done = part.end;
        }
        if part.ends {
            self.close_in(bytes);
        }
    }

    /// Ends the range that is being replaced, where it has come to.
    fn close(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        self.close_in(&mut held);
        self.held = held;
    }

    fn close_in(&mut self, bytes: &mut [u8]) {
        let Some(open) = self.open.take() else {
            return;
        };
        let length = open.end - open.start;
        let hash = told(open.hashing.finish(), length);
        if let Some(hash) = hash {
            // As many bytes as the hash takes were held back.
            let end = (open.end - self.base) as usize;
            let start = open.start.max(open.end.saturating_sub(TAG_LEN as u64));
            tag(&mut bytes[(start - self.base) as usize..end], hash);
        }
        if length > 0 {
            self.findings.add(Redacted {
                offset: open.start,
                length,
                hash,
                why: open.why,
            });
        }
    }
}
