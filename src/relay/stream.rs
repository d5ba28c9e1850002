//! What is kept of an open stream.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::held::HoldAccount;
use super::order::{Gate, HeaderField};
use super::recode::Frame;
use super::stalls::Stall;
use crate::http2::{Both, ErrorCode, Side, Window};

/// An open stream.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// By the sender of the DATA, as that sender sees them.
    pub windows: Both<Window>,
    pub stalls: Both<Stall>,
    /// Bytes of DATA, padding apart.
    pub content: Both<u64>,
    /// Who sent a header block.
    pub head: Both<bool>,
    /// Who sent END_STREAM.
    pub ended: Both<bool>,
    /// Whose DATA frames pass whole or not at all.
    pub careful: Both<bool>,
    /// What we do to it, while we do.
    pub touch: Option<Box<Touch>>,
    pub state: S,
}

/// What we do to a stream.
#[derive(Debug, Default)]
pub(super) struct Touch {
    /// By sender.
    pub lanes: Both<Lane>,
    /// For whom the stream was reset, or who reset it.
    pub dead: Both<bool>,
    /// It is on the list of streams whose senders may be due credit.
    pub listed: bool,
}

/// One direction of a stream that we touch.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub gate: Gate,
    /// It ended by our doing: what comes is swallowed.
    pub finished: bool,
    /// The DATA frame at hand, or the last one, does not pass by itself: what is
    /// inserted leaves in its place.
    pub diverted: bool,
    /// So it is to be from the next one on.
    pub divert: bool,
    pub queue: VecDeque<Item>,
    /// Bytes of content in the queue.
    pub pending: u64,
    /// Bytes of header fields in the queue.
    pub fields: u64,
    /// Those of both that count as held by a fault.
    pub counted: u64,
    /// Bytes of content that the receiver was given.
    pub passed: u64,
    /// The sender's window less the receiver's: what it may send beyond what the
    /// receiver has room for. Content in the queue makes it negative.
    pub ahead: i64,
    /// The receiver was given a header block.
    pub head_given: bool,
    /// It was one of ours: the sender's own is still to come, and of no use.
    pub head_made_up: bool,
    /// The receiver was given END_STREAM.
    pub delivered: bool,
    /// It waits for the connection's window.
    pub blocked: bool,
}

/// Content is held in pieces of at least so many bytes.
const JOINED: usize = 8 * 1024;

/// Something that was held.
#[derive(Debug)]
pub(super) enum Item {
    Fields(Vec<HeaderField>, Frame),
    Data(BytesMut),
    /// Content that was inserted; it passes where content up to here would.
    Inserted(Bytes, u64),
    EndStream,
    Reset(ErrorCode),
}

impl<S> Slot<S> {
    pub fn new(state: S) -> Slot<S> {
        Slot {
            windows: Both::default(),
            stalls: Both::default(),
            content: Both::default(),
            head: Both::default(),
            ended: Both::default(),
            careful: Both::default(),
            touch: None,
            state,
        }
    }

    /// Begins to touch the stream, unless that has begun.
    pub fn touched(&mut self) -> &mut Touch {
        let (content, head, ended) = (self.content, self.head, self.ended);
        self.touch.get_or_insert_with(|| {
            let lane = |side: Side| Lane {
                passed: content[side],
                head_given: head[side],
                delivered: ended[side],
                ..Lane::default()
            };
            Box::new(Touch {
                lanes: Both {
                    client: lane(Side::Client),
                    server: lane(Side::Server),
                },
                ..Touch::default()
            })
        })
    }

    /// Whether the stream is over for `side`: reset, or ended by both as far as
    /// it knows.
    pub fn is_over_for(&self, side: Side) -> bool {
        match &self.touch {
            None => self.ended.client && self.ended.server,
            Some(touch) => {
                touch.dead[side] || self.ended[side] && touch.lanes[side.peer()].delivered
            }
        }
    }

    /// A DATA frame of `from`'s begins.
    pub fn begin_frame(&mut self, from: Side) {
        if let Some(touch) = &mut self.touch {
            let lane = &mut touch.lanes[from];
            lane.diverted = lane.divert;
        }
    }

    /// Whether the DATA frame at hand does not pass by itself.
    pub fn is_diverted(&self, from: Side) -> bool {
        let touch = self.touch.as_ref();
        touch.is_some_and(|touch| touch.lanes[from].diverted && !touch.is_dead())
    }

    /// Bytes of it that count as held.
    pub fn held(&self) -> u64 {
        let touch = self.touch.as_ref();
        touch.map_or(0, |touch| {
            touch.lanes.client.counted + touch.lanes.server.counted
        })
    }

    /// Stops touching a stream that nothing is done to any more.
    pub fn let_be(&mut self) {
        if let Some(touch) = &self.touch
            && !touch.dead.client
            && !touch.dead.server
            && !touch.listed
            && [Side::Client, Side::Server].iter().all(|side| {
                let lane = &touch.lanes[*side];
                lane.is_idle() && lane.delivered == self.ended[*side]
            })
        {
            self.touch = None;
        }
    }
}

impl Touch {
    /// Whether it was reset, for whom or by whom ever: nothing passes any more
    /// but what is held.
    pub fn is_dead(&self) -> bool {
        self.dead.client || self.dead.server
    }
}

impl Lane {
    /// Whether what comes is swallowed.
    pub fn swallows(&self) -> bool {
        self.finished || self.gate == Gate::Sink
    }

    fn is_idle(&self) -> bool {
        self.gate == Gate::Open
            && !self.finished
            && !self.divert
            && !self.diverted
            && self.queue.is_empty()
            && self.ahead == 0
    }

    /// Holds content that came in `flow_controlled` bytes.
    pub fn hold(&mut self, chunk: &[u8], flow_controlled: u32) {
        self.ahead -= i64::from(flow_controlled);
        self.pending += chunk.len() as u64;
        if chunk.is_empty() {
            return;
        }
        // Many small ones would cost more than they hold.
        if let Some(Item::Data(last)) = self.queue.back_mut()
            && last.len() < JOINED
        {
            last.extend_from_slice(chunk);
            return;
        }
        self.queue.push_back(Item::Data(BytesMut::from(chunk)));
    }

    /// Queues content that is inserted.
    pub fn insert(&mut self, bytes: Bytes, at: u64, held: &HoldAccount) {
        if bytes.is_empty() || self.finished || self.gate == Gate::Sink {
            return;
        }
        let size = bytes.len() as u64;
        // It stands for what was swallowed: the sender has no credit for it yet.
        self.pending += size;
        if self.gate.limit() < at {
            self.counted += size;
            held.add(size);
        }
        self.queue.push_back(Item::Inserted(bytes, at));
    }

    /// Queues a header block. It counts as held where a gate keeps it.
    pub fn hold_fields(&mut self, fields: Vec<HeaderField>, frame: Frame, held: &HoldAccount) {
        let size = size_of_fields(&fields);
        self.fields += size;
        if self.gate != Gate::Open {
            self.counted += size;
            held.add(size);
        }
        self.queue.push_back(Item::Fields(fields, frame));
    }

    /// Whether anything waits that counts as held.
    pub fn holds_bytes(&self) -> bool {
        self.pending + self.fields > 0
    }

    /// Bytes that counted as held and are not held any more.
    pub fn uncounted(&mut self) -> u64 {
        let gone = self.counted.saturating_sub(self.pending + self.fields);
        self.counted -= gone;
        gone
    }

    /// Drops what is held behind the content offset `limit`. A head stays,
    /// trailers go.
    pub fn cut(&mut self, limit: u64, keep_head: bool) {
        let mut room = limit.saturating_sub(self.passed);
        let mut dropped = 0;
        let mut kept = VecDeque::new();
        for item in self.queue.drain(..) {
            match item {
                Item::Data(mut chunk) => {
                    let part = (chunk.len() as u64).min(room);
                    dropped += chunk.len() as u64 - part;
                    room -= part;
                    chunk.truncate(part as usize);
                    if !chunk.is_empty() {
                        kept.push_back(Item::Data(chunk));
                    }
                }
                Item::Inserted(bytes, at) if limit >= at => {
                    kept.push_back(Item::Inserted(bytes, at));
                }
                Item::Inserted(bytes, _) => dropped += bytes.len() as u64,
                Item::Fields(fields, frame) if keep_head && !frame.end_stream => {
                    kept.push_back(Item::Fields(fields, frame));
                }
                Item::Fields(fields, _) => self.fields -= size_of_fields(&fields),
                Item::EndStream | Item::Reset(_) => {}
            }
        }
        self.queue = kept;
        self.pending -= dropped;
    }

    /// What the sender is due on this stream: all but what the queue still holds
    /// for the receiver.
    pub fn due(&self) -> u32 {
        let due = -self.ahead - self.pending as i64;
        u32::try_from(due.max(0)).unwrap_or(u32::MAX >> 1)
    }
}

/// What header fields take, by RFC 9113's measure (section 6.5.2).
pub(super) fn size_of_fields(fields: &[HeaderField]) -> u64 {
    let of = |field: &HeaderField| field.name.len() + field.value.len() + 32;
    fields.iter().map(of).sum::<usize>() as u64
}
