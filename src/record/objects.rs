//! The objects that lines of a recording are about: the value that a call put or
//! read, or that an event brought, and the one before it.
//!
//! A line says which key, which call and which revision; the values are in the
//! messages. So a recording is asked three times: for the lines that are shown,
//! for all lines about their keys, and for the messages of those.

mod lists;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::{FxHashMap, FxHashSet};

use super::reader::{AnyOf, Asked, Item, Joined, Line, Message, Query, Recordings, Refusal, Wants};
use super::schema::v1::log_line::Form;
use super::schema::v1::{Hidden, LogLine};
use crate::etcd::schema::etcdserverpb::request_op::Request as AskedOp;
use crate::etcd::schema::etcdserverpb::response_op::Response as AnsweredOp;
use crate::etcd::schema::etcdserverpb::{
    PutRequest, PutResponse, RangeResponse, TxnRequest, TxnResponse, WatchResponse,
};
use crate::etcd::schema::mvccpb::KeyValue;
use crate::http2::Side;

/// Keys whose objects are looked for at a time.
pub const MOST_KEYS: usize = 1000;

/// The greatest message that is looked into.
const MOST_MESSAGE: usize = 64 * 1024 * 1024;

/// Bytes of values that are kept at a time; the oldest revisions go first.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// How long before or after its line a message may have been whole.
const SLACK: u64 = 2_000_000_000;

/// A value as a recording has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The revision at which it was written.
    pub revision: i64,
    /// The value; stars where it was hidden.
    pub value: Bytes,
    /// It was hidden, or a part of it.
    pub hidden: bool,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// The value after it.
    Now(Stored),
    /// It deleted the key; this is what it deleted, where that is known.
    Deleted(Option<Stored>),
    /// The messages that would tell are not in the recording.
    Unknown,
    /// It is not about one object.
    None,
}

/// All values of some keys that a recording has.
#[derive(Debug, Default)]
pub struct Objects {
    by_key: FxHashMap<Bytes, BTreeMap<i64, Stored>>,
    bytes: usize,
    /// What an event itself says was there before: key and revision, and the
    /// revision before.
    follows: FxHashMap<(Bytes, i64), i64>,
}

/// The calls whose messages carry values: connection and stream, with what their
/// messages do not say themselves.
#[derive(Debug, Default)]
struct Carriers {
    calls: FxHashMap<(u64, u32), Carried>,
    keys: FxHashSet<Bytes>,
    windows: Vec<Range<u64>>,
}

#[derive(Debug, Default)]
struct Carried {
    /// The revision at which its write was committed.
    written: Option<i64>,
}

impl Objects {
    /// Finds all values of the keys of these lines: at most [`MOST_KEYS`] of them.
    ///
    /// # Errors
    /// If the recording cannot be read any more.
    pub fn find<'l>(
        recordings: &Recordings,
        lines: impl IntoIterator<Item = &'l Line>,
    ) -> Result<Objects, Refusal> {
        let mut carriers = Carriers::default();
        for line in lines {
            if let Some(key) = key_of(&line.line)
                && carriers.keys.len() < MOST_KEYS
            {
                carriers.keys.insert(key.clone());
            }
        }
        let mut objects = Objects::default();
        if carriers.keys.is_empty() {
            return Ok(objects);
        }
        let keys = carriers.keys.iter();
        let query = Query {
            terms: vec![AnyOf(keys.map(|key| Asked::Key(key[..].into())).collect())],
            ..Query::all(Wants::LINES)
        };
        for item in recordings.read(query) {
            if let Item::Line(line) = item? {
                carriers.add(&line);
            }
        }
        objects.take_from(recordings, carriers)?;
        Ok(objects)
    }

    /// Takes the values from the messages of those calls.
    fn take_from(
        &mut self,
        recordings: &Recordings,
        mut carriers: Carriers,
    ) -> Result<(), Refusal> {
        let query = Query {
            within: Some(joined(carriers.windows.drain(..).collect())),
            ..Query::all(Wants {
                lines: false,
                messages: true,
                headers: false,
            })
        };
        for item in Joined::new(recordings.read(query), MOST_MESSAGE) {
            if let Item::Message(message) = item? {
                self.add(&message, &carriers);
            }
        }
        Ok(())
    }

    /// Whether a line is about one object.
    pub fn is_one(line: &LogLine) -> bool {
        key_of(line).is_some()
    }

    /// The object that a line is about.
    pub fn of(&self, line: &LogLine) -> Object {
        let Some(key) = key_of(line) else {
            return Object::None;
        };
        let at = revision_of(line);
        match (is_deletion(line), at) {
            (true, at) => Object::Deleted(at.and_then(|at| self.before(key, at)).cloned()),
            (false, Some(at)) => match self.at(key, at) {
                Some(stored) => Object::Now(stored.clone()),
                None => Object::Unknown,
            },
            (false, None) => Object::Unknown,
        }
    }

    /// The value of the line's key before what the line tells, and whether it is
    /// surely the one right before.
    pub fn previous(&self, line: &LogLine) -> Option<(&Stored, bool)> {
        let key = key_of(line)?;
        let at = revision_of(line)?;
        let before = self.before(key, at)?;
        let named = line.if_revision.filter(|revision| *revision > 0);
        let told = self.follows.get(&(key.clone(), at)).copied();
        // Where a write's guard or an event named it, there is no doubt.
        Some((before, named.or(told) == Some(before.revision)))
    }

    fn at(&self, key: &[u8], revision: i64) -> Option<&Stored> {
        self.by_key.get(key)?.get(&revision)
    }

    fn before(&self, key: &[u8], revision: i64) -> Option<&Stored> {
        let versions = self.by_key.get(key)?;
        versions.range(..revision).next_back().map(|(_, one)| one)
    }

    fn add(&mut self, message: &Message, carriers: &Carriers) {
        let meta = &message.meta;
        if meta.compressed || meta.cut {
            return;
        }
        let Some(carried) = carriers.calls.get(&(meta.connection, meta.stream)) else {
            return;
        };
        let data = || message.data.clone();
        let path = message.path.text();
        let mut follows = Vec::new();
        let mut take = |kv: KeyValue| self.keep(kv, message, carriers);
        match (&*path, message.from()) {
            ("/etcdserverpb.KV/Put", Some(Side::Client)) => {
                if let (Ok(put), Some(written)) = (PutRequest::decode(data()), carried.written) {
                    take(of_put(put, written));
                }
            }
            ("/etcdserverpb.KV/Put", Some(Side::Server)) => {
                if let Ok(answer) = PutResponse::decode(data()) {
                    answer.prev_kv.into_iter().for_each(take);
                }
            }
            ("/etcdserverpb.KV/Txn", Some(Side::Client)) => {
                if let (Ok(txn), Some(written)) = (TxnRequest::decode(data()), carried.written) {
                    for op in txn.success {
                        if let Some(AskedOp::RequestPut(put)) = op.request {
                            take(of_put(put, written));
                        }
                    }
                }
            }
            ("/etcdserverpb.KV/Txn", Some(Side::Server)) => {
                let Ok(answer) = TxnResponse::decode(data()) else {
                    return;
                };
                for op in answer.responses {
                    match op.response {
                        Some(AnsweredOp::ResponseRange(range)) => {
                            range.kvs.into_iter().for_each(&mut take);
                        }
                        Some(AnsweredOp::ResponsePut(put)) => {
                            put.prev_kv.into_iter().for_each(&mut take);
                        }
                        Some(AnsweredOp::ResponseDeleteRange(deleted)) => {
                            deleted.prev_kvs.into_iter().for_each(&mut take);
                        }
                        _ => {}
                    }
                }
            }
            ("/etcdserverpb.KV/Range", Some(Side::Server)) => {
                if let Ok(answer) = RangeResponse::decode(data()) {
                    answer.kvs.into_iter().for_each(take);
                }
            }
            ("/etcdserverpb.Watch/Watch", Some(Side::Server)) => {
                let Ok(answer) = WatchResponse::decode(data()) else {
                    return;
                };
                for event in answer.events {
                    if let (Some(kv), Some(prev_kv)) = (&event.kv, &event.prev_kv)
                        && carriers.keys.contains(&kv.key)
                    {
                        // A copy: the key is a part of the whole message.
                        let key = Bytes::copy_from_slice(&kv.key);
                        follows.push((key, kv.mod_revision, prev_kv.mod_revision));
                    }
                    let is_put = event.r#type == 0;
                    event.kv.filter(|_| is_put).into_iter().for_each(&mut take);
                    event.prev_kv.into_iter().for_each(&mut take);
                }
            }
            _ => {}
        }
        for (key, revision, before) in follows {
            self.follows.insert((key, revision), before);
        }
    }

    /// Keeps a value of a key that is looked for.
    fn keep(&mut self, kv: KeyValue, message: &Message, carriers: &Carriers) {
        if kv.mod_revision <= 0 || !carriers.keys.contains(&kv.key) {
            return;
        }
        let hidden = is_hidden(&kv.value, message);
        let length = kv.value.len();
        // The key is a part of the message; it is not to keep it whole.
        let key = match self.by_key.contains_key(&kv.key) {
            true => kv.key,
            false => Bytes::copy_from_slice(&kv.key),
        };
        let versions = self.by_key.entry(key).or_default();
        if let Some(known) = versions.get(&kv.mod_revision)
            && (!known.hidden || hidden)
        {
            return;
        }
        let before = versions.insert(
            kv.mod_revision,
            Stored {
                revision: kv.mod_revision,
                value: Bytes::copy_from_slice(&kv.value),
                hidden,
            },
        );
        self.bytes += length;
        self.bytes -= before.map_or(0, |before| before.value.len());
        while self.bytes > MOST_BYTES && versions.len() > 1 {
            let oldest = versions.pop_first();
            self.bytes -= oldest.map_or(0, |(_, oldest)| oldest.value.len());
        }
    }
}

impl Carriers {
    fn add(&mut self, line: &Line) {
        let at = line.at;
        let line = &line.line;
        let Some(key) = line.key.as_ref().filter(|key| self.keys.contains(*key)) else {
            return;
        };
        // Such a read brings no value.
        if key_of(line) != Some(key) || line.keys_only || line.count_only {
            return;
        }
        self.carry(at, line);
    }

    /// The messages of this line's call are looked into.
    fn carry(&mut self, at: u64, line: &LogLine) {
        let carried = self
            .calls
            .entry((line.conn, line.stream.unwrap_or(0)))
            .or_default();
        let wrote = matches!(line.asked(), Form::Put | Form::Txn)
            && (line.committed || line.status.as_deref() == Some("OK"))
            && line.guards_held != Some(false);
        if wrote && !is_deletion(line) {
            carried.written = line.revision;
        }
        let took = match line.event.as_str() {
            "call" => line.duration_us.unwrap_or(0).saturating_mul(1000),
            _ => line.held_us.unwrap_or(0).saturating_mul(1000),
        };
        let from = at.saturating_sub(took).saturating_sub(SLACK);
        self.windows.push(from..at.saturating_add(SLACK));
    }
}

/// The key of a line that is about one.
fn key_of(line: &LogLine) -> Option<&Bytes> {
    let is_one = line.range_end.is_none() && matches!(line.event.as_str(), "call" | "watch_event");
    line.key.as_ref().filter(|key| is_one && !key.is_empty())
}

/// The revision of the object that a line is about.
fn revision_of(line: &LogLine) -> Option<i64> {
    match (line.event.as_str(), line.asked()) {
        ("watch_event", _) => line.revision,
        (_, Form::Range) => line.mod_revision,
        // A write that was refused was answered what is there.
        (_, Form::Txn) if line.guards_held == Some(false) => line.mod_revision,
        (_, Form::Put | Form::Txn | Form::DeleteRange) => line.revision,
        _ => None,
    }
}

fn is_deletion(line: &LogLine) -> bool {
    line.verb.as_deref() == Some("delete") || line.r#type.as_deref() == Some("DELETE")
}

fn of_put(put: PutRequest, revision: i64) -> KeyValue {
    KeyValue {
        key: put.key,
        value: put.value,
        mod_revision: revision,
        ..KeyValue::default()
    }
}

/// Whether anything of a value, which is a part of the message, was hidden.
fn is_hidden(value: &Bytes, message: &Message) -> bool {
    if message.meta.more_hidden > 0 {
        return true;
    }
    // Bytes of the same buffer: where they begin says where they stand.
    let start = (value.as_ptr() as usize).wrapping_sub(message.data.as_ptr() as usize) as u64;
    let end = start.saturating_add(value.len() as u64);
    let within = |hidden: &Hidden| {
        hidden.offset < end && hidden.offset.saturating_add(hidden.length) > start
    };
    !value.is_empty() && message.meta.hidden.iter().any(within)
}

/// Windows in order, those that touch joined.
fn joined(mut windows: Vec<Range<u64>>) -> Vec<Range<u64>> {
    windows.sort_by_key(|window| window.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for window in windows {
        match joined.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => joined.push(window),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
