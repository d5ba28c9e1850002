//! How late a watch event is: from the moment the answer to the write of its
//! revision passed the tap to the moment the event passed it.
//!
//! Writes and events cross connections, and either may pass first. What ties
//! them is the revision. All connections' events reach one consumer, so a ring
//! of the last answered writes for each cluster is all it takes. An event that
//! came before its write's answer waits for it a little while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::clock::signed_micros;
use crate::etcd::{Call, WatchNote, Watched};

/// How long an event waits for the answer to its write.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many events may wait at a time.
const WAITING_MAX: usize = 4096;

/// How many revisions back a write is remembered.
const RING: usize = 8192;

/// An event that is this many revisions behind the store is history being
/// caught up: its write will not be answered any more.
const FAR: i64 = 256;

/// How many clusters are followed; a proxy nearly always stands before one.
const CLUSTERS_MAX: usize = 8;

/// An event's note, and its lag in microseconds where that is known.
pub(super) type Resolved = (Box<WatchNote>, Option<i64>);

/// Ties watch events to the writes that caused them.
#[derive(Debug, Default)]
pub(super) struct Lag {
    clusters: Vec<Cluster>,
    /// In the order they came; `None` where the answer has come since.
    waiting: VecDeque<Option<Box<WatchNote>>>,
    /// How many of `waiting` are `Some`.
    waiting_len: usize,
}

#[derive(Debug)]
struct Cluster {
    id: u64,
    /// Slot `revision % RING`; empty until the first write or wait.
    ring: Box<[Slot]>,
    /// The highest revision that any answer has shown.
    highest: i64,
    /// When `settled` was last brought forward.
    turned: Option<Instant>,
    /// What `highest` was then.
    settling: i64,
    /// What `settling` was then: a revision that was there at least
    /// [`PATIENCE`] before.
    settled: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    revision: i64,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Unknown,
    /// The write was answered then.
    Answered(Instant),
    /// So many events wait for the answer.
    Awaited(u32),
}

impl Lag {
    /// Takes note of an answered call. If it wrote, the events that waited for
    /// it go to `out`.
    pub fn handle_call(&mut self, call: &Call, out: &mut Vec<Resolved>) {
        let Some(header) = call.header else { return };
        let cluster = cluster(&mut self.clusters, header.cluster_id);
        let answered = call.answered.unwrap_or(call.ended);
        let written = call.written_revision();
        if written.is_some_and(|revision| cluster.went_back(revision, call.started)) {
            *cluster = Cluster::new(header.cluster_id);
        }
        cluster.show(header.revision, answered);
        let Some(revision) = written else { return };
        let slot = cluster.slot(revision);
        // A far older write of a slow call must not push out a newer one.
        if slot.revision > revision {
            return;
        }
        let before = std::mem::replace(
            slot,
            Slot {
                revision,
                state: State::Answered(answered),
            },
        );
        if before.revision == revision
            && let State::Awaited(events) = before.state
        {
            self.release(header.cluster_id, revision, answered, events, out);
        }
    }

    /// Takes an event's note. It goes to `out` with its lag, or without one if
    /// none is to be expected, or waits.
    pub fn handle_event(&mut self, note: Box<WatchNote>, out: &mut Vec<Resolved>) {
        let Watched::Event { kv, .. } = &note.watched else {
            out.push((note, None));
            return;
        };
        let revision = kv.mod_revision;
        let cluster = cluster(&mut self.clusters, note.cluster_id);
        cluster.show(note.revision, note.at);
        let is_history =
            cluster.highest.saturating_sub(revision) > FAR || revision <= cluster.settled;
        let slot = cluster.slot(revision);
        if slot.revision == revision
            && let State::Answered(answered) = slot.state
        {
            let lag = signed_micros(answered, note.at);
            out.push((note, Some(lag)));
            return;
        }
        if is_history || slot.revision > revision || self.waiting_len >= WAITING_MAX {
            out.push((note, None));
            return;
        }
        let events = match slot.state {
            State::Awaited(events) if slot.revision == revision => events,
            _ => 0,
        };
        *slot = Slot {
            revision,
            // Events that were given up stay counted: there is no end to these.
            state: State::Awaited(events.saturating_add(1)),
        };
        self.waiting.push_back(Some(note));
        self.waiting_len += 1;
    }

    /// When the first of the waiting events has waited long enough.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.waiting.iter().flatten().next()?;
        Some(first.at + PATIENCE)
    }

    /// When the first of the waiting events passed.
    pub fn waiting_since(&self) -> Option<Instant> {
        let first = self.waiting.iter().flatten().next()?;
        Some(first.at)
    }

    /// Lets go of the events that have waited long enough.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Resolved>) {
        while let Some(first) = self.waiting.front() {
            match first {
                Some(note) if note.at + PATIENCE > now => break,
                _ => self.give_up_first(out),
            }
        }
    }

    /// Lets go of every event that waits.
    pub fn give_up(&mut self, out: &mut Vec<Resolved>) {
        while !self.waiting.is_empty() {
            self.give_up_first(out);
        }
    }

    fn give_up_first(&mut self, out: &mut Vec<Resolved>) {
        if let Some(Some(note)) = self.waiting.pop_front() {
            self.waiting_len -= 1;
            out.push((note, None));
        }
    }

    fn release(
        &mut self,
        cluster_id: u64,
        revision: i64,
        answered: Instant,
        events: u32,
        out: &mut Vec<Resolved>,
    ) {
        let begin = out.len();
        // The youngest wait at the back, and the answer is seldom late.
        for place in self.waiting.iter_mut().rev() {
            if out.len() - begin == events as usize {
                break;
            }
            let is_meant = |note: &mut Box<WatchNote>| {
                note.cluster_id == cluster_id
                    && matches!(&note.watched, Watched::Event { kv, .. } if kv.mod_revision == revision)
            };
            if let Some(note) = place.take_if(is_meant) {
                self.waiting_len -= 1;
                let lag = signed_micros(answered, note.at);
                out.push((note, Some(lag)));
            }
        }
        out[begin..].reverse();
        // Keeps the queue as short as what waits in it.
        while matches!(self.waiting.front(), Some(None)) {
            self.waiting.pop_front();
        }
        while matches!(self.waiting.back(), Some(None)) {
            self.waiting.pop_back();
        }
    }
}

fn cluster(clusters: &mut Vec<Cluster>, id: u64) -> &mut Cluster {
    let at = match clusters.iter().position(|cluster| cluster.id == id) {
        Some(at) => at,
        None => {
            if clusters.len() == CLUSTERS_MAX {
                clusters.remove(0);
            }
            clusters.push(Cluster::new(id));
            clusters.len() - 1
        }
    };
    &mut clusters[at]
}

impl Cluster {
    fn new(id: u64) -> Cluster {
        Cluster {
            id,
            ring: Box::default(),
            highest: 0,
            turned: None,
            settling: 0,
            settled: 0,
        }
    }

    /// Whether a write that began at `started` shows that the store was set up
    /// anew: its revision is one that had been there before. A cluster that
    /// is wiped and started again keeps its id.
    fn went_back(&self, written: i64, started: Instant) -> bool {
        self.turned.is_some_and(|turned| started > turned) && written <= self.settled
    }

    /// An answer that passed `at` showed the store at `revision`.
    fn show(&mut self, revision: i64, at: Instant) {
        let turned = *self.turned.get_or_insert(at);
        if at.saturating_duration_since(turned) >= PATIENCE {
            self.settled = self.settling;
            self.settling = self.highest;
            self.turned = Some(at);
        }
        self.highest = self.highest.max(revision);
    }

    fn slot(&mut self, revision: i64) -> &mut Slot {
        if self.ring.is_empty() {
            self.ring = vec![Slot::default(); RING].into_boxed_slice();
        }
        &mut self.ring[revision.rem_euclid(RING as i64) as usize]
    }
}

#[cfg(test)]
mod tests;
