//! The watches of one stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashSet;

use super::knowledge::Revisions;
use super::refusal::Refusal;
use super::span::Span;
use super::store::{Store, key_value};
use super::timeline::{State, What};
use crate::etcd::schema::etcdserverpb::watch_create_request::FilterType;
use crate::etcd::schema::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};
use crate::etcd::schema::mvccpb::event::EventType;
use crate::etcd::schema::mvccpb::{Event, KeyValue};

/// Revisions of history that etcd puts into one answer.
const MOST_REVISIONS: usize = 1000;

/// Bytes from which on a watch that allows it gets its answer in fragments: etcd's
/// limit for requests, and what it allows for gRPC.
const FRAGMENT: usize = 1536 * 1024 + 512 * 1024;

/// How long a watch that asked for it hears nothing before it is told how far it
/// has come, in nanoseconds.
const PROGRESS_EVERY: u64 = 600 * 1_000_000_000;

/// The id of answers that are about no watch.
const NO_WATCH: i64 = -1;

/// The watches of one stream.
#[derive(Debug, Default)]
pub struct Watches {
    watches: BTreeMap<i64, Watch>,
    next: i64,
}

#[derive(Debug)]
struct Watch {
    span: Span,
    /// The first revision that it has not been told of.
    next: i64,
    /// It has seen all that was there when it began; from then on it is told each
    /// revision by itself.
    synced: bool,
    no_put: bool,
    no_delete: bool,
    prev_kv: bool,
    fragment: bool,
    progress: bool,
    /// When it was last told something.
    told: u64,
}

/// What the watches have to say.
#[derive(Debug, Default)]
pub struct Told {
    /// In this order.
    pub responses: Vec<WatchResponse>,
    /// Why watches were ended that would need what nobody told.
    pub unknown: Vec<Box<str>>,
}

impl Watches {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Makes a watch, and says so; what it then has to say comes from
    /// [`poll`](Watches::poll).
    pub fn create(&mut self, store: &Store, asked: &WatchCreateRequest, now: u64) -> WatchResponse {
        let header = Some(store.header());
        let refused = |reason: &str| WatchResponse {
            header,
            watch_id: NO_WATCH,
            created: true,
            canceled: true,
            cancel_reason: reason.into(),
            ..WatchResponse::default()
        };
        let span = Span::watched(&asked.key, &asked.range_end);
        if span.is_empty() {
            return refused("mvcc: watcher range is empty");
        }
        let id = match asked.watch_id {
            0 => {
                while self.watches.contains_key(&self.next) {
                    self.next += 1;
                }
                let id = self.next;
                self.next += 1;
                id
            }
            id if self.watches.contains_key(&id) => {
                return refused("mvcc: duplicate watch ID provided on the WatchStream");
            }
            id => id,
        };
        let from = match asked.start_revision {
            ..=0 => store.revision() + 1,
            from => from,
        };
        let filters = |which: FilterType| asked.filters.contains(&(which as i32));
        let watch = Watch {
            span,
            next: from,
            synced: from > store.revision(),
            no_put: filters(FilterType::Noput),
            no_delete: filters(FilterType::Nodelete),
            prev_kv: asked.prev_kv,
            fragment: asked.fragment,
            progress: asked.progress_notify,
            told: now,
        };
        self.watches.insert(id, watch);
        WatchResponse {
            header,
            watch_id: id,
            created: true,
            ..WatchResponse::default()
        }
    }

    /// Ends a watch, and says so; says nothing of one that is not there.
    pub fn cancel(&mut self, store: &Store, id: i64) -> Option<WatchResponse> {
        self.watches.remove(&id)?;
        Some(canceled(store.header(), id))
    }

    /// Says how far all watches have come. To be asked after `poll`.
    pub fn progress(&self, store: &Store) -> WatchResponse {
        WatchResponse {
            header: Some(store.header()),
            watch_id: NO_WATCH,
            ..WatchResponse::default()
        }
    }

    /// When something is to be said though nothing happens.
    pub fn next_progress(&self) -> Option<u64> {
        let watches = self.watches.values().filter(|watch| watch.progress);
        let due = watches.map(|watch| watch.told.saturating_add(PROGRESS_EVERY));
        due.min()
    }

    /// What the watches have to say now, at most about 1,000 revisions of each; to
    /// be asked until it is nothing.
    pub fn poll(&mut self, store: &Store, now: u64) -> Told {
        let mut told = Told::default();
        let mut over = Vec::new();
        for (&id, watch) in &mut self.watches {
            let before = told.responses.len();
            match watch.poll(store, id, &mut told.responses) {
                Ok(()) => {}
                Err(Refusal::Unknown(what)) => {
                    over.push(id);
                    told.responses.push(WatchResponse {
                        cancel_reason: Refusal::Unknown(what.clone()).to_string(),
                        ..canceled(store.header(), id)
                    });
                    told.unknown.push(what);
                }
                // What can it be but the other end of history?
                Err(_) => {
                    over.push(id);
                    told.responses.push(WatchResponse {
                        compact_revision: store.compacted(),
                        // etcd says no revision then.
                        ..canceled(ResponseHeader::default(), id)
                    });
                }
            }
            if told.responses.len() > before {
                watch.told = now;
            } else if watch.progress && now.saturating_sub(watch.told) >= PROGRESS_EVERY {
                watch.told = now;
                told.responses.push(WatchResponse {
                    header: Some(store.header()),
                    watch_id: id,
                    ..WatchResponse::default()
                });
            }
        }
        for id in over {
            self.watches.remove(&id);
        }
        told
    }
}

impl Watch {
    fn poll(
        &mut self,
        store: &Store,
        id: i64,
        responses: &mut Vec<WatchResponse>,
    ) -> Result<(), Refusal> {
        if self.next > store.revision() {
            return Ok(());
        }
        if self.next < store.compacted() {
            return Err(Refusal::Compacted);
        }
        let asked = Revisions {
            from: self.next,
            to: store.revision(),
        };
        if let Some(untold) = store.untold(&self.span, asked) {
            let what = format!("what revision {untold} did to {}", self.span);
            return Err(Refusal::Unknown(what.into()));
        }
        let mut batch = Vec::new();
        let mut revisions = 0;
        let mut next = store.revision() + 1;
        for (&revision, keys) in store.changed.range(self.next..) {
            if revisions == MOST_REVISIONS {
                next = revision;
                break;
            }
            let events = self.events(store, revision, keys)?;
            if events.is_empty() {
                continue;
            }
            revisions += 1;
            match self.synced {
                true => self.answer(id, revision, events, responses),
                false => batch.extend(events),
            }
        }
        if !batch.is_empty() {
            self.answer(id, store.revision(), batch, responses);
        }
        self.next = next;
        self.synced |= next > store.revision();
        Ok(())
    }

    /// What a revision did, as far as it is watched.
    fn events(&self, store: &Store, revision: i64, keys: &[Bytes]) -> Result<Vec<Event>, Refusal> {
        // A transaction may delete a key and put it again: then it stands here twice.
        let mut done = Vec::new();
        let mut looked_at = FxHashSet::default();
        for key in keys {
            if self.span.contains(key)
                && looked_at.insert(key)
                && let Some(timeline) = store.keys.get(key)
            {
                let entries = timeline.between(revision, revision).iter();
                done.extend(entries.map(|(place, what)| (*place, key, what)));
            }
        }
        done.sort_by_key(|(place, ..)| *place);
        let mut events = Vec::new();
        for (place, key, what) in done {
            let (kind, kv) = match what {
                What::Put(version) if !self.no_put => {
                    (EventType::Put, key_value(key, place, version, true)?)
                }
                What::Delete if !self.no_delete => {
                    let kv = KeyValue {
                        key: key.clone(),
                        mod_revision: revision,
                        ..KeyValue::default()
                    };
                    (EventType::Delete, kv)
                }
                _ => continue,
            };
            // Also where the same transaction deleted what was there.
            let creates = kind == EventType::Put && kv.create_revision == revision;
            // etcd leaves it out as well, when it was compacted.
            let prev_kv = match store.state(key, revision - 1) {
                State::Present(place, version) if self.prev_kv && !creates => {
                    key_value(key, place, version, true).ok()
                }
                _ => None,
            };
            events.push(Event {
                r#type: kind as i32,
                kv: Some(kv),
                prev_kv,
            });
        }
        Ok(events)
    }

    fn answer(
        &self,
        id: i64,
        revision: i64,
        events: Vec<Event>,
        responses: &mut Vec<WatchResponse>,
    ) {
        let response = |events, fragment| WatchResponse {
            header: Some(super::store::header(revision)),
            watch_id: id,
            events,
            fragment,
            ..WatchResponse::default()
        };
        if !self.fragment {
            responses.push(response(events, false));
            return;
        }
        let mut piece = Vec::new();
        let mut bytes = 0;
        for event in events {
            let length = event.encoded_len() + 8;
            if bytes + length >= FRAGMENT && !piece.is_empty() {
                responses.push(response(std::mem::take(&mut piece), true));
                bytes = 0;
            }
            bytes += length;
            piece.push(event);
        }
        responses.push(response(piece, false));
    }
}

fn canceled(header: ResponseHeader, id: i64) -> WatchResponse {
    WatchResponse {
        header: Some(header),
        watch_id: id,
        canceled: true,
        ..WatchResponse::default()
    }
}
