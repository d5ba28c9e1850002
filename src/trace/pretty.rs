//! The log for people: one aligned line a call. `docs/log.md` explains the
//! columns.

mod faults;

use std::sync::Arc;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use super::clock::{Anchor, Clock};
use super::escape::{shown_key, shown_text};
use super::figures::{duration, grouped, signed_duration, size};
use super::lines::{Lines, micros_between};
use super::row::{Colour, Row, shortened};
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, CompareTarget, ConnectionEnded, Ending, Request, Response, WatchNote,
    Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::{ErrorCode, Offence, Side};
use crate::kube::key::{Extent, ResourceKey};
use crate::kube::operation::{Operation, Verb};
use crate::kube::token::scrub;
use crate::relay::Peers;

/// Where the columns begin.
const CONNECTION: usize = 14;
const VERB: usize = 24;
const OBJECT: usize = 36;

/// How wide the object's column is if nobody knows the terminal's width, and
/// its bounds if somebody does.
const OBJECT_WIDTH: usize = 46;
const OBJECT_WIDTH_LEAST: usize = 28;
const OBJECT_WIDTH_MOST: usize = 60;

/// What stands beside the object: the columns before it, the figures after it,
/// and some room for notes.
const BESIDE_OBJECT: usize = OBJECT + FIGURES + 24;
/// Duration, bytes up, bytes down.
const FIGURES: usize = 8 + 8 + 8;

/// A call that takes longer is yellow, and red from ten times that on, unless
/// the user said what is slow. etcd itself complains from here on.
const SLOW_MICROS: u64 = 100_000;

const PLAIN: Style = Style::new();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Writes the log for people.
#[derive(Debug)]
pub(super) struct Pretty {
    clock: Clock,
    colour: Colour,
    object_width: usize,
    slow_micros: u64,
    /// The time of day, reused.
    time: Vec<u8>,
}

impl Pretty {
    /// `width` is the terminal's, where there is one; `slow_micros` is what
    /// the user calls slow.
    pub fn new(
        anchor: Anchor,
        colour: Colour,
        width: Option<usize>,
        slow_micros: Option<u64>,
    ) -> Pretty {
        let object_width = width.map_or(OBJECT_WIDTH, |width| {
            width
                .saturating_sub(BESIDE_OBJECT)
                .clamp(OBJECT_WIDTH_LEAST, OBJECT_WIDTH_MOST)
        });
        Pretty {
            clock: Clock::new(anchor),
            colour,
            object_width,
            slow_micros: slow_micros.unwrap_or(SLOW_MICROS),
            time: Vec::with_capacity(16),
        }
    }

    fn begin<'o>(&mut self, at: Instant, whose: &str, out: &'o mut Vec<u8>) -> Row<'o> {
        self.time.clear();
        self.clock.time_of_day(at, &mut self.time);
        let mut row = Row::new(out, self.colour);
        row.put(DIM, str::from_utf8(&self.time).unwrap_or_default());
        row.pad_to(CONNECTION);
        row.put(DIM, whose);
        row.pad_to(VERB);
        row
    }

    fn object(&self, cell: Cell, row: &mut Row<'_>, style: Style) {
        // What is left of a token's middle would not be known for one.
        let cell = Cell {
            head: scrub(&cell.head).into_owned(),
            rest: scrub(&cell.rest).into_owned(),
        };
        row.pad_to(OBJECT);
        let head_width = cell.head.chars().count();
        row.put(style.bold(), &shortened(cell.head, self.object_width));
        if cell.rest.is_empty() {
            return;
        }
        let mut left = self.object_width;
        if head_width > 0 {
            row.put(PLAIN, " ");
            left = left.saturating_sub(head_width + 1).max(8);
        }
        row.put(style, &shortened(cell.rest, left));
    }

    /// The column where the durations end.
    fn took_end(&self) -> usize {
        OBJECT + self.object_width + 8
    }

    fn bytes(&self, row: &mut Row<'_>, up: Option<u64>, down: Option<u64>) {
        for (bytes, arrow, end) in [(up, "↑", 8), (down, "↓", 16)] {
            let end = self.took_end() + end;
            match bytes {
                Some(bytes) => {
                    row.pad_to(end - 6);
                    row.put(DIM, arrow);
                    row.put_right(PLAIN, &size(bytes), end);
                }
                None => row.pad_to(end),
            }
        }
    }

    fn took_style(&self, micros: u64) -> Style {
        match micros {
            _ if micros >= self.slow_micros.saturating_mul(10) => ERROR,
            _ if micros >= self.slow_micros => WARNING,
            _ => PLAIN,
        }
    }
}

impl Lines for Pretty {
    fn anchor(&mut self, anchor: Anchor) {
        self.clock.anchor(anchor);
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>, slow: bool, out: &mut Vec<u8>) {
        let whose = format!("{}/{}", call.peers.id, call.stream);
        let mut row = self.begin(call.ended, &whose, out);
        match operation.verb {
            Some(verb) => row.put(verb_style(verb), verb.as_str()),
            None => row.put(BOLD, &shown(&call.name.method)),
        }
        self.object(call_cell(call, operation), &mut row, PLAIN);
        let took = micros_between(call.started, call.ended);
        let style = if call.is_stream() {
            // These live as long as their client wants them to.
            DIM
        } else {
            self.took_style(took)
        };
        row.put_right(style, &duration(took), self.took_end());
        self.bytes(&mut row, Some(call.sent.bytes), Some(call.received.bytes));
        let mut notes = Notes::after(&mut row);
        faults::hits(&call.faults, &mut notes);
        status_notes(call, &mut notes);
        answer_notes(call, operation, &mut notes);
        if let Some(header) = call.header {
            notes.put(DIM, &format!("@{}", header.revision));
        }
        object_notes(operation, &mut notes);
        if slow {
            notes.put(WARNING, "slow");
        }
        row.end();
    }

    fn watch(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        let whose = format!("{}/{}", note.peers.id, note.stream);
        let mut row = self.begin(note.at, &whose, out);
        let verb = operation.verb.unwrap_or(Verb::Watch);
        let is_event = matches!(note.watched, Watched::Event { .. });
        if is_event {
            row.put(DIM, "▸ ");
        }
        row.put(verb_style(verb), verb.as_str());
        let cell = Cell::of_operation(operation);
        self.object(cell, &mut row, if is_event { DIM } else { PLAIN });
        if let Some(lag) = lag {
            let style = self.took_style(u64::try_from(lag).unwrap_or(0));
            row.put_right(style, &signed_duration(lag), self.took_end());
        }
        if is_event {
            self.bytes(&mut row, None, Some(note.message_bytes));
        } else {
            row.pad_to(self.took_end() + 16);
        }
        let mut notes = Notes::after(&mut row);
        faults::touched(note, &mut notes);
        let watch = format!("watch {}", note.watch_id);
        match &note.watched {
            Watched::Created { start_revision, .. } => {
                notes.put(verb_style(verb), &format!("{watch} created"));
                if *start_revision > 0 {
                    notes.put(DIM, &format!("from @{start_revision}"));
                }
            }
            Watched::Event { kv, .. } => {
                notes.put(DIM, &watch);
                notes.put(DIM, &format!("@{}", kv.mod_revision));
                object_notes(operation, &mut notes);
            }
            Watched::Progress => {
                notes.put(DIM, &format!("{watch} up to date with @{}", note.revision));
            }
            Watched::Canceled {
                cause,
                reason,
                events,
                ..
            } => {
                let (style, why) = match cause {
                    CancelCause::Requested => (DIM, "cancelled by the client".to_owned()),
                    CancelCause::Refused => (ERROR, "refused".to_owned()),
                    CancelCause::Compacted { compact_revision } => {
                        (ERROR, format!("compacted up to @{compact_revision}"))
                    }
                    CancelCause::Server => (ERROR, "cancelled by etcd".to_owned()),
                    CancelCause::StreamEnded => (DIM, "ended with its stream".to_owned()),
                };
                notes.put(style, &format!("{watch} {why}"));
                if let Some(reason) = reason {
                    notes.put(style, &shown(reason));
                }
                notes.put(DIM, &plural(*events, "event"));
            }
        }
        row.end();
    }

    fn http1(&mut self, peers: &Peers, exchange: &Exchange, slow: bool, out: &mut Vec<u8>) {
        let mut row = self.begin(exchange.ended, &peers.id.to_string(), out);
        row.put(BOLD, &shown(&exchange.method));
        let cell = Cell {
            head: String::new(),
            rest: shown(&exchange.target),
        };
        self.object(cell, &mut row, PLAIN);
        let took = micros_between(exchange.started, exchange.ended);
        row.put_right(self.took_style(took), &duration(took), self.took_end());
        self.bytes(
            &mut row,
            Some(exchange.request_bytes),
            Some(exchange.response_bytes),
        );
        let mut notes = Notes::after(&mut row);
        match exchange.status {
            Some(status @ 400..) => notes.put(ERROR, &format!("HTTP {status}")),
            Some(status) => notes.put(DIM, &format!("HTTP {status}")),
            None => notes.put(ERROR, "no answer"),
        }
        if slow {
            notes.put(WARNING, "slow");
        }
        row.end();
    }

    fn opened(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        let mut row = self.begin(at, &peers.id.to_string(), out);
        row.put(DIM, "opened");
        self.object(ends_cell(peers), &mut row, DIM);
        row.pad_to(self.took_end() + 16);
        let mut notes = Notes::after(&mut row);
        if let Some(tls) = &peers.tls {
            notes.put(DIM, &shown(&tls.version));
            for (name, value) in [("sni ", &tls.sni), ("", &tls.alpn), ("as ", &tls.identity)] {
                if let Some(value) = value {
                    notes.put(DIM, &format!("{name}{}", shown(value)));
                }
            }
        }
        row.end();
    }

    fn ping(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        let mut row = self.begin(at, &peers.id.to_string(), out);
        row.put(WARNING, "ping");
        self.object(ends_cell(peers), &mut row, DIM);
        row.pad_to(self.took_end() + 16);
        Notes::after(&mut row).put(WARNING, "the client's PING is not answered");
        row.end();
    }

    fn stopped(&mut self, peers: &Arc<Peers>, at: Instant, offence: &Offence, out: &mut Vec<u8>) {
        let mut row = self.begin(at, &peers.id.to_string(), out);
        row.put(WARNING, "not traced");
        self.object(ends_cell(peers), &mut row, DIM);
        row.pad_to(self.took_end() + 16);
        Notes::after(&mut row).put(WARNING, &shown(&offence.to_string()));
        row.end();
    }

    fn fault(&mut self, peers: &Arc<Peers>, at: Instant, hits: &[Hit], out: &mut Vec<u8>) {
        let mut row = self.begin(at, &peers.id.to_string(), out);
        row.put(WARNING, "fault");
        self.object(ends_cell(peers), &mut row, DIM);
        row.pad_to(self.took_end() + 16);
        faults::hits(hits, &mut Notes::after(&mut row));
        row.end();
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool, out: &mut Vec<u8>) {
        let mut row = self.begin(ended.ended, &ended.peers.id.to_string(), out);
        let style = if failed { ERROR } else { DIM };
        row.put(style, if failed { "failed" } else { "closed" });
        self.object(ends_cell(&ended.peers), &mut row, DIM);
        let took = micros_between(ended.opened, ended.ended);
        row.put_right(DIM, &duration(took), self.took_end());
        self.bytes(&mut row, Some(ended.bytes.client), Some(ended.bytes.server));
        let mut notes = Notes::after(&mut row);
        notes.put(style, &shown(&ended.how));
        faults::hits(&ended.faults, &mut notes);
        if ended.streams > 0 {
            notes.put(DIM, &plural(ended.streams, "stream"));
        }
        for side in [Side::Client, Side::Server] {
            let report = &ended.reports[side];
            if let Some(goaway) = &report.goaway {
                let debug = shown(&goaway.debug);
                let text = format!("GOAWAY of the {side}: {} {debug}", goaway.code);
                let style = match goaway.code {
                    ErrorCode::NO_ERROR => DIM,
                    _ => WARNING,
                };
                notes.put(style, text.trim_end());
            }
            if report.resets.count > 0 {
                let resets = plural(report.resets.count, "reset");
                notes.put(DIM, &format!("{resets} by the {side}"));
            }
            if report.stalls.count > 0 {
                let stalled = u64::try_from(report.stalls.total.as_micros()).unwrap_or(u64::MAX);
                notes.put(DIM, &format!("{side} stalled {}", duration(stalled)));
            }
        }
        row.end();
    }
}

/// What follows the columns.
struct Notes<'r, 'o> {
    row: &'r mut Row<'o>,
}

impl<'r, 'o> Notes<'r, 'o> {
    fn after(row: &'r mut Row<'o>) -> Notes<'r, 'o> {
        Notes { row }
    }

    fn put(&mut self, style: Style, note: &str) {
        self.row.put(PLAIN, "  ");
        self.row.put(style, note);
    }
}

/// What the object's column holds: a resource, and what of it.
#[derive(Default)]
struct Cell {
    head: String,
    rest: String,
}

impl Cell {
    fn of_operation(operation: &Operation<'_>) -> Cell {
        match (&operation.object, operation.key) {
            (Some(object), _) => Cell {
                head: shown(object.resource),
                rest: within_resource(object),
            },
            (None, Some(key)) => Cell {
                head: String::new(),
                rest: shown_range(key, operation.range_end),
            },
            (None, None) => Cell::default(),
        }
    }
}

fn call_cell(call: &Call, operation: &Operation<'_>) -> Cell {
    let words = |head: &str, rest: String| Cell {
        head: head.to_owned(),
        rest,
    };
    match (&call.request, &call.response) {
        (Request::Compact { revision }, _) => words("", format!("up to @{revision}")),
        (Request::Lease { id: 0, .. }, Response::Lease { id, .. })
        | (Request::Lease { id, .. }, _)
        | (_, Response::Lease { id, .. }) => words("lease", format!("{id:x}")),
        (
            Request::Named {
                key: None,
                name: Some(name),
                ..
            },
            _,
        ) => words("", shown(name)),
        _ => Cell::of_operation(operation),
    }
}

fn ends_cell(peers: &Peers) -> Cell {
    Cell {
        head: String::new(),
        rest: format!("{} → {}", peers.client, shown(&peers.upstream)),
    }
}

fn within_resource(object: &ResourceKey<'_>) -> String {
    let mut text = String::new();
    if let Some(namespace) = object.namespace {
        shown_text(namespace, &mut text);
        text.push('/');
    }
    shown_text(object.name.unwrap_or_default(), &mut text);
    match object.extent {
        Extent::One => {}
        Extent::All => text.push('*'),
        Extent::After(key) => {
            text.push_str("* after ");
            shown_text(key, &mut text);
        }
        Extent::Beginning(partial) => {
            shown_text(partial, &mut text);
            text.push('*');
        }
        Extent::Onward | Extent::Between => text.push_str("* in part"),
    }
    text
}

/// `/a/b`, `/a/*` for all keys that begin so, `/a…/b` for a range.
fn shown_range(key: &[u8], end: Option<&[u8]>) -> String {
    let mut text = String::new();
    shown_key(key, &mut text);
    match end {
        None => {}
        Some(b"\0") => text.push('…'),
        Some(end) if is_prefix_end(key, end) => text.push('*'),
        Some(end) => {
            text.push('…');
            shown_key(end, &mut text);
        }
    }
    text
}

/// Whether a range covers exactly the keys that begin with `key`.
fn is_prefix_end(key: &[u8], end: &[u8]) -> bool {
    match (key.split_last(), end.split_last()) {
        (Some((last, head)), Some((end_last, end_head))) => {
            head == end_head && last.checked_add(1) == Some(*end_last)
        }
        _ => false,
    }
}

fn status_notes(call: &Call, notes: &mut Notes<'_, '_>) {
    let status = &call.status;
    let style = match status.code {
        Code::OK => PLAIN,
        // How a stream ends is the client's business.
        _ if !call.failed() => DIM,
        Code::CANCELLED => WARNING,
        _ => ERROR,
    };
    if status.code != Code::OK {
        notes.put(style, &status.code.to_string());
        if let Some(message) = &status.message {
            notes.put(style, &shown(message));
        }
    }
    match status.ending {
        Ending::Trailers => {}
        Ending::NoTrailers => notes.put(style, "no trailers"),
        Ending::Reset { by, code } => notes.put(style, &format!("reset by the {by}: {code}")),
        Ending::ConnectionLost { by: Some(by) } => {
            notes.put(style, &format!("connection lost by the {by}"));
        }
        Ending::ConnectionLost { by: None } => notes.put(style, "connection ended by a fault"),
        Ending::TracingStopped => notes.put(WARNING, "no longer traced"),
        Ending::Injected => {}
        Ending::InjectedReset { code } => notes.put(style, &format!("reset by etcdtap: {code}")),
    }
}

fn answer_notes(call: &Call, operation: &Operation<'_>, notes: &mut Notes<'_, '_>) {
    if call.status.code != Code::OK {
        return;
    }
    match &call.response {
        Response::Range { count, .. } if operation.verb == Some(Verb::Count) => {
            notes.put(PLAIN, &plural(u64::try_from(*count).unwrap_or(0), "key"));
        }
        Response::Range {
            kvs: 0, count: 0, ..
        } if operation.range_end.is_none() => notes.put(WARNING, "not found"),
        Response::Range { .. } if operation.range_end.is_none() => {}
        Response::Range {
            kvs, count, more, ..
        } => {
            let total = u64::try_from(*count).unwrap_or(0);
            if total > *kvs {
                let total = plural(total, "key");
                notes.put(PLAIN, &format!("{} of {total}", grouped(*kvs)));
            } else {
                notes.put(PLAIN, &plural(*kvs, "key"));
            }
            if *more {
                notes.put(DIM, "more to come");
            }
        }
        Response::DeleteRange { deleted } => {
            let deleted = u64::try_from(*deleted).unwrap_or(0);
            notes.put(PLAIN, &format!("{} deleted", plural(deleted, "key")));
        }
        Response::Txn { first, .. } if operation.verb == Some(Verb::Conflict) => {
            let found = first.as_ref().map(|kv| kv.mod_revision);
            let note = match (wanted_revision(&call.request), found) {
                (Some(0), Some(found)) => format!("exists since @{found}"),
                (Some(0), None) => "exists".to_owned(),
                (Some(wanted), Some(found)) => format!("wanted @{wanted}, found @{found}"),
                (Some(wanted), None) => format!("wanted @{wanted}, found none"),
                (None, _) => "guard failed".to_owned(),
            };
            notes.put(WARNING, &note);
        }
        Response::Txn {
            succeeded: false, ..
        } => notes.put(WARNING, "else branch"),
        Response::Lease { ttl, .. } if *ttl > 0 => notes.put(PLAIN, &format!("ttl {ttl}s")),
        _ => {}
    }
}

/// The revision that a Txn demands its key to be at.
fn wanted_revision(request: &Request) -> Option<i64> {
    match request {
        Request::Txn(asked) => match asked.compares.as_slice() {
            [guard] if guard.target == CompareTarget::ModRevision => Some(guard.number),
            _ => None,
        },
        _ => None,
    }
}

fn object_notes(operation: &Operation<'_>, notes: &mut Notes<'_, '_>) {
    if let Some(kind) = operation.kind() {
        notes.put(DIM, &shown(kind));
    }
    if let Some(provider) = operation.encryption() {
        notes.put(DIM, &format!("encrypted with {}", shown(provider)));
    }
}

fn verb_style(verb: Verb) -> Style {
    let colour = match verb {
        Verb::Get | Verb::List | Verb::ListPage | Verb::Count => AnsiColor::Cyan,
        Verb::Create => AnsiColor::Green,
        Verb::Update => AnsiColor::Blue,
        Verb::Delete => AnsiColor::Magenta,
        Verb::Conflict => AnsiColor::Yellow,
        Verb::Compaction => AnsiColor::BrightMagenta,
        Verb::Watch => AnsiColor::BrightBlue,
        Verb::LeaseGrant | Verb::LeaseKeepalive | Verb::Progress => return DIM,
    };
    colour.on_default()
}

fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    shown_text(text, &mut out);
    out
}

/// `1 key`, `1,866 keys`
fn plural(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(number))
}

#[cfg(test)]
mod tests;
