//! From single facts to what is known of every key at every revision.
//!
//! A fact is what one answer or one event says: this was put at that revision, this
//! existed when the store stood at another, this list was complete. Between the
//! facts three things let knowledge reach on:
//!
//! - *Quiet revisions.* Of a revision whose write was recorded as a whole, all is
//!   known; of one that a watch has passed, all that happened to the keys it watched.
//!   What is not said to have changed there has not.
//! - *Versions.* Between version 3 of a key and version 4 of the same life nothing
//!   happened to it.
//! - *The beginning.* At revision 1 every etcd is empty.

use std::collections::BTreeMap;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::{Before, Fact, Facts};
use super::knowledge::{Revisions, joined, onward};
use super::learn::{Quiet, Spans, knowledge};
use super::lease::Leases;
use super::span::Span;
use super::store::Store;
use super::timeline::{Life, Place, State, Version, What};
use crate::etcd::schema::mvccpb::KeyValue;

/// Facts.
#[derive(Debug, Default)]
pub struct Past {
    keys: BTreeMap<Bytes, Facts>,
    /// At these revisions every key of the span was told.
    lists: FxHashMap<Span, Vec<i64>>,
    /// In these every change of the span's keys was told.
    watched: FxHashMap<Span, Vec<Revisions>>,
    /// In these every change was told.
    whole: Vec<Revisions>,
    leases: BTreeMap<i64, Option<i64>>,
    /// The least and the greatest revision at which the store was seen standing.
    stood: Option<Revisions>,
    /// Bytes of the values.
    bytes: u64,
}

/// A put as a request tells of it.
#[derive(Debug, Clone)]
pub struct PutSeen {
    /// The key.
    pub key: Bytes,
    /// The value; `None` if the request did not say.
    pub value: Option<Bytes>,
    /// The value, or a part of it, was hidden.
    pub hidden: bool,
    /// The lease; 0: none.
    pub lease: i64,
}

/// What happens after the revision that a store was made for.
#[derive(Debug, Default)]
pub struct Future {
    /// By revision: each key, and what happens to it there.
    pub(super) entries: BTreeMap<i64, Vec<(Bytes, Place, What)>>,
}

impl Future {
    /// The next revision in which something happens.
    pub fn next(&self) -> Option<i64> {
        self.entries.keys().next().copied()
    }

    /// How many revisions there are in which something happens.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happens any more.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Past {
    /// Something was put at a revision, by the `sub`th write of its transaction.
    pub fn put(&mut self, put: PutSeen, revision: i64, sub: u32) {
        self.lease(put.lease, None);
        let version = Version {
            life: None,
            value: put.value,
            lease: put.lease,
            hidden: put.hidden,
        };
        self.add_put(&put.key, revision, sub, version);
    }

    /// A key and its value were told, as an event or as a part of an answer of a
    /// store that stood at `at`. Of an event, `sub` is its place in its transaction, as
    /// far as it is known; it only sets it off from others of the same revision.
    pub fn seen(&mut self, kv: &KeyValue, hidden: bool, has_value: bool, at: i64, sub: u32) {
        if kv.mod_revision <= 0 || at < kv.mod_revision {
            return;
        }
        self.lease(kv.lease, None);
        let life = Life {
            created: kv.create_revision,
            version: kv.version,
        };
        let version = Version {
            life: (kv.version > 0 && kv.create_revision > 0).then_some(life),
            value: has_value.then(|| kv.value.clone()),
            lease: kv.lease,
            hidden,
        };
        let fact = self.add_put(&kv.key, kv.mod_revision, sub, version);
        fact.until = fact.until.max(at);
    }

    /// A key was deleted.
    pub fn deleted(&mut self, key: &Bytes, revision: i64, sub: u32) {
        let fact = self.facts(key).events.entry(revision);
        let fact = fact.or_insert_with(|| Fact::new(sub, None, revision));
        fact.sub = fact.sub.max(sub);
    }

    /// Before what happened to the key at a revision, there was what was put at
    /// another; 0: nothing.
    pub fn followed(&mut self, key: &Bytes, revision: i64, before: i64) {
        if before > 0 {
            let version = Version {
                life: None,
                value: None,
                lease: 0,
                hidden: false,
            };
            let known = self.keys.get(key);
            if known.is_none_or(|facts| !facts.events.contains_key(&before)) {
                self.add_put(key, before, 0, version);
            }
        }
        if let Some(fact) = self.facts(key).events.get_mut(&revision) {
            fact.before = match before {
                ..=0 => Before::Absent,
                before => Before::Put(before),
            };
        }
    }

    /// A key did not exist when the store stood at a revision.
    pub fn absent(&mut self, key: &Bytes, at: i64) {
        self.facts(key).absent.push(at);
    }

    /// Every key of the span that existed at a revision was told.
    pub fn listed(&mut self, span: Span, at: i64) {
        match span.is_key() {
            true if self
                .keys
                .get(&span.start)
                .is_none_or(|facts| !facts.stands_at(at)) =>
            {
                self.absent(&span.start, at);
            }
            true => {}
            false => self.lists.entry(span).or_default().push(at),
        }
    }

    /// Every change of the span's keys in these revisions was told.
    pub fn watched(&mut self, span: Span, revisions: Revisions) {
        if revisions.from <= revisions.to {
            self.watched.entry(span).or_default().push(revisions);
        }
    }

    /// All that a revision did was told.
    pub fn whole(&mut self, revision: i64) {
        match self.whole.last_mut() {
            Some(last) if last.to + 1 == revision => last.to = revision,
            _ => self.whole.push(Revisions {
                from: revision,
                to: revision,
            }),
        }
    }

    /// There is a lease, of so many seconds if that is known.
    pub fn lease(&mut self, id: i64, ttl: Option<i64>) {
        if id != 0 {
            let known = self.leases.entry(id).or_default();
            *known = ttl.or(*known);
        }
    }

    /// The store stood at a revision.
    pub fn stood_at(&mut self, revision: i64) {
        if revision > 0 {
            let stood = self.stood.get_or_insert(Revisions {
                from: revision,
                to: revision,
            });
            stood.from = stood.from.min(revision);
            stood.to = stood.to.max(revision);
        }
    }

    /// The store came to a revision, at some time.
    pub fn reached(&mut self, revision: i64) {
        match &mut self.stood {
            Some(stood) => stood.to = stood.to.max(revision),
            None => self.stood_at(revision),
        }
    }

    /// From which revision to which the store was seen standing.
    pub fn stood(&self) -> Option<Revisions> {
        self.stood
    }

    /// What the values take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many values were told only with something hidden in them.
    pub fn hidden(&self) -> usize {
        let facts = self.keys.values().flat_map(|facts| facts.events.values());
        facts
            .filter(|fact| fact.put.as_ref().is_some_and(|version| version.hidden))
            .count()
    }

    fn facts(&mut self, key: &Bytes) -> &mut Facts {
        facts(&mut self.keys, key)
    }

    fn add_put(&mut self, key: &Bytes, revision: i64, sub: u32, version: Version) -> &mut Fact {
        let fact = facts(&mut self.keys, key)
            .events
            .entry(revision)
            .or_insert_with(|| Fact::new(sub, None, revision));
        fact.sub = fact.sub.max(sub);
        let known = fact.put.get_or_insert(Version {
            life: None,
            value: None,
            lease: 0,
            hidden: false,
        });
        known.life = version.life.or(known.life);
        known.lease = known.lease.max(version.lease);
        // What was told openly counts for more than what was hidden.
        let better = known.value.is_none() || (known.hidden && !version.hidden);
        if let Some(value) = version.value
            && better
        {
            self.bytes += value.len() as u64;
            // A copy: a slice would keep the whole answer.
            known.value = Some(Bytes::copy_from_slice(&value));
            known.hidden = version.hidden;
        }
        fact
    }

    /// The store as it stood at a revision, with its past, and what came then. Past
    /// `told_to` nothing happens unseen: what is known then stays known.
    pub fn store_at(mut self, revision: i64, told_to: i64) -> (Store, Future) {
        let whole = joined(std::mem::take(&mut self.whole));
        let watched = self.watched.drain();
        let watched = watched.map(|(span, revisions)| (span, joined(revisions)));
        let watched = Spans::of(watched.collect());
        let mut lists: Vec<(Span, Vec<i64>)> = self.lists.drain().collect();
        lists.push((Span::all(), vec![1]));
        let lists = Spans::of(lists);

        let known_from = known_from(&whole, self.stood);
        let mut leases = Leases::default();
        for (id, ttl) in &self.leases {
            leases.known(*id, *ttl);
        }
        let mut store = Store {
            keys: BTreeMap::new(),
            changed: BTreeMap::new(),
            revision,
            compacted: known_from,
            knowledge: knowledge(&whole, &watched, &lists, told_to),
            leases,
            read_only: false,
            unknown_is_absent: false,
            began: revision,
            ahead: 0,
            overwritten: FxHashSet::default(),
        };
        let mut future = Future::default();
        let mut changed: BTreeMap<i64, Vec<(Place, Bytes)>> = BTreeMap::new();
        let mut listed = lists.sweep();
        let mut quiet = Quiet::of(&whole, &watched);
        for (key, mut facts) in self.keys {
            for at in listed.about(&key) {
                let told = at.iter().filter(|at| !facts.stands_at(**at));
                let told: Vec<i64> = told.copied().collect();
                facts.absent.extend(told);
            }
            let quiet = quiet.about(&key);
            let mut timeline = facts.timeline(quiet);
            for (place, what) in timeline.split_after(revision) {
                if place.revision > told_to {
                    break;
                }
                let entries = future.entries.entry(place.revision).or_default();
                entries.push((key.clone(), place, what));
            }
            for (place, what) in timeline.between(0, revision) {
                if matches!(what, What::Put(_) | What::Delete) {
                    let keys = changed.entry(place.revision).or_default();
                    keys.push((*place, key.clone()));
                }
            }
            if let Some(State::Present(_, version)) = timeline.at(revision) {
                store.leases.attach(version.lease, &key);
            }
            if !timeline.is_empty() {
                store.keys.insert(key, timeline);
            }
        }
        for (revision, mut keys) in changed {
            keys.sort_by_key(|(place, _)| *place);
            let keys = keys.into_iter().map(|(_, key)| key).collect();
            store.changed.insert(revision, keys);
        }
        for entries in future.entries.values_mut() {
            entries.sort_by_key(|(_, place, _)| *place);
        }
        (store, future)
    }
}

/// What was told of a key, which gets bytes of its own.
fn facts<'k>(keys: &'k mut BTreeMap<Bytes, Facts>, key: &Bytes) -> &'k mut Facts {
    if !keys.contains_key(key) {
        keys.insert(Bytes::copy_from_slice(key), Facts::default());
    }
    keys.entry(key.clone()).or_default()
}

/// The first revision that can be asked for: the first at which the store was seen,
/// or 0 if all is known from the very beginning.
fn known_from(whole: &[Revisions], stood: Option<Revisions>) -> i64 {
    let first = stood.map_or(1, |stood| stood.from);
    match onward(whole, 1) >= first {
        true => 0,
        false => first,
    }
}
