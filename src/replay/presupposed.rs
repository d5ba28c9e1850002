//! What the recording presupposes: what no call of it wrote, and its calls saw.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rustc_hash::FxHashSet;

use super::numbering::Numbering;
use super::plan::{Act, Place, Rank, Step};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::event::EventType;
use crate::etcd::schema::mvccpb::{Event, KeyValue};
use crate::mvcc::Span;
use crate::mvcc::evidence::{revision_held, span_listed};
use crate::record::traffic::{Book, Call};
use crate::snapshot::State;
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

/// How long a lease lives that the recording presupposes and of which it does not
/// say how long, in seconds.
pub(super) const LEASE_TTL: i64 = 3600;

/// Keys that are written in one Txn. etcd takes 128 operations.
pub(super) const MOST_AT_ONCE: usize = 100;

/// How much is written that no call of the recording wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presupposed {
    /// Keys that reads, events or guards know of.
    pub keys: u64,
    /// Of them, those whose value nobody saw: they are written empty.
    pub unknown_values: u64,
    /// Keys that must have been deleted.
    pub deletes: u64,
    /// Leases.
    pub leases: u64,
}

/// A write that no call of the recording made.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The key.
    pub key: Bytes,
    /// What it became; `None` if it was deleted.
    pub put: Option<(Bytes, i64)>,
}

/// The Txn that does what others did.
pub(super) fn write_foreigns(foreigns: &[Foreign], numbers: &Numbering) -> pb::TxnRequest {
    let ops = foreigns.iter().map(|foreign| {
        let request = match &foreign.put {
            Some((value, lease)) => AskedOp::RequestPut(pb::PutRequest {
                key: foreign.key.clone(),
                value: value.clone(),
                lease: numbers.lease(*lease),
                ..pb::PutRequest::default()
            }),
            None => AskedOp::RequestDeleteRange(pb::DeleteRangeRequest {
                key: foreign.key.clone(),
                ..pb::DeleteRangeRequest::default()
            }),
        };
        pb::RequestOp {
            request: Some(request),
        }
    });
    pb::TxnRequest {
        success: ops.collect(),
        ..pb::TxnRequest::default()
    }
}

/// What is known of the store besides what the calls wrote.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Revisions that calls of the recording wrote.
    written: FxHashSet<i64>,
    /// Versions of keys that were seen, whoever wrote them: by revision.
    seen: BTreeMap<i64, BTreeMap<Bytes, Foreign>>,
    /// Versions of keys that guards spoke of.
    guarded: BTreeSet<(i64, Bytes)>,
    /// Leases that are spoken of, and how long they live.
    leases: BTreeMap<i64, i64>,
    granted: FxHashSet<i64>,
}

impl World {
    /// What a call tells that stands at a revision.
    pub fn call(&mut self, call: &Call, revision: i64, writes: bool) {
        if writes {
            self.written.insert(revision);
        }
        let (Some(request), Some(response)) = (&call.request, &call.response) else {
            return;
        };
        match call.method() {
            Method::Range => {
                let asked: Option<pb::RangeRequest> = request.decode();
                if asked.is_some_and(|asked| !asked.keys_only)
                    && let Some(answer) = response.decode::<pb::RangeResponse>()
                {
                    self.kvs(&answer.kvs);
                }
            }
            Method::Put => {
                if let Some(asked) = request.decode::<pb::PutRequest>() {
                    self.lease(asked.lease);
                }
                if let Some(answer) = response.decode::<pb::PutResponse>() {
                    self.kvs(answer.prev_kv.as_slice());
                }
            }
            Method::DeleteRange => {
                if let Some(answer) = response.decode::<pb::DeleteRangeResponse>() {
                    self.kvs(&answer.prev_kvs);
                }
            }
            Method::Txn => {
                if let (Some(asked), Some(answer)) = (
                    request.decode::<pb::TxnRequest>(),
                    response.decode::<pb::TxnResponse>(),
                ) {
                    self.txn(&asked, &answer);
                }
            }
            Method::LeaseGrant => {
                if let Some(answer) = response.decode::<pb::LeaseGrantResponse>() {
                    self.granted.insert(answer.id);
                }
            }
            Method::LeaseRevoke => {
                if let Some(asked) = request.decode::<pb::LeaseRevokeRequest>() {
                    self.lease(asked.id);
                }
            }
            Method::LeaseTimeToLive => {
                if let Some(answer) = response.decode::<pb::LeaseTimeToLiveResponse>()
                    && answer.granted_ttl > 0
                {
                    self.lives(answer.id, answer.granted_ttl);
                }
            }
            _ => {}
        }
    }

    fn txn(&mut self, asked: &pb::TxnRequest, answer: &pb::TxnResponse) {
        if answer.succeeded {
            for compare in &asked.compare {
                if let Some(revision) = revision_held(compare)
                    && revision > 0
                {
                    self.guarded.insert((revision, compare.key.clone()));
                }
            }
        }
        let ops = match answer.succeeded {
            true => &asked.success,
            false => &asked.failure,
        };
        for (op, answer) in ops.iter().zip(&answer.responses) {
            match (&op.request, &answer.response) {
                (Some(AskedOp::RequestRange(asked)), Some(AnsweredOp::ResponseRange(answer)))
                    if !asked.keys_only =>
                {
                    self.kvs(&answer.kvs);
                }
                (Some(AskedOp::RequestPut(asked)), Some(AnsweredOp::ResponsePut(answer))) => {
                    self.lease(asked.lease);
                    self.kvs(answer.prev_kv.as_slice());
                }
                (_, Some(AnsweredOp::ResponseDeleteRange(answer))) => self.kvs(&answer.prev_kvs),
                (Some(AskedOp::RequestTxn(asked)), Some(AnsweredOp::ResponseTxn(answer))) => {
                    self.txn(asked, answer);
                }
                _ => {}
            }
        }
    }

    /// What an event tells.
    pub fn event(&mut self, event: &Event) {
        if let Some(before) = &event.prev_kv {
            self.kvs(std::slice::from_ref(before));
        }
        let Some(kv) = &event.kv else { return };
        match event.r#type() {
            EventType::Put => self.kvs(std::slice::from_ref(kv)),
            EventType::Delete => {
                let key = kv.key.clone();
                self.saw(kv.mod_revision, Foreign { key, put: None });
            }
        }
    }

    fn kvs(&mut self, kvs: &[KeyValue]) {
        for kv in kvs {
            let foreign = Foreign {
                key: kv.key.clone(),
                put: Some((kv.value.clone(), kv.lease)),
            };
            self.saw(kv.mod_revision, foreign);
        }
    }

    fn saw(&mut self, revision: i64, foreign: Foreign) {
        if revision > 0 && !self.written.contains(&revision) {
            let at = self.seen.entry(revision).or_default();
            at.entry(foreign.key.clone()).or_insert(foreign);
        }
    }

    /// A lease lives for so many seconds.
    pub fn lives(&mut self, id: i64, ttl: i64) {
        self.leases.insert(id, ttl);
    }

    /// A lease is spoken of.
    pub fn lease(&mut self, id: i64) {
        if id != 0 {
            self.leases.entry(id).or_insert(LEASE_TTL);
        }
    }

    /// How much of what is older than a snapshot is in it: versions of keys that the
    /// recording saw, and those of them that it has.
    pub fn held(&self, state: &State) -> (u64, u64) {
        let puts = self.seen.range(..=state.revision).flat_map(|(at, keys)| {
            let puts = keys.values().filter(|foreign| foreign.put.is_some());
            puts.map(|foreign| (*at, &foreign.key))
        });
        let guarded = self.guarded.iter().map(|(at, key)| (*at, key));
        let guarded = guarded.filter(|(at, _)| *at <= state.revision);
        puts.chain(guarded).fold((0, 0), |(all, has), (at, key)| {
            let kept = state.keys.get(key).is_some_and(|kept| kept.revision == at);
            (all + 1, has + u64::from(kept))
        })
    }

    /// Adds what no call wrote to the steps, but for what the target holds at first.
    pub fn presuppose(&mut self, steps: &mut Vec<Step>, before: &State, told: &mut Presupposed) {
        // What was seen before its write was known as a call's.
        let written = &self.written;
        self.seen
            .retain(|revision, _| *revision > before.revision && !written.contains(revision));
        self.guarded
            .retain(|(revision, _)| *revision > before.revision);
        for (revision, key) in std::mem::take(&mut self.guarded) {
            if self.written.contains(&revision) {
                continue;
            }
            let at = self.seen.entry(revision).or_default();
            at.entry(key.clone()).or_insert_with(|| {
                told.unknown_values += 1;
                Foreign {
                    key,
                    put: Some((Bytes::new(), 0)),
                }
            });
        }
        let seen = self.seen.values().flat_map(BTreeMap::values);
        let of_keys: Vec<i64> = seen
            .filter_map(|foreign| foreign.put.as_ref().map(|(_, lease)| *lease))
            .collect();
        for lease in of_keys {
            self.lease(lease);
        }
        for (&id, &ttl) in &self.leases {
            if !self.granted.contains(&id) && !before.leases.contains_key(&id) {
                told.leases += 1;
                steps.push(Step {
                    place: Place {
                        revision: 0,
                        rank: Rank::Write,
                        at: 0,
                    },
                    act: Act::Lease { id, ttl },
                });
            }
        }
        for (&revision, foreigns) in &self.seen {
            let foreigns: Vec<Foreign> = foreigns.values().cloned().collect();
            for foreigns in foreigns.chunks(MOST_AT_ONCE) {
                for foreign in foreigns {
                    match foreign.put {
                        Some(_) => told.keys += 1,
                        None => told.deletes += 1,
                    }
                }
                steps.push(Step {
                    place: Place {
                        revision,
                        rank: Rank::Write,
                        at: 0,
                    },
                    act: Act::Presuppose(foreigns.to_vec()),
                });
            }
        }
    }

    /// Adds the deletions that nobody saw: of keys that are there as far as is known,
    /// and are not for a call that looks.
    /// `before` is what the target holds at first.
    pub fn deleted(
        &self,
        book: &Book,
        steps: Vec<Step>,
        before: &State,
        told: &mut Presupposed,
    ) -> Vec<Step> {
        let mut there: BTreeSet<Bytes> = before.keys.keys().cloned().collect();
        let mut with = Vec::with_capacity(steps.len());
        let mut used: FxHashSet<i64> = FxHashSet::default();
        for step in steps {
            match &step.act {
                Act::Presuppose(foreigns) => {
                    for foreign in foreigns {
                        match foreign.put {
                            Some(_) => there.insert(foreign.key.clone()),
                            None => there.remove(&foreign.key),
                        };
                    }
                }
                Act::Call(n) => {
                    let call = &book.calls[*n];
                    let gone: Vec<Foreign> = absent(call, &there)
                        .into_iter()
                        .filter(|key| there.remove(key))
                        .map(|key| Foreign { key, put: None })
                        .collect();
                    if !gone.is_empty() {
                        told.deletes += gone.len() as u64;
                        // The last revision that nobody is known to have written.
                        let free = |at: &i64| {
                            !self.written.contains(at)
                                && !self.seen.contains_key(at)
                                && !used.contains(at)
                        };
                        let least = step.place.revision.saturating_sub(10_000);
                        let least = least.max(before.revision + 1).max(1);
                        let revision = (least..=step.place.revision).rev().find(free);
                        used.extend(revision);
                        for gone in gone.chunks(MOST_AT_ONCE) {
                            with.push(Step {
                                place: Place {
                                    revision: revision.unwrap_or(0),
                                    rank: Rank::Write,
                                    at: step.place.at,
                                },
                                act: Act::Presuppose(gone.to_vec()),
                            });
                        }
                    }
                    if step.place.rank == Rank::Write {
                        apply(call, &mut there);
                    }
                }
                _ => {}
            }
            with.push(step);
        }
        with
    }
}

/// Keys that are thought to be there, and that a call shows not to be there before it.
fn absent(call: &Call, there: &BTreeSet<Bytes>) -> Vec<Bytes> {
    let (Some(request), Some(response)) = (&call.request, &call.response) else {
        return Vec::new();
    };
    let mut gone = Vec::new();
    match call.method() {
        Method::Range => {
            if let (Some(asked), Some(answer)) = (request.decode(), response.decode()) {
                not_listed(&asked, &answer, there, &mut gone);
            }
        }
        Method::Txn => {
            let asked: Option<pb::TxnRequest> = request.decode();
            let answer: Option<pb::TxnResponse> = response.decode();
            let (Some(asked), Some(answer)) = (asked, answer) else {
                return Vec::new();
            };
            if answer.succeeded {
                let keys = asked
                    .compare
                    .iter()
                    .filter(|compare| revision_held(compare) == Some(0))
                    .map(|compare| compare.key.clone());
                gone.extend(keys.filter(|key| there.contains(key)));
            }
            let ops = match answer.succeeded {
                true => &asked.success,
                false => &asked.failure,
            };
            for (op, answer) in ops.iter().zip(&answer.responses) {
                match (&op.request, &answer.response) {
                    (
                        Some(AskedOp::RequestRange(asked)),
                        Some(AnsweredOp::ResponseRange(answer)),
                    ) => {
                        not_listed(asked, answer, there, &mut gone);
                    }
                    // What comes later may see what this wrote.
                    _ => break,
                }
            }
        }
        _ => {}
    }
    gone
}

/// Keys of a list's span that it does not have.
fn not_listed(
    asked: &pb::RangeRequest,
    answer: &pb::RangeResponse,
    there: &BTreeSet<Bytes>,
    gone: &mut Vec<Bytes>,
) {
    // Of the past it says nothing of what is there now.
    let Some(span) = span_listed(asked, answer).filter(|_| asked.revision == 0) else {
        return;
    };
    let listed: FxHashSet<&Bytes> = answer.kvs.iter().map(|kv| &kv.key).collect();
    let within = there
        .range(span.start.clone()..)
        .take_while(|key| span.contains(key));
    gone.extend(within.filter(|key| !listed.contains(key)).cloned());
}

/// What a call wrote.
fn apply(call: &Call, there: &mut BTreeSet<Bytes>) {
    let (Some(request), Some(response)) = (&call.request, &call.response) else {
        return;
    };
    match call.method() {
        Method::Put => {
            if let Some(asked) = request.decode::<pb::PutRequest>() {
                there.insert(asked.key);
            }
        }
        Method::DeleteRange => {
            if let Some(asked) = request.decode::<pb::DeleteRangeRequest>() {
                delete(&asked, there);
            }
        }
        Method::Txn => {
            if let (Some(asked), Some(answer)) = (
                request.decode::<pb::TxnRequest>(),
                response.decode::<pb::TxnResponse>(),
            ) {
                apply_txn(&asked, &answer, there);
            }
        }
        _ => {}
    }
}

fn apply_txn(asked: &pb::TxnRequest, answer: &pb::TxnResponse, there: &mut BTreeSet<Bytes>) {
    let ops = match answer.succeeded {
        true => &asked.success,
        false => &asked.failure,
    };
    for (op, answer) in ops.iter().zip(&answer.responses) {
        match (&op.request, &answer.response) {
            (Some(AskedOp::RequestPut(asked)), _) => {
                there.insert(asked.key.clone());
            }
            (Some(AskedOp::RequestDeleteRange(asked)), _) => delete(asked, there),
            (Some(AskedOp::RequestTxn(asked)), Some(AnsweredOp::ResponseTxn(answer))) => {
                apply_txn(asked, answer, there);
            }
            _ => {}
        }
    }
}

fn delete(asked: &pb::DeleteRangeRequest, there: &mut BTreeSet<Bytes>) {
    if asked.range_end.is_empty() {
        there.remove(&asked.key);
    } else {
        let gone = Span::asked(&asked.key, &asked.range_end);
        there.retain(|key| !gone.contains(key));
    }
}
