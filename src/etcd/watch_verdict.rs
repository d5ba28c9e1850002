//! What is to become of a watch and of what comes on it.
//!
//! Calls are judged once, by their request. Watches live on, so they are asked
//! about whenever something happens to them: the core names a [`Moment`], and the
//! judge says which acts strike.

use std::time::{Duration, Instant};

use super::verdict::{Asked, Hit, Refusal};
use super::watch::EventKind;
use crate::http2::ErrorCode;

/// A watch as its judge is told of it.
#[derive(Debug, Clone, Copy)]
pub struct AskedWatch<'a> {
    /// The Watch stream that carries it; its request is the watch's creation.
    pub call: Asked<'a>,
    /// First key.
    pub key: &'a [u8],
    /// First key after the range; empty for a single key.
    pub range_end: &'a [u8],
    /// From which revision on it was asked for; 0 for now.
    pub start_revision: i64,
    /// Its number on the stream; `None` before etcd has given it one.
    pub watch_id: Option<i64>,
}

/// What happens to a watch.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// The client asks for it.
    Asked,
    /// It stands: etcd has just confirmed it, or the rules have just changed.
    Standing {
        /// What struck it before and does not strike it again.
        struck: &'a [Stamp],
        /// It was created just now.
        fresh: bool,
    },
    /// etcd sends an event.
    Event {
        /// How the key changed.
        kind: EventKind,
        /// Which key.
        key: &'a [u8],
    },
    /// etcd says that it is up to date.
    Progress,
    /// etcd sends a message with so many events.
    Message {
        /// How many.
        events: usize,
    },
}

/// One window of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The fault's number.
    pub fault: u64,
    /// Which of its windows.
    pub window: u64,
}

/// A fault that strikes, and what it does.
#[derive(Debug, Clone)]
pub struct Strike {
    /// Which, and in words what it does.
    pub hit: Hit,
    /// So that a standing watch is struck once.
    pub stamp: Stamp,
    /// When what it holds is let go at the latest.
    pub until: Option<Instant>,
    /// What it does.
    pub act: WatchAct,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchAct {
    /// When asked: etcd never hears of it; the client is told that it was refused.
    Refuse {
        /// In these words.
        reason: Box<str>,
    },
    /// Standing: the stream ends, on both sides, and all its watches with it.
    EndStream(StreamEnding),
    /// Standing: this watch ends; etcd is told that the client does not want it
    /// any more, the client is told this.
    Cancel(CancelAs),
    /// Standing: nothing; nor later in this window.
    Spare,
    /// Standing: nothing more of it passes until it is let go; then all of it.
    Stall,
    /// Standing: the client is told that it is up to date with a revision so far
    /// ahead of the last one that etcd spoke of (or behind it).
    Bookmark {
        /// Revisions.
        ahead: i64,
    },
    /// An event, or progress: the client does not get it.
    Drop,
    /// An event, or progress: the client gets it so much later, and what follows
    /// on the watch behind it.
    Delay(Duration),
    /// An event: the client gets it so many times more.
    Duplicate(u32),
    /// An event: so many later events of the watch overtake it, if they come in
    /// time.
    Behind {
        /// Events that overtake it.
        events: u32,
        /// How long it waits for them.
        within: Duration,
    },
    /// Progress: it speaks of a revision so far ahead (or behind).
    Falsify {
        /// Revisions.
        ahead: i64,
    },
    /// A message: it comes in fragments of so many events.
    Fragment {
        /// Events in each.
        events: usize,
    },
}

/// How a Watch stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnding {
    /// RST_STREAM towards the client; towards etcd it is CANCEL.
    Reset(ErrorCode),
    /// An error in trailers.
    Answer(Refusal),
}

/// What the client is told of a watch that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelAs {
    /// As if it had asked for it: no reason.
    Requested,
    /// The revision that it needs was compacted away; up to which, or else the one
    /// that etcd spoke of last.
    Compacted(Option<i64>),
    /// A reason of the server's own.
    Server(Box<str>),
}
