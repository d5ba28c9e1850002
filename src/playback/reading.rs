//! From the traffic of a recording to facts about the store: what each answer and
//! each event says, and nothing that it does not say.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb::request_op::Request;
use crate::etcd::schema::etcdserverpb::response_op::Response;
use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, LeaseGrantResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, ResponseHeader, StatusResponse, TxnRequest, TxnResponse,
    WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::etcd::schema::mvccpb::event::EventType;
use crate::etcd::schema::mvccpb::{Event, KeyValue};
use crate::http2::Side;
use crate::mvcc::evidence::{revision_held, span_listed};
use crate::mvcc::knowledge::Revisions;
use crate::mvcc::{Past, PutSeen, Span};
use crate::record::schema::v1::Hidden;
use crate::record::traffic::{self, Call, CallNumber, Said, Sent, Shape, Step};

/// The method that tells of a server.
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// The longest version that is believed, in bytes.
const MOST_VERSION: usize = 64;

/// Reads the traffic of a recording, in order.
#[derive(Debug, Default)]
pub struct Reading {
    told: Told,
    /// Those of watches; traffic keeps their number within bounds.
    streams: FxHashMap<CallNumber, Stream>,
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
#[derive(Debug, Default)]
pub struct Told {
    /// Of the store.
    pub past: Past,
    /// When it was first seen at a revision that was the highest then: nanoseconds
    /// since 1970, and the revision; both rise.
    pub moments: Vec<(u64, i64)>,
    /// Who it was.
    pub identity: Identity,
    /// The version of etcd that it said it was, last.
    pub version: Option<String>,
    /// Messages about the store that were read.
    pub read: u64,
    /// And those that could not be: cut, compressed, hidden or broken.
    pub unread: u64,
}

/// A stream of watches.
#[derive(Debug, Default)]
struct Stream {
    asked: VecDeque<WatchCreateRequest>,
    watches: FxHashMap<i64, Watch>,
    sent: Sent,
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
                    let goes_on = stream.sent.goes_on(from, index);
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
        // A call that was refused has no answer, and tells nothing.
        let Some(answer) = &call.response else {
            return;
        };
        let asked = call.request.as_ref().filter(|said| said.whole().is_some());
        let done = match call.method() {
            Method::Range => self.read(asked, answer),
            Method::Put => self.was_put(asked, answer),
            Method::DeleteRange => self.was_deleted(asked, answer),
            Method::Txn => self.was_done(asked, answer),
            Method::LeaseGrant => self.granted(answer),
            _ if call.path() == STATUS => return self.status(answer),
            _ => return,
        };
        self.count(done);
    }

    fn watch(&mut self, number: CallNumber, from: Side, goes_on: bool, said: &Said) {
        let done = match from {
            Side::Client => self.watch_asked(said, number, goes_on),
            Side::Server => self.watch_told(said, number, goes_on),
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
            Some(()) => self.told.read += 1,
            None => self.told.unread += 1,
        }
    }

    /// What all of them said.
    pub fn finish(self) -> Told {
        self.told
    }

    /// Bytes of values that are kept so far.
    pub fn bytes(&self) -> u64 {
        self.told.past.bytes()
    }

    fn header(&mut self, header: Option<&ResponseHeader>, said: &Said) -> Option<i64> {
        let header = header?;
        if header.cluster_id != 0 {
            self.told.identity = Identity {
                cluster: header.cluster_id,
                member: header.member_id,
                term: header.raft_term,
            };
        }
        self.moment(said.times.whole, header.revision);
        (header.revision > 0).then_some(header.revision)
    }

    fn moment(&mut self, at: u64, revision: i64) {
        let last = self.told.moments.last().copied().unwrap_or_default();
        if revision > last.1 {
            self.told.moments.push((at.max(last.0), revision));
        }
    }

    /// An answer to Status tells of the server, not of the store.
    fn status(&mut self, said: &Said) {
        let version = said.decode().map(|answer: StatusResponse| answer.version);
        let plain = |version: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            (1..=MOST_VERSION).contains(&version.len()) && version.chars().all(plain)
        };
        self.told.version = version.filter(plain).or(self.told.version.take());
    }

    fn granted(&mut self, said: &Said) -> Option<()> {
        let answer: LeaseGrantResponse = said.decode()?;
        if let Some(revision) = self.header(answer.header.as_ref(), said) {
            self.told.past.stood_at(revision);
        }
        if answer.ttl > 0 {
            self.told.past.lease(answer.id, Some(answer.ttl));
        }
        Some(())
    }

    fn read(&mut self, asked: Option<&Said>, answer: &Said) -> Option<()> {
        let response: RangeResponse = answer.decode()?;
        let at = self.header(response.header.as_ref(), answer)?;
        self.told.past.stood_at(at);
        match asked {
            Some(asked) => self.ranged(&asked.decode()?, &response, at, answer),
            None => {
                for kv in &response.kvs {
                    // It may be an answer about the past, and without values.
                    let told = !kv.value.is_empty();
                    self.seen(kv, told, kv.mod_revision, 0, answer);
                }
            }
        }
        Some(())
    }

    fn was_put(&mut self, asked: Option<&Said>, answer: &Said) -> Option<()> {
        let response: PutResponse = answer.decode()?;
        let at = self.header(response.header.as_ref(), answer)?;
        self.told.past.stood_at(at - 1);
        self.told.past.stood_at(at);
        let asked = asked?;
        let mut writes = Writes::at(at);
        self.put(&asked.decode()?, &response, &mut writes, asked, answer);
        self.written(&writes);
        Some(())
    }

    fn was_deleted(&mut self, asked: Option<&Said>, answer: &Said) -> Option<()> {
        let response: DeleteRangeResponse = answer.decode()?;
        let at = self.header(response.header.as_ref(), answer)?;
        if response.deleted > 0 {
            self.told.past.stood_at(at - 1);
        }
        self.told.past.stood_at(at);
        let asked = asked?;
        let mut writes = Writes::at(at);
        self.delete(&asked.decode()?, &response, &mut writes, asked, answer);
        self.written(&writes);
        Some(())
    }

    fn was_done(&mut self, asked: Option<&Said>, answer: &Said) -> Option<()> {
        let response: TxnResponse = answer.decode()?;
        let at = self.header(response.header.as_ref(), answer)?;
        self.told.past.stood_at(at);
        let asked = asked?;
        let mut writes = Writes::at(at);
        self.txn(&asked.decode()?, &response, &mut writes, asked, answer);
        if writes.sub > 0 {
            self.told.past.stood_at(at - 1);
        }
        self.written(&writes);
        Some(())
    }

    fn written(&mut self, writes: &Writes) {
        if writes.sub > 0 && writes.all_told {
            self.told.past.whole(writes.at);
        }
    }

    fn seen(&mut self, kv: &KeyValue, has_value: bool, at: i64, sub: u32, said: &Said) {
        if is_hidden(&kv.key, said) {
            return;
        }
        let hidden = is_hidden(&kv.value, said);
        self.told.past.seen(kv, hidden, has_value, at, sub);
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
        if answer.kvs.iter().any(|kv| is_hidden(&kv.key, said)) {
            return;
        }
        let Some(span) = span_listed(asked, answer) else {
            return;
        };
        self.told.past.listed(kept(&span), at);
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
            self.told.past.put(put, writes.at, writes.sub);
        }
        if let Some(before) = &answer.prev_kv {
            self.seen(before, true, writes.at - 1, 0, response);
            self.told
                .past
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
                self.told.past.deleted(&before.key, writes.at, writes.sub);
                self.told
                    .past
                    .followed(&before.key, writes.at, before.mod_revision);
            }
            writes.sub += 1;
        }
        if told {
            return;
        }
        let span = Span::asked(&asked.key, &asked.range_end);
        match span.is_key() && !is_hidden(&asked.key, request) {
            true => self.told.past.deleted(&asked.key, writes.at, writes.sub),
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
            if let Some(before) = revision_held(compare)
                && written.contains(&&compare.key)
                && !is_hidden(&compare.key, request)
            {
                self.told.past.followed(&compare.key, writes.at, before);
            }
        }
    }

    fn watch_asked(&mut self, said: &Said, number: CallNumber, goes_on: bool) -> Option<()> {
        let request: WatchRequest = said.decode()?;
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
        let response: WatchResponse = said.decode()?;
        let revision = self.header(response.header.as_ref(), said)?;
        self.told.past.reached(revision);
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
                self.told.past.watched(watch.span.clone(), told);
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
        self.told.past.reached(kv.mod_revision);
        self.moment(said.times.whole, kv.mod_revision);
        match event.r#type == EventType::Delete as i32 {
            true => self.told.past.deleted(&kv.key, kv.mod_revision, sub),
            false => self.seen(kv, true, kv.mod_revision, sub, said),
        }
        if let Some(before) = &event.prev_kv
            && before.mod_revision < kv.mod_revision
        {
            self.seen(before, true, kv.mod_revision - 1, 0, said);
            self.told
                .past
                .followed(&kv.key, kv.mod_revision, before.mod_revision);
        }
    }
}

impl Stream {
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
