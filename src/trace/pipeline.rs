//! From events to lines: filters, lag, format, summary. Sans-io: events and the
//! time go in, text comes out.

use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::clock::Anchor;
use super::facts::{CallFacts, ConnectionFacts, Happening, HttpFacts, NoteFacts};
use super::filter::Filter;
use super::json::Json;
use super::lag::{Lag, Resolved};
use super::lines::Lines;
use super::observer::Observer;
use super::pretty::Pretty;
use super::row::Colour;
use super::summary::Summary;
use crate::etcd::{Call, ConnectionEnded, Event, WatchNote, Watched};
use crate::kube::key::KeySpace;
use crate::kube::operation::Operation;
use crate::kube::token;
use crate::relay::{ConnectionId, Peers};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// One aligned line a call, for people.
    Pretty {
        /// Whether to use colours.
        colour: Colour,
        /// The terminal's width in characters, where it is one.
        width: Option<usize>,
    },
    /// Not at all.
    Off,
}

/// What is written, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The format.
    pub format: Format,
    /// Which lines are written.
    pub filter: Filter,
    /// From which duration on a call is marked as slow.
    pub slow: Option<Duration>,
    /// Where the API server keeps its objects (`--etcd-prefix`).
    pub key_space: KeySpace,
    /// Whether a summary is kept. It counts everything, whatever the filter
    /// says.
    pub summary: bool,
}

impl Options {
    /// Everything, in `format`, without a summary.
    pub fn new(format: Format) -> Options {
        Options {
            format,
            filter: Filter::default(),
            slow: None,
            key_space: KeySpace::default(),
            summary: false,
        }
    }
}

/// Turns events into lines.
#[derive(Debug)]
pub struct Pipeline {
    lines: Option<Box<dyn Lines>>,
    filter: Option<Box<Filter>>,
    anchor: Anchor,
    slow: Option<Duration>,
    key_space: KeySpace,
    summary: Option<Box<Summary>>,
    observers: Vec<Box<dyn Observer>>,
    lag: Lag,
    /// Events whose lag is decided, reused.
    resolved: Vec<Resolved>,
    /// Connections that came to stand and have not ended.
    standing: FxHashSet<ConnectionId>,
    output: Vec<u8>,
    told: u64,
    muted: bool,
    muted_lines: u64,
}

/// Connections that are remembered to have come to stand.
const STANDING_MAX: usize = 65_536;

impl Pipeline {
    /// A pipeline whose clocks stand as `anchor` says.
    pub fn new(options: Options, anchor: Anchor) -> Pipeline {
        let slow_micros = options
            .slow
            .map(|slow| u64::try_from(slow.as_micros()).unwrap_or(u64::MAX));
        Pipeline {
            lines: match options.format {
                Format::Json => Some(Box::new(Json::new(anchor))),
                Format::Pretty { colour, width } => {
                    Some(Box::new(Pretty::new(anchor, colour, width, slow_micros)))
                }
                Format::Off => None,
            },
            filter: (!options.filter.is_empty()).then(|| Box::new(options.filter)),
            anchor,
            slow: options.slow,
            key_space: options.key_space,
            summary: options.summary.then(Box::default),
            observers: Vec::new(),
            lag: Lag::default(),
            resolved: Vec::new(),
            standing: FxHashSet::default(),
            output: Vec::new(),
            told: 0,
            muted: false,
            muted_lines: 0,
        }
    }

    /// A pipeline that writes in a format of a test's own.
    #[cfg(test)]
    pub(crate) fn with_lines(mut self, lines: Box<dyn Lines>) -> Pipeline {
        self.lines = Some(lines);
        self
    }

    /// Shows everything to `observer` from here on, whatever the filter says.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// All that came until `now` has been handed in; `dropped` events never came.
    pub fn settled(&mut self, now: Instant, dropped: u64) {
        for observer in &mut self.observers {
            observer.settled(now, self.lag.waiting_since(), dropped);
        }
    }

    /// Sets the clocks; once a batch is enough.
    pub fn anchor(&mut self, anchor: Anchor) {
        self.anchor = anchor;
        for observer in &mut self.observers {
            observer.anchor(anchor);
        }
        if let Some(lines) = &mut self.lines {
            lines.anchor(anchor);
        }
    }

    /// Takes an event. Its line stands in [`Pipeline::output`] now, or after a
    /// later event or time-out if it is a watch event that came before the
    /// answer to its write.
    pub fn handle_event(&mut self, event: Event) {
        match event {
            Event::Call(call) => self.handle_call(&call),
            Event::Watch(note) => self.handle_note(note),
            Event::Http1 { peers, exchange } => {
                let took = exchange.ended.saturating_duration_since(exchange.started);
                let slow = self.slow.is_some_and(|slow| took >= slow);
                if let Some(summary) = &mut self.summary {
                    summary.handle_http1();
                }
                for observer in &mut self.observers {
                    observer.http1(&peers, &exchange);
                }
                let line = HttpFacts {
                    peers: &peers,
                    exchange: &exchange,
                    slow,
                    anchor: self.anchor,
                };
                if self.passes(|filter| filter.passes_http1(&line)) {
                    self.write(|lines, out| lines.http1(&peers, &exchange, slow, out));
                }
            }
            Event::ConnectionOpened { peers, at } => {
                if self.standing.len() >= STANDING_MAX {
                    self.standing.clear();
                }
                self.standing.insert(peers.id);
                if let Some(summary) = &mut self.summary {
                    summary.handle_opened();
                }
                for observer in &mut self.observers {
                    observer.opened(&peers, at);
                }
                if self.passes_connection(&peers, at, Happening::Opened) {
                    self.write(|lines, out| lines.opened(&peers, at, out));
                }
            }
            Event::TracingStopped { peers, at, offence } => {
                for observer in &mut self.observers {
                    observer.stopped(&peers, at, &offence);
                }
                if self.passes_connection(&peers, at, Happening::Stopped(&offence)) {
                    self.write(|lines, out| lines.stopped(&peers, at, &offence, out));
                }
            }
            Event::Fault { peers, at, hits } => {
                for observer in &mut self.observers {
                    observer.fault(&peers, at, &hits);
                }
                if self.passes_connection(&peers, at, Happening::Fault(&hits)) {
                    self.write(|lines, out| lines.fault(&peers, at, &hits, out));
                }
            }
            Event::Ping { peers, at } => {
                for observer in &mut self.observers {
                    observer.ping(&peers, at);
                }
                if self.passes_connection(&peers, at, Happening::Ping) {
                    self.write(|lines, out| lines.ping(&peers, at, out));
                }
            }
            Event::ConnectionEnded(ended) => self.handle_ended(&ended),
            // Worth a warning (`diagnostics`), not a line.
            Event::MembersAdvertise { .. } => {}
        }
    }

    /// When to call [`Pipeline::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.lag.poll_timeout()
    }

    /// Lets go of the watch events that waited long enough for their writes.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lag.handle_timeout(now, &mut self.resolved);
        self.write_resolved();
    }

    /// Lets go of all that waits. Nothing may be handed in any more.
    pub fn finish(&mut self) -> Option<Box<Summary>> {
        self.lag.give_up(&mut self.resolved);
        self.write_resolved();
        self.summary.take()
    }

    /// The lines so far; whoever writes them out clears it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How many lines there were in all.
    pub fn lines(&self) -> u64 {
        self.told
    }

    /// How many of them were only counted.
    pub fn muted_lines(&self) -> u64 {
        self.muted_lines
    }

    /// Nobody reads the lines any more: from here on they are only counted.
    pub fn mute(&mut self) {
        self.muted = true;
    }

    fn handle_call(&mut self, call: &Call) {
        let operation = Operation::of_call(call, &self.key_space);
        if let Some(summary) = &mut self.summary {
            summary.handle_call(call, &operation);
        }
        for observer in &mut self.observers {
            observer.call(call, &operation);
        }
        let took = call.ended.saturating_duration_since(call.started);
        let slow = self.slow.is_some_and(|slow| took >= slow)
            // These take as long as their client wants them to.
            && !call.is_stream();
        let line = CallFacts {
            call,
            operation: &operation,
            slow,
            anchor: self.anchor,
        };
        if self.passes(|filter| filter.passes_call(&line)) {
            self.write(|lines, out| lines.call(call, &operation, slow, out));
        }
        self.lag.handle_call(call, &mut self.resolved);
        self.write_resolved();
    }

    fn handle_note(&mut self, note: Box<WatchNote>) {
        // One that never passes is late by no time.
        if matches!(note.watched, Watched::Event { .. }) && note.delivered {
            self.lag.handle_event(note, &mut self.resolved);
            self.write_resolved();
        } else {
            self.write_note(&note, None);
        }
    }

    fn write_resolved(&mut self) {
        if self.resolved.is_empty() {
            return;
        }
        let mut resolved = std::mem::take(&mut self.resolved);
        for (note, lag) in resolved.drain(..) {
            self.write_note(&note, lag);
        }
        self.resolved = resolved;
    }

    fn write_note(&mut self, note: &WatchNote, lag: Option<i64>) {
        let operation = Operation::of_note(note, &self.key_space);
        if let Some(summary) = &mut self.summary {
            summary.handle_note(note, &operation, lag);
        }
        for observer in &mut self.observers {
            observer.watch(note, &operation, lag);
        }
        let line = NoteFacts {
            note,
            operation: &operation,
            lag,
            anchor: self.anchor,
        };
        if self.passes(|filter| filter.passes_note(&line)) {
            self.write(|lines, out| lines.watch(note, &operation, lag, out));
        }
    }

    fn handle_ended(&mut self, ended: &ConnectionEnded) {
        let failed = !self.standing.remove(&ended.peers.id) && ended.bytes.server == 0;
        if let Some(summary) = &mut self.summary
            && failed
        {
            summary.handle_failed();
        }
        for observer in &mut self.observers {
            observer.ended(ended, failed);
        }
        let happening = Happening::Ended(ended, failed);
        if self.passes_connection(&ended.peers, ended.ended, happening) {
            self.write(|lines, out| lines.ended(ended, failed, out));
        }
    }

    fn passes_connection(&self, peers: &Peers, at: Instant, happening: Happening<'_>) -> bool {
        self.passes(|filter| {
            filter.passes_connection(&ConnectionFacts::new(peers, at, happening, self.anchor))
        })
    }

    #[inline]
    fn passes(&self, filter: impl FnOnce(&Filter) -> bool) -> bool {
        self.lines.is_some() && self.filter.as_deref().is_none_or(filter)
    }

    #[inline]
    fn write(&mut self, line: impl FnOnce(&mut dyn Lines, &mut Vec<u8>)) {
        if let Some(lines) = &mut self.lines {
            self.told += 1;
            if self.muted {
                self.muted_lines += 1;
            } else {
                let start = self.output.len();
                line(&mut **lines, &mut self.output);
                // Keys, paths and messages may hold anything.
                token::scrub_tail(&mut self.output, start);
            }
        }
    }
}

#[cfg(test)]
mod tests;
