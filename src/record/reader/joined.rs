//! Great messages, put together again from their parts.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

use super::item::{Item, Message, Part, Path};
use crate::http2::Side;
use crate::record::container::Times;
use crate::record::schema::Channels;

/// Messages that are being put together at a time. Beyond it the one that began
/// first comes as its parts.
const MOST_AT_A_TIME: usize = 1024;

/// Joins the parts of messages. What is not a part passes at once, so that a
/// joined message may come after items that are younger than its first part.
#[derive(Debug)]
pub struct Joined<I> {
    items: I,
    /// Of a message, in bytes.
    most: usize,
    open: FxHashMap<Whose, Open>,
    /// Numbers of what is in `open`, and its bytes.
    begun: u64,
    bytes: usize,
    /// To come next.
    ready: VecDeque<Item>,
}

/// Whose parts: connection, stream, side, index.
type Whose = (u64, u32, i32, u64);

#[derive(Debug)]
struct Open {
    number: u64,
    bytes: usize,
    parts: Vec<Part>,
    /// It is too great, or its parts do not fit: they come one by one.
    given_up: bool,
}

impl<I> Joined<I> {
    /// Joins messages of at most `most` bytes, and never keeps more than four
    /// times as much at once.
    pub fn new(items: I, most: usize) -> Joined<I> {
        Joined {
            items,
            most,
            open: FxHashMap::default(),
            begun: 0,
            bytes: 0,
            ready: VecDeque::new(),
        }
    }

    /// What the items come from.
    pub fn items(&mut self) -> &mut I {
        &mut self.items
    }

    /// What the items came from.
    pub fn into_items(self) -> I {
        self.items
    }

    fn handle(&mut self, part: Part) {
        let meta = &part.meta;
        let whose = (meta.connection, meta.stream, meta.from, meta.index);
        let length = part.data.len();
        let last = part.last;
        if part.offset == 0 && last {
            self.ready.push_back(message([part].into()));
            return;
        }
        let (most, begun) = (self.most, self.begun);
        let open = self.open.entry(whose).or_insert_with(|| Open {
            number: begun,
            bytes: 0,
            parts: Vec::new(),
            given_up: false,
        });
        if open.number == begun {
            self.begun += 1;
        }
        let fits = part.offset == open.bytes as u64 && open.bytes + length <= most;
        open.given_up |= !fits;
        open.bytes = open.bytes.saturating_add(length);
        if open.given_up {
            self.bytes -= open.parts.iter().map(|part| part.data.len()).sum::<usize>();
            let parts = open.parts.drain(..).map(|part| Item::Part(Box::new(part)));
            self.ready.extend(parts);
            self.ready.push_back(Item::Part(Box::new(part)));
            if last {
                self.open.remove(&whose);
            }
        } else {
            self.bytes += length;
            open.parts.push(part);
            if last && let Some(open) = self.open.remove(&whose) {
                self.bytes -= length_of(&open.parts);
                self.ready.push_back(message(open.parts));
            }
        }
        while self.open.len() > MOST_AT_A_TIME || self.bytes > self.most.saturating_mul(4) {
            self.give_up_first();
        }
    }

    /// Lets go of the message that began first.
    fn give_up_first(&mut self) {
        let first = self.open.iter().min_by_key(|(_, open)| open.number);
        let Some((&whose, _)) = first else { return };
        if let Some(open) = self.open.remove(&whose) {
            self.bytes -= length_of(&open.parts);
            let parts = open.parts.into_iter();
            self.ready
                .extend(parts.map(|part| Item::Part(Box::new(part))));
        }
    }
}

fn length_of(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.data.len()).sum()
}

/// A message from all its parts, in order.
fn message(parts: Vec<Part>) -> Item {
    let began = parts.first().map_or(0, |part| part.times.began);
    let data = match parts.as_slice() {
        [only] => only.data.clone(),
        parts => {
            let mut data = BytesMut::with_capacity(length_of(parts));
            for part in parts {
                data.extend_from_slice(&part.data);
            }
            data.freeze()
        }
    };
    let last = parts.into_iter().next_back();
    let (meta, path, whole) = last.map_or_else(Default::default, |last| {
        (last.meta, last.path, last.times.whole)
    });
    let known = meta.from().side().and_then(|from: Side| {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        Channels::all().of_method(service, method, from)
    });
    Item::Message(Box::new(Message {
        times: Times { whole, began },
        meta,
        path: match known {
            Some(id) => Path::Known(id),
            None => Path::Other(path),
        },
        data,
    }))
}

impl<I, E> Iterator for Joined<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    type Item = Result<Item, E>;

    fn next(&mut self) -> Option<Result<Item, E>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            match self.items.next() {
                Some(Ok(Item::Part(part))) => self.handle(*part),
                Some(other) => return Some(other),
                // What never became whole comes as far as it did.
                None if self.open.is_empty() => return None,
                None => self.give_up_first(),
            }
        }
    }
}

impl Item {
    /// The bytes of a message, or of a part of one.
    pub fn data(&self) -> Option<&Bytes> {
        match self {
            Item::Message(message) => Some(&message.data),
            Item::Part(part) => Some(&part.data),
            _ => None,
        }
    }
}
