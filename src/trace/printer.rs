//! Lines from facts that were read back: nothing waits, nothing is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::clock::Anchor;
use super::json::Json;
use super::lines::Lines;
use super::pipeline::Format;
use super::pretty::Pretty;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, ConnectionEnded, WatchNote};
use crate::http1::Exchange;
use crate::http2::Offence;
use crate::kube::operation::Operation;
use crate::kube::token;
use crate::relay::{ConnectionId, Peers};

/// Connections that are remembered. Beyond it they are forgotten all at once.
const KNOWN_MAX: usize = 65_536;

/// Prints lines as the log does.
#[derive(Debug)]
pub struct Printer {
    lines: Option<Box<dyn Lines>>,
    /// Recordings of several runs number their connections alike.
    known: FxHashMap<ConnectionId, Arc<Peers>>,
    out: Vec<u8>,
}

impl Printer {
    /// A printer whose clocks stand as `anchor` says; `slow` is from when on a
    /// duration is coloured.
    pub fn new(format: Format, slow: Option<Duration>, anchor: Anchor) -> Printer {
        let slow = slow.map(|slow| u64::try_from(slow.as_micros()).unwrap_or(u64::MAX));
        Printer {
            lines: match format {
                Format::Json => Some(Box::new(Json::new(anchor))),
                Format::Pretty { colour, width } => {
                    Some(Box::new(Pretty::new(anchor, colour, width, slow)))
                }
                Format::Off => None,
            },
            known: FxHashMap::default(),
            out: Vec::new(),
        }
    }

    /// The lines so far; whoever writes them out clears it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// A call ended.
    pub fn call(&mut self, call: &Call, operation: &Operation<'_>, slow: bool) {
        self.write(&call.peers, |lines, out| {
            lines.call(call, operation, slow, out);
        });
    }

    /// Something happened to a watch; `lag` is in microseconds.
    pub fn watch(&mut self, note: &WatchNote, operation: &Operation<'_>, lag: Option<i64>) {
        self.write(&note.peers, |lines, out| {
            lines.watch(note, operation, lag, out);
        });
    }

    /// A plain HTTP request was answered, or never.
    pub fn http1(&mut self, peers: &Arc<Peers>, exchange: &Exchange, slow: bool) {
        self.write(peers, |lines, out| lines.http1(peers, exchange, slow, out));
    }

    /// A connection stands.
    pub fn opened(&mut self, peers: &Arc<Peers>, at: Instant) {
        self.write(peers, |lines, out| lines.opened(peers, at, out));
    }

    /// A PING of the client is not answered.
    pub fn ping(&mut self, peers: &Arc<Peers>, at: Instant) {
        self.write(peers, |lines, out| lines.ping(peers, at, out));
    }

    /// A connection is no longer read.
    pub fn stopped(&mut self, peers: &Arc<Peers>, at: Instant, offence: &Offence) {
        self.write(peers, |lines, out| lines.stopped(peers, at, offence, out));
    }

    /// Faults struck a connection.
    pub fn fault(&mut self, peers: &Arc<Peers>, at: Instant, hits: &[Hit]) {
        self.write(peers, |lines, out| lines.fault(peers, at, hits, out));
    }

    /// A connection is over.
    pub fn ended(&mut self, ended: &ConnectionEnded, failed: bool) {
        self.write(&ended.peers, |lines, out| lines.ended(ended, failed, out));
    }

    fn write(&mut self, peers: &Arc<Peers>, line: impl FnOnce(&mut dyn Lines, &mut Vec<u8>)) {
        let Some(lines) = &mut self.lines else { return };
        let same = |known: &Arc<Peers>| {
            Arc::ptr_eq(known, peers)
                || (known.client == peers.client && known.upstream == peers.upstream)
        };
        if !self.known.get(&peers.id).is_some_and(same) {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(peers.id, Arc::clone(peers));
            lines.forget(peers.id);
        }
        let start = self.out.len();
        line(&mut **lines, &mut self.out);
        token::scrub_tail(&mut self.out, start);
    }
}
