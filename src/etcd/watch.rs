//! What happens on a watch, one note at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::KeyValue;
use super::verdict::Hit;
use crate::http2::StreamId;
use crate::relay::Peers;

/// Something that happened to one watch of a Watch stream.
#[derive(Debug, Clone)]
pub struct WatchNote {
    /// The connection.
    pub peers: Arc<Peers>,
    /// The Watch stream there.
    pub stream: StreamId,
    /// The client's `user-agent`.
    pub user_agent: Option<Arc<str>>,
    /// When it passed.
    pub at: Instant,
    /// The watch's number on its stream; -1 where etcd names none (a refused
    /// creation, a broadcast of progress).
    pub watch_id: i64,
    /// The cluster that answered.
    pub cluster_id: u64,
    /// The store's revision as the response's header gives it.
    pub revision: i64,
    /// Bytes of the whole response message; shared by all events in it.
    pub message_bytes: u64,
    /// What happened.
    pub watched: Watched,
    /// The faults that struck it.
    pub faults: Box<[Hit]>,
    /// How long they held it.
    pub held: Duration,
    /// Whether the client got it.
    pub delivered: bool,
}

impl WatchNote {
    /// Adds a fault to those that struck it, unless it is among them.
    pub(super) fn add_fault(&mut self, hit: &Hit) {
        if !self.faults.iter().any(|known| known.fault == hit.fault) {
            let faults = self.faults.iter().chain([hit]).cloned().collect();
            self.faults = faults;
        }
    }
}

/// What happened to a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// etcd confirmed it.
    Created {
        /// When the client asked, if the request was seen.
        asked: Option<Instant>,
        /// First key.
        key: Box<[u8]>,
        /// First key after the range; empty for a single key.
        range_end: Box<[u8]>,
        /// From which revision on; 0 for now.
        start_revision: i64,
        /// Whether progress notifications were asked for.
        progress_notify: bool,
        /// Whether previous values were asked for.
        prev_kv: bool,
    },
    /// A key changed.
    Event {
        /// How.
        kind: EventKind,
        /// The key after the change (for a deletion: key and revision only).
        kv: KeyValue,
        /// Whether the previous value came along.
        prev_kv: bool,
    },
    /// etcd said that the watch is up to date with `revision`.
    Progress,
    /// The watch ended.
    Canceled {
        /// Why.
        cause: CancelCause,
        /// etcd's own words, where it gave any.
        reason: Option<Box<str>>,
        /// First key, if the creation was seen.
        key: Box<[u8]>,
        /// First key after the range; empty for a single key.
        range_end: Box<[u8]>,
        /// Events that passed on it.
        events: u64,
    },
}

/// How a key changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was created or updated.
    Put,
    /// It was deleted.
    Delete,
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelCause {
    /// The client asked for it.
    Requested,
    /// etcd refused to create it.
    Refused,
    /// The revision it needed was compacted away.
    Compacted {
        /// The oldest revision that is still there.
        compact_revision: i64,
    },
    /// etcd ended it of its own.
    Server,
    /// The stream or the connection ended under it.
    StreamEnded,
}
