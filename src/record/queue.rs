//! The way from the connections and the trace to the recorder, and its bound.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::batch::Toll;

/// What happens when the disk cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Whole calls are left out, and counted.
    #[default]
    Drop,
    /// Traffic waits for the disk.
    Block,
}

/// Bytes that may wait by default.
pub const DEFAULT_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// A parcel's own share of the bound, besides its bytes.
const PARCEL: usize = 96;

/// How long one that waits for room sleeps before it looks whether there still is
/// a recorder.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is handed over.
#[derive(Debug)]
pub enum Parcel {
    /// What passed on a connection ([`super::batch`]).
    Batch {
        /// Which.
        connection: u64,
        /// The buffer.
        bytes: Vec<u8>,
    },
    /// A connection is gone: nothing more comes of it.
    Gone {
        /// Which.
        connection: u64,
    },
    /// Lines of the log.
    Lines(Lines),
    /// Nothing, but there is something to do.
    Wake,
}

/// Lines of the log, encoded.
#[derive(Debug, Default)]
pub struct Lines {
    /// `LogLine` records, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each ends, and what it is about.
    pub marks: Vec<Mark>,
}

/// One line among [`Lines`].
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Where it ends in the bytes.
    pub end: usize,
    /// Its time, in nanoseconds since 1970.
    pub at: u64,
    /// What an index keeps of it.
    pub about: super::index::About,
}

impl Parcel {
    /// Bytes of the room that it takes.
    pub(super) fn cost(&self) -> usize {
        PARCEL
            + match self {
                Parcel::Batch { bytes, .. } => bytes.capacity(),
                Parcel::Lines(lines) => {
                    lines.bytes.capacity() + lines.marks.capacity() * size_of::<Mark>()
                }
                Parcel::Gone { .. } | Parcel::Wake => 0,
            }
    }
}

/// What did not fit, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Calls without messages, or without all of them.
    pub calls: u64,
    /// Their messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines of the log.
    pub lines: u64,
}

/// Where parcels are put.
#[derive(Debug, Clone)]
pub struct Queue {
    parcels: Sender<Parcel>,
    shared: Arc<Shared>,
}

/// Where they are taken out.
#[derive(Debug)]
pub struct Outlet {
    /// The parcels.
    pub parcels: Receiver<Parcel>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queued: AtomicUsize,
    most: usize,
    overflow: Overflow,
    closed: AtomicBool,
    calls: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    lines: AtomicU64,
    /// Nanoseconds that traffic waited.
    waited: AtomicU64,
    turn: Mutex<()>,
    room: Condvar,
}

/// A queue of at most about `most` bytes.
pub fn queue(most: usize, overflow: Overflow) -> (Queue, Outlet) {
    let (sender, parcels) = channel();
    let shared = Arc::new(Shared {
        queued: AtomicUsize::new(0),
        most,
        overflow,
        closed: AtomicBool::new(false),
        calls: AtomicU64::new(0),
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        lines: AtomicU64::new(0),
        waited: AtomicU64::new(0),
        turn: Mutex::new(()),
        room: Condvar::new(),
    });
    let queue = Queue {
        parcels: sender,
        shared: Arc::clone(&shared),
    };
    (queue, Outlet { parcels, shared })
}

impl Queue {
    /// Whether another call may begin to be recorded. The last quarter of the room
    /// is for those that have begun.
    pub fn admits(&self) -> bool {
        let shared = &self.shared;
        shared.overflow == Overflow::Block
            || shared.queued.load(Ordering::Relaxed) <= shared.most / 4 * 3
    }

    /// Hands a parcel over, after waiting for room if that is wanted; gives it
    /// back where there is none.
    ///
    /// # Errors
    /// The parcel, which is not recorded.
    pub fn send(&self, parcel: Parcel) -> Result<(), Parcel> {
        let shared = &self.shared;
        let cost = parcel.cost();
        let most = match (&parcel, shared.overflow) {
            // The last eighth is for the ends of calls that have begun.
            (Parcel::Lines(_), Overflow::Drop) => shared.most / 8 * 7,
            _ => shared.most,
        };
        if shared.queued.load(Ordering::Relaxed) + cost > most {
            match shared.overflow {
                Overflow::Drop => return Err(parcel),
                Overflow::Block => shared.wait(),
            }
        }
        shared.queued.fetch_add(cost, Ordering::Relaxed);
        self.parcels.send(parcel).map_err(|unsent| unsent.0)
    }

    /// Hands over what needs no room.
    pub fn send_small(&self, parcel: Parcel) {
        self.shared
            .queued
            .fetch_add(parcel.cost(), Ordering::Relaxed);
        // Without a recorder there is nobody to tell.
        let _ = self.parcels.send(parcel);
    }

    /// Whether the recording has ended, whoever ended it.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Counts what is not recorded.
    pub fn lose(&self, lost: Lost) {
        self.shared.lose(lost);
    }
}

impl Outlet {
    /// A parcel was taken: its room is free.
    pub fn taken(&self, parcel: &Parcel) {
        let shared = &self.shared;
        shared.queued.fetch_sub(parcel.cost(), Ordering::Relaxed);
        if shared.overflow == Overflow::Block {
            shared.room.notify_all();
        }
    }

    /// Counts what waits as lost: nobody takes it any more.
    pub fn abandon(&self) {
        let mut calls = FxHashSet::default();
        let mut lost = Lost::default();
        while let Ok(parcel) = self.parcels.try_recv() {
            self.taken(&parcel);
            match &parcel {
                Parcel::Batch { connection, bytes } => {
                    let toll = Toll::of(bytes);
                    lost.messages += toll.messages;
                    lost.bytes += toll.bytes;
                    calls.extend(toll.calls.into_iter().map(|stream| (*connection, stream)));
                }
                Parcel::Lines(lines) => lost.lines += lines.marks.len() as u64,
                Parcel::Gone { .. } | Parcel::Wake => {}
            }
        }
        lost.calls = calls.len() as u64;
        self.shared.lose(lost);
    }

    /// What was lost until now.
    pub fn lost(&self) -> Lost {
        let shared = &self.shared;
        Lost {
            calls: shared.calls.load(Ordering::Relaxed),
            messages: shared.messages.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            lines: shared.lines.load(Ordering::Relaxed),
        }
    }

    /// How long traffic waited in all.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.shared.waited.load(Ordering::Relaxed))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Nobody waits for a recorder that is gone.
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.room.notify_all();
    }
}

impl Shared {
    fn lose(&self, lost: Lost) {
        self.calls.fetch_add(lost.calls, Ordering::Relaxed);
        self.messages.fetch_add(lost.messages, Ordering::Relaxed);
        self.bytes.fetch_add(lost.bytes, Ordering::Relaxed);
        self.lines.fetch_add(lost.lines, Ordering::Relaxed);
    }

    fn wait(&self) {
        let since = Instant::now();
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while self.queued.load(Ordering::Relaxed) > self.most / 4 * 3
            && !self.closed.load(Ordering::Relaxed)
        {
            turn = match self.room.wait_timeout(turn, LOOK_AGAIN) {
                Ok((turn, _)) => turn,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        drop(turn);
        let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(waited, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::{Side, StreamId};
    use crate::record::batch::{Lane, Op};

    fn batch(bytes: usize) -> Parcel {
        Parcel::Batch {
            connection: 1,
            bytes: vec![0; bytes],
        }
    }

    #[test]
    fn what_does_not_fit_comes_back_and_new_calls_are_not_admitted_before() {
        let (queue, outlet) = queue(1000, Overflow::Drop);
        assert!(queue.admits());
        queue.send(batch(700)).unwrap();
        assert!(!queue.admits());
        queue.send(batch(10)).unwrap();
        assert!(queue.send(batch(300)).is_err());
        let parcel = outlet.parcels.recv().unwrap();
        outlet.taken(&parcel);
        assert!(queue.admits());
        queue.send(batch(300)).unwrap();
    }

    #[test]
    fn lines_leave_room_for_the_ends_of_calls() {
        let (queue, _outlet) = queue(8000, Overflow::Drop);
        queue.send(batch(6500)).unwrap();
        let lines = Lines {
            bytes: vec![0; 600],
            marks: Vec::new(),
        };
        assert!(queue.send(Parcel::Lines(lines)).is_err());
        queue.send(batch(600)).unwrap();
    }

    #[test]
    fn what_nobody_takes_any_more_is_counted_as_lost() {
        let (queue, outlet) = queue(8000, Overflow::Drop);
        let of = |stream| Lane {
            stream: StreamId::from_bits(stream),
            from: Side::Client,
        };
        let mut bytes = Vec::new();
        for (stream, piece) in [(1, 10), (3, 20)] {
            Op::Begin {
                of: of(stream),
                channel: 1,
                path: "",
                compressed: false,
                length: piece,
                index: 0,
                at: 0,
            }
            .write(&mut bytes);
        }
        let begun = bytes.clone();
        for stream in [1, 5] {
            Op::Body {
                of: of(stream),
                bytes: &[0; 7],
            }
            .write(&mut bytes);
        }
        for bytes in [begun, bytes] {
            let connection = 1;
            queue.send(Parcel::Batch { connection, bytes }).unwrap();
        }
        outlet.abandon();
        let lost = outlet.lost();
        assert_eq!((lost.calls, lost.messages), (3, 5));
        assert_eq!(lost.bytes, 2 * (10 + 20) + 7);
        assert!(queue.admits());
    }

    #[test]
    fn traffic_waits_for_the_disk_if_it_shall() {
        let (queue, outlet) = queue(1000, Overflow::Block);
        queue.send(batch(800)).unwrap();
        let sender = std::thread::spawn({
            let queue = queue.clone();
            move || queue.send(batch(400)).is_ok()
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!sender.is_finished());
        let parcel = outlet.parcels.recv().unwrap();
        outlet.taken(&parcel);
        assert!(sender.join().unwrap());
        assert!(outlet.waited() > Duration::from_millis(1));
        // Without a recorder nobody waits.
        drop(outlet);
        assert!(queue.send(batch(5000)).is_err());
    }
}
