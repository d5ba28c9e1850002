//! What passed in all: a table of calls by verb and resource, and one of watch
//! events by resource.

use std::fmt;

use rustc_hash::FxHashMap;

use super::escape::shown_text;
use super::figures::{duration, grouped, signed_duration, size};
use super::histogram::Histogram;
use super::lines::micros_between;
use super::table::Table;
use crate::etcd::{Call, Method, WatchNote, Watched};
use crate::kube::operation::{Operation, Verb};
use crate::kube::token::scrub;

/// Rows beyond this are counted together: resources are named by whoever
/// writes keys.
const ROWS_MAX: usize = 1000;
const OTHERS: (&str, &str) = ("(others)", "");

/// What passed in all. Its `Display` is the table.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    calls: FxHashMap<Box<str>, CallRow>,
    watches: FxHashMap<Box<str>, WatchRow>,
    opened: u64,
    failed: u64,
    http1: u64,
    /// The name of a row while it is looked up, reused.
    name: String,
}

/// The calls of one verb on one resource.
#[derive(Debug, Clone, Default)]
struct CallRow {
    verb: Box<str>,
    resource: Box<str>,
    calls: u64,
    errors: u64,
    sent: u64,
    received: u64,
    micros: Histogram,
}

/// The watches of one resource.
#[derive(Debug, Clone, Default)]
struct WatchRow {
    resource: Box<str>,
    created: u64,
    canceled: u64,
    events: u64,
    lag: Histogram,
}

/// The figures of one verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFigures<'s> {
    /// The verb, or etcd's own name.
    pub verb: &'s str,
    /// The resource; empty where there is none.
    pub resource: &'s str,
    /// How many calls.
    pub calls: u64,
    /// How many of them failed. A stream that was cancelled did not.
    pub errors: u64,
    /// The median of their durations in microseconds. Streams that live as
    /// long as their client wants them to have no durations here.
    pub p50_micros: Option<i64>,
    /// The 99th percentile.
    pub p99_micros: Option<i64>,
    /// The longest.
    pub max_micros: Option<i64>,
    /// Bytes of the client's messages.
    pub sent: u64,
    /// Bytes of the server's messages.
    pub received: u64,
}

/// The figures of the watches of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchFigures<'s> {
    /// The resource; empty where there is none.
    pub resource: &'s str,
    /// Watches that were created.
    pub created: u64,
    /// Watches that ended.
    pub canceled: u64,
    /// Events that passed.
    pub events: u64,
    /// Events whose lag is known.
    pub with_lag: u64,
    /// The median of their lags in microseconds.
    pub lag_p50_micros: Option<i64>,
    /// The 99th percentile.
    pub lag_p99_micros: Option<i64>,
    /// The longest.
    pub lag_max_micros: Option<i64>,
}

impl Summary {
    /// The calls, the most frequent first.
    pub fn calls(&self) -> Vec<CallFigures<'_>> {
        let mut rows: Vec<_> = self.calls.values().map(CallRow::figures).collect();
        rows.sort_by(|a, b| (b.calls, a.verb, a.resource).cmp(&(a.calls, b.verb, b.resource)));
        rows
    }

    /// The watches, those with the most events first.
    pub fn watches(&self) -> Vec<WatchFigures<'_>> {
        let mut rows: Vec<_> = self.watches.values().map(WatchRow::figures).collect();
        rows.sort_by(|a, b| (b.events, a.resource).cmp(&(a.events, b.resource)));
        rows
    }

    pub(super) fn handle_call(&mut self, call: &Call, operation: &Operation<'_>) {
        let verb = operation.verb.map(Verb::as_str);
        let verb = verb.unwrap_or(&call.name.method);
        let resource = operation.object.map_or("", |object| object.resource);
        let row = row(&mut self.calls, &mut self.name, (verb, resource));
        if row.calls == 0 {
            (row.verb, row.resource) = named(&self.name);
        }
        let lives_long = call.is_stream();
        row.calls += 1;
        row.errors += u64::from(call.failed());
        // A keepalive stream's bytes were counted with each of its keepalives.
        if !(lives_long && call.method == Method::LeaseKeepAlive) {
            row.sent = row.sent.saturating_add(call.sent.bytes);
            row.received = row.received.saturating_add(call.received.bytes);
        }
        if !lives_long {
            let micros = micros_between(call.started, call.ended);
            row.micros.record(i64::try_from(micros).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn handle_note(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
    ) {
        if note.watched == Watched::Progress {
            return;
        }
        let resource = operation.object.map_or("", |object| object.resource);
        let row = row(&mut self.watches, &mut self.name, ("", resource));
        if row.created + row.canceled + row.events == 0 {
            row.resource = named(&self.name).1;
        }
        match note.watched {
            Watched::Created { .. } => row.created += 1,
            Watched::Canceled { .. } => row.canceled += 1,
            Watched::Event { .. } => row.events += 1,
            Watched::Progress => {}
        }
        if let Some(lag) = lag {
            row.lag.record(lag);
        }
    }

    pub(super) fn handle_opened(&mut self) {
        self.opened += 1;
    }

    pub(super) fn handle_failed(&mut self) {
        self.failed += 1;
    }

    pub(super) fn handle_http1(&mut self) {
        self.http1 += 1;
    }
}

/// The row of that name; its place in the map is told apart by a NUL, which
/// neither part holds when shown.
fn row<'r, R: Default>(
    rows: &'r mut FxHashMap<Box<str>, R>,
    name: &mut String,
    (verb, resource): (&str, &str),
) -> &'r mut R {
    let set = |name: &mut String, verb, resource| {
        name.clear();
        shown_text(verb, name);
        name.push('\0');
        shown_text(resource, name);
    };
    set(name, verb, resource);
    if !rows.contains_key(name.as_str()) {
        if rows.len() >= ROWS_MAX {
            set(name, OTHERS.0, OTHERS.1);
        }
        rows.entry(name.as_str().into()).or_default();
    }
    rows.entry(name.as_str().into()).or_default()
}

fn named(name: &str) -> (Box<str>, Box<str>) {
    let (verb, resource) = name.split_once('\0').unwrap_or((name, ""));
    (scrub(verb).into(), scrub(resource).into())
}

impl CallRow {
    fn figures(&self) -> CallFigures<'_> {
        CallFigures {
            verb: &self.verb,
            resource: &self.resource,
            calls: self.calls,
            errors: self.errors,
            p50_micros: self.micros.percentile(50),
            p99_micros: self.micros.percentile(99),
            max_micros: self.micros.highest(),
            sent: self.sent,
            received: self.received,
        }
    }
}

impl WatchRow {
    fn figures(&self) -> WatchFigures<'_> {
        WatchFigures {
            resource: &self.resource,
            created: self.created,
            canceled: self.canceled,
            events: self.events,
            with_lag: self.lag.count(),
            lag_p50_micros: self.lag.percentile(50),
            lag_p99_micros: self.lag.percentile(99),
            lag_max_micros: self.lag.highest(),
        }
    }
}

/// `{:.10}` has at most ten rows in each table, and says how many there are besides.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = f.precision().unwrap_or(usize::MAX);
        let more = |rows: usize| match rows.saturating_sub(most) {
            0 => None,
            more => Some(format!("and {} more", grouped(more as u64))),
        };
        let calls = self.calls();
        let mut table = Table::new(
            2,
            &[
                "VERB", "RESOURCE", "CALLS", "ERRORS", "P50", "P99", "MAX", "SENT", "RECEIVED",
            ],
        );
        for row in calls.iter().take(most) {
            table.row([
                row.verb.to_owned(),
                or_dash(row.resource),
                grouped(row.calls),
                grouped(row.errors),
                took(row.p50_micros),
                took(row.p99_micros),
                took(row.max_micros),
                size(row.sent),
                size(row.received),
            ]);
        }
        if let Some(more) = more(calls.len()) {
            table.row(std::array::from_fn(|n| match n {
                0 => more.clone(),
                _ => String::new(),
            }));
        }
        let sum =
            |of: fn(&CallFigures<'_>) -> u64| calls.iter().map(of).fold(0, u64::saturating_add);
        table.row([
            "total".to_owned(),
            String::new(),
            grouped(sum(|row| row.calls)),
            grouped(sum(|row| row.errors)),
            String::new(),
            String::new(),
            String::new(),
            size(sum(|row| row.sent)),
            size(sum(|row| row.received)),
        ]);
        write!(f, "{table}")?;

        let watches = self.watches();
        if !watches.is_empty() {
            let mut table = Table::new(
                1,
                &[
                    "WATCHED", "CREATED", "ENDED", "EVENTS", "WITH LAG", "LAG P50", "LAG P99",
                    "LAG MAX",
                ],
            );
            for row in watches.iter().take(most) {
                table.row([
                    or_dash(row.resource),
                    grouped(row.created),
                    grouped(row.canceled),
                    grouped(row.events),
                    grouped(row.with_lag),
                    lag(row.lag_p50_micros),
                    lag(row.lag_p99_micros),
                    lag(row.lag_max_micros),
                ]);
            }
            if let Some(more) = more(watches.len()) {
                table.row(std::array::from_fn(|n| match n {
                    0 => more.clone(),
                    _ => String::new(),
                }));
            }
            write!(f, "\n{table}")?;
        }

        write!(f, "\nconnections: {}", grouped(self.opened))?;
        if self.failed > 0 {
            write!(f, ", and {} that failed", grouped(self.failed))?;
        }
        if self.http1 > 0 {
            write!(f, "; plain HTTP requests: {}", grouped(self.http1))?;
        }
        writeln!(f)
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn took(micros: Option<i64>) -> String {
    match micros {
        Some(micros) => duration(u64::try_from(micros).unwrap_or(0)),
        None => "-".to_owned(),
    }
}

fn lag(micros: Option<i64>) -> String {
    micros.map_or("-".to_owned(), signed_duration)
}

#[cfg(test)]
mod tests;
