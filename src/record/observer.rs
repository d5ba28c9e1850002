//! The trace's lines, as records. Runs on the trace's thread.

use std::time::{Duration, Instant};

use prost::Message;

use super::index::About;
use super::line;
use super::queue::{Lines, Lost, Mark, Parcel, Queue};
use super::schema::v1::LogLine;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, ConnectionEnded, WatchNote};
use crate::http1::Exchange;
use crate::http2::Offence;
use crate::kube::operation::Operation;
use crate::relay::Peers;
use crate::trace::{Anchor, Observer};

/// Lines that are handed over before all that wait have been seen, in bytes.
const FULL: usize = 256 * 1024;

/// Hands every line of the log to the recorder, whatever the log's filter says.
#[derive(Debug)]
pub struct LineObserver {
    queue: Queue,
    anchor: Anchor,
    slow: Option<Duration>,
    lines: Lines,
    /// Events that never reached the trace, as told last.
    dropped: u64,
}

impl LineObserver {
    /// Hands over to `queue`; calls from `slow` on are marked.
    pub fn new(queue: Queue, slow: Option<Duration>, anchor: Anchor) -> LineObserver {
        LineObserver {
            queue,
            anchor,
            slow,
            lines: Lines::default(),
            dropped: 0,
        }
    }

    fn add(&mut self, (line, at): (LogLine, u64)) {
        let Lines { bytes, marks } = &mut self.lines;
        line.encode_raw(bytes);
        marks.push(Mark {
            end: bytes.len(),
            at,
            about: About::line(&line),
        });
        if bytes.len() >= FULL {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.lines.marks.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        if let Err(Parcel::Lines(lines)) = self.queue.send(Parcel::Lines(lines)) {
            self.queue.lose(Lost {
                lines: lines.marks.len() as u64,
                ..Lost::default()
            });
        }
    }

    fn is_slow(&self, took: Duration) -> bool {
        self.slow.is_some_and(|slow| took >= slow)
    }
}

impl Observer for LineObserver {
    fn anchor(&mut self, anchor: Anchor) {
        self.anchor = anchor;
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>) {
        let took = call.ended.saturating_duration_since(call.started);
        let slow = self.is_slow(took) && !call.is_stream();
        self.add(line::of_call(call, operation, slow, &self.anchor));
    }

    fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
        self.add(line::of_watch(note, operation, lag, &self.anchor));
    }

    fn http1(&mut self, peers: &Peers, exchange: &Exchange) {
        let took = exchange.ended.saturating_duration_since(exchange.started);
        let slow = self.is_slow(took);
        self.add(line::of_http1(peers, exchange, slow, &self.anchor));
    }

    fn opened(&mut self, peers: &Peers, at: Instant) {
        self.add(line::of_opened(peers, at, &self.anchor));
    }

    fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit]) {
        self.add(line::of_fault(peers, at, hits, &self.anchor));
    }

    fn ping(&mut self, peers: &Peers, at: Instant) {
        self.add(line::of_ping(peers, at, &self.anchor));
    }

    fn stopped(&mut self, peers: &Peers, at: Instant, offence: &Offence) {
        self.add(line::of_stopped(peers, at, offence, &self.anchor));
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool) {
        self.add(line::of_ended(ended, failed, &self.anchor));
    }

    fn settled(&mut self, _now: Instant, _waiting_since: Option<Instant>, dropped: u64) {
        if dropped > self.dropped {
            self.queue.lose(Lost {
                lines: dropped - self.dropped,
                ..Lost::default()
            });
            self.dropped = dropped;
        }
        self.hand_over();
    }
}

impl Drop for LineObserver {
    /// What was seen is handed over, whoever forgot to say that it was all.
    fn drop(&mut self) {
        self.hand_over();
    }
}
