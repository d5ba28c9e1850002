//! The trace's lines, as records. Runs on the trace's thread.

use std::time::{Duration, Instant};

use super::line::{LineWriter, Told};
use super::queue::{Lines, Lost, Mark, Queue};
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
    writer: LineWriter,
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
            writer: LineWriter::new(anchor),
            slow,
            lines: Lines::default(),
            dropped: 0,
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut LineWriter, &mut Vec<u8>) -> Told) {
        let Lines { bytes, marks } = &mut self.lines;
        let Told { at, about } = write(&mut self.writer, bytes);
        marks.push(Mark {
            end: bytes.len(),
            at,
            about,
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
        if let Err(lines) = self.queue.send_lines(lines) {
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
        self.writer.anchor(anchor);
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>) {
        let took = call.ended.saturating_duration_since(call.started);
        let slow = self.is_slow(took) && !call.is_stream();
        self.add(|writer, out| writer.call(call, operation, slow, out));
    }

    fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
        self.add(|writer, out| writer.watch(note, operation, lag, out));
    }

    fn http1(&mut self, peers: &Peers, exchange: &Exchange) {
        let took = exchange.ended.saturating_duration_since(exchange.started);
        let slow = self.is_slow(took);
        self.add(|writer, out| writer.http1(peers, exchange, slow, out));
    }

    fn opened(&mut self, peers: &Peers, at: Instant) {
        self.add(|writer, out| writer.opened(peers, at, out));
    }

    fn fault(&mut self, peers: &Peers, at: Instant, hits: &[Hit]) {
        self.add(|writer, out| writer.fault(peers, at, hits, out));
    }

    fn ping(&mut self, peers: &Peers, at: Instant) {
        self.add(|writer, out| writer.ping(peers, at, out));
    }

    fn stopped(&mut self, peers: &Peers, at: Instant, offence: &Offence) {
        self.add(|writer, out| writer.stopped(peers, at, offence, out));
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool) {
        self.add(|writer, out| writer.ended(ended, failed, out));
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
