//! The watches of one Watch stream: who asked for what, and what became of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Event;
use super::call::{KeyValue, Request};
use super::read::{WatchAsked, WatchCreate, WatchSeen};
use super::watch::{CancelCause, EventKind, WatchNote, Watched};
use super::watching::Watching;
use crate::http2::StreamId;
use crate::relay::Peers;

/// The watches of one Watch stream.
#[derive(Debug, Default)]
pub(super) struct WatchStream {
    /// Creations that etcd has not answered, in the order of asking: it answers
    /// in that order, and clientv3 relies on it.
    asked: VecDeque<(Box<WatchCreate>, Instant)>,
    /// Creations behind those, of which only the number is kept.
    asked_unkept: u64,
    /// A request could not be read, so it is not known any more which answer
    /// belongs to which creation.
    unpaired: bool,
    /// Bytes of keys in `asked` and `live`.
    key_bytes: usize,
    /// By watch id, ascending: etcd hands them out so, and a stream of an API
    /// server has one.
    live: Vec<Live>,
    /// What is kept while faults touch it.
    pub watching: Option<Box<Watching>>,
}

/// A watch that stands. There are thousands: each byte counts.
#[derive(Debug)]
struct Live {
    id: i64,
    range: Range,
    start_revision: i64,
    events: u64,
}

/// First key, and first key after the range, in one piece of memory.
#[derive(Debug)]
struct Range {
    bytes: Box<[u8]>,
    /// Where the second one begins.
    split: u32,
    cancel_requested: bool,
}

impl Range {
    fn new(key: &[u8], range_end: &[u8]) -> Range {
        Range {
            bytes: [key, range_end].concat().into(),
            // Keys that are kept are bounded by `MOST_KEY_BYTES`.
            split: u32::try_from(key.len()).unwrap_or(u32::MAX),
            cancel_requested: false,
        }
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes
            .split_at(self.bytes.len().min(self.split as usize))
    }

    fn into_parts(self) -> (Box<[u8]>, Box<[u8]>) {
        let (key, range_end) = self.parts();
        (key.into(), range_end.into())
    }
}

/// Creations that are kept while they wait for their answer.
const MOST_ASKED: usize = 65_536;

/// Watches that are followed on one stream. etcd holds far more for each of them
/// than we do.
const MOST_LIVE: usize = 262_144;

/// Bytes of keys that are kept for one stream; watches beyond it go without.
const MOST_KEY_BYTES: usize = 16 << 20;

/// Where a note comes from.
#[derive(Clone)]
pub(super) struct Origin {
    pub peers: Arc<Peers>,
    pub stream: StreamId,
    pub user_agent: Option<Arc<str>>,
}

impl Origin {
    /// The note of progress.
    pub fn progress(&self, seen: &WatchSeen, at: Instant) -> Box<WatchNote> {
        self.made(seen, 0, at, Watched::Progress)
    }

    fn note(&self, seen: &WatchSeen, bytes: u64, at: Instant, watched: Watched) -> Event {
        Event::Watch(self.made(seen, bytes, at, watched))
    }

    fn made(&self, seen: &WatchSeen, bytes: u64, at: Instant, watched: Watched) -> Box<WatchNote> {
        Box::new(WatchNote {
            peers: Arc::clone(&self.peers),
            stream: self.stream,
            user_agent: self.user_agent.clone(),
            at,
            watch_id: seen.watch_id,
            cluster_id: seen.header.cluster_id,
            revision: seen.header.revision,
            message_bytes: bytes,
            watched,
            faults: Box::default(),
            held: Duration::ZERO,
            delivered: true,
        })
    }

    /// The note of one event.
    pub fn event(
        &self,
        seen: &WatchSeen,
        bytes: u64,
        at: Instant,
        (kind, kv, prev_kv): (EventKind, KeyValue, bool),
    ) -> Event {
        self.note(seen, bytes, at, Watched::Event { kind, kv, prev_kv })
    }
}

impl WatchStream {
    /// A creation passes though faults touch the stream: it was not taken whole.
    pub fn count_creation(&mut self, asked: &WatchAsked) {
        if let (Some(watching), true) = (&mut self.watching, asked.create.is_some()) {
            watching.creation_passed();
        }
    }

    /// So does etcd's answer to one.
    pub fn count_answer(&mut self, seen: &WatchSeen) {
        if let (Some(watching), true) = (&mut self.watching, seen.created) {
            watching.answer_passed();
        }
    }

    /// The client asked for something.
    pub fn asked(&mut self, asked: WatchAsked, now: Instant) {
        if let Some(mut create) = asked.create {
            // In order: once one was only counted, so are those behind it.
            if self.asked_unkept > 0 || self.asked.len() == MOST_ASKED {
                self.asked_unkept += 1;
            } else {
                let bytes = create.key.len() + create.range_end.len();
                if self.key_bytes + bytes > MOST_KEY_BYTES {
                    create.key = Box::default();
                    create.range_end = Box::default();
                } else {
                    self.key_bytes += bytes;
                }
                self.asked.push_back((create, now));
            }
        }
        if let Some(id) = asked.cancel {
            self.cancel_requested(id);
        }
    }

    /// The client asked for the end of a watch.
    pub fn cancel_requested(&mut self, id: i64) {
        if let Ok(at) = self.find(id) {
            self.live[at].range.cancel_requested = true;
        }
    }

    /// Creations that etcd has not answered.
    pub fn unanswered(&self) -> usize {
        self.asked.len() + usize::try_from(self.asked_unkept).unwrap_or(usize::MAX)
    }

    /// The numbers of the watches that stand, ascending.
    pub fn ids(&self) -> Vec<i64> {
        self.live.iter().map(|live| live.id).collect()
    }

    /// Range and start of a watch that stands; empty if none does.
    pub fn watched(&self, id: i64) -> (&[u8], &[u8], i64) {
        let live = self.find(id).ok().map(|at| &self.live[at]);
        live.map_or((&[], &[], 0), |live| {
            let (key, range_end) = live.range.parts();
            (key, range_end, live.start_revision)
        })
    }

    /// Range and start of the creation that was asked for last.
    pub fn asked_last(&self) -> (&[u8], &[u8], i64) {
        let last = self.asked.back().filter(|_| !self.unpaired);
        last.map_or((&[], &[], 0), |(create, _)| {
            (&*create.key, &*create.range_end, create.start_revision)
        })
    }

    /// The creation that was asked for last never reaches etcd: what the log is
    /// told of it.
    pub fn take_back(&mut self, seen: &WatchSeen, origin: &Origin, now: Instant) -> Box<WatchNote> {
        let create = match self.asked_unkept {
            0 => self.asked.pop_back().map(|(create, _)| *create),
            _ => {
                self.asked_unkept -= 1;
                None
            }
        };
        let create = create.unwrap_or_default();
        self.forget_keys(&create.key, &create.range_end);
        let watched = self.canceled(seen, Some(create));
        origin.made(seen, 0, now, watched)
    }

    /// The client asked for something that could not be read.
    pub fn asked_unreadably(&mut self) {
        self.unpaired = true;
        self.asked = VecDeque::new();
    }

    /// The creation that was asked for last and is not answered yet.
    pub fn last_asked(&self) -> Request {
        match self.asked.back() {
            Some((create, _)) if !self.unpaired => Request::Watch {
                key: create.key.clone(),
                range_end: create.range_end.clone(),
                start_revision: create.start_revision,
            },
            _ => Request::Unread,
        }
    }

    /// The creation that etcd answers now.
    fn next_asked(&mut self) -> Option<(Box<WatchCreate>, Instant)> {
        if self.unpaired {
            return None;
        }
        let next = self.asked.pop_front();
        if next.is_none() {
            self.asked_unkept = self.asked_unkept.saturating_sub(1);
        }
        if self.asked.is_empty() {
            self.asked = VecDeque::new();
        }
        next
    }

    /// A WatchResponse is whole; its events were told before.
    pub fn answered(
        &mut self,
        seen: &WatchSeen,
        bytes: u64,
        origin: &Origin,
        now: Instant,
        on_event: &mut impl FnMut(Event),
    ) {
        if seen.events > 0
            && let Ok(at) = self.find(seen.watch_id)
        {
            self.live[at].events += seen.events;
        }
        if seen.created {
            let (create, asked) = match self.next_asked() {
                Some((create, asked)) => (*create, Some(asked)),
                None => (WatchCreate::default(), None),
            };
            if seen.canceled {
                self.forget_keys(&create.key, &create.range_end);
                let watched = self.canceled(seen, Some(create));
                on_event(origin.note(seen, bytes, now, watched));
                return;
            }
            self.insert(Live {
                id: seen.watch_id,
                range: Range::new(&create.key, &create.range_end),
                start_revision: create.start_revision,
                events: 0,
            });
            let watched = Watched::Created {
                asked,
                key: create.key,
                range_end: create.range_end,
                start_revision: create.start_revision,
                progress_notify: create.progress_notify,
                prev_kv: create.prev_kv,
            };
            on_event(origin.note(seen, bytes, now, watched));
        } else if seen.canceled {
            let watched = self.canceled(seen, None);
            on_event(origin.note(seen, bytes, now, watched));
        } else if seen.events == 0 {
            on_event(origin.note(seen, bytes, now, Watched::Progress));
        }
    }

    /// The stream is over, and its watches with it.
    pub fn ended(&mut self, origin: &Origin, now: Instant, on_event: &mut impl FnMut(Event)) {
        for live in std::mem::take(&mut self.live) {
            let seen = WatchSeen {
                watch_id: live.id,
                ..WatchSeen::default()
            };
            let (key, range_end) = live.range.into_parts();
            let watched = Watched::Canceled {
                cause: CancelCause::StreamEnded,
                reason: None,
                key,
                range_end,
                events: live.events,
            };
            on_event(origin.note(&seen, 0, now, watched));
        }
    }

    fn canceled(&mut self, seen: &WatchSeen, refused: Option<WatchCreate>) -> Watched {
        let reason = (!seen.cancel_reason.is_empty())
            .then(|| String::from_utf8_lossy(&seen.cancel_reason).into());
        let live = match self.find(seen.watch_id) {
            Ok(at) if refused.is_none() => Some(self.live.remove(at)),
            _ => None,
        };
        if let Some(live) = &live {
            self.forget(live);
        }
        let requested = (live.as_ref()).is_some_and(|live| live.range.cancel_requested);
        let cause = match (&refused, seen.compact_revision) {
            (_, compact_revision) if compact_revision > 0 => {
                CancelCause::Compacted { compact_revision }
            }
            (Some(_), _) => CancelCause::Refused,
            (None, _) if requested => CancelCause::Requested,
            (None, _) => CancelCause::Server,
        };
        let (key, range_end, events) = match (live, refused) {
            (Some(live), _) => {
                let (key, range_end) = live.range.into_parts();
                (key, range_end, live.events)
            }
            (None, Some(create)) => (create.key, create.range_end, 0),
            (None, None) => Default::default(),
        };
        Watched::Canceled {
            cause,
            reason,
            key,
            range_end,
            events,
        }
    }

    fn forget(&mut self, live: &Live) {
        let (key, range_end) = live.range.parts();
        self.key_bytes = self.key_bytes.saturating_sub(key.len() + range_end.len());
    }

    fn forget_keys(&mut self, key: &[u8], range_end: &[u8]) {
        self.key_bytes = self.key_bytes.saturating_sub(key.len() + range_end.len());
    }

    fn find(&self, id: i64) -> Result<usize, usize> {
        self.live.binary_search_by_key(&id, |live| live.id)
    }

    fn insert(&mut self, live: Live) {
        match self.find(live.id) {
            // The client chose an id again that it had not seen end.
            Ok(at) => {
                let old = std::mem::replace(&mut self.live[at], live);
                self.forget(&old);
            }
            Err(_) if self.live.len() == MOST_LIVE => {
                self.forget(&live);
            }
            Err(at) => {
                if self.live.is_empty() {
                    // Nearly every stream has one watch: no room for more yet.
                    self.live.reserve_exact(1);
                }
                self.live.insert(at, live);
            }
        }
    }
}
