//! A connection's end of a recording, on the relay's thread: it copies what
//! passes into a buffer and hands that over. It never reads or hides anything;
//! that is done on the recorder's thread, before a byte reaches a file.

use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashSet;

use super::batch::{Lane, Op, Ops, Toll, write_field};
use super::queue::{Lost, Parcel, Queue};
use super::schema::Channels;
use super::tray::{FULL, Tray};
use crate::etcd::MethodName;
use crate::etcd::scribe::{Begun, Scribe, Scribes, Told};
use crate::http1::Piece;
use crate::http2::{Both, Side, StreamId};
use crate::relay::{BlockNumber, Peers};

/// Header blocks of a connection that are remembered; beyond it they are told
/// again.
const BLOCKS_MOST: usize = 64;

/// Bytes of a header block that are told. What comes after is left out.
const BLOCK_MOST: usize = 64 * 1024;

/// Bytes of a header block that is remembered in case that it comes again.
const BLOCK_REMEMBERED: usize = 4 * 1024;

/// Gives every connection a scribe of one recording.
#[derive(Debug)]
pub struct Recording {
    queue: Queue,
    /// The recorder's beginning: times are told from here.
    epoch: Instant,
}

impl Recording {
    /// Scribes that hand over to `queue`.
    pub fn new(queue: Queue, epoch: Instant) -> Recording {
        Recording { queue, epoch }
    }
}

impl Scribes for Recording {
    fn scribe(&self, peers: &Arc<Peers>) -> Box<dyn Scribe> {
        Box::new(ConnectionScribe {
            tray: Arc::new(Tray::new(peers.id.0)),
            queue: self.queue.clone(),
            epoch: self.epoch,
            looked: (self.epoch, 0),
            batch: Vec::new(),
            block: Vec::new(),
            again: Both::default(),
            blocks: Vec::new(),
            told: 0,
            methods: Vec::new(),
            skipped: FxHashSet::default(),
            missed: FxHashSet::default(),
        })
    }
}

/// The scribe of one connection.
#[derive(Debug)]
struct ConnectionScribe {
    tray: Arc<Tray>,
    queue: Queue,
    epoch: Instant,
    /// When it was asked last, and how long after the beginning that is: what passes at
    /// once has one time.
    looked: (Instant, u64),
    /// What is not in the tray yet. A connection that is silent has no buffer.
    batch: Vec<u8>,
    /// The fields of the block at hand.
    block: Vec<u8>,
    /// Blocks that may come again, by their numbers; none is empty that is known.
    again: Both<Vec<Box<[u8]>>>,
    /// Blocks that were told, by their number less than the first remembered.
    blocks: Vec<Box<[u8]>>,
    /// The number of the first of them.
    told: u64,
    /// The channels of the methods that were seen, the client's ones.
    methods: Vec<(MethodName, u16)>,
    /// Calls that are not recorded.
    skipped: FxHashSet<StreamId>,
    /// Calls that were counted as lost, for now or once.
    missed: FxHashSet<StreamId>,
}

impl ConnectionScribe {
    fn since(&mut self, now: Instant) -> u64 {
        if self.looked.0 != now {
            let since = now.saturating_duration_since(self.epoch);
            self.looked = (now, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        }
        self.looked.1
    }

    /// The number of a method's channel for the client's messages; 0 if it has
    /// none.
    fn channel(&mut self, name: &MethodName) -> u16 {
        if let Some((_, channel)) = self.methods.iter().find(|(known, _)| known == name) {
            return *channel;
        }
        let channels = Channels::all();
        let channel = channels.of_method(&name.service, &name.method, Side::Client);
        let channel = channel.map_or(0, |channel| channel.0);
        if self.methods.len() < BLOCKS_MOST {
            self.methods.push((name.clone(), channel));
        }
        channel
    }

    fn skips(&self, stream: StreamId) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&stream)
    }

    /// The buffer at hand.
    #[inline]
    fn room(&mut self) -> &mut Vec<u8> {
        if self.batch.capacity() == 0 {
            self.batch = self.tray.spare();
        }
        &mut self.batch
    }

    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if !self.queue.takes(self.batch.len()) {
            self.lose();
            if self.queue.is_closed() {
                // Nobody will take it.
                self.batch.clear();
                return;
            }
        }
        if self.tray.put(std::mem::take(&mut self.batch)) {
            self.queue.send_small(Parcel::Tray(Arc::clone(&self.tray)));
        }
    }

    /// What is in the buffer found no room: its calls are not recorded any further,
    /// and blocks that it told are forgotten.
    fn lose(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let toll = Toll::of(&batch);
        let mut calls = 0;
        for stream in &toll.calls {
            self.skipped.insert(*stream);
            calls += u64::from(self.missed.insert(*stream));
        }
        let over = &mut self.batch;
        let mut end = |stream| {
            let at = 0;
            Op::Over { stream, at }.write(over);
        };
        for op in Ops::new(&batch) {
            if let Op::Over { stream, .. } = op {
                self.skipped.remove(&stream);
                self.missed.remove(&stream);
                end(stream);
            }
        }
        // What the recorder holds of them has no end that could come.
        toll.calls.iter().copied().for_each(&mut end);
        self.told += self.blocks.len() as u64;
        self.blocks.clear();
        self.queue.lose(Lost {
            calls,
            messages: toll.messages,
            bytes: toll.bytes,
            lines: 0,
        });
        self.queue.takes_small(self.batch.len());
    }

    /// A message of a call that is not recorded begins: whether it is from here on.
    /// One that follows others of its side is a stream's, which may last for hours;
    /// other calls have their first message or nothing.
    fn resumes(&mut self, stream: StreamId, message: Begun) -> bool {
        let resumes = message.index > 0 && self.queue.admits();
        if resumes {
            self.skipped.remove(&stream);
        }
        resumes
    }
}

impl Scribe for ConnectionScribe {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.block.len() + name.len() + value.len() < BLOCK_MOST {
            write_field(name, value, &mut self.block);
        }
    }

    fn remember(&mut self, from: Side, number: BlockNumber) {
        let known = &mut self.again[from];
        if known.len() <= number.index() {
            known.resize(number.index() + 1, Box::default());
        }
        known[number.index()] = match self.block.len() <= BLOCK_REMEMBERED {
            true => self.block.as_slice().into(),
            false => Box::default(),
        };
    }

    fn again(&mut self, from: Side, number: BlockNumber) -> bool {
        let known = self.again[from].get(number.index());
        let Some(known) = known.filter(|known| !known.is_empty()) else {
            return false;
        };
        self.block.clear();
        self.block.extend_from_slice(known);
        true
    }

    fn head(&mut self, call: &Told<'_>, from: Side, trailers: bool, now: Instant) {
        if from == Side::Client && !self.queue.admits() {
            self.skipped.insert(call.stream);
            self.missed.insert(call.stream);
            self.queue.lose(Lost {
                calls: 1,
                ..Lost::default()
            });
        }
        if self.skips(call.stream) {
            self.block.clear();
            return;
        }
        let known = self.blocks.iter().position(|block| **block == *self.block);
        if known.is_none() && self.blocks.len() >= BLOCKS_MOST {
            self.told += self.blocks.len() as u64;
            self.blocks.clear();
        }
        let place = known.unwrap_or(self.blocks.len());
        self.room();
        let at = self.since(now);
        let op = Op::Head {
            of: Lane {
                stream: call.stream,
                from,
            },
            trailers,
            // Unique in the recording: a connection has less than 2^32 of them.
            id: (self.tray.connection << 32) | (self.told + place as u64 + 1),
            at,
            fields: if known.is_some() { &[] } else { &self.block },
        };
        op.write(&mut self.batch);
        if known.is_none() {
            self.blocks.push(self.block.as_slice().into());
        }
        self.block.clear();
    }

    fn forget(&mut self) {
        self.block.clear();
    }

    fn begin(&mut self, call: &Told<'_>, from: Side, message: Begun, now: Instant) {
        if self.skips(call.stream) && !self.resumes(call.stream, message) {
            self.queue.lose(Lost {
                messages: 1,
                bytes: message.length.into(),
                ..Lost::default()
            });
            return;
        }
        let channel = match (self.channel(call.name), from) {
            (0, _) => 0,
            (channel, Side::Client) => channel,
            (channel, Side::Server) => channel + 1,
        };
        let at = self.since(now);
        let path = match channel {
            0 => format!("/{}", call.name),
            _ => String::new(),
        };
        let op = Op::Begin {
            of: Lane {
                stream: call.stream,
                from,
            },
            channel,
            path: &path,
            compressed: message.compressed,
            length: message.length,
            index: message.index,
            at,
        };
        op.write(self.room());
    }

    fn body(&mut self, stream: StreamId, from: Side, bytes: &[u8]) {
        if self.skips(stream) {
            return;
        }
        let of = Lane { stream, from };
        Op::Body { of, bytes }.write(self.room());
        if self.batch.len() >= FULL {
            self.hand_over();
        }
    }

    fn end(&mut self, stream: StreamId, from: Side, now: Instant) {
        if self.skips(stream) {
            return;
        }
        let at = self.since(now);
        let of = Lane { stream, from };
        Op::End { of, at }.write(self.room());
    }

    fn over(&mut self, stream: StreamId, now: Instant) {
        if !self.missed.is_empty() {
            self.missed.remove(&stream);
            if self.skipped.remove(&stream) {
                return;
            }
        }
        let at = self.since(now);
        Op::Over { stream, at }.write(self.room());
    }

    fn content(&mut self, stream: StreamId, piece: &Piece<'_>, now: Instant) {
        if !self.queue.admits() {
            // The recorder sees the gap.
            self.queue.lose(Lost {
                messages: u64::from(piece.offset == 0),
                bytes: piece.bytes.len() as u64,
                ..Lost::default()
            });
            return;
        }
        let at = self.since(now);
        let op = Op::Content {
            of: Lane {
                stream,
                from: piece.from,
            },
            index: piece.index,
            at,
            offset: piece.offset,
            method: piece.method,
            target: piece.target,
            bytes: piece.bytes,
        };
        op.write(self.room());
        if self.batch.len() >= FULL {
            self.hand_over();
        }
    }

    fn content_ended(&mut self, stream: StreamId, from: Side, size: u64, now: Instant) {
        if size > 0 {
            let at = self.since(now);
            let of = Lane { stream, from };
            Op::ContentEnd { of, size, at }.write(self.room());
        }
    }

    fn settle(&mut self) {
        self.hand_over();
    }
}

impl Drop for ConnectionScribe {
    fn drop(&mut self) {
        self.hand_over();
        self.queue.send_small(Parcel::Gone {
            connection: self.tray.connection,
        });
    }
}
