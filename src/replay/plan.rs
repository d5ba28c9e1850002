//! What is done in which order, and what the recording presupposes.
//!
//! Answers of `KV` carry the revision they were given at, exactly: a write that at
//! which it was committed, all else that of the state it saw. So the order of a
//! recording is known, however its calls overlapped. What has no such revision
//! (the end of a watch, a refusal) is put where the clock says.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::watches::{Expectation, expectations};
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::KeyValue;
use crate::etcd::schema::mvccpb::event::EventType;
use crate::record::traffic::{Book, Call, Ending, KeepAliveStep, Said, Shape, WatchStep};
use pb::compare::{CompareResult, TargetUnion};
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

/// How long a lease lives that the recording presupposes and of which it does not
/// say how long, in seconds.
const LEASE_TTL: i64 = 3600;

/// Keys that are written in one Txn. etcd takes 128 operations.
const MOST_AT_ONCE: usize = 100;

/// What is done, in order.
#[derive(Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What each Watch stream of the book should bring; by its place in
    /// `book.streams`.
    pub watches: BTreeMap<usize, Vec<Expectation>>,
    /// Calls that are not driven, by why.
    pub left_out: BTreeMap<&'static str, u64>,
    /// What is written that no call of the recording wrote.
    pub presupposed: Presupposed,
    /// The recorded revision before the first step, if the target is taken to be in
    /// the state of it.
    pub before: Option<i64>,
}

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

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// What is done.
    pub act: Act,
}

/// Where a step stands: by revision; there what writes comes first, and then what
/// was earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The recorded revision.
    pub revision: i64,
    /// What is done at it.
    pub rank: Rank,
    /// When it began, in nanoseconds since 1970.
    pub at: u64,
}

/// What comes first at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// What makes the revision.
    Write,
    /// What sees it.
    Read,
    /// What ends when it has been seen.
    End,
}

/// What is done in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Grants a lease that the recording presupposes, by its own number.
    Lease {
        /// Its number.
        id: i64,
        /// Its time to live in seconds.
        ttl: i64,
    },
    /// Writes what the recording presupposes, at the step's revision.
    Presuppose(Vec<Foreign>),
    /// Makes a call, by its place in `book.calls`.
    Call(usize),
    /// Asks for a watch on a stream, by its place in `book.streams`.
    Create(usize, Box<pb::WatchCreateRequest>),
    /// Gives one up; by the stream, and the recorded number of the watch.
    Cancel(usize, i64),
    /// Asks how far the stream's watches are.
    Progress(usize),
    /// Waits for what the stream's watches should bring, and ends it.
    End(usize),
    /// Keeps a lease alive; by its recorded number.
    KeepAlive(i64),
}

/// A write that no call of the recording made.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The key.
    pub key: Bytes,
    /// What it became; `None` if it was deleted.
    pub put: Option<(Bytes, i64)>,
}

/// Where the recording's calls stand in time.
struct Clock {
    /// When answers were known, and the greatest revision by then.
    seen: Vec<(u64, i64)>,
}

impl Clock {
    fn of(book: &Book) -> Clock {
        let calls = book.calls.iter();
        let mut seen: Vec<(u64, i64)> = calls
            .filter_map(|call| Some((call.ended(), call.revision()?)))
            .collect();
        seen.sort_unstable();
        let mut most = 0;
        for (_, revision) in &mut seen {
            most = most.max(*revision);
            *revision = most;
        }
        Clock { seen }
    }

    /// The greatest revision that was answered by then.
    fn revision(&self, at: u64) -> i64 {
        let behind = self.seen.partition_point(|(ended, _)| *ended <= at);
        behind.checked_sub(1).map_or(0, |n| self.seen[n].1)
    }
}

impl Plan {
    /// Plans the driving of a book, in the order of its revisions.
    pub fn of(book: &Book) -> Plan {
        let mut plan = Plan::default();
        let clock = Clock::of(book);
        let mut world = World::default();
        let mut steps = Vec::new();
        for (n, call) in book.calls.iter().enumerate() {
            match place(call, &clock) {
                Ok((place, writes)) => {
                    world.call(call, place.revision, writes);
                    steps.push(Step {
                        place,
                        act: Act::Call(n),
                    });
                }
                Err(why) => *plan.left_out.entry(why).or_default() += 1,
            }
        }
        for (n, stream) in book.streams.iter().enumerate() {
            match stream.shape {
                Shape::Watch => {
                    let expected = expectations(stream);
                    for expectation in &expected {
                        for event in expectation.events() {
                            world.event(event);
                        }
                    }
                    watch_steps(n, stream, &expected, &clock, &mut steps);
                    plan.watches.insert(n, expected);
                }
                Shape::KeepAlive => keepalive_steps(stream, &clock, &mut world, &mut steps),
                Shape::Unary | Shape::OtherStream => {
                    let why = "they are streams other than watches and keepalives";
                    *plan.left_out.entry(why).or_default() += 1;
                }
            }
        }
        world.presuppose(&mut steps, &mut plan.presupposed);
        steps.sort_by_key(|step| step.place);
        plan.steps = deleted(book, steps, &world, &mut plan.presupposed);
        plan
    }

    /// The same for a target that has what the recording presupposes: a restored
    /// snapshot, or the recorded etcd itself. Only calls are driven.
    #[must_use]
    pub fn as_is(mut self) -> Plan {
        self.steps
            .retain(|step| !matches!(step.act, Act::Presuppose(_) | Act::Lease { .. }));
        self.presupposed = Presupposed::default();
        self.before = self.steps.first().map(|step| {
            let wrote = i64::from(step.place.rank == Rank::Write);
            step.place.revision - wrote
        });
        self
    }
}

/// Where a call stands, and whether it wrote.
fn place(call: &Call, clock: &Clock) -> Result<(Place, bool), &'static str> {
    let path = call.path();
    let driven = matches!(
        call.method(),
        Method::Range
            | Method::Put
            | Method::DeleteRange
            | Method::Txn
            | Method::Compact
            | Method::LeaseGrant
            | Method::LeaseRevoke
            | Method::LeaseTimeToLive
    );
    if !driven {
        return Err(match path.split('/').nth(1) {
            Some("etcdserverpb.Maintenance" | "etcdserverpb.Cluster") => {
                "they are about the members themselves"
            }
            Some("etcdserverpb.Auth") => "they are about users",
            Some("v3lockpb.Lock" | "v3electionpb.Election") => "they wait for others",
            _ => "their method is not driven",
        });
    }
    if call.request.as_ref().and_then(Said::whole).is_none() {
        return Err("their request is not whole in the recording");
    }
    let at = call.began();
    let Some(response) = &call.response else {
        return match &call.ending {
            Ending::Ended(ended)
                if !ended.struck
                    && ended.without_trailers.is_none()
                    && !matches!(
                        &*ended.status,
                        "OK" | "CANCELLED" | "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNAVAILABLE"
                    ) =>
            {
                let place = Place {
                    revision: clock.revision(at),
                    rank: Rank::Read,
                    at,
                };
                Ok((place, false))
            }
            _ => Err("nobody knows whether they were done: they have no answer"),
        };
    };
    if response.whole().is_none() {
        return Err("their answer is not whole in the recording");
    }
    let revision = call.revision().ok_or("their answer has no revision")?;
    let writes = match call.method() {
        Method::Put => true,
        Method::DeleteRange => response
            .decode::<pb::DeleteRangeResponse>()
            .is_some_and(|answer| answer.deleted > 0),
        Method::Txn => response
            .decode::<pb::TxnResponse>()
            .is_some_and(|answer| wrote(&answer)),
        _ => false,
    };
    let rank = if writes { Rank::Write } else { Rank::Read };
    Ok((Place { revision, rank, at }, writes))
}

fn wrote(answer: &pb::TxnResponse) -> bool {
    answer.responses.iter().any(|op| match &op.response {
        Some(AnsweredOp::ResponsePut(_)) => true,
        Some(AnsweredOp::ResponseDeleteRange(answer)) => answer.deleted > 0,
        Some(AnsweredOp::ResponseTxn(answer)) => wrote(answer),
        Some(AnsweredOp::ResponseRange(_)) | None => false,
    })
}

fn watch_steps(
    n: usize,
    stream: &crate::record::traffic::Stream,
    expected: &[Expectation],
    clock: &Clock,
    steps: &mut Vec<Step>,
) {
    let mut creates = expected.iter();
    // What was brought by then has been written by then, whatever calls say.
    let mut covered = 0;
    let mut last = stream.began;
    for (from, said) in &stream.messages {
        let at = said.times.began;
        last = last.max(said.times.whole);
        let by_time = |rank| Place {
            revision: clock.revision(at).max(covered),
            rank,
            at,
        };
        let (place, act) = match WatchStep::read(*from, said) {
            WatchStep::Create(create) => {
                let answered = creates.next().and_then(|create| create.created_at);
                let place = Place {
                    revision: answered.unwrap_or_else(|| by_time(Rank::Read).revision),
                    rank: Rank::Read,
                    at,
                };
                (place, Act::Create(n, Box::new(create)))
            }
            WatchStep::Cancel(cancel) => (by_time(Rank::End), Act::Cancel(n, cancel.watch_id)),
            WatchStep::Progress => (by_time(Rank::Read), Act::Progress(n)),
            WatchStep::Answer(answer) => {
                let kvs = answer.events.iter().filter_map(|event| event.kv.as_ref());
                covered = kvs.map(|kv| kv.mod_revision).fold(covered, i64::max);
                continue;
            }
            WatchStep::Unreadable(_) => continue,
        };
        steps.push(Step { place, act });
    }
    let ended = match &stream.ending {
        Ending::Ended(ended) => ended.times.whole,
        Ending::NotRecorded => last,
    };
    steps.push(Step {
        place: Place {
            revision: clock.revision(ended).max(covered),
            rank: Rank::End,
            at: ended.max(last),
        },
        act: Act::End(n),
    });
}

fn keepalive_steps(
    stream: &crate::record::traffic::Stream,
    clock: &Clock,
    world: &mut World,
    steps: &mut Vec<Step>,
) {
    for (from, said) in &stream.messages {
        match KeepAliveStep::read(*from, said) {
            KeepAliveStep::Ask(ask) => {
                let at = said.times.began;
                world.leases.entry(ask.id).or_insert(LEASE_TTL);
                let place = Place {
                    revision: clock.revision(at),
                    rank: Rank::Read,
                    at,
                };
                steps.push(Step {
                    place,
                    act: Act::KeepAlive(ask.id),
                });
            }
            KeepAliveStep::Answer(answer) if answer.ttl > 0 => {
                world.leases.insert(answer.id, answer.ttl);
            }
            KeepAliveStep::Answer(_) | KeepAliveStep::Unreadable(_) => {}
        }
    }
}

/// What is known of the store besides what the calls wrote.
#[derive(Debug, Default)]
struct World {
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
    fn call(&mut self, call: &Call, revision: i64, writes: bool) {
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
                    self.leases.insert(answer.id, answer.granted_ttl);
                }
            }
            _ => {}
        }
    }

    fn txn(&mut self, asked: &pb::TxnRequest, answer: &pb::TxnResponse) {
        if answer.succeeded {
            for compare in &asked.compare {
                if let Some(revision) = guard(compare)
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

    fn event(&mut self, event: &crate::etcd::schema::mvccpb::Event) {
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

    fn lease(&mut self, id: i64) {
        if id != 0 {
            self.leases.entry(id).or_insert(LEASE_TTL);
        }
    }

    /// Adds what no call wrote to the steps.
    fn presuppose(&mut self, steps: &mut Vec<Step>, told: &mut Presupposed) {
        // What was seen before its write was known as a call's.
        let written = &self.written;
        self.seen.retain(|revision, _| !written.contains(revision));
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
            if !self.granted.contains(&id) {
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
}

/// The revision that a guard asks a key to be at; `None` for another guard.
fn guard(compare: &pb::Compare) -> Option<i64> {
    match compare.target_union {
        Some(TargetUnion::ModRevision(revision))
            if compare.result == i32::from(CompareResult::Equal)
                && compare.range_end.is_empty() =>
        {
            Some(revision)
        }
        _ => None,
    }
}

/// Adds the deletions that nobody saw: of keys that are there as far as is known,
/// and are not for a call that looks.
fn deleted(book: &Book, steps: Vec<Step>, world: &World, told: &mut Presupposed) -> Vec<Step> {
    let mut there: FxHashMap<Bytes, i64> = FxHashMap::default();
    let mut with = Vec::with_capacity(steps.len());
    let mut used: FxHashSet<i64> = FxHashSet::default();
    for step in steps {
        match &step.act {
            Act::Presuppose(foreigns) => {
                for foreign in foreigns {
                    match foreign.put {
                        Some(_) => there.insert(foreign.key.clone(), step.place.revision),
                        None => there.remove(&foreign.key),
                    };
                }
            }
            Act::Call(n) => {
                let call = &book.calls[*n];
                let absent = absent(call);
                let gone: Vec<Foreign> = absent
                    .into_iter()
                    .filter(|key| there.remove(key).is_some())
                    .map(|key| Foreign { key, put: None })
                    .collect();
                if !gone.is_empty() {
                    told.deletes += gone.len() as u64;
                    // The last revision that nobody is known to have written.
                    let free = |at: &i64| {
                        !world.written.contains(at)
                            && !world.seen.contains_key(at)
                            && !used.contains(at)
                    };
                    let least = step.place.revision.saturating_sub(10_000).max(1);
                    let revision = (least..=step.place.revision).rev().find(free);
                    used.extend(revision);
                    with.push(Step {
                        place: Place {
                            revision: revision.unwrap_or(0),
                            rank: Rank::Write,
                            at: step.place.at,
                        },
                        act: Act::Presuppose(gone),
                    });
                }
                if step.place.rank == Rank::Write {
                    apply(call, step.place.revision, &mut there);
                }
            }
            _ => {}
        }
        with.push(step);
    }
    with
}

/// Keys that a call shows not to be there before it.
fn absent(call: &Call) -> Vec<Bytes> {
    let (Some(request), Some(response)) = (&call.request, &call.response) else {
        return Vec::new();
    };
    match call.method() {
        Method::Range => {
            let asked: Option<pb::RangeRequest> = request.decode();
            let answer: Option<pb::RangeResponse> = response.decode();
            match (asked, answer) {
                (Some(asked), Some(answer))
                    if asked.range_end.is_empty()
                        && asked.revision == 0
                        && asked.min_mod_revision == 0
                        && asked.max_mod_revision == 0
                        && asked.min_create_revision == 0
                        && asked.max_create_revision == 0
                        && answer.count == 0 =>
                {
                    vec![asked.key]
                }
                _ => Vec::new(),
            }
        }
        Method::Txn => {
            let asked: Option<pb::TxnRequest> = request.decode();
            let answer: Option<pb::TxnResponse> = response.decode();
            match (asked, answer) {
                (Some(asked), Some(answer)) if answer.succeeded => asked
                    .compare
                    .iter()
                    .filter(|compare| guard(compare) == Some(0))
                    .map(|compare| compare.key.clone())
                    .collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// What a call wrote.
fn apply(call: &Call, revision: i64, there: &mut FxHashMap<Bytes, i64>) {
    let (Some(request), Some(response)) = (&call.request, &call.response) else {
        return;
    };
    match call.method() {
        Method::Put => {
            if let Some(asked) = request.decode::<pb::PutRequest>() {
                there.insert(asked.key, revision);
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
                apply_txn(&asked, &answer, revision, there);
            }
        }
        _ => {}
    }
}

fn apply_txn(
    asked: &pb::TxnRequest,
    answer: &pb::TxnResponse,
    revision: i64,
    there: &mut FxHashMap<Bytes, i64>,
) {
    let ops = match answer.succeeded {
        true => &asked.success,
        false => &asked.failure,
    };
    for (op, answer) in ops.iter().zip(&answer.responses) {
        match (&op.request, &answer.response) {
            (Some(AskedOp::RequestPut(asked)), _) => {
                there.insert(asked.key.clone(), revision);
            }
            (Some(AskedOp::RequestDeleteRange(asked)), _) => delete(asked, there),
            (Some(AskedOp::RequestTxn(asked)), Some(AnsweredOp::ResponseTxn(answer))) => {
                apply_txn(asked, answer, revision, there);
            }
            _ => {}
        }
    }
}

fn delete(asked: &pb::DeleteRangeRequest, there: &mut FxHashMap<Bytes, i64>) {
    match &asked.range_end[..] {
        [] => {
            there.remove(&asked.key);
        }
        [0] => there.retain(|key, _| *key < asked.key),
        end => there.retain(|key, _| *key < asked.key || &key[..] >= end),
    }
}
