//! Who did what, counted: the lines of a recording in, figures out.
//!
//! Memory is bounded, whatever the recording names: beyond so many rows the rest
//! is counted together, and of keys only those are kept that may be among the
//! first ([`heavy`]).

mod card;
mod heavy;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

pub use heavy::{Heavy, Weighed};

use super::recall::Recalled;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, Method, Watched};
use crate::kube::operation::{Operation, Verb};
use crate::relay::Peers;
use crate::trace::{Histogram, key_text, micros_between};

/// Rows beyond this are counted together.
const ROWS_MAX: usize = 2000;

/// What the rest is called.
pub const OTHERS: &str = "(others)";

/// Keys that are watched for being among the first.
const KEYS_MAX: usize = 8192;

/// The longest text that is a row's name.
const NAME_MAX: usize = 200;

/// What passed, counted.
#[derive(Debug)]
pub struct Stats {
    /// How many of each list are told.
    top: usize,
    lines: u64,
    span: Option<(u64, u64)>,
    connections: u64,
    failed_connections: u64,
    untraced: u64,
    http1: u64,
    all: Calls,
    by_method: Rows<Calls>,
    by_verb: Rows<Calls>,
    by_resource: Rows<Calls>,
    by_namespace: Rows<Calls>,
    by_client: Rows<Calls>,
    keys_by_calls: Heavy,
    keys_by_bytes: Heavy,
    keys_by_time: Heavy,
    biggest: BinaryHeap<Reverse<Answer>>,
    watches: Rows<Watches>,
    conflicts: u64,
    conflicts_by_key: Heavy,
    errors: Rows<u64>,
    faults: Rows<u64>,
}

/// Rows by name.
#[derive(Debug, Default)]
struct Rows<R>(FxHashMap<Box<str>, R>);

/// Calls of one kind.
#[derive(Debug, Default)]
struct Calls {
    calls: u64,
    errors: u64,
    conflicts: u64,
    sent: u64,
    received: u64,
    micros: Histogram,
}

/// Watches of one resource and client.
#[derive(Debug, Default)]
struct Watches {
    created: u64,
    ended: u64,
    failed: u64,
    events: u64,
    bytes: u64,
    lag: Histogram,
}

/// A great answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    bytes: u64,
    at: u64,
    verb: Box<str>,
    what: Box<str>,
    client: Box<str>,
}

impl<R: Default> Rows<R> {
    fn row(&mut self, name: &str) -> &mut R {
        let short = shortened(name);
        let known = self.0.contains_key(short);
        let name = match known || self.0.len() < ROWS_MAX {
            true => short,
            false => OTHERS,
        };
        if !self.0.contains_key(name) {
            self.0.insert(name.into(), R::default());
        }
        // It has just been put there, if it was not.
        self.0.entry(name.into()).or_default()
    }
}

impl Stats {
    /// Nothing yet. Of each list the first `top` are told.
    pub fn new(top: usize) -> Stats {
        let kept = KEYS_MAX.max(top.saturating_mul(8));
        Stats {
            top,
            lines: 0,
            span: None,
            connections: 0,
            failed_connections: 0,
            untraced: 0,
            http1: 0,
            all: Calls::default(),
            by_method: Rows::default(),
            by_verb: Rows::default(),
            by_resource: Rows::default(),
            by_namespace: Rows::default(),
            by_client: Rows::default(),
            keys_by_calls: Heavy::new(kept),
            keys_by_bytes: Heavy::new(kept),
            keys_by_time: Heavy::new(kept),
            biggest: BinaryHeap::new(),
            watches: Rows::default(),
            conflicts: 0,
            conflicts_by_key: Heavy::new(kept),
            errors: Rows::default(),
            faults: Rows::default(),
        }
    }

    /// Counts a line of the log, which was told `at`, in nanoseconds since 1970.
    pub fn add(&mut self, line: &Recalled<'_>, at: u64) {
        self.lines += 1;
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at), to.max(at)));
        match line {
            Recalled::Call {
                call, operation, ..
            } => self.call(call, operation, at),
            Recalled::Watch {
                note,
                operation,
                lag,
            } => {
                if note.watched == Watched::Progress {
                    return;
                }
                let resource = resource(operation);
                let client = client(&note.peers, note.user_agent.as_deref());
                let name = format!("{resource}\0{client}");
                let row = self.watches.row(&name);
                match &note.watched {
                    Watched::Created { .. } => row.created += 1,
                    Watched::Event { .. } => {
                        row.events += 1;
                        row.bytes = row.bytes.saturating_add(note.message_bytes);
                        if let Some(lag) = lag {
                            row.lag.record(*lag);
                        }
                    }
                    Watched::Canceled { cause, reason, .. } => {
                        row.ended += 1;
                        use crate::etcd::CancelCause::{Requested, StreamEnded};
                        if !matches!(cause, Requested | StreamEnded) {
                            row.failed += 1;
                            let reason = reason.as_deref().unwrap_or("watch ended by etcd");
                            *self.errors.row(&format!("Watch\0\0{reason}")) += 1;
                        }
                    }
                    Watched::Progress => {}
                }
                self.struck(&note.faults);
            }
            Recalled::Http1 { .. } => self.http1 += 1,
            Recalled::Opened { .. } => self.connections += 1,
            Recalled::Ping { .. } => {}
            Recalled::Stopped { .. } => self.untraced += 1,
            Recalled::Fault { hits, .. } => self.struck(hits),
            Recalled::Ended { ended, failed } => {
                self.failed_connections += u64::from(*failed);
                self.struck(&ended.faults);
            }
        }
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>, at: u64) {
        let verb = operation.verb.map(Verb::as_str);
        let verb = verb.unwrap_or(&call.name.method);
        let client = client(&call.peers, call.user_agent.as_deref());
        let method = format!(
            "{}/{}",
            call.name.service.rsplit('.').next().unwrap_or_default(),
            call.name.method
        );
        let resource = resource(operation);
        let namespace = operation.object.and_then(|object| object.namespace);
        let is_conflict = operation.verb == Some(Verb::Conflict);
        self.all.add(call, is_conflict);
        self.by_method.row(&method).add(call, is_conflict);
        self.by_verb.row(verb).add(call, is_conflict);
        self.by_resource.row(&resource).add(call, is_conflict);
        self.by_namespace
            .row(namespace.unwrap_or_default())
            .add(call, is_conflict);
        self.by_client.row(&client).add(call, is_conflict);
        if let Some(key) = operation.key {
            let range = operation.range_end.is_some();
            let what = what(key, range);
            let bytes = call.sent.bytes.saturating_add(call.received.bytes);
            self.keys_by_calls.add(&what, 1);
            self.keys_by_bytes.add(&what, bytes);
            if !call.is_stream() {
                self.keys_by_time
                    .add(&what, micros_between(call.started, call.ended));
            }
            if is_conflict {
                self.conflicts_by_key.add(&what, 1);
            }
        }
        self.conflicts += u64::from(is_conflict);
        if call.failed() {
            let message = call.status.message.as_deref().unwrap_or_default();
            let name = format!("{method}\0{}\0{message}", call.status.code);
            *self.errors.row(&name) += 1;
        }
        self.struck(&call.faults);
        self.answer(call, operation, verb, &client, at);
    }

    fn answer(
        &mut self,
        call: &Call,
        operation: &Operation<'_>,
        verb: &str,
        client: &str,
        at: u64,
    ) {
        // What a stream brought in all is no answer.
        if call.is_stream() || self.top == 0 {
            return;
        }
        let bytes = call.received.bytes;
        let is_full = self.biggest.len() >= self.top;
        if is_full
            && self
                .biggest
                .peek()
                .is_some_and(|least| least.0.bytes >= bytes)
        {
            return;
        }
        if is_full {
            self.biggest.pop();
        }
        let range = operation.range_end.is_some();
        let key = operation.key.map(|key| what(key, range));
        self.biggest.push(Reverse(Answer {
            bytes,
            at,
            verb: verb.into(),
            what: key.unwrap_or_default().into(),
            client: client.into(),
        }));
    }

    fn struck(&mut self, hits: &[Hit]) {
        for hit in hits {
            *self.faults.row(&hit.name) += 1;
        }
    }
}

impl Calls {
    fn add(&mut self, call: &Call, is_conflict: bool) {
        let lives_long = call.is_stream();
        self.calls += 1;
        self.errors += u64::from(call.failed());
        self.conflicts += u64::from(is_conflict);
        // A keepalive stream's bytes were counted with each of its keepalives.
        if !(lives_long && call.method == Method::LeaseKeepAlive) {
            self.sent = self.sent.saturating_add(call.sent.bytes);
            self.received = self.received.saturating_add(call.received.bytes);
        }
        if !lives_long {
            let micros = micros_between(call.started, call.ended);
            self.micros
                .record(i64::try_from(micros).unwrap_or(i64::MAX));
        }
    }
}

/// `deployments.apps`; empty where there is none.
fn resource(operation: &Operation<'_>) -> String {
    match operation.object {
        None => String::new(),
        Some(object) => match object.group {
            Some(group) => format!("{}.{group}", object.resource),
            None => object.resource.to_owned(),
        },
    }
}

/// A key as the log has it, with a star where a range begins.
fn what(key: &[u8], range: bool) -> String {
    let mut text = key_text(key);
    if range {
        text.push('*');
    }
    text
}

/// Who a client is: its certificate's name where that was seen, its user agent,
/// its address.
fn client(peers: &Peers, agent: Option<&str>) -> String {
    let identity = peers.tls.as_ref().and_then(|tls| tls.identity.as_deref());
    let ip = peers.client.ip();
    let names = [identity, agent].into_iter().flatten();
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => ip.to_string(),
        false => format!("{} {ip}", names.join(" ")),
    }
}

fn shortened(name: &str) -> &str {
    let mut end = name.len().min(NAME_MAX);
    // A character has at most four bytes.
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests;
