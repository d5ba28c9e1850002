//! A line of the log as a record, from what the trace tells.
//!
//! What a record holds is what the log's formats take, so that the line that is
//! printed from a recording ([`super::recall`]) is the one that was printed then,
//! byte for byte. It is written field by field, without a [`LogLine`] in between:
//! there is one of every call.
//!
//! [`LogLine`]: super::schema::v1::LogLine

mod fields;
mod sides;

use std::time::Instant;

use super::index::{About, Kind};
use super::redact::scrub_text;
use super::schema::v1;
use super::schema::v1::log_line::{Extent, Form};
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, CompareTarget, ConnectionEnded, Ending, EventKind, Method, Op, Request,
    Response, WatchNote, Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::Offence;
use crate::kube::key;
use crate::kube::operation::{Operation, Verb};
use crate::kube::token;
use crate::relay::Peers;
use crate::trace::{Anchor, WATCH_METHOD, WATCH_SERVICE, micros_between};
use fields::{Fields, Openings, tag};
use sides::report;

/// The words of a line that are not a fact's own.
pub(super) mod word {
    pub const CALL: &str = "call";
    pub const WATCH_CREATED: &str = "watch_created";
    pub const WATCH_EVENT: &str = "watch_event";
    pub const WATCH_PROGRESS: &str = "watch_progress";
    pub const WATCH_CANCELED: &str = "watch_canceled";
    pub const HTTP1: &str = "http1";
    pub const CONNECTION: &str = "connection";
    pub const PING: &str = "ping";
    pub const FAULT: &str = "fault";

    pub const OPENED: &str = "opened";
    pub const CLOSED: &str = "closed";
    pub const FAILED: &str = "failed";
    pub const TRACING_STOPPED: &str = "tracing_stopped";

    pub const NO_TRAILERS: &str = "no_trailers";
    pub const RESET: &str = "reset";
    pub const CONNECTION_LOST: &str = "connection_lost";
    pub const INJECTED: &str = "injected";
    pub const INJECTED_RESET: &str = "injected_reset";

    pub const PUT: &str = "PUT";
    pub const DELETE: &str = "DELETE";

    pub const REQUESTED: &str = "requested";
    pub const REFUSED: &str = "refused";
    pub const COMPACTED: &str = "compacted";
    pub const SERVER: &str = "server";
    pub const STREAM_ENDED: &str = "stream_ended";
}

/// What was written of a line, besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The record's time, in nanoseconds since 1970.
    pub at: u64,
    /// What an index keeps of it.
    pub about: About,
}

/// Writes lines as encoded [`LogLine`](super::schema::v1::LogLine)s, one behind
/// what is in the buffer.
#[derive(Debug)]
pub struct LineWriter {
    anchor: Anchor,
    openings: Openings,
}

impl LineWriter {
    /// Tells times by `anchor`.
    pub fn new(anchor: Anchor) -> LineWriter {
        LineWriter {
            anchor,
            openings: Openings::default(),
        }
    }

    /// The clocks were looked at again.
    pub fn anchor(&mut self, anchor: Anchor) {
        self.anchor = anchor;
    }

    /// A call that ended.
    pub fn call(
        &mut self,
        call: &Call,
        operation: &Operation<'_>,
        slow: bool,
        out: &mut Vec<u8>,
    ) -> Told {
        self.line(word::CALL, &call.peers, call.ended, out, |line| {
            of_call(line, call, operation, slow);
        })
    }

    /// Something that happened to a watch; `lag` is in microseconds.
    pub fn watch(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Told {
        let event = match &note.watched {
            Watched::Created { .. } => word::WATCH_CREATED,
            Watched::Event { .. } => word::WATCH_EVENT,
            Watched::Progress => word::WATCH_PROGRESS,
            Watched::Canceled { .. } => word::WATCH_CANCELED,
        };
        self.line(event, &note.peers, note.at, out, |line| {
            of_watch(line, note, operation, lag);
        })
    }

    /// A plain HTTP request that was answered, or never.
    pub fn http1(
        &mut self,
        peers: &Peers,
        exchange: &Exchange,
        slow: bool,
        out: &mut Vec<u8>,
    ) -> Told {
        self.line(word::HTTP1, peers, exchange.ended, out, |line| {
            line.optional_text(tag::USER_AGENT, exchange.user_agent.as_deref());
            line.word(tag::PROTOCOL, exchange.protocol);
            line.term(tag::METHOD, &exchange.method, Kind::Method);
            line.text(tag::PATH, &exchange.target);
            line.optional(tag::HTTP_STATUS, exchange.status);
            let took = micros_between(exchange.started, exchange.ended);
            line.number(tag::DURATION_US, took);
            if let Some(first) = exchange.first_byte {
                let micros = micros_between(exchange.started, first);
                line.number(tag::FIRST_BYTE_US, micros);
            }
            line.flag(tag::SLOW, slow);
            line.number(tag::REQUEST_BYTES, exchange.request_bytes);
            line.number(tag::RESPONSE_BYTES, exchange.response_bytes);
        })
    }

    /// A connection that stands.
    pub fn opened(&mut self, peers: &Peers, at: Instant, out: &mut Vec<u8>) -> Told {
        self.line(word::CONNECTION, peers, at, out, |line| {
            line.word(tag::STATE, word::OPENED);
            listener_and_tls(line, peers);
        })
    }

    /// A PING of the client that is not answered.
    pub fn ping(&mut self, peers: &Peers, at: Instant, out: &mut Vec<u8>) -> Told {
        self.line(word::PING, peers, at, out, |_| {})
    }

    /// A connection that is no longer read.
    pub fn stopped(
        &mut self,
        peers: &Peers,
        at: Instant,
        offence: &Offence,
        out: &mut Vec<u8>,
    ) -> Told {
        self.line(word::CONNECTION, peers, at, out, |line| {
            line.word(tag::STATE, word::TRACING_STOPPED);
            line.side(tag::BY, Some(offence.by));
            line.word(tag::CODE, &offence.code.to_string());
            if !offence.stream.is_connection() {
                line.number(tag::OFFENDING_STREAM, offence.stream.number());
            }
            line.text(tag::MESSAGE, &offence.to_string());
        })
    }

    /// Faults that struck a connection.
    pub fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit], out: &mut Vec<u8>) -> Told {
        self.line(word::FAULT, peers, at, out, |line| {
            line.word(tag::LISTENER, &peers.listener.to_string());
            faults(line, hits);
        })
    }

    /// A connection that is over; `failed` if it never came to stand.
    pub fn ended(&mut self, ended: &ConnectionEnded, failed: bool, out: &mut Vec<u8>) -> Told {
        let told = self.line(word::CONNECTION, &ended.peers, ended.ended, out, |line| {
            of_ended(line, ended, failed)
        });
        self.openings.forget(&ended.peers);
        told
    }

    /// What stands in every line, and what `tell` says besides.
    ///
    /// All of it is looked through for tokens at once; only a line that may have one
    /// is written again, text by text.
    fn line(
        &mut self,
        event: &str,
        peers: &Peers,
        at: Instant,
        out: &mut Vec<u8>,
        tell: impl Fn(&mut Fields<'_>),
    ) -> Told {
        let start = out.len();
        let opening = self.openings.of(peers);
        let written = |out: &mut Vec<u8>, scrubs| {
            let mut fields = Fields::new(out, scrubs);
            fields.word(tag::EVENT, event);
            fields.encoded(opening);
            tell(&mut fields);
            fields.about()
        };
        let mut about = written(out, false);
        if token::suspected(&out[start..]) {
            out.truncate(start);
            about = written(out, true);
        }
        let micros = u64::try_from(self.anchor.wall_micros(at)).unwrap_or(0);
        Told {
            at: micros.saturating_mul(1000),
            about,
        }
    }
}

fn of_call(line: &mut Fields<'_>, call: &Call, operation: &Operation<'_>, slow: bool) {
    line.number(tag::STREAM, call.stream.number());
    line.optional_text(tag::USER_AGENT, call.user_agent.as_deref());
    match call.method {
        Method::Other => line.text(tag::SERVICE, &call.name.service),
        // What etcd calls its methods is no token.
        _ => line.word(tag::SERVICE, &call.name.service),
    }
    line.term(tag::METHOD, &call.name.method, Kind::Method);
    match call.status.code.name() {
        Some(name) => line.word(tag::STATUS, name),
        None => line.word(tag::STATUS, &call.status.code.to_string()),
    }
    line.optional_text(tag::MESSAGE, call.status.message.as_deref());
    faults(line, &call.faults);
    let since_start = |at| micros_between(call.started, at);
    line.number(tag::DURATION_US, since_start(call.ended));
    line.optional(tag::FIRST_BYTE_US, call.first_byte.map(since_start));
    line.optional(tag::ANSWERED_US, call.answered.map(since_start));
    line.flag(tag::SLOW, slow);
    line.number(tag::REQUEST_BYTES, call.sent.bytes);
    line.number(tag::RESPONSE_BYTES, call.received.bytes);
    line.optional(tag::REQUEST_MESSAGES, unless(call.sent.messages, 1));
    line.optional(tag::RESPONSE_MESSAGES, unless(call.received.messages, 1));
    if let Some(header) = &call.header {
        line.revision(header.revision);
        line.fixed(tag::CLUSTER_ID, header.cluster_id);
        line.fixed(tag::MEMBER_ID, header.member_id);
        line.number(tag::RAFT_TERM, header.raft_term);
    }
    let committed = !writes_by_its_verb(call, operation) && call.executed_revision().is_some();
    line.flag(tag::COMMITTED, committed);
    operate(line, operation, &call.name.method);
    ask(line, call);
    end(line, call.status.ending);
    answer(line, operation, call);
}

fn of_watch(line: &mut Fields<'_>, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
    line.number(tag::STREAM, note.stream.number());
    line.optional_text(tag::USER_AGENT, note.user_agent.as_deref());
    line.word(tag::SERVICE, WATCH_SERVICE);
    line.term(tag::METHOD, WATCH_METHOD, Kind::Method);
    line.optional(tag::RESPONSE_BYTES, unless(note.message_bytes, 0));
    let revision = match &note.watched {
        Watched::Event { kv, .. } => kv.mod_revision,
        _ => note.revision,
    };
    if revision != 0 {
        line.revision(revision);
    }
    line.fixed(tag::CLUSTER_ID, note.cluster_id);
    line.signed(tag::WATCH_ID, note.watch_id);
    faults(line, &note.faults);
    if !note.held.is_zero() {
        let held = u64::try_from(note.held.as_micros()).unwrap_or(u64::MAX);
        line.number(tag::HELD_US, held);
    }
    if !note.delivered {
        line.number(tag::DELIVERED, false);
    }
    operate(line, operation, "");
    match &note.watched {
        Watched::Created {
            asked,
            start_revision,
            progress_notify,
            prev_kv,
            ..
        } => {
            let took = asked.map(|asked| micros_between(asked, note.at));
            line.optional(tag::DURATION_US, took);
            line.optional_signed(tag::START_REVISION, unless(*start_revision, 0));
            line.flag(tag::PROGRESS_NOTIFY, *progress_notify);
            line.flag(tag::PREV_KV, *prev_kv);
        }
        Watched::Event { kind, .. } => {
            let kind = match kind {
                EventKind::Put => word::PUT,
                EventKind::Delete => word::DELETE,
            };
            line.word(tag::TYPE, kind);
            line.optional_signed(tag::LAG_US, lag);
        }
        Watched::Progress => {}
        Watched::Canceled {
            cause,
            reason,
            events,
            ..
        } => {
            let (cause, compacted) = match cause {
                CancelCause::Requested => (word::REQUESTED, None),
                CancelCause::Refused => (word::REFUSED, None),
                CancelCause::Compacted { compact_revision } => {
                    (word::COMPACTED, Some(*compact_revision))
                }
                CancelCause::Server => (word::SERVER, None),
                CancelCause::StreamEnded => (word::STREAM_ENDED, None),
            };
            line.word(tag::CAUSE, cause);
            line.optional_text(tag::MESSAGE, reason.as_deref());
            line.optional_signed(tag::COMPACT_REVISION, compacted);
            line.number(tag::EVENTS, *events);
        }
    }
}

fn of_ended(line: &mut Fields<'_>, ended: &ConnectionEnded, failed: bool) {
    line.optional_text(tag::USER_AGENT, ended.user_agent.as_deref());
    line.word(tag::STATE, if failed { word::FAILED } else { word::CLOSED });
    line.text(tag::MESSAGE, &ended.how);
    line.side(tag::BY, ended.by);
    line.number(tag::DURATION_US, micros_between(ended.opened, ended.ended));
    line.number(tag::STREAMS, ended.streams);
    faults(line, &ended.faults);
    line.flag(tag::INTERPOSED, ended.interposed);
    line.number(tag::PINGS_ANSWERED, ended.pings_answered);
    let reports = &ended.reports;
    line.message(tag::OF_CLIENT, &report(ended.bytes.client, &reports.client));
    line.message(tag::OF_SERVER, &report(ended.bytes.server, &reports.server));
    listener_and_tls(line, &ended.peers);
}

/// Whether it follows from verb and status that a call wrote.
pub(super) fn writes_by_its_verb(call: &Call, operation: &Operation<'_>) -> bool {
    call.status.code == Code::OK
        && matches!(
            (operation.verb, call.method),
            (Some(Verb::Create | Verb::Update | Verb::Delete), _)
                | (None, Method::Put | Method::DeleteRange)
        )
}

/// A number that is left out where it is what it always is.
fn unless<N: PartialEq>(number: N, usual: N) -> Option<N> {
    (number != usual).then_some(number)
}

fn faults(line: &mut Fields<'_>, hits: &[Hit]) {
    for hit in hits {
        let fault = v1::Fault {
            name: scrub_text(&hit.name).into_owned(),
            did: scrub_text(&hit.did).into_owned(),
        };
        line.message(tag::FAULT, &fault);
    }
}

/// What is operated on; `method` is the verb where there is none.
fn operate(line: &mut Fields<'_>, operation: &Operation<'_>, method: &str) {
    match operation.verb {
        Some(verb) => line.word(tag::VERB, verb.as_str()),
        None => line.text(tag::VERB, method),
    }
    if let Some(key) = operation.key {
        line.key(tag::KEY, key, Kind::Key);
    }
    if let Some(end) = operation.range_end {
        line.bytes(tag::RANGE_END, end);
    }
    if let Some(object) = &operation.object {
        line.term(tag::RESOURCE, object.resource, Kind::Resource);
        line.optional_text(tag::GROUP, object.group);
        if let Some(namespace) = object.namespace {
            line.term(tag::NAMESPACE, namespace, Kind::Namespace);
        }
        if let Some(name) = object.name {
            line.term(tag::NAME, name, Kind::Name);
        }
        line.flag(tag::INTERNAL, object.internal);
        let (extent, of) = match object.extent {
            key::Extent::One => (None, None),
            key::Extent::All => (Some(Extent::All), None),
            key::Extent::After(key) => (Some(Extent::After), Some(key)),
            key::Extent::Beginning(part) => (Some(Extent::Beginning), Some(part)),
            key::Extent::Onward => (Some(Extent::Onward), None),
            key::Extent::Between => (Some(Extent::Between), None),
        };
        if let Some(extent) = extent {
            line.signed(tag::EXTENT, i32::from(extent));
        }
        line.optional_text(tag::EXTENT_OF, of);
    }
    line.optional_text(tag::KIND, operation.kind());
    line.optional_text(tag::ENCRYPTION, operation.encryption());
}

/// What else was asked.
fn ask(line: &mut Fields<'_>, call: &Call) {
    let mut lease = None;
    let form = match &call.request {
        Request::Unread | Request::Watch { .. } => Form::Unread,
        Request::Range(asked) => {
            line.optional_signed(tag::LIMIT, unless(asked.limit, 0));
            line.optional_signed(tag::AT_REVISION, unless(asked.revision, 0));
            line.flag(tag::COUNT_ONLY, asked.count_only);
            line.flag(tag::KEYS_ONLY, asked.keys_only);
            line.flag(tag::SERIALIZABLE, asked.serializable);
            Form::Range
        }
        Request::Op(Op::Put { lease: of, .. }) => {
            lease = unless(*of, 0);
            Form::Put
        }
        Request::Op(_) => Form::DeleteRange,
        Request::Txn(asked) => {
            if let [guard] = asked.compares.as_slice()
                && guard.target == CompareTarget::ModRevision
            {
                line.signed(tag::IF_REVISION, guard.number);
            }
            if let Some(Op::Put { lease: of, .. }) = asked.success.first() {
                lease = unless(*of, 0);
            }
            Form::Txn
        }
        Request::Compact { revision } => {
            line.signed(tag::COMPACT_REVISION, *revision);
            Form::Compact
        }
        Request::Lease { id, ttl } => {
            lease = unless(*id, 0);
            line.optional_signed(tag::TTL, unless(*ttl, 0));
            Form::Lease
        }
        Request::Named { revision, name, .. } => {
            let revision = revision.filter(|revision| *revision != 0);
            line.optional_signed(tag::AT_REVISION, revision);
            line.optional_text(tag::SUBJECT, name.as_deref());
            Form::Named
        }
    };
    if let Response::Lease { id, .. } = &call.response
        && granted(call, *id)
    {
        lease = lease.or(unless(*id, 0));
    }
    line.optional_signed(tag::LEASE, lease);
    line.form(tag::ASKED, form);
}

/// Whether an answered lease is another one than the asked.
fn granted(call: &Call, answered: i64) -> bool {
    !matches!(call.request, Request::Lease { id, .. } if id == answered)
}

fn end(line: &mut Fields<'_>, ending: Ending) {
    let ending = match ending {
        Ending::Trailers => return,
        Ending::NoTrailers => word::NO_TRAILERS,
        Ending::Reset { by, code } => {
            line.word(tag::RESET, &code.to_string());
            line.side(tag::RESET_BY, Some(by));
            word::RESET
        }
        Ending::ConnectionLost { by } => {
            line.side(tag::LOST_BY, by);
            word::CONNECTION_LOST
        }
        Ending::TracingStopped => word::TRACING_STOPPED,
        Ending::Injected => word::INJECTED,
        Ending::InjectedReset { code } => {
            line.word(tag::RESET, &code.to_string());
            word::INJECTED_RESET
        }
    };
    line.word(tag::ENDING, ending);
}

/// What was answered.
fn answer(line: &mut Fields<'_>, operation: &Operation<'_>, call: &Call) {
    let form = match &call.response {
        Response::Unread => Form::Unread,
        Response::Range {
            kvs,
            count,
            more,
            first,
        } => {
            let total = u64::try_from(*count).unwrap_or(0);
            let counts = matches!(&call.request, Request::Range(asked) if asked.count_only);
            if operation.verb == Some(Verb::Count) || counts {
                line.number(tag::COUNT, total);
            } else {
                line.number(tag::COUNT, *kvs);
                line.optional(tag::TOTAL, (total > *kvs).then_some(total));
            }
            line.flag(tag::MORE, *more);
            let object = operation.object;
            let next = object.and_then(|object| object.continue_after());
            line.optional_text(tag::CONTINUE, next);
            if operation.range_end.is_none() {
                let revision = first.as_ref().map(|first| first.mod_revision);
                line.optional_signed(tag::MOD_REVISION, revision);
            }
            Form::Range
        }
        Response::Put => Form::Put,
        Response::DeleteRange { deleted } => {
            // etcd counts none below zero; what says so comes back as it was.
            line.signed(tag::COUNT, *deleted);
            Form::DeleteRange
        }
        Response::Txn {
            succeeded,
            deleted,
            kvs,
            first,
            ..
        } => {
            line.optional(tag::COUNT, unless(*kvs, 0).or(unless(*deleted, 0)));
            line.number(tag::GUARDS_HELD, *succeeded);
            if operation.verb.is_none() {
                line.number(tag::SUCCEEDED, *succeeded);
            }
            let revision = first.as_ref().map(|first| first.mod_revision);
            line.optional_signed(tag::MOD_REVISION, revision);
            Form::Txn
        }
        Response::Lease { id, ttl } => {
            if granted(call, *id) {
                line.signed(tag::GRANTED_LEASE, *id);
            }
            line.optional_signed(tag::GRANTED_TTL, unless(*ttl, 0));
            Form::Lease
        }
        Response::Named { count } => {
            line.optional_signed(tag::COUNT, *count);
            Form::Named
        }
    };
    line.form(tag::ANSWERED, form);
}

fn listener_and_tls(line: &mut Fields<'_>, peers: &Peers) {
    line.word(tag::LISTENER, &peers.listener.to_string());
    if let Some(tls) = &peers.tls {
        line.text(tag::TLS_VERSION, &tls.version);
        line.optional_text(tag::SNI, tls.sni.as_deref());
        line.optional_text(tag::ALPN, tls.alpn.as_deref());
        line.optional_text(tag::IDENTITY, tls.identity.as_deref());
    }
}
