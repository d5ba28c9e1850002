//! From pieces to records: whole messages, redacted, each in its envelope.
//!
//! Sans-io, on the recorder's thread: batches go in, records come out. A message
//! that came in one batch is never copied more than once; one that did not is put
//! together, up to [`WHOLE_MOST`]; a greater one comes out in parts.

mod open;
mod told;

use std::sync::Arc;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use rustc_hash::{FxHashMap, FxHashSet};

use super::batch::{Lane, Op, Ops, fields};
use super::container::Times;
use super::contents::{self, Contents};
use super::redact::{Findings, Plan, Policy, Redactor, Treatment, Why, plan};
use super::schema::ChannelId;
use super::schema::v1::{self, Headers, Meta, Part};
use crate::http1::Piece;
use crate::http2::{Side, StreamId};
use open::{Begun, Block, Connection, Open, Parts};
use told::{field, meta, method, says_only_ok};

pub(super) use told::reason;

/// The greatest message that is one record, in bytes.
pub const WHOLE_MOST: u32 = 4 * 1024 * 1024;

/// How long a part of a greater one is, about.
const PART: usize = 1024 * 1024;

/// Bytes of messages that are being put together, of all connections. With more,
/// they come out in parts.
const OPEN_MOST: usize = 64 * 1024 * 1024;

/// Header blocks that are remembered of a connection, for the next file; where every
/// call has a block of its own (`traceparent`), the latest half of them.
const BLOCKS_MOST: usize = 1024;

/// Takes a record.
pub trait Sink {
    /// A record for `channel`.
    fn record(&mut self, channel: ChannelId, times: Times, data: &[u8]);
}

/// Puts messages together.
#[derive(Debug)]
pub struct Assembly {
    policy: Arc<Policy>,
    /// What becomes of the messages of a channel, once it was asked for.
    plans: FxHashMap<u16, Plan>,
    /// For messages that are there as a whole.
    redactor: Redactor,
    connections: FxHashMap<u64, Connection>,
    contents: Contents,
    /// Header blocks that the file at hand holds.
    written: FxHashSet<u64>,
    /// Bytes that wait for the rest of their messages.
    open: usize,
    /// The wall clock at the recorder's beginning, in nanoseconds since 1970.
    epoch: u64,
    scratch: Vec<u8>,
    piece: Vec<u8>,
}

impl Assembly {
    /// For a recording whose times count from `epoch`, in nanoseconds since 1970.
    pub fn new(policy: Arc<Policy>, epoch: u64) -> Assembly {
        Assembly {
            plans: FxHashMap::default(),
            redactor: Redactor::new(&policy, Plan::LengthAndHash, None),
            policy,
            connections: FxHashMap::default(),
            contents: Contents::default(),
            written: FxHashSet::default(),
            open: 0,
            epoch,
            scratch: Vec::new(),
            piece: Vec::new(),
        }
    }

    /// The wall clock was looked at again: times count from `epoch` now.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Bytes of memory that messages take which are not whole. Of one message they are
    /// at most [`WHOLE_MOST`] and a piece, and if it is greater, a quarter of that.
    pub fn held(&self) -> usize {
        let lanes = self
            .connections
            .values()
            .flat_map(|known| known.open.values());
        let of_parts = |open: &Open| open.parts.as_ref().map_or(0, |parts| parts.redactor.held());
        lanes
            .map(|open| open.bytes.capacity() + of_parts(open))
            .sum()
    }

    /// A new file begins: header blocks have to be written again.
    pub fn begin_file(&mut self) {
        self.written.clear();
    }

    /// Nothing more comes of a connection.
    pub fn gone(&mut self, connection: u64, sink: &mut impl Sink) {
        for over in self.contents.gone(connection) {
            let at = over.1;
            self.give_content(over, at, sink);
        }
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        // What was cut still refers to the connection's header blocks.
        for (lane, open) in std::mem::take(&mut known.open) {
            let at = open.begun.at;
            self.cut(connection, lane, open, at, sink);
        }
        if let Some(gone) = self.connections.remove(&connection) {
            for block in gone.blocks.keys() {
                self.written.remove(block);
            }
        }
    }

    /// What passed on a connection.
    pub fn take(&mut self, connection: u64, batch: &[u8], sink: &mut impl Sink) {
        let mut ops = Ops::new(batch);
        while let Some(op) = ops.next() {
            match op {
                Op::Head {
                    of,
                    trailers,
                    id,
                    at,
                    fields,
                } => self.head(connection, of, (trailers, id, at), fields, sink),
                Op::Begin {
                    of,
                    channel,
                    path,
                    compressed,
                    length,
                    index,
                    at,
                } => {
                    let known = self.connections.entry(connection).or_default();
                    let begun = Begun {
                        channel,
                        path: path.into(),
                        compressed,
                        length,
                        index,
                        at,
                        headers: match index {
                            0 => known.heads.remove(&of).unwrap_or_default(),
                            _ => 0,
                        },
                    };
                    if let Some(message) = whole(&mut ops, of, length) {
                        let (bytes, at) = message;
                        self.whole(connection, of, &begun, bytes, at, sink);
                    } else {
                        self.begin(connection, of, begun);
                    }
                }
                Op::Body { of, bytes } => self.body(connection, of, bytes, sink),
                Op::End { of, at } => self.end(connection, of, at, sink),
                Op::Content {
                    of,
                    index,
                    at,
                    offset,
                    method,
                    target,
                    bytes,
                } => {
                    let piece = Piece {
                        from: of.from,
                        index,
                        method,
                        target,
                        offset,
                        bytes,
                    };
                    let before = (self.contents).piece(&self.policy, connection, of, &piece, at);
                    if let Some(before) = before {
                        self.give_content(before, at, sink);
                    }
                }
                Op::ContentEnd { of, size, at } => {
                    if let Some(over) = self.contents.end(connection, of, Some(size)) {
                        self.give_content(over, at, sink);
                    }
                }
                Op::Over { stream, at } => self.over(connection, stream, at, sink),
            }
        }
    }

    fn head(
        &mut self,
        connection: u64,
        of: Lane,
        (trailers, id, at): (bool, u64, u64),
        block: &[u8],
        sink: &mut impl Sink,
    ) {
        let known = self.connections.entry(connection).or_default();
        if !block.is_empty() {
            if known.blocks.len() >= BLOCKS_MOST {
                // Scribes count blocks up and refer to the last few only.
                let oldest = id.saturating_sub(BLOCKS_MOST as u64 / 2);
                let written = &mut self.written;
                known.blocks.retain(|block, _| {
                    let stays = *block >= oldest;
                    if !stays {
                        written.remove(block);
                    }
                    stays
                });
            }
            let told = Block {
                fields: block.into(),
                says_only_ok: says_only_ok(block),
            };
            known.blocks.insert(id, told);
        }
        if !trailers {
            known.heads.insert(of, id);
            self.state_block(connection, of, id, at, sink);
        } else if let Some(block) = known.blocks.get(&id)
            && !block.says_only_ok
        {
            self.give_block(connection, of, (true, id, at), sink);
        }
    }

    /// Has a block stand in the file at hand before what refers to it.
    fn state_block(&mut self, connection: u64, of: Lane, id: u64, at: u64, sink: &mut impl Sink) {
        if id != 0 && self.written.insert(id) {
            self.give_block(connection, of, (false, id, at), sink);
        }
    }

    fn give_block(
        &mut self,
        connection: u64,
        of: Lane,
        (trailers, id, at): (bool, u64, u64),
        sink: &mut impl Sink,
    ) {
        let known = self.connections.get(&connection);
        let Some(block) = known.and_then(|known| known.blocks.get(&id)) else {
            return;
        };
        let record = Headers {
            id,
            connection,
            stream: of.stream.number(),
            from: v1::Side::from(of.from).into(),
            trailers,
            fields: fields(&block.fields)
                .map(|(name, value)| field(&self.policy, name, value))
                .collect(),
        };
        self.scratch.clear();
        if record.encode(&mut self.scratch).is_ok() {
            let at = self.epoch + at;
            let times = Times {
                whole: at,
                began: at,
            };
            sink.record(ChannelId::HEADERS, times, &self.scratch);
        }
    }

    /// A message that lies in one piece.
    fn whole(
        &mut self,
        connection: u64,
        of: Lane,
        begun: &Begun,
        bytes: &[u8],
        at: u64,
        sink: &mut impl Sink,
    ) {
        let mut piece = std::mem::take(&mut self.piece);
        piece.clear();
        piece.extend_from_slice(bytes);
        self.redact_and_give(connection, of, begun, &mut piece, at, sink);
        if piece.capacity() <= PART {
            self.piece = piece;
        }
    }

    fn redact_and_give(
        &mut self,
        connection: u64,
        of: Lane,
        begun: &Begun,
        message: &mut Vec<u8>,
        at: u64,
        sink: &mut impl Sink,
    ) {
        // Another file may have begun since its head came.
        self.state_block(connection, of, begun.headers, begun.at, sink);
        let plan = self.plan(of, begun);
        self.redactor.restart(plan, begun.length.into());
        let treatment = self.redactor.treatment();
        self.redactor.push(message);
        let mut rest = Vec::new();
        let findings = self.redactor.end(&mut rest);
        message.append(&mut rest);
        let meta = meta(connection, of, begun, u64::from(begun.length), &findings);
        let unreadable = treatment == Treatment::LengthAndHash
            || treatment == Treatment::Never
            || findings.redacted.first().is_some_and(|all| {
                all.why == Why::Undecodable && all.length == u64::from(begun.length)
            });
        if begun.channel == 0 || begun.compressed || unreadable {
            // Its envelope could not be read.
            let data = if unreadable { &[][..] } else { message };
            self.give_part(begun, meta, 0, data, true, at, sink);
            return;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        encode_key(1, WireType::LengthDelimited, scratch);
        encode_varint(meta.encoded_len() as u64, scratch);
        meta.encode_raw(scratch);
        encode_key(2, WireType::LengthDelimited, scratch);
        encode_varint(message.len() as u64, scratch);
        scratch.extend_from_slice(message);
        let times = Times {
            whole: self.epoch + at,
            began: self.epoch + begun.at,
        };
        sink.record(ChannelId(begun.channel), times, scratch);
    }

    fn begin(&mut self, connection: u64, of: Lane, begun: Begun) {
        let in_parts = begun.length > WHOLE_MOST || self.open > OPEN_MOST;
        let parts = in_parts.then(|| {
            Box::new(Parts {
                redactor: self.redactor(of, &begun),
                offset: 0,
            })
        });
        let open = Open {
            begun,
            bytes: Vec::new(),
            came: 0,
            parts,
        };
        let known = self.connections.entry(connection).or_default();
        known.open.insert(of, open);
    }

    fn body(&mut self, connection: u64, of: Lane, bytes: &[u8], sink: &mut impl Sink) {
        let known = self.connections.get_mut(&connection);
        let Some(open) = known.and_then(|known| known.open.get_mut(&of)) else {
            return;
        };
        open.came += bytes.len() as u64;
        open.bytes.extend_from_slice(bytes);
        self.open += bytes.len();
        if open.parts.is_some() && open.bytes.len() >= PART {
            // It cannot be gone: it was found a moment ago.
            let known = self.connections.get_mut(&connection);
            if let Some(mut open) = known.and_then(|known| known.open.remove(&of)) {
                let at = open.begun.at;
                self.part(connection, of, &mut open, at, sink);
                let known = self.connections.entry(connection).or_default();
                known.open.insert(of, open);
            }
        }
    }

    /// Gives out what has come of a message in parts.
    fn part(&mut self, connection: u64, of: Lane, open: &mut Open, at: u64, sink: &mut impl Sink) {
        self.state_block(connection, of, open.begun.headers, open.begun.at, sink);
        let Some(parts) = &mut open.parts else {
            return;
        };
        self.open = self.open.saturating_sub(open.bytes.len());
        let mut piece = std::mem::take(&mut open.bytes);
        parts.redactor.push(&mut piece);
        let offset = parts.offset;
        parts.offset += piece.len() as u64;
        if piece.is_empty() || shows_nothing(parts.redactor.treatment()) {
            return;
        }
        let meta = meta(
            connection,
            of,
            &open.begun,
            open.begun.length.into(),
            &Findings::default(),
        );
        self.give_part(&open.begun, meta, offset, &piece, false, at, sink);
        piece.clear();
        open.bytes = piece;
    }

    fn end(&mut self, connection: u64, of: Lane, at: u64, sink: &mut impl Sink) {
        let known = self.connections.get_mut(&connection);
        let Some(mut open) = known.and_then(|known| known.open.remove(&of)) else {
            return;
        };
        if open.parts.is_some() {
            self.last_part(connection, of, open, at, false, sink);
            return;
        }
        self.open = self.open.saturating_sub(open.bytes.len());
        let mut message = std::mem::take(&mut open.bytes);
        self.redact_and_give(connection, of, &open.begun, &mut message, at, sink);
    }

    /// The call of a message ended before the message did.
    fn cut(&mut self, connection: u64, of: Lane, mut open: Open, at: u64, sink: &mut impl Sink) {
        if open.parts.is_none() {
            open.parts = Some(Box::new(Parts {
                redactor: self.redactor(of, &open.begun),
                offset: 0,
            }));
        }
        self.last_part(connection, of, open, at, true, sink);
    }

    fn last_part(
        &mut self,
        connection: u64,
        of: Lane,
        open: Open,
        at: u64,
        cut: bool,
        sink: &mut impl Sink,
    ) {
        let Open {
            begun, bytes, came, ..
        } = open;
        let Some(parts) = open.parts else {
            return;
        };
        self.state_block(connection, of, begun.headers, begun.at, sink);
        self.open = self.open.saturating_sub(bytes.len());
        let Parts {
            mut redactor,
            offset,
        } = *parts;
        let treatment = redactor.treatment();
        let mut piece = bytes;
        if !piece.is_empty() {
            redactor.push(&mut piece);
        }
        let mut rest = Vec::new();
        let findings = redactor.finish(&mut rest);
        piece.append(&mut rest);
        let mut offset = offset;
        if shows_nothing(treatment) {
            // This part is the only one.
            piece.clear();
            offset = 0;
        }
        let size = if cut { came } else { begun.length.into() };
        let mut meta = meta(connection, of, &begun, size, &findings);
        meta.cut = cut;
        self.give_part(&begun, meta, offset, &piece, true, at, sink);
    }

    fn over(&mut self, connection: u64, stream: StreamId, at: u64, sink: &mut impl Sink) {
        let lanes = [Side::Client, Side::Server].map(|from| Lane { stream, from });
        if !self.contents.is_empty() {
            for of in lanes {
                if let Some(over) = self.contents.end(connection, of, None) {
                    self.give_content(over, at, sink);
                }
            }
        }
        // Nearly always all of it came, and nothing is left.
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        if !known.heads.is_empty() {
            for of in &lanes {
                known.heads.remove(of);
            }
        }
        for of in lanes {
            let known = self.connections.get_mut(&connection);
            let open = known.filter(|known| !known.open.is_empty());
            if let Some(open) = open.and_then(|known| known.open.remove(&of)) {
                let at = at.max(open.begun.at);
                self.cut(connection, of, open, at, sink);
            }
        }
    }

    fn give_content(&mut self, over: contents::Over, at: u64, sink: &mut impl Sink) {
        let (content, began) = over;
        self.scratch.clear();
        if content.encode(&mut self.scratch).is_ok() {
            let times = Times {
                whole: self.epoch + at.max(began),
                began: self.epoch + began,
            };
            sink.record(ChannelId::CONTENTS, times, &self.scratch);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn give_part(
        &mut self,
        begun: &Begun,
        meta: Meta,
        offset: u64,
        data: &[u8],
        last: bool,
        at: u64,
        sink: &mut impl Sink,
    ) {
        let (service, method) = method(begun);
        let part = Part {
            meta: Some(meta),
            path: format!("/{service}/{method}"),
            offset,
            data: bytes::Bytes::copy_from_slice(data),
            last,
        };
        self.scratch.clear();
        if part.encode(&mut self.scratch).is_ok() {
            let times = Times {
                whole: self.epoch + at,
                began: self.epoch + begun.at,
            };
            sink.record(ChannelId::PARTS, times, &self.scratch);
        }
    }

    fn redactor(&mut self, of: Lane, begun: &Begun) -> Redactor {
        let plan = self.plan(of, begun);
        Redactor::new(&self.policy, plan, Some(begun.length.into()))
    }

    /// What becomes of a message. A channel is one side's of one method.
    fn plan(&mut self, of: Lane, begun: &Begun) -> Plan {
        let asked = || {
            let (service, method) = method(begun);
            plan(&self.policy, service, method, of.from, begun.compressed)
        };
        match (begun.channel, begun.compressed) {
            (0, _) | (_, true) => asked(),
            (channel, false) => *self.plans.entry(channel).or_insert_with(asked),
        }
    }
}

/// Of such a message nothing stands in a file but its length, and perhaps a hash.
fn shows_nothing(treatment: Treatment) -> bool {
    matches!(treatment, Treatment::LengthAndHash | Treatment::Never)
}

/// The rest of a message that begins and ends here, if it does: its bytes, and
/// when it was whole.
fn whole<'a>(ops: &mut Ops<'a>, lane: Lane, length: u32) -> Option<(&'a [u8], u64)> {
    let mut ahead = ops.clone();
    let mut next = ahead.next()?;
    let mut message: &[u8] = &[];
    if let Op::Body { of, bytes } = next
        && of == lane
    {
        message = bytes;
        next = ahead.next()?;
    }
    match next {
        Op::End { of, at } if of == lane && message.len() == length as usize => {
            *ops = ahead;
            Some((message, at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
