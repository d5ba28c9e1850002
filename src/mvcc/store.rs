//! The store: reads, writes, compaction.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use rustc_hash::FxHashSet;

use super::check;
use super::knowledge::{Knowledge, Revisions};
use super::lease::Leases;
use super::refusal::Refusal;
use super::span::Span;
use super::timeline::{Life, Place, State, Timeline, Version, What};
use crate::etcd::schema::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::etcd::schema::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, ResponseHeader,
};
use crate::etcd::schema::mvccpb::KeyValue;

/// A multi-version store with etcd's semantics, as far as it is known.
#[derive(Debug)]
pub struct Store {
    pub(super) keys: BTreeMap<Bytes, Timeline>,
    /// Which keys a revision changed, in order.
    pub(super) changed: BTreeMap<i64, Vec<Bytes>>,
    pub(super) revision: i64,
    /// Before it nothing can be read.
    pub(super) compacted: i64,
    pub(super) knowledge: Knowledge,
    pub(super) leases: Leases,
    /// It takes no writes.
    pub(super) read_only: bool,
    /// Keys of which nobody told are taken to be absent.
    pub(super) unknown_is_absent: bool,
    /// The revision at which it began to be written to.
    pub(super) began: i64,
    /// By how many revisions of its own it is ahead of the recording that it plays.
    pub(super) ahead: i64,
    /// Keys that were written here and not by the recording.
    pub(super) overwritten: FxHashSet<Bytes>,
}

/// A transaction that is going on. What it wrote stands in the store already, at
/// the next revision; it must be committed or taken back.
#[derive(Debug, Default)]
pub(super) struct Writing {
    changed: Vec<Bytes>,
}

impl Default for Store {
    fn default() -> Store {
        Store::empty()
    }
}

impl Store {
    /// A new etcd's: revision 1, no keys.
    pub fn empty() -> Store {
        Store {
            keys: BTreeMap::new(),
            changed: BTreeMap::new(),
            revision: 1,
            compacted: 0,
            knowledge: Knowledge::everything(),
            leases: Leases::default(),
            read_only: false,
            unknown_is_absent: false,
            began: 1,
            ahead: 0,
            overwritten: FxHashSet::default(),
        }
    }

    /// The revision at which it stands.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision up to which it is compacted; 0 if it is not.
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// From now on it takes no writes.
    pub fn close(&mut self) {
        self.read_only = true;
    }

    /// From now on a key of which nobody told is one that does not exist.
    pub fn take_unknown_as_absent(&mut self) {
        self.unknown_is_absent = true;
    }

    /// Its leases, to keep them alive.
    pub fn leases_mut(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// Keys that exist, as far as that is known; and bytes of their values.
    pub fn size(&self) -> (usize, u64) {
        let mut size = (0, 0);
        for timeline in self.keys.values() {
            if let Some(State::Present(_, version)) = timeline.at(self.revision) {
                size.0 += 1;
                size.1 += version.value.as_ref().map_or(0, |value| value.len() as u64);
            }
        }
        size
    }

    /// A header of an answer; the server adds who it is.
    pub fn header(&self) -> ResponseHeader {
        header(self.revision)
    }

    /// Answers a Range.
    ///
    /// # Errors
    /// As etcd's; and if a key that would be in the answer is not known.
    pub fn range(&self, asked: &RangeRequest) -> Result<RangeResponse, Refusal> {
        check::range(asked)?;
        self.read(asked, self.revision)
    }

    /// Answers a Put.
    ///
    /// # Errors
    /// As etcd's; and if nobody told whether the key exists.
    pub fn put(&mut self, asked: &PutRequest) -> Result<PutResponse, Refusal> {
        check::put(asked)?;
        self.check_writable()?;
        self.check_lease(asked.lease)?;
        self.write(|store, writing| store.put_in(writing, asked))
    }

    /// Answers a DeleteRange.
    ///
    /// # Errors
    /// As etcd's; and if not every key in the range is known.
    pub fn delete_range(
        &mut self,
        asked: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Refusal> {
        check::delete(asked)?;
        self.check_writable()?;
        self.write(|store, writing| store.delete_in(writing, asked))
    }

    /// Answers a Compact.
    ///
    /// # Errors
    /// As etcd's: the revision is compacted already, or yet to come.
    pub fn compact(&mut self, asked: &CompactionRequest) -> Result<CompactionResponse, Refusal> {
        self.check_writable()?;
        if asked.revision <= self.first_revision() {
            return Err(Refusal::Compacted);
        }
        if asked.revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        self.compacted = asked.revision;
        let knowledge = &self.knowledge;
        self.keys.retain(|key, timeline| {
            timeline.compact(asked.revision, || {
                knowledge.gap(&Span::key(key), asked.revision).is_none()
            })
        });
        // An event at the revision itself can still be watched.
        self.changed = self.changed.split_off(&asked.revision);
        Ok(CompactionResponse {
            header: Some(self.header()),
        })
    }

    /// The state of a key.
    pub fn state(&self, key: &Bytes, revision: i64) -> State<'_> {
        let told = self.keys.get(key).and_then(|known| known.at(revision));
        let state = match told {
            Some(state) => state,
            None if self.gap(&Span::key(key), revision).is_none() => State::Absent,
            None => State::Unknown,
        };
        match state {
            State::Unknown if self.unknown_is_absent => State::Absent,
            state => state,
        }
    }

    /// Whether the value that a key has now was hidden.
    pub(super) fn is_hidden(&self, key: &Bytes) -> bool {
        matches!(self.state(key, self.revision), State::Present(_, version) if version.hidden)
    }

    pub(super) fn check_writable(&self) -> Result<(), Refusal> {
        match self.read_only {
            true => Err(Refusal::ReadOnly),
            false => Ok(()),
        }
    }

    pub(super) fn check_lease(&self, lease: i64) -> Result<(), Refusal> {
        match lease == 0 || self.leases.contains(lease) {
            true => Ok(()),
            false => Err(Refusal::LeaseNotFound),
        }
    }

    /// The first revision that is not compacted. One that was never compacted refuses
    /// only what is below zero.
    pub(super) fn first_revision(&self) -> i64 {
        if self.compacted == 0 {
            -1
        } else {
            self.compacted
        }
    }

    /// The revision that a Range asks for.
    pub(super) fn readable(&self, revision: i64, current: i64) -> Result<i64, Refusal> {
        match revision {
            ..=0 => Ok(current),
            asked if asked > current => Err(Refusal::FutureRevision),
            asked if asked < self.compacted => Err(Refusal::Compacted),
            asked => Ok(asked),
        }
    }

    /// The keys of a span that exist at a revision.
    fn present(
        &self,
        span: &Span,
        revision: i64,
    ) -> Result<Vec<(&Bytes, Place, &Version)>, Refusal> {
        let mut present = Vec::new();
        let Some(bounds) = span.bounds() else {
            return Ok(present);
        };
        let mut told = 0;
        for (key, timeline) in self.keys.range::<[u8], _>(bounds) {
            match timeline.at(revision) {
                Some(State::Present(place, version)) => present.push((key, place, version)),
                Some(State::Absent) => {}
                Some(State::Unknown) if self.unknown_is_absent => {}
                Some(State::Unknown) => return Err(not_told(&Span::key(key), revision)),
                None => continue,
            }
            told += 1;
        }
        // One key that was spoken of needs no more.
        let enough = self.unknown_is_absent || (span.is_key() && told == 1);
        if !enough && let Some(gap) = self.gap(span, revision) {
            return Err(not_told(&gap, revision));
        }
        Ok(present)
    }

    /// A Range while `current` is the revision that is seen.
    pub(super) fn read(
        &self,
        asked: &RangeRequest,
        current: i64,
    ) -> Result<RangeResponse, Refusal> {
        let revision = self.readable(asked.revision, current)?;
        let span = Span::asked(&asked.key, &asked.range_end);
        let present = self.present(&span, revision)?;
        let mut answer = RangeResponse {
            header: Some(header(current)),
            count: present.len() as i64,
            ..RangeResponse::default()
        };
        if asked.count_only {
            return Ok(answer);
        }
        let target = SortTarget::try_from(asked.sort_target).unwrap_or_default();
        let mut kvs = Vec::with_capacity(present.len());
        for (key, place, version) in present {
            let values = !asked.keys_only || target == SortTarget::Value;
            kvs.push(key_value(key, place, version, values)?);
        }
        let outside =
            |at: i64, least: i64, most: i64| (least != 0 && at < least) || (most != 0 && at > most);
        kvs.retain(|kv| {
            !outside(
                kv.mod_revision,
                asked.min_mod_revision,
                asked.max_mod_revision,
            ) && !outside(
                kv.create_revision,
                asked.min_create_revision,
                asked.max_create_revision,
            )
        });
        let descend = asked.sort_order == SortOrder::Descend as i32;
        let ordered = |order: Ordering| if descend { order.reverse() } else { order };
        // Equals stay in the order of their keys, either way.
        kvs.sort_by(|one, other| {
            ordered(match target {
                SortTarget::Key => one.key.cmp(&other.key),
                SortTarget::Version => one.version.cmp(&other.version),
                SortTarget::Create => one.create_revision.cmp(&other.create_revision),
                SortTarget::Mod => one.mod_revision.cmp(&other.mod_revision),
                SortTarget::Value => one.value.cmp(&other.value),
            })
        });
        if let Ok(limit @ 1..) = usize::try_from(asked.limit)
            && kvs.len() > limit
        {
            kvs.truncate(limit);
            answer.more = true;
        }
        if asked.keys_only {
            for kv in &mut kvs {
                kv.value = Bytes::new();
            }
        }
        answer.kvs = kvs;
        Ok(answer)
    }

    /// Does a transaction, as a whole or not at all.
    pub(super) fn write<T>(
        &mut self,
        ops: impl FnOnce(&mut Store, &mut Writing) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut writing = Writing::default();
        let done = ops(self, &mut writing);
        match &done {
            Ok(_) => self.commit(writing),
            Err(_) => self.take_back(&writing),
        }
        done
    }

    /// The revision that a transaction sees.
    pub(super) fn seen_by(&self, writing: &Writing) -> i64 {
        self.revision + i64::from(writing.has_changes())
    }

    pub(super) fn put_in(
        &mut self,
        writing: &mut Writing,
        asked: &PutRequest,
    ) -> Result<PutResponse, Refusal> {
        let now = self.revision + 1;
        let mut answer = PutResponse {
            header: Some(header(now)),
            prev_kv: None,
        };
        let mut version = Version {
            life: Some(Life {
                created: now,
                version: 1,
            }),
            value: Some(asked.value.clone()),
            lease: asked.lease,
            hidden: false,
        };
        match self.state(&asked.key, now) {
            State::Unknown => return Err(not_told(&Span::key(&asked.key), self.revision)),
            State::Absent if asked.ignore_value || asked.ignore_lease => {
                return Err(Refusal::KeyNotFound);
            }
            State::Absent => {}
            State::Present(place, before) => {
                if asked.prev_kv {
                    answer.prev_kv = Some(key_value(&asked.key, place, before, true)?);
                }
                version.life = before.life.map(|life| Life {
                    created: life.created,
                    version: life.version + 1,
                });
                if asked.ignore_value {
                    version.value = before.value.clone();
                    version.hidden = before.hidden;
                }
                if asked.ignore_lease {
                    version.lease = before.lease;
                }
            }
        }
        // A copy: a slice would keep the whole request.
        version.value = version.value.map(|value| match asked.ignore_value {
            true => value,
            false => Bytes::copy_from_slice(&value),
        });
        self.happens(writing, &asked.key, What::Put(version));
        Ok(answer)
    }

    pub(super) fn delete_in(
        &mut self,
        writing: &mut Writing,
        asked: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Refusal> {
        let span = Span::asked(&asked.key, &asked.range_end);
        let mut prev_kvs = Vec::new();
        let mut keys = Vec::new();
        for (key, place, version) in self.present(&span, self.revision + 1)? {
            if asked.prev_kv {
                prev_kvs.push(key_value(key, place, version, true)?);
            }
            keys.push(key.clone());
        }
        for key in &keys {
            self.happens(writing, key, What::Delete);
        }
        Ok(DeleteRangeResponse {
            header: Some(header(self.seen_by(writing))),
            deleted: keys.len() as i64,
            prev_kvs,
        })
    }

    /// Deletes these keys, those that exist.
    pub(super) fn delete_keys(&mut self, keys: impl IntoIterator<Item = Bytes>) {
        let mut writing = Writing::default();
        for key in keys {
            if let State::Present(..) = self.state(&key, self.revision + 1) {
                self.happens(&mut writing, &key, What::Delete);
            }
        }
        self.commit(writing);
    }

    fn happens(&mut self, writing: &mut Writing, key: &Bytes, what: What) {
        let place = Place {
            revision: self.revision + 1,
            sub: writing.changed.len() as u32,
        };
        let key = match self.keys.get_mut(key) {
            Some(timeline) => {
                timeline.push(place, what);
                key.clone()
            }
            None => {
                let key = Bytes::copy_from_slice(key);
                let timeline = Timeline::new(vec![(place, what)]);
                self.keys.insert(key.clone(), timeline);
                key
            }
        };
        writing.changed.push(key);
    }

    fn commit(&mut self, writing: Writing) {
        if !writing.has_changes() {
            return;
        }
        self.revision += 1;
        self.ahead += 1;
        self.overwritten.extend(writing.changed.iter().cloned());
        self.hang(self.revision - 1, &writing.changed);
        self.changed.insert(self.revision, writing.changed);
    }

    /// Sees to it that keys which changed since a revision hang on the leases that
    /// they name.
    pub(super) fn hang(&mut self, before: i64, keys: &[Bytes]) {
        for key in keys {
            let lease = |state: Option<State<'_>>| match state {
                Some(State::Present(_, version)) => version.lease,
                _ => 0,
            };
            let timeline = self.keys.get(key);
            let (old, new) = timeline.map_or((0, 0), |timeline| {
                let at = |revision| lease(timeline.at(revision));
                (at(before), at(self.revision))
            });
            if old != new {
                self.leases.detach(old, key);
            }
            self.leases.attach(new, key);
        }
    }

    /// The revision of the recording that one of the store's own answers to.
    fn recorded(&self, revision: i64) -> i64 {
        match revision <= self.began {
            true => revision,
            false => revision.saturating_sub(self.ahead).max(self.began),
        }
    }

    fn gap(&self, span: &Span, revision: i64) -> Option<Span> {
        self.knowledge.gap(span, self.recorded(revision))
    }

    fn take_back(&mut self, writing: &Writing) {
        let from = self.revision + 1;
        for key in &writing.changed {
            if let Some(timeline) = self.keys.get_mut(key)
                && !timeline.take_back(from)
            {
                self.keys.remove(key);
            }
        }
    }

    /// The first of the revisions in which not every change of the span's keys is
    /// known.
    pub(super) fn untold(&self, span: &Span, revisions: Revisions) -> Option<i64> {
        match self.unknown_is_absent {
            true => None,
            false => self.knowledge.untold(
                span,
                Revisions {
                    from: self.recorded(revisions.from),
                    to: self.recorded(revisions.to),
                },
            ),
        }
    }
}

impl Writing {
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }
}

/// A header that says a revision only.
pub(super) fn header(revision: i64) -> ResponseHeader {
    ResponseHeader {
        revision,
        ..ResponseHeader::default()
    }
}

pub(super) fn not_told(span: &Span, revision: i64) -> Refusal {
    Refusal::Unknown(format!("{span} at revision {revision}").into())
}

/// A key and its value as an answer has them.
pub(super) fn key_value(
    key: &Bytes,
    place: Place,
    version: &Version,
    with_value: bool,
) -> Result<KeyValue, Refusal> {
    let key_text = || key.escape_ascii();
    let at = place.revision;
    let life = version.life.ok_or_else(|| {
        Refusal::Unknown(format!("when {}, put at revision {at}, was created", key_text()).into())
    })?;
    let value = match (&version.value, with_value) {
        (_, false) => Bytes::new(),
        (Some(value), true) => value.clone(),
        (None, true) => {
            let what = format!("the value of {}, put at revision {at}", key_text());
            return Err(Refusal::Unknown(what.into()));
        }
    };
    Ok(KeyValue {
        key: key.clone(),
        create_revision: life.created,
        mod_revision: at,
        version: life.version,
        value,
        lease: version.lease,
    })
}
