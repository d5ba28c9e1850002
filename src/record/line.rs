//! A line of the log as a record, from what the trace tells.
//!
//! What a record holds is what the log's formats take, so that the line that is
//! printed from a recording ([`super::recall`]) is the one that was printed then,
//! byte for byte. Each function also says when, in nanoseconds since 1970: the
//! record's time.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;

use super::redact::scrub_text;
use super::schema::v1::log_line::{Extent, Form};
use super::schema::v1::{self, LogLine};
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, CompareTarget, ConnectionEnded, Ending, EventKind, Method, Op, Request,
    Response, WatchNote, Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::{Offence, Settings, Side};
use crate::kube::key;
use crate::kube::operation::{Operation, Verb};
use crate::kube::token;
use crate::relay::{Peers, SideReport};
use crate::trace::{Anchor, WATCH_METHOD, WATCH_SERVICE, micros_between};

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

/// A call that ended.
pub fn of_call(
    call: &Call,
    operation: &Operation<'_>,
    slow: bool,
    anchor: &Anchor,
) -> (LogLine, u64) {
    let (line, at) = begun(word::CALL, &call.peers, call.ended, anchor);
    // What etcd calls its methods is no token.
    let named = match call.method {
        Method::Other => text,
        _ => str::to_owned,
    };
    let mut line = LogLine {
        stream: Some(call.stream.number()),
        user_agent: call.user_agent.as_deref().map(text),
        service: Some(named(&call.name.service)),
        method: Some(named(&call.name.method)),
        status: Some(call.status.code.to_string()),
        message: call.status.message.as_deref().map(text),
        fault: faults(&call.faults),
        duration_us: Some(micros_between(call.started, call.ended)),
        first_byte_us: call
            .first_byte
            .map(|first| micros_between(call.started, first)),
        answered_us: call
            .answered
            .map(|answered| micros_between(call.started, answered)),
        slow,
        request_bytes: Some(call.sent.bytes),
        response_bytes: Some(call.received.bytes),
        request_messages: unless(call.sent.messages, 1),
        response_messages: unless(call.received.messages, 1),
        revision: call.header.map(|header| header.revision),
        cluster_id: call.header.map(|header| header.cluster_id),
        member_id: call.header.map(|header| header.member_id),
        raft_term: call.header.map(|header| header.raft_term),
        committed: !writes_by_its_verb(call, operation) && call.executed_revision().is_some(),
        ..line
    };
    operate(&mut line, operation, &call.name.method);
    ask(&mut line, &call.request);
    end(&mut line, call.status.ending);
    answer(&mut line, operation, call);
    (line, at)
}

/// Something that happened to a watch; `lag` is in microseconds.
pub fn of_watch(
    note: &WatchNote,
    operation: &Operation<'_>,
    lag: Option<i64>,
    anchor: &Anchor,
) -> (LogLine, u64) {
    let event = match &note.watched {
        Watched::Created { .. } => word::WATCH_CREATED,
        Watched::Event { .. } => word::WATCH_EVENT,
        Watched::Progress => word::WATCH_PROGRESS,
        Watched::Canceled { .. } => word::WATCH_CANCELED,
    };
    let (line, at) = begun(event, &note.peers, note.at, anchor);
    let revision = match &note.watched {
        Watched::Event { kv, .. } => kv.mod_revision,
        _ => note.revision,
    };
    let held = u64::try_from(note.held.as_micros()).unwrap_or(u64::MAX);
    let mut line = LogLine {
        stream: Some(note.stream.number()),
        user_agent: note.user_agent.as_deref().map(text),
        service: Some(WATCH_SERVICE.to_owned()),
        method: Some(WATCH_METHOD.to_owned()),
        response_bytes: unless(note.message_bytes, 0),
        revision: unless(revision, 0),
        cluster_id: Some(note.cluster_id),
        watch_id: Some(note.watch_id),
        fault: faults(&note.faults),
        held_us: (!note.held.is_zero()).then_some(held),
        delivered: (!note.delivered).then_some(false),
        ..line
    };
    operate(&mut line, operation, "");
    match &note.watched {
        Watched::Created {
            asked,
            start_revision,
            progress_notify,
            prev_kv,
            ..
        } => {
            line.duration_us = asked.map(|asked| micros_between(asked, note.at));
            line.start_revision = unless(*start_revision, 0);
            line.progress_notify = *progress_notify;
            line.prev_kv = *prev_kv;
        }
        Watched::Event { kind, .. } => {
            let kind = match kind {
                EventKind::Put => word::PUT,
                EventKind::Delete => word::DELETE,
            };
            line.r#type = Some(kind.to_owned());
            line.lag_us = lag;
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
            line.cause = Some(cause.to_owned());
            line.message = reason.as_deref().map(text);
            line.compact_revision = compacted;
            line.events = Some(*events);
        }
    }
    (line, at)
}

/// A plain HTTP request that was answered, or never.
pub fn of_http1(peers: &Peers, exchange: &Exchange, slow: bool, anchor: &Anchor) -> (LogLine, u64) {
    let (line, at) = begun(word::HTTP1, peers, exchange.ended, anchor);
    let line = LogLine {
        user_agent: exchange.user_agent.as_deref().map(text),
        protocol: Some(exchange.protocol.to_owned()),
        method: Some(text(&exchange.method)),
        path: Some(text(&exchange.target)),
        http_status: exchange.status.map(u32::from),
        duration_us: Some(micros_between(exchange.started, exchange.ended)),
        first_byte_us: exchange
            .first_byte
            .map(|first| micros_between(exchange.started, first)),
        slow,
        request_bytes: Some(exchange.request_bytes),
        response_bytes: Some(exchange.response_bytes),
        ..line
    };
    (line, at)
}

/// A connection that stands.
pub fn of_opened(peers: &Peers, at: Instant, anchor: &Anchor) -> (LogLine, u64) {
    let (mut line, at) = begun(word::CONNECTION, peers, at, anchor);
    line.state = Some(word::OPENED.to_owned());
    listener_and_tls(&mut line, peers);
    (line, at)
}

/// A PING of the client that is not answered.
pub fn of_ping(peers: &Peers, at: Instant, anchor: &Anchor) -> (LogLine, u64) {
    begun(word::PING, peers, at, anchor)
}

/// A connection that is no longer read.
pub fn of_stopped(
    peers: &Peers,
    at: Instant,
    offence: &Offence,
    anchor: &Anchor,
) -> (LogLine, u64) {
    let (line, at) = begun(word::CONNECTION, peers, at, anchor);
    let line = LogLine {
        state: Some(word::TRACING_STOPPED.to_owned()),
        by: side(offence.by),
        code: Some(offence.code.to_string()),
        offending_stream: (!offence.stream.is_connection()).then(|| offence.stream.number()),
        message: Some(text(&offence.to_string())),
        ..line
    };
    (line, at)
}

/// Faults that struck a connection.
pub fn of_fault(peers: &Peers, at: Instant, hits: &[Hit], anchor: &Anchor) -> (LogLine, u64) {
    let (line, at) = begun(word::FAULT, peers, at, anchor);
    let line = LogLine {
        listener: Some(peers.listener.to_string()),
        fault: faults(hits),
        ..line
    };
    (line, at)
}

/// A connection that is over; `failed` if it never came to stand.
pub fn of_ended(ended: &ConnectionEnded, failed: bool, anchor: &Anchor) -> (LogLine, u64) {
    let (line, at) = begun(word::CONNECTION, &ended.peers, ended.ended, anchor);
    let state = if failed { word::FAILED } else { word::CLOSED };
    let mut line = LogLine {
        user_agent: ended.user_agent.as_deref().map(text),
        state: Some(state.to_owned()),
        message: Some(text(&ended.how)),
        by: ended.by.and_then(side),
        duration_us: Some(micros_between(ended.opened, ended.ended)),
        streams: Some(ended.streams),
        fault: faults(&ended.faults),
        interposed: ended.interposed,
        pings_answered: ended.pings_answered,
        of_client: Some(report(ended.bytes.client, &ended.reports.client)),
        of_server: Some(report(ended.bytes.server, &ended.reports.server)),
        ..line
    };
    listener_and_tls(&mut line, &ended.peers);
    (line, at)
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

/// What stands in every line.
fn begun(event: &str, peers: &Peers, at: Instant, anchor: &Anchor) -> (LogLine, u64) {
    let line = LogLine {
        event: event.to_owned(),
        conn: peers.id.0,
        client: peers.client.to_string(),
        upstream: text(&peers.upstream),
        ..LogLine::default()
    };
    let micros = u64::try_from(anchor.wall_micros(at)).unwrap_or(0);
    (line, micros.saturating_mul(1000))
}

/// Text that may hold anything: tokens do not get into a file.
fn text(text: &str) -> String {
    scrub_text(text).into_owned()
}

/// A key, likewise.
fn bytes(key: &[u8]) -> Bytes {
    match token::suspected(key) {
        false => Bytes::copy_from_slice(key),
        true => {
            let mut key = key.to_vec();
            token::scrub_tail(&mut key, 0);
            key.into()
        }
    }
}

/// A number that is left out where it is what it always is.
fn unless<N: PartialEq>(number: N, usual: N) -> Option<N> {
    (number != usual).then_some(number)
}

fn side(side: Side) -> Option<i32> {
    Some(v1::Side::from(side).into())
}

fn faults(hits: &[Hit]) -> Vec<v1::Fault> {
    let hits = hits.iter();
    hits.map(|hit| v1::Fault {
        name: text(&hit.name),
        did: text(&hit.did),
    })
    .collect()
}

/// What is operated on; `method` is the verb where there is none.
fn operate(line: &mut LogLine, operation: &Operation<'_>, method: &str) {
    let verb = operation.verb.map(|verb| Cow::Borrowed(verb.as_str()));
    line.verb = Some(verb.unwrap_or_else(|| scrub_text(method)).into_owned());
    line.key = operation.key.map(bytes);
    line.range_end = operation.range_end.map(bytes);
    if let Some(object) = &operation.object {
        line.resource = Some(text(object.resource));
        line.group = object.group.map(text);
        line.namespace = object.namespace.map(text);
        line.name = object.name.map(text);
        line.internal = object.internal;
        let (extent, of) = match object.extent {
            key::Extent::One => (None, None),
            key::Extent::All => (Some(Extent::All), None),
            key::Extent::After(key) => (Some(Extent::After), Some(key)),
            key::Extent::Beginning(part) => (Some(Extent::Beginning), Some(part)),
            key::Extent::Onward => (Some(Extent::Onward), None),
            key::Extent::Between => (Some(Extent::Between), None),
        };
        line.extent = extent.map(Into::into);
        line.extent_of = of.map(text);
    }
    line.kind = operation.kind().map(text);
    line.encryption = operation.encryption().map(text);
}

/// What else was asked.
fn ask(line: &mut LogLine, request: &Request) {
    let form = match request {
        Request::Unread => Form::Unread,
        Request::Range(asked) => {
            line.limit = unless(asked.limit, 0);
            line.at_revision = unless(asked.revision, 0);
            line.count_only = asked.count_only;
            line.keys_only = asked.keys_only;
            line.serializable = asked.serializable;
            Form::Range
        }
        Request::Op(Op::Put { lease, .. }) => {
            line.lease = unless(*lease, 0);
            Form::Put
        }
        Request::Op(_) => Form::DeleteRange,
        Request::Watch { .. } => Form::Unread,
        Request::Txn(asked) => {
            if let [guard] = asked.compares.as_slice()
                && guard.target == CompareTarget::ModRevision
            {
                line.if_revision = Some(guard.number);
            }
            if let Some(Op::Put { lease, .. }) = asked.success.first() {
                line.lease = unless(*lease, 0);
            }
            Form::Txn
        }
        Request::Compact { revision } => {
            line.compact_revision = Some(*revision);
            Form::Compact
        }
        Request::Lease { id, ttl } => {
            line.lease = unless(*id, 0);
            line.ttl = unless(*ttl, 0);
            Form::Lease
        }
        Request::Named { revision, name, .. } => {
            line.at_revision = revision.filter(|revision| *revision != 0);
            line.subject = name.as_deref().map(text);
            Form::Named
        }
    };
    line.set_asked(form);
}

fn end(line: &mut LogLine, ending: Ending) {
    let ending = match ending {
        Ending::Trailers => return,
        Ending::NoTrailers => word::NO_TRAILERS,
        Ending::Reset { by, code } => {
            line.reset = Some(code.to_string());
            line.reset_by = side(by);
            word::RESET
        }
        Ending::ConnectionLost { by } => {
            line.lost_by = by.and_then(side);
            word::CONNECTION_LOST
        }
        Ending::TracingStopped => word::TRACING_STOPPED,
        Ending::Injected => word::INJECTED,
        Ending::InjectedReset { code } => {
            line.reset = Some(code.to_string());
            word::INJECTED_RESET
        }
    };
    line.ending = Some(ending.to_owned());
}

/// What was answered.
fn answer(line: &mut LogLine, operation: &Operation<'_>, call: &Call) {
    let form = match &call.response {
        Response::Unread => Form::Unread,
        Response::Range {
            kvs,
            count,
            more,
            first,
        } => {
            let total = u64::try_from(*count).unwrap_or(0);
            if operation.verb == Some(Verb::Count) || line.count_only {
                line.count = Some(total);
            } else {
                line.count = Some(*kvs);
                line.total = (total > *kvs).then_some(total);
            }
            line.more = *more;
            let object = operation.object;
            line.r#continue = object.and_then(|object| object.continue_after()).map(text);
            if operation.range_end.is_none() {
                line.mod_revision = first.as_ref().map(|first| first.mod_revision);
            }
            Form::Range
        }
        Response::Put => Form::Put,
        Response::DeleteRange { deleted } => {
            // etcd counts none below zero; what says so comes back as it was.
            line.count = Some(*deleted as u64);
            Form::DeleteRange
        }
        Response::Txn {
            succeeded,
            deleted,
            kvs,
            first,
            ..
        } => {
            line.count = unless(*kvs, 0).or(unless(*deleted, 0));
            line.guards_held = Some(*succeeded);
            line.succeeded = operation.verb.is_none().then_some(*succeeded);
            line.mod_revision = first.as_ref().map(|first| first.mod_revision);
            Form::Txn
        }
        Response::Lease { id, ttl } => {
            let asked = matches!(call.request, Request::Lease { id: asked, .. } if asked == *id);
            if !asked {
                line.granted_lease = Some(*id);
                line.lease = line.lease.or(unless(*id, 0));
            }
            line.granted_ttl = unless(*ttl, 0);
            Form::Lease
        }
        Response::Named { count } => {
            line.count = count.map(|count| count as u64);
            Form::Named
        }
    };
    line.set_answered(form);
}

fn listener_and_tls(line: &mut LogLine, peers: &Peers) {
    line.listener = Some(peers.listener.to_string());
    if let Some(tls) = &peers.tls {
        line.tls_version = Some(text(&tls.version));
        line.sni = tls.sni.as_deref().map(text);
        line.alpn = tls.alpn.as_deref().map(text);
        line.identity = tls.identity.as_deref().map(text);
    }
}

/// What one side of a connection did in all.
fn report(bytes: u64, report: &SideReport) -> v1::SideReport {
    let micros = |micros: u128| u64::try_from(micros).unwrap_or(u64::MAX);
    let trips = &report.round_trips;
    let mean = trips.total.as_micros().checked_div(trips.count.into());
    let stalled = report.stalls.count > 0;
    v1::SideReport {
        bytes,
        settings: report.settings.as_ref().map(settings),
        pings: report.pings,
        ping_rtt_mean_us: mean.map(micros),
        ping_rtt_max_us: mean.map(|_| micros(trips.longest.as_micros())),
        resets: report.resets.count,
        last_reset: report.resets.last.map(|code| code.to_string()),
        stalls: report.stalls.count,
        stalled_us: match stalled {
            true => micros(report.stalls.total.as_micros()),
            false => 0,
        },
        goaway: report.goaway.as_ref().map(|goaway| v1::Goaway {
            last_stream: goaway.last_stream.number(),
            code: goaway.code.to_string(),
            debug: text(&goaway.debug),
        }),
    }
}

fn settings(settings: &Settings) -> v1::Settings {
    v1::Settings {
        header_table_size: settings.header_table_size,
        enable_push: settings.enable_push,
        max_concurrent_streams: settings.max_concurrent_streams,
        initial_window_size: settings.initial_window_size,
        max_frame_size: settings.max_frame_size,
        max_header_list_size: settings.max_header_list_size,
    }
}
