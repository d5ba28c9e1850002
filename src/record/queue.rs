//! The way from the connections and the trace to the recorder, and its bound.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::batch::Toll;
use super::tray::Tray;

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
    /// Something passed on a connection ([`super::batch`]): it lies in its tray.
    Tray(Arc<Tray>),
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
        match self {
            Parcel::Lines(lines) => {
                PARCEL + lines.bytes.capacity() + lines.marks.capacity() * size_of::<Mark>()
            }
            // Its bytes are counted where they are put.
            Parcel::Tray(_) | Parcel::Gone { .. } | Parcel::Wake => PARCEL,
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

    /// Takes room for so many bytes of a tray, after waiting for it if that is
    /// wanted; whether there is any.
    pub fn takes(&self, bytes: usize) -> bool {
        !self.is_closed() && self.shared.takes(bytes, self.shared.most)
    }

    /// Takes room for what has to be told whether there is room or not.
    pub fn takes_small(&self, bytes: usize) {
        self.shared.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Hands lines over, after waiting for room if that is wanted; gives them back
    /// where there is none.
    ///
    /// # Errors
    /// The lines, which are not recorded.
    pub fn send_lines(&self, lines: Lines) -> Result<(), Lines> {
        let shared = &self.shared;
        let most = match shared.overflow {
            // The last eighth is for the ends of calls that have begun.
            Overflow::Drop => shared.most / 8 * 7,
            Overflow::Block => shared.most,
        };
        let parcel = Parcel::Lines(lines);
        let sent = match shared.takes(parcel.cost(), most) {
            true => self.parcels.send(parcel).map_err(|unsent| unsent.0),
            false => Err(parcel),
        };
        match sent {
            Err(Parcel::Lines(lines)) => Err(lines),
            _ => Ok(()),
        }
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
        self.freed(parcel.cost());
    }

    /// Bytes of a tray were taken: their room is free.
    pub fn freed(&self, bytes: usize) {
        let shared = &self.shared;
        shared.queued.fetch_sub(bytes, Ordering::Relaxed);
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
                Parcel::Tray(tray) => {
                    let bytes = tray.take(&mut Vec::new());
                    self.freed(bytes.len());
                    let toll = Toll::of(&bytes);
                    lost.messages += toll.messages;
                    lost.bytes += toll.bytes;
                    let streams = toll.calls.into_iter();
                    calls.extend(streams.map(|stream| (tray.connection, stream)));
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
    fn takes(&self, cost: usize, most: usize) -> bool {
        if self.queued.load(Ordering::Relaxed) + cost > most {
            match self.overflow {
                Overflow::Drop => return false,
                Overflow::Block => self.wait(),
            }
        }
        self.queued.fetch_add(cost, Ordering::Relaxed);
        true
    }

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

    #[test]
    fn what_does_not_fit_is_told_and_new_calls_are_not_admitted_before() {
        let (queue, outlet) = queue(1000, Overflow::Drop);
        assert!(queue.admits());
        assert!(queue.takes(800));
        assert!(!queue.admits());
        assert!(queue.takes(50));
        assert!(!queue.takes(300));
        outlet.freed(800);
        assert!(queue.admits());
        assert!(queue.takes(300));
    }

    #[test]
    fn lines_leave_room_for_the_ends_of_calls() {
        let (queue, _outlet) = queue(8000, Overflow::Drop);
        assert!(queue.takes(6600));
        let lines = Lines {
            bytes: vec![0; 600],
            marks: Vec::new(),
        };
        assert!(queue.send_lines(lines).is_err());
        assert!(queue.takes(700));
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
        let tray = Arc::new(Tray::new(1));
        assert!(queue.takes(begun.len() + bytes.len()));
        assert!(tray.put([begun, bytes].concat()));
        queue.send_small(Parcel::Tray(tray));
        outlet.abandon();
        let lost = outlet.lost();
        assert_eq!((lost.calls, lost.messages), (3, 5));
        assert_eq!(lost.bytes, 2 * (10 + 20) + 7);
        assert!(queue.admits());
        assert_eq!(queue.shared.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn traffic_waits_for_the_disk_if_it_shall() {
        let (queue, outlet) = queue(1000, Overflow::Block);
        assert!(queue.takes(800));
        let sender = std::thread::spawn({
            let queue = queue.clone();
            move || queue.takes(400)
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!sender.is_finished());
        outlet.freed(800);
        assert!(sender.join().unwrap());
        assert!(outlet.waited() > Duration::from_millis(1));
        // Without a recorder nobody waits.
        drop(outlet);
        assert!(!queue.takes(5000));
    }
}
