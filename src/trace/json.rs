//! The log as JSON, one object a line. `docs/log.md` explains every field.
//!
//! This runs once a call, on the way of nothing but still on the same
//! processor: fields are written straight into the buffer, without a tree in
//! between and without an allocation.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::clock::{Anchor, Clock};
use super::escape::{json_key, json_text};
use super::filter::{WATCH_METHOD, WATCH_SERVICE};
use super::lines::{Lines, micros_between};
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, CompareTarget, ConnectionEnded, Ending, EventKind, Method, Request,
    Response, WatchNote, Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::{Offence, Settings, Side};
use crate::kube::operation::{Operation, Verb};
use crate::relay::{ConnectionId, Goaway, Peers};

/// Connections whose ends are kept as text. Beyond it they are forgotten all at
/// once, which costs a little time and nothing else.
const ENDS_MAX: usize = 65_536;

/// A field's name as it stands in a line, with the comma before it.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

mod faults;

/// Writes the log as JSON.
#[derive(Debug)]
pub(super) struct Json {
    clock: Clock,
    /// `,"client":"…","upstream":"…"` of each connection.
    ends: FxHashMap<ConnectionId, Box<[u8]>>,
}

impl Json {
    pub fn new(anchor: Anchor) -> Json {
        Json {
            clock: Clock::new(anchor),
            ends: FxHashMap::default(),
        }
    }

    /// The fields that every line begins with.
    fn begin<'o>(
        &mut self,
        event: &'static str,
        at: Instant,
        peers: &Peers,
        stream: Option<u32>,
        out: &'o mut Vec<u8>,
    ) -> Line<'o> {
        out.extend_from_slice(b"{\"ts\":\"");
        self.clock.timestamp(at, out);
        out.extend_from_slice(event.as_bytes());
        let mut line = Line { out };
        line.number(name!("conn"), peers.id.0);
        if let Some(stream) = stream {
            line.number(name!("stream"), stream);
        }
        if self.ends.len() >= ENDS_MAX {
            self.ends.clear();
        }
        let ends = self.ends.entry(peers.id).or_insert_with(|| {
            let mut ends = Vec::with_capacity(96);
            let _ = write!(ends, r#","client":"{}","upstream":""#, peers.client);
            json_text(&peers.upstream, &mut ends);
            ends.push(b'"');
            ends.into_boxed_slice()
        });
        line.out.extend_from_slice(ends);
        line
    }
}

/// The end of `ts`, and the kind of line.
macro_rules! event {
    ($event:literal) => {
        concat!("\",\"event\":\"", $event, "\"")
    };
}

impl Lines for Json {
    fn anchor(&mut self, anchor: Anchor) {
        self.clock.anchor(anchor);
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.ends.remove(&connection);
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>, slow: bool, out: &mut Vec<u8>) {
        let stream = Some(call.stream.number());
        let mut line = self.begin(event!("call"), call.ended, &call.peers, stream, out);
        line.some_text(name!("user_agent"), call.user_agent.as_deref());
        line.text(name!("service"), &call.name.service);
        line.text(name!("method"), &call.name.method);
        let verb = operation.verb.map(Verb::as_str);
        line.text(name!("verb"), verb.unwrap_or(&call.name.method));
        line.operation(operation);
        line.asked(&call.request);
        match call.status.code.name() {
            Some(name) => line.word(name!("status"), name),
            None => line.display(name!("status"), call.status.code),
        }
        line.some_text(name!("message"), call.status.message.as_deref());
        line.ending(call.status.ending);
        line.faults(&call.faults);
        line.number(
            name!("duration_us"),
            micros_between(call.started, call.ended),
        );
        if let Some(first) = call.first_byte {
            line.number(name!("first_byte_us"), micros_between(call.started, first));
        }
        if slow {
            line.yes(name!("slow"));
        }
        line.number(name!("request_bytes"), call.sent.bytes);
        line.number(name!("response_bytes"), call.received.bytes);
        line.unless(name!("request_messages"), call.sent.messages, 1);
        line.unless(name!("response_messages"), call.received.messages, 1);
        if let Some(header) = call.header {
            line.number(name!("revision"), header.revision);
        }
        line.flag(name!("committed"), tells_committed(operation, call));
        line.answered(operation, call);
        line.end();
    }

    fn watch(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        let event = match &note.watched {
            Watched::Created { .. } => event!("watch_created"),
            Watched::Event { .. } => event!("watch_event"),
            Watched::Progress => event!("watch_progress"),
            Watched::Canceled { .. } => event!("watch_canceled"),
        };
        let stream = Some(note.stream.number());
        let mut line = self.begin(event, note.at, &note.peers, stream, out);
        line.some_text(name!("user_agent"), note.user_agent.as_deref());
        line.word(name!("service"), WATCH_SERVICE);
        line.word(name!("method"), WATCH_METHOD);
        line.word(name!("verb"), operation.verb.map_or("", Verb::as_str));
        line.operation(operation);
        if let Watched::Event { kind, .. } = &note.watched {
            let kind = match kind {
                EventKind::Put => "PUT",
                EventKind::Delete => "DELETE",
            };
            line.word(name!("type"), kind);
        }
        line.unless(name!("response_bytes"), note.message_bytes, 0);
        let revision = match &note.watched {
            Watched::Event { kv, .. } => kv.mod_revision,
            _ => note.revision,
        };
        line.unless(name!("revision"), revision, 0);
        line.number(name!("watch_id"), note.watch_id);
        match &note.watched {
            Watched::Created {
                asked,
                start_revision,
                progress_notify,
                prev_kv,
                ..
            } => {
                if let Some(asked) = asked {
                    line.number(name!("duration_us"), micros_between(*asked, note.at));
                }
                line.unless(name!("start_revision"), *start_revision, 0);
                line.flag(name!("progress_notify"), *progress_notify);
                line.flag(name!("prev_kv"), *prev_kv);
            }
            Watched::Event { .. } => {
                if let Some(lag) = lag {
                    line.number(name!("lag_us"), lag);
                }
            }
            Watched::Progress => {}
            Watched::Canceled {
                cause,
                reason,
                events,
                ..
            } => {
                let (word, compacted) = match cause {
                    CancelCause::Requested => ("requested", None),
                    CancelCause::Refused => ("refused", None),
                    CancelCause::Compacted { compact_revision } => {
                        ("compacted", Some(*compact_revision))
                    }
                    CancelCause::Server => ("server", None),
                    CancelCause::StreamEnded => ("stream_ended", None),
                };
                line.word(name!("cause"), word);
                line.some_text(name!("message"), reason.as_deref());
                if let Some(compacted) = compacted {
                    line.number(name!("compact_revision"), compacted);
                }
                line.number(name!("events"), *events);
            }
        }
        line.touched(note);
        line.end();
    }

    fn http1(&mut self, peers: &Peers, exchange: &Exchange, slow: bool, out: &mut Vec<u8>) {
        let mut line = self.begin(event!("http1"), exchange.ended, peers, None, out);
        line.some_text(name!("user_agent"), exchange.user_agent.as_deref());
        line.word(name!("protocol"), exchange.protocol);
        line.text(name!("method"), &exchange.method);
        line.text(name!("path"), &exchange.target);
        if let Some(status) = exchange.status {
            line.number(name!("http_status"), status);
        }
        let duration = micros_between(exchange.started, exchange.ended);
        line.number(name!("duration_us"), duration);
        if let Some(first) = exchange.first_byte {
            line.number(
                name!("first_byte_us"),
                micros_between(exchange.started, first),
            );
        }
        line.flag(name!("slow"), slow);
        line.number(name!("request_bytes"), exchange.request_bytes);
        line.number(name!("response_bytes"), exchange.response_bytes);
        line.end();
    }

    fn opened(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        let mut line = self.begin(event!("connection"), at, peers, None, out);
        line.word(name!("state"), "opened");
        line.listener_and_tls(peers);
        line.end();
    }

    fn ping(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        self.begin(event!("ping"), at, peers, None, out).end();
    }

    fn stopped(&mut self, peers: &Arc<Peers>, at: Instant, offence: &Offence, out: &mut Vec<u8>) {
        let mut line = self.begin(event!("connection"), at, peers, None, out);
        line.word(name!("state"), "tracing_stopped");
        line.display(name!("by"), offence.by);
        line.display(name!("code"), offence.code);
        if !offence.stream.is_connection() {
            line.number(name!("offending_stream"), offence.stream.number());
        }
        line.text(name!("message"), &offence.to_string());
        line.end();
    }

    fn fault(&mut self, peers: &Arc<Peers>, at: Instant, hits: &[Hit], out: &mut Vec<u8>) {
        let mut line = self.begin(event!("fault"), at, peers, None, out);
        line.display(name!("listener"), peers.listener);
        line.faults(hits);
        line.end();
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool, out: &mut Vec<u8>) {
        let mut line = self.begin(event!("connection"), ended.ended, &ended.peers, None, out);
        line.some_text(name!("user_agent"), ended.user_agent.as_deref());
        line.word(name!("state"), if failed { "failed" } else { "closed" });
        line.listener_and_tls(&ended.peers);
        line.text(name!("message"), &ended.how);
        if let Some(by) = ended.by {
            line.display(name!("by"), by);
        }
        line.number(
            name!("duration_us"),
            micros_between(ended.opened, ended.ended),
        );
        line.number(name!("streams"), ended.streams);
        line.faults(&ended.faults);
        line.interposed(ended);
        for side in [Side::Client, Side::Server] {
            line.side(ended, side);
        }
        line.end();
        self.ends.remove(&ended.peers.id);
    }
}

/// A line being written.
struct Line<'o> {
    out: &'o mut Vec<u8>,
}

impl Line<'_> {
    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// Text that may hold anything.
    #[inline]
    fn text(&mut self, name: &'static str, text: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'"');
        json_text(text, self.out);
        self.out.push(b'"');
    }

    #[inline]
    fn some_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// One of our own words, which need no escaping.
    #[inline]
    fn word(&mut self, name: &'static str, word: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    /// Something of our own that has a text; for lines that are rare.
    fn display(&mut self, name: &'static str, shown: impl std::fmt::Display) {
        let _ = write!(self.out, "{name}\"{shown}\"");
    }

    #[inline]
    fn key(&mut self, name: &'static str, key: &[u8]) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'"');
        json_key(key, self.out);
        self.out.push(b'"');
    }

    #[inline]
    fn number(&mut self, name: &'static str, number: impl itoa::Integer) {
        self.out.extend_from_slice(name.as_bytes());
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(digits.format(number).as_bytes());
    }

    /// A number that is left out where it is what it always is.
    #[inline]
    fn unless<N: itoa::Integer + PartialEq>(&mut self, name: &'static str, number: N, usual: N) {
        if number != usual {
            self.number(name, number);
        }
    }

    fn flag(&mut self, name: &'static str, set: bool) {
        if set {
            self.yes(name);
        }
    }

    fn yes(&mut self, name: &'static str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"true");
    }

    /// etcd prints leases in hexadecimal, and JSON readers lose digits of
    /// numbers so large.
    fn lease(&mut self, id: i64) {
        if id != 0 {
            self.display(name!("lease"), format_args!("{id:x}"));
        }
    }

    /// What is operated on.
    fn operation(&mut self, operation: &Operation<'_>) {
        if let Some(key) = operation.key {
            self.key(name!("key"), key);
        }
        if let Some(end) = operation.range_end {
            self.key(name!("range_end"), end);
        }
        if let Some(object) = &operation.object {
            self.text(name!("resource"), object.resource);
            self.some_text(name!("group"), object.group);
            self.some_text(name!("namespace"), object.namespace);
            self.some_text(name!("name"), object.name);
        }
        self.some_text(name!("kind"), operation.kind());
        self.some_text(name!("encryption"), operation.encryption());
    }

    /// What else was asked.
    fn asked(&mut self, request: &Request) {
        match request {
            Request::Range(asked) => {
                self.unless(name!("limit"), asked.limit, 0);
                self.unless(name!("at_revision"), asked.revision, 0);
                self.flag(name!("keys_only"), asked.keys_only);
                self.flag(name!("serializable"), asked.serializable);
            }
            Request::Op(crate::etcd::Op::Put { lease, .. }) => self.lease(*lease),
            Request::Op(_) | Request::Watch { .. } | Request::Unread => {}
            Request::Txn(asked) => {
                if let [guard] = asked.compares.as_slice()
                    && guard.target == CompareTarget::ModRevision
                {
                    self.number(name!("if_revision"), guard.number);
                }
                if let Some(crate::etcd::Op::Put { lease, .. }) = asked.success.first() {
                    self.lease(*lease);
                }
            }
            Request::Compact { revision } => self.number(name!("compact_revision"), *revision),
            Request::Lease { id, ttl } => {
                self.lease(*id);
                self.unless(name!("ttl"), *ttl, 0);
            }
            Request::Named { revision, name, .. } => {
                if let Some(revision) = revision {
                    self.unless(name!("at_revision"), *revision, 0);
                }
                self.some_text(name!("subject"), name.as_deref());
            }
        }
    }

    fn ending(&mut self, ending: Ending) {
        match ending {
            Ending::Trailers => {}
            Ending::NoTrailers => self.word(name!("ending"), "no_trailers"),
            Ending::Reset { by, code } => {
                self.word(name!("ending"), "reset");
                self.display(name!("reset"), code);
                self.display(name!("reset_by"), by);
            }
            Ending::ConnectionLost { by } => {
                self.word(name!("ending"), "connection_lost");
                if let Some(by) = by {
                    self.display(name!("lost_by"), by);
                }
            }
            Ending::TracingStopped => self.word(name!("ending"), "tracing_stopped"),
            Ending::Injected => self.word(name!("ending"), "injected"),
            Ending::InjectedReset { code } => {
                self.word(name!("ending"), "injected_reset");
                self.display(name!("reset"), code);
            }
        }
    }

    /// What was answered.
    fn answered(&mut self, operation: &Operation<'_>, call: &Call) {
        match &call.response {
            Response::Range {
                kvs,
                count,
                more,
                first,
            } => {
                let total = u64::try_from(*count).unwrap_or(0);
                if operation.verb == Some(Verb::Count) || count_only(&call.request) {
                    self.number(name!("count"), total);
                } else {
                    self.number(name!("count"), *kvs);
                    if total > *kvs {
                        self.number(name!("total"), total);
                    }
                }
                self.flag(name!("more"), *more);
                if let Some(after) = operation.object.and_then(|object| object.continue_after()) {
                    self.text(name!("continue"), after);
                }
                if operation.range_end.is_none()
                    && let Some(first) = first
                {
                    self.number(name!("mod_revision"), first.mod_revision);
                }
            }
            Response::Txn {
                succeeded,
                deleted,
                kvs,
                first,
                ..
            } => {
                if *kvs > 0 {
                    self.number(name!("count"), *kvs);
                } else if *deleted > 0 {
                    self.number(name!("count"), *deleted);
                }
                if operation.verb.is_none() {
                    let word: &[u8] = if *succeeded { b"true" } else { b"false" };
                    self.out.extend_from_slice(name!("succeeded").as_bytes());
                    self.out.extend_from_slice(word);
                }
                if let Some(first) = first {
                    self.number(name!("mod_revision"), first.mod_revision);
                }
            }
            Response::DeleteRange { deleted } => self.number(name!("count"), *deleted),
            Response::Lease { id, ttl } => {
                let asked =
                    matches!(call.request, Request::Lease { id: asked, .. } if asked == *id);
                if !asked {
                    self.lease(*id);
                }
                self.unless(name!("granted_ttl"), *ttl, 0);
            }
            Response::Named { count: Some(count) } => self.number(name!("count"), *count),
            Response::Named { count: None } | Response::Put | Response::Unread => {}
        }
    }

    fn listener_and_tls(&mut self, peers: &Peers) {
        self.display(name!("listener"), peers.listener);
        if let Some(tls) = &peers.tls {
            self.text(name!("tls_version"), &tls.version);
            self.some_text(name!("sni"), tls.sni.as_deref());
            self.some_text(name!("alpn"), tls.alpn.as_deref());
            self.some_text(name!("identity"), tls.identity.as_deref());
        }
    }

    /// What one side of a connection did in all. What it never did is left
    /// out.
    fn side(&mut self, ended: &ConnectionEnded, side: Side) {
        macro_rules! of_side {
            ($name:literal) => {
                match side {
                    Side::Client => concat!(",\"", $name, "_client\":"),
                    Side::Server => concat!(",\"", $name, "_server\":"),
                }
            };
        }
        self.number(of_side!("bytes"), ended.bytes[side]);
        let report = &ended.reports[side];
        if let Some(settings) = &report.settings {
            self.settings(of_side!("settings"), settings);
        }
        self.unless(of_side!("pings"), report.pings, 0);
        let trips = &report.round_trips;
        if let Some(mean) = trips.total.as_micros().checked_div(u128::from(trips.count)) {
            self.number(of_side!("ping_rtt_mean_us"), mean);
            self.number(of_side!("ping_rtt_max_us"), trips.longest.as_micros());
        }
        self.unless(of_side!("resets"), report.resets.count, 0);
        if let Some(code) = report.resets.last {
            self.display(of_side!("last_reset"), code);
        }
        if report.stalls.count > 0 {
            self.number(of_side!("stalls"), report.stalls.count);
            self.number(of_side!("stalled_us"), report.stalls.total.as_micros());
        }
        if let Some(goaway) = &report.goaway {
            let Goaway {
                last_stream,
                code,
                debug,
            } = goaway;
            let name = of_side!("goaway");
            let _ = write!(
                self.out,
                r#"{name}{{"last_stream":{last_stream},"code":"{code}""#
            );
            if !debug.is_empty() {
                self.text(name!("debug"), debug);
            }
            self.out.push(b'}');
        }
    }

    fn settings(&mut self, name: &'static str, settings: &Settings) {
        let Settings {
            header_table_size,
            enable_push,
            max_concurrent_streams,
            initial_window_size,
            max_frame_size,
            max_header_list_size,
        } = settings;
        let _ = write!(
            self.out,
            "{name}{{\"header_table_size\":{header_table_size},\"enable_push\":{enable_push}"
        );
        if let Some(streams) = max_concurrent_streams {
            self.number(name!("max_concurrent_streams"), *streams);
        }
        self.number(name!("initial_window_size"), *initial_window_size);
        self.number(name!("max_frame_size"), *max_frame_size);
        if let Some(size) = max_header_list_size {
            self.number(name!("max_header_list_size"), *size);
        }
        self.out.push(b'}');
    }
}

/// Whether it wrote, where that does not follow from verb and status.
pub(super) fn tells_committed(operation: &Operation<'_>, call: &Call) -> bool {
    let follows = call.status.code == Code::OK
        && matches!(
            (operation.verb, call.method),
            (Some(Verb::Create | Verb::Update | Verb::Delete), _)
                | (None, Method::Put | Method::DeleteRange)
        );
    !follows && call.executed_revision().is_some()
}

pub(super) fn count_only(request: &Request) -> bool {
    matches!(request, Request::Range(asked) if asked.count_only)
}

#[cfg(test)]
mod tests;
