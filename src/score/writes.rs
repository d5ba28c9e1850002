//! Writes that were committed though the client was told otherwise, and whether
//! it wrote again.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::commits::hash_of;
use super::fact::{CallFact, Moment};

/// Commits whose author is remembered.
const RECENT_MAX: usize = 8192;

/// Failed writes of unknown fate that are remembered.
const UNRESOLVED_MAX: usize = 1024;

/// Entries that are kept one by one; more are counted.
const KEPT_MAX: usize = 1000;

/// How long after a failed write's end an event may show that it was committed.
const FATE_KNOWN_WITHIN: u64 = 60_000_000;

/// A write that was committed though its client was not told OK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub client: usize,
    pub key: Arc<[u8]>,
    pub revision: i64,
    /// When the client was told, or stopped waiting.
    pub at: Moment,
    pub status: Box<str>,
    /// Known by the key's event only.
    pub by_event: bool,
    pub again: Option<Again>,
}

/// The client wrote the same key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Again {
    pub at: Moment,
    /// Where that was committed.
    pub committed: Option<i64>,
}

#[derive(Debug, Clone)]
struct Unresolved {
    client: usize,
    hash: u64,
    key: Arc<[u8]>,
    started: Moment,
    ended: Moment,
    status: Box<str>,
}

/// A commit that was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When an event showed it first.
    at: Moment,
    /// Whether it is known who wrote it.
    claimed: bool,
}

/// The fates of writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    seen: FxHashMap<(u64, i64), Seen>,
    order: VecDeque<(u64, i64)>,
    unresolved: VecDeque<Unresolved>,
    pub told: Vec<Told>,
    /// Told otherwise, beyond those that are kept: of which client.
    pub more: Vec<usize>,
}

impl Writes {
    /// A write ended.
    pub fn handle_call(&mut self, client: usize, call: &CallFact<'_>, at: Moment) {
        let Some(range) = call.range.as_ref().filter(|_| call.writes()) else {
            return;
        };
        let hash = hash_of(&range.key);
        for told in &mut self.told {
            let same = told.client == client && *told.key == *range.key;
            if same && told.again.is_none() && call.started >= told.at {
                told.again = Some(Again {
                    at: call.started,
                    committed: call.committed,
                });
            }
        }
        if let Some(revision) = call.committed {
            self.claim(hash, revision, at);
        }
        if call.succeeded() {
            return;
        }
        let unresolved = Unresolved {
            client,
            hash,
            key: Arc::from(&*range.key),
            started: call.started,
            ended: at,
            status: call.status.as_ref().into(),
        };
        match (call.committed, call.revision) {
            (Some(revision), _) => self.tell(&unresolved, revision, false),
            // etcd answered, and had not written.
            (None, Some(_)) => {}
            (None, None) => match self.unclaimed(&unresolved) {
                Some(revision) => self.tell(&unresolved, revision, true),
                None => {
                    if self.unresolved.len() == UNRESOLVED_MAX {
                        self.unresolved.pop_front();
                    }
                    self.unresolved.push_back(unresolved);
                }
            },
        }
    }

    /// An event showed a change.
    pub fn handle_event(&mut self, key: &[u8], revision: i64, at: Moment) {
        let hash = hash_of(key);
        if self.seen.contains_key(&(hash, revision)) {
            return;
        }
        self.remember(hash, revision, Seen { at, claimed: false });
        let fits = |write: &Unresolved| {
            write.hash == hash && at >= write.started && at.since(write.ended) <= FATE_KNOWN_WITHIN
        };
        if let Some(found) = self.unresolved.iter().position(fits)
            && let Some(write) = self.unresolved.remove(found)
        {
            self.tell(&write, revision, true);
        }
    }

    /// An answer says who wrote it.
    fn claim(&mut self, hash: u64, revision: i64, at: Moment) {
        match self.seen.get_mut(&(hash, revision)) {
            Some(seen) => seen.claimed = true,
            None => self.remember(hash, revision, Seen { at, claimed: true }),
        }
        // It was not that other one after all.
        self.told
            .retain(|told| !(told.by_event && told.revision == revision));
    }

    fn unclaimed(&self, write: &Unresolved) -> Option<i64> {
        let newest_first = self.order.iter().rev();
        let mut of_key = newest_first.filter(|(hash, _)| *hash == write.hash);
        let fits = |place: &&(u64, i64)| {
            self.seen
                .get(*place)
                .is_some_and(|seen| !seen.claimed && seen.at >= write.started)
        };
        of_key.find(fits).map(|(_, revision)| *revision)
    }

    fn remember(&mut self, hash: u64, revision: i64, seen: Seen) {
        if self.order.len() == RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back((hash, revision));
        self.seen.insert((hash, revision), seen);
    }

    fn tell(&mut self, write: &Unresolved, revision: i64, by_event: bool) {
        if self.told.len() >= KEPT_MAX {
            if self.more.len() < 1 << 20 {
                self.more.push(write.client);
            }
            return;
        }
        self.told.push(Told {
            client: write.client,
            key: Arc::clone(&write.key),
            revision,
            at: write.ended,
            status: write.status.clone(),
            by_event,
            again: None,
        });
    }
}
