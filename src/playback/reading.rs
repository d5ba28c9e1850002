//! From the traffic of a recording to facts about the store: what each answer and
//! each event says, and nothing that it does not say.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::etcd::schema::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcd::schema::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::etcd::schema::etcdserverpb::request_op::Request;
use crate::etcd::schema::etcdserverpb::response_op::Response;
use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse, WatchCreateRequest,
    WatchRequest, WatchResponse,
};
use crate::etcd::schema::mvccpb::event::EventType;
use crate::etcd::schema::mvccpb::{Event, KeyValue};
use crate::http2::Side;
use crate::mvcc::knowledge::Revisions;
use crate::mvcc::{Past, PutSeen, Span};
use crate::record::schema::v1::Hidden;
use crate::record::traffic::{self, Call, CallNumber, Condition, Said, Shape, Step};

/// Reads the traffic of a recording, in order.
#[derive(Debug, Default)]
pub struct Reading {
    past: Past,
    /// Those of watches; traffic keeps their number within bounds.
    streams: FxHashMap<CallNumber, Stream>,
    /// When the store was first seen at a revision that was the highest then, in
    /// nanoseconds since 1970.
    moments: Vec<(u64, i64)>,
    identity: Identity,
    /// Messages that could not be read: cut, compressed, hidden or broken.
    unread: u64,
    read: u64,
}

/// Who etcd said it is, last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    /// Of the cluster.
    pub cluster: u64,
    /// Of the member.
    pub member: u64,
    /// The raft term.
    pub term: u64,
}

/// What a recording says.
#[derive(Debug)]
pub struct Told {
    /// Of the store.
    pub past: Past,
    /// When it was first seen at a revision that was the highest then: nanoseconds
    /// since 1970, and the revision; both rise.
    pub moments: Vec<(u64, i64)>,
    /// Who it was.
    pub identity: Identity,
    /// Messages about the store that were read.
    pub read: u64,
    /// And those that could not be.
    pub unread: u64,
}

/// A stream of watches.
#[derive(Debug, Default)]
struct Stream {
    asked: VecDeque<WatchCreateRequest>,
    watches: FxHashMap<i64, Watch>,
    /// Messages of either side that were read.
    read: [u64; 2],
}

#[derive(Debug)]
struct Watch {
    span: Span,
    /// All changes are told from here on; `None` after something was missed.
    from: Option<i64>,
    /// It leaves some changes out.
    filtered: bool,
}

impl Reading {
    /// Reads what is told next.
    pub fn handle(&mut self, told: traffic::Told) {
        match told {
            traffic::Told::Call(call) => self.call(&call),
            traffic::Told::Stream {
                number,
                shape: Shape::Watch,
                step,
                ..
            } => match step {
                Step::Began { .. } => {}
                Step::Said { from, index, said } => {
                    let stream = self.streams.entry(number).or_default();
                    let goes_on = stream.goes_on(from, index);
                    self.watch(number, from, goes_on, &said);
                }
                Step::Ended(_) => {
                    self.streams.remove(&number);
                }
            },
            // How an etcd came to be where it is, other streams do not tell.
            traffic::Told::Stream { .. }
            | traffic::Told::Opened { .. }
            | traffic::Told::Closed { .. }
            | traffic::Told::Loss(_) => {}
        }
    }

    fn call(&mut self, call: &Call) {
        let path = call.path();
        let Some(method) = path.strip_prefix("/etcdserverpb.") else {
            return;
        };
        let known = matches!(
            method,
            "KV/Range" | "KV/Put" | "KV/DeleteRange" | "KV/Txn" | "Lease/LeaseGrant"
        );
        // A call that was refused has no answer, and tells nothing.
        let Some(response) = call.response.as_ref().filter(|_| known) else {
            return;
        };
        let readable = |said: &&Said| said.condition == Condition::Whole;
        let request = call.request.as_ref().filter(readable);
        let done = match Some(response).filter(readable) {
            None => None,
            Some(response) if method == "Lease/LeaseGrant" => self.granted(response),
            Some(response) => self.answered(method, request, response),
        };
        self.count(done);
    }

    fn watch(&mut self, number: CallNumber, from: Side, goes_on: bool, said: &Said) {
        let done = match (said.condition, from) {
            (Condition::Whole, Side::Client) => self.watch_asked(said, number, goes_on),
            (Condition::Whole, Side::Server) => self.watch_told(said, number, goes_on),
            _ => None,
        };
        if done.is_none()
            && let Some(stream) = self.streams.get_mut(&number)
        {
            stream.missed(from);
        }
        self.count(done);
    }

    fn count(&mut self, done: Option<()>) {
        match done {
            Some(()) => self.read += 1,
            None => self.unread += 1,
        }
    }

    /// What all of them said.
    pub fn finish(self) -> Told {
        Told {
            past: self.past,
            moments: self.moments,
            identity: self.identity,
            read: self.read,
            unread: self.unread,
        }
    }

    /// Bytes of values that are kept so far.
    pub fn bytes(&self) -> u64 {
        self.past.bytes()
    }

    fn header(&mut self, header: Option<&ResponseHeader>, said: &Said) -> Option<i64> {
        let header = header?;
        if header.cluster_id != 0 {
            self.identity = Identity {
                cluster: header.cluster_id,
                member: header.member_id,
                term: header.raft_term,
            };
        }
        self.moment(said.times.whole, header.revision);
        (header.revision > 0).then_some(header.revision)
    }

    fn moment(&mut self, at: u64, revision: i64) {
        let last = self.moments.last().copied().unwrap_or_default();
        if revision > last.1 {
            self.moments.push((at.max(last.0), revision));
        }
    }

    fn granted(&mut self, said: &Said) -> Option<()> {
        let answer = LeaseGrantResponse::decode(said.data.clone()).ok()?;
        if let Some(revision) = self.header(answer.header.as_ref(), said) {
            self.past.stood_at(revision);
        }
        if answer.ttl > 0 {
            self.past.lease(answer.id, Some(answer.ttl));
        }
        Some(())
    }

    fn answered(&mut self, method: &str, asked: Option<&Said>, answer: &Said) -> Option<()> {
        let data = answer.data.clone();
        match method {
            "KV/Range" => {
                let response = RangeResponse::decode(data).ok()?;
                let at = self.header(response.header.as_ref(), answer)?;
                self.past.stood_at(at);
                let request = asked.map(|asked| RangeRequest::decode(asked.data.clone()));
                match request {
                    Some(request) => self.ranged(&request.ok()?, &response, at, answer),
                    None => {
                        for kv in &response.kvs {
                            // It may be an answer about the past, and without values.
                            let told = !kv.value.is_empty();
                            self.seen(kv, told, kv.mod_revision, 0, answer);
                        }
                    }
                }
            }
            "KV/Put" => {
                let response = PutResponse::decode(data).ok()?;
                let at = self.header(response.header.as_ref(), answer)?;
                self.past.stood_at(at - 1);
                self.past.stood_at(at);
                let asked = asked?;
                let request = PutRequest::decode(asked.data.clone()).ok()?;
                let mut writes = Writes::at(at);
                self.put(&request, &response, &mut writes, asked, answer);
                self.written(&writes);
            }
            "KV/DeleteRange" => {
                let response = DeleteRangeResponse::decode(data).ok()?;
                let at = self.header(response.header.as_ref(), answer)?;
                if response.deleted > 0 {
                    self.past.stood_at(at - 1);
                }
                self.past.stood_at(at);
                let asked = asked?;
                let request = DeleteRangeRequest::decode(asked.data.clone()).ok()?;
                let mut writes = Writes::at(at);
                self.delete(&request, &response, &mut writes, asked, answer);
                self.written(&writes);
            }
            _ => {
                let response = TxnResponse::decode(data).ok()?;
                let at = self.header(response.header.as_ref(), answer)?;
                self.past.stood_at(at);
                let asked = asked?;
                let request = TxnRequest::decode(asked.data.clone()).ok()?;
                let mut writes = Writes::at(at);
                self.txn(&request, &response, &mut writes, asked, answer);
                if writes.sub > 0 {
                    self.past.stood_at(at - 1);
                }
                self.written(&writes);
            }
        }
        Some(())
    }

    fn written(&mut self, writes: &Writes) {
        if writes.sub > 0 && writes.all_told {
            self.past.whole(writes.at);
        }
    }

    fn seen(&mut self, kv: &KeyValue, has_value: bool, at: i64, sub: u32, said: &Said) {
        if is_hidden(&kv.key, said) {
            return;
        }
        let hidden = is_hidden(&kv.value, said);
        self.past.seen(kv, hidden, has_value, at, sub);
    }

    fn ranged(&mut self, asked: &RangeRequest, answer: &RangeResponse, at: i64, said: &Said) {
        let at = if asked.revision > 0 {
            asked.revision
        } else {
            at
        };
        for kv in &answer.kvs {
            self.seen(kv, !asked.keys_only, at, 0, said);
        }
        let filtered = asked.min_mod_revision != 0
            || asked.max_mod_revision != 0
            || asked.min_create_revision != 0
            || asked.max_create_revision != 0;
        let keys_hidden = answer.kvs.iter().any(|kv| is_hidden(&kv.key, said));
        if filtered || keys_hidden || (asked.count_only && answer.count > 0) {
            return;
        }
        let mut span = Span::asked(&asked.key, &asked.range_end);
        if answer.more {
            let by_key = asked.sort_target == SortTarget::Key as i32
                && asked.sort_order != SortOrder::Descend as i32;
            // All keys up to the last one were told.
            let Some(last) = answer.kvs.last().filter(|_| by_key) else {
                return;
            };
            span.end = Span::key(&Bytes::copy_from_slice(&last.key)).end;
        }
        self.past.listed(kept(&span), at);
    }

    fn put(
        &mut self,
        asked: &PutRequest,
        answer: &PutResponse,
        writes: &mut Writes,
        request: &Said,
        response: &Said,
    ) {
        if is_hidden(&asked.key, request) {
            writes.all_told = false;
            writes.sub += 1;
            return;
        }
        // What it left as it was, the request does not tell.
        if asked.ignore_lease {
            writes.all_told = false;
        } else {
            let put = PutSeen {
                key: asked.key.clone(),
                value: (!asked.ignore_value).then(|| asked.value.clone()),
                hidden: is_hidden(&asked.value, request),
                lease: asked.lease,
            };
            self.past.put(put, writes.at, writes.sub);
        }
        if let Some(before) = &answer.prev_kv {
            self.seen(before, true, writes.at - 1, 0, response);
            self.past
                .followed(&asked.key, writes.at, before.mod_revision);
        }
        writes.sub += 1;
    }

    fn delete(
        &mut self,
        asked: &DeleteRangeRequest,
        answer: &DeleteRangeResponse,
        writes: &mut Writes,
        request: &Said,
        response: &Said,
    ) {
        if answer.deleted <= 0 {
            return;
        }
        let told = answer.prev_kvs.len() as i64 == answer.deleted;
        for before in &answer.prev_kvs {
            if is_hidden(&before.key, response) {
                writes.all_told = false;
            } else {
                self.seen(before, true, writes.at - 1, 0, response);
                self.past.deleted(&before.key, writes.at, writes.sub);
                self.past
                    .followed(&before.key, writes.at, before.mod_revision);
            }
            writes.sub += 1;
        }
        if told {
            return;
        }
        let span = Span::asked(&asked.key, &asked.range_end);
        match span.is_key() && !is_hidden(&asked.key, request) {
            true => self.past.deleted(&asked.key, writes.at, writes.sub),
            false => writes.all_told = false,
        }
        writes.sub += 1;
    }

    fn txn(
        &mut self,
        asked: &TxnRequest,
        answer: &TxnResponse,
        writes: &mut Writes,
        request: &Said,
        response: &Said,
    ) {
        let branch = match answer.succeeded {
            true => &asked.success,
            false => &asked.failure,
        };
        if branch.len() != answer.responses.len() {
            writes.all_told = false;
        }
        let first = writes.sub;
        let mut written = Vec::new();
        for (op, done) in branch.iter().zip(&answer.responses) {
            match (&op.request, &done.response) {
                (Some(Request::RequestRange(asked)), Some(Response::ResponseRange(answer))) => {
                    // It says itself at which revision it read.
                    if let Some(header) = answer.header.filter(|header| header.revision > 0) {
                        self.ranged(asked, answer, header.revision, response);
                    }
                }
                (Some(Request::RequestPut(asked)), Some(Response::ResponsePut(answer))) => {
                    self.put(asked, answer, writes, request, response);
                    written.push(&asked.key);
                }
                (
                    Some(Request::RequestDeleteRange(asked)),
                    Some(Response::ResponseDeleteRange(answer)),
                ) => {
                    self.delete(asked, answer, writes, request, response);
                    if answer.deleted == 1 && asked.range_end.is_empty() {
                        written.push(&asked.key);
                    }
                }
                (Some(Request::RequestTxn(asked)), Some(Response::ResponseTxn(answer))) => {
                    self.txn(asked, answer, writes, request, response);
                }
                _ => writes.all_told = false,
            }
        }
        if !answer.succeeded || writes.sub == first {
            return;
        }
        // Its compares held, so it is known what it wrote over.
        for compare in &asked.compare {
            if let Some(before) = revision_of(compare)
                && written.contains(&&compare.key)
                && !is_hidden(&compare.key, request)
            {
                self.past.followed(&compare.key, writes.at, before);
            }
        }
    }

    fn watch_asked(&mut self, said: &Said, number: CallNumber, goes_on: bool) -> Option<()> {
        let request = WatchRequest::decode(said.data.clone()).ok()?;
        let stream = self.streams.entry(number).or_default();
        if !goes_on {
            stream.missed(Side::Client);
        }
        if let Some(RequestUnion::CreateRequest(create)) = request.request_union {
            let hidden = is_hidden(&create.key, said) || is_hidden(&create.range_end, said);
            if !hidden {
                stream.asked.push_back(create);
            }
        }
        Some(())
    }

    fn watch_told(&mut self, said: &Said, number: CallNumber, goes_on: bool) -> Option<()> {
        let response = WatchResponse::decode(said.data.clone()).ok()?;
        let revision = self.header(response.header.as_ref(), said)?;
        self.past.reached(revision);
        let id = response.watch_id;
        // The places in a revision of what this answer tells of it.
        let mut sub = 0;
        let mut last = 0;
        for event in &response.events {
            let at = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            sub = if at == last { sub + 1 } else { 0 };
            last = at;
            self.happened(event, sub, said);
        }
        let hidden = response
            .events
            .iter()
            .any(|event| event.kv.as_ref().is_some_and(|kv| is_hidden(&kv.key, said)));
        let Some(stream) = self.streams.get_mut(&number) else {
            return Some(());
        };
        if !goes_on || hidden {
            stream.missed(Side::Server);
        }
        if response.created {
            if let Some(create) = stream.asked.pop_front()
                && !response.canceled
            {
                stream.created(id, &create, revision);
            }
            return Some(());
        }
        if response.canceled {
            stream.watches.remove(&id);
            return Some(());
        }
        // All that happened up to there has been told; of a fragment that cannot be
        // said.
        let up_to = match response.events.last() {
            Some(_) if response.fragment => return Some(()),
            Some(event) => event.kv.as_ref()?.mod_revision,
            None => revision,
        };
        let all = id == -1;
        for (&watch_id, watch) in &mut stream.watches {
            if !all && watch_id != id {
                continue;
            }
            if let Some(from) = watch.from
                && !watch.filtered
            {
                let told = Revisions { from, to: up_to };
                self.past.watched(watch.span.clone(), told);
            }
            watch.from = Some(watch.from.unwrap_or(0).max(up_to + 1));
        }
        Some(())
    }

    fn happened(&mut self, event: &Event, sub: u32, said: &Said) {
        let Some(kv) = &event.kv else { return };
        if is_hidden(&kv.key, said) || kv.mod_revision <= 0 {
            return;
        }
        self.past.reached(kv.mod_revision);
        self.moment(said.times.whole, kv.mod_revision);
        match event.r#type == EventType::Delete as i32 {
            true => self.past.deleted(&kv.key, kv.mod_revision, sub),
            false => self.seen(kv, true, kv.mod_revision, sub, said),
        }
        if let Some(before) = &event.prev_kv
            && before.mod_revision < kv.mod_revision
        {
            self.seen(before, true, kv.mod_revision - 1, 0, said);
            self.past
                .followed(&kv.key, kv.mod_revision, before.mod_revision);
        }
    }
}

impl Stream {
    /// Counts a message; whether it is the next one of its side.
    fn goes_on(&mut self, from: Side, index: u64) -> bool {
        let read = &mut self.read[usize::from(from == Side::Server)];
        let next = *read == index;
        *read = index.saturating_add(1);
        next
    }

    /// Something that a side said is not known.
    fn missed(&mut self, from: Side) {
        match from {
            // Which creation an answer is about cannot be said any more.
            Side::Client => self.asked.clear(),
            Side::Server => {
                for watch in self.watches.values_mut() {
                    watch.from = None;
                }
            }
        }
    }

    fn created(&mut self, id: i64, create: &WatchCreateRequest, revision: i64) {
        let watch = Watch {
            span: kept(&Span::watched(&create.key, &create.range_end)),
            from: Some(match create.start_revision {
                ..=0 => revision + 1,
                start => start,
            }),
            filtered: !create.filters.is_empty(),
        };
        self.watches.insert(id, watch);
    }
}

/// What a transaction wrote.
#[derive(Debug)]
struct Writes {
    at: i64,
    sub: u32,
    /// The recording tells all of it.
    all_told: bool,
}

impl Writes {
    fn at(at: i64) -> Writes {
        Writes {
            at,
            sub: 0,
            all_told: true,
        }
    }
}

/// The revision that a compare which held says its key was at; 0: it did not exist.
fn revision_of(compare: &Compare) -> Option<i64> {
    if compare.result != CompareResult::Equal as i32 || !compare.range_end.is_empty() {
        return None;
    }
    match (
        CompareTarget::try_from(compare.target),
        &compare.target_union,
    ) {
        (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(revision))) => Some(*revision),
        (Ok(CompareTarget::Mod | CompareTarget::Create | CompareTarget::Version), None) => Some(0),
        (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(0)))
        | (Ok(CompareTarget::Version), Some(TargetUnion::Version(0))) => Some(0),
        _ => None,
    }
}

/// The span with bytes of its own: a slice would keep the whole message.
fn kept(span: &Span) -> Span {
    use crate::mvcc::span::End;
    Span {
        start: Bytes::copy_from_slice(&span.start),
        end: match &span.end {
            End::Before(end) => End::Before(Bytes::copy_from_slice(end)),
            End::Open => End::Open,
        },
    }
}

/// Whether anything of a field, which is a part of what was said, was hidden.
fn is_hidden(field: &Bytes, said: &Said) -> bool {
    if said.more_hidden > 0 {
        return true;
    }
    // They are bytes of one buffer.
    let start = (field.as_ptr() as usize).wrapping_sub(said.data.as_ptr() as usize) as u64;
    let end = start.saturating_add(field.len() as u64);
    let within = |hidden: &Hidden| {
        hidden.offset < end && hidden.offset.saturating_add(hidden.length) > start
    };
    !field.is_empty() && said.hidden.iter().any(within)
}
