//! Where a connection leaves what it hands over, until the recorder takes it.
//!
//! The recorder hears once of what came since it looked last, and empty buffers go
//! back the way that full ones came: in a steady stream none is made or freed.
//! The lock is the connection's own and is held for the length of a move, or of the
//! copy of one input.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A buffer that is this long is handed over before an input is through.
pub(super) const FULL: usize = 256 * 1024;

/// What lies there is sealed from so many bytes on, and the recorder told of what
/// follows by itself: so what it takes is never far ahead of the lines about it.
const SEALED: usize = 64 * 1024;

/// What lies there and has outgrown so many bytes gets room for all that it may hold
/// at once: growing step by step copies it each time.
const SMALL: usize = 8 * 1024;

/// Empty buffers that wait for the connection at most: as many as a busy one fills
/// until the recorder looks again.
const SPARES: usize = 4;

/// What one connection handed over and the recorder did not take yet.
#[derive(Debug)]
pub struct Tray {
    /// Whose it is.
    pub connection: u64,
    left: Mutex<Left>,
}

/// The recorder is told once of each buffer that has anything in it.
#[derive(Debug, Default)]
struct Left {
    /// Buffers that nothing is added to any more, the oldest first.
    sealed: VecDeque<Vec<u8>>,
    /// The one that follows them.
    open: Vec<u8>,
    /// Empty ones, for the connection to write into.
    spares: Vec<Vec<u8>>,
}

impl Left {
    fn lay_by(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        if buffer.capacity() > 0 && self.spares.len() < SPARES {
            buffer.clear();
            self.spares.push(buffer);
            return None;
        }
        Some(buffer)
    }
}

impl Tray {
    /// An empty one.
    pub fn new(connection: u64) -> Tray {
        Tray {
            connection,
            left: Mutex::default(),
        }
    }

    /// An empty buffer to write into.
    pub fn spare(&self) -> Vec<u8> {
        self.lock().spares.pop().unwrap_or_default()
    }

    /// Leaves what was written, behind what lies there. Says whether the recorder has
    /// to be told.
    pub fn put(&self, mut bytes: Vec<u8>) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let mut left = self.lock();
        let begins = left.open.is_empty();
        match begins {
            true => std::mem::swap(&mut left.open, &mut bytes),
            false => {
                let wanted = left.open.len() + bytes.len();
                if wanted > left.open.capacity() && wanted > SMALL {
                    let room = wanted.max(SEALED + SMALL) - left.open.len();
                    left.open.reserve_exact(room);
                }
                left.open.append(&mut bytes);
            }
        }
        left.lay_by(bytes);
        if left.open.len() >= SEALED {
            let sealed = std::mem::take(&mut left.open);
            left.sealed.push_back(sealed);
        }
        begins
    }

    /// Takes the oldest buffer, once for each time that the recorder was told. The
    /// connection gets `spare`, unless it has enough.
    pub fn take(&self, spare: &mut Vec<u8>) -> Vec<u8> {
        let mut left = self.lock();
        *spare = left.lay_by(std::mem::take(spare)).unwrap_or_default();
        match left.sealed.pop_front() {
            Some(bytes) => bytes,
            None => std::mem::take(&mut left.open),
        }
    }

    /// Takes the spare buffers back.
    pub fn reclaim(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lock().spares)
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_in_order_and_told_once_a_buffer() {
        let tray = Tray::new(1);
        let take = || tray.take(&mut Vec::new());
        assert!(!tray.put(Vec::new()));
        assert!(tray.put(vec![1]));
        assert!(!tray.put(vec![2]));
        assert!(!tray.put(vec![3; SEALED]));
        assert!(tray.put(vec![4; SEALED]));
        assert!(tray.put(vec![5]));
        let bytes = take();
        assert_eq!((bytes.len(), &bytes[..3]), (SEALED + 2, &[1, 2, 3][..]));
        assert_eq!(take(), [4; SEALED]);
        assert_eq!(take(), [5]);
        assert!(take().is_empty());
        assert!(tray.put(vec![6]));
    }

    #[test]
    fn what_was_put_can_be_taken_while_the_connection_writes() {
        let tray = Tray::new(1);
        assert!(tray.put(vec![1]));
        // A line about it may be on its way to the recorder.
        let mut next = tray.spare();
        next.push(2);
        assert_eq!(tray.take(&mut Vec::new()), [1]);
        assert!(tray.put(next));
        assert_eq!(tray.take(&mut Vec::new()), [2]);
    }

    #[test]
    fn buffers_go_back_and_forth() {
        let tray = Tray::new(1);
        tray.put(vec![1]);
        for capacity in [100, 200, 300, 400] {
            let mut spare = Vec::with_capacity(capacity);
            tray.take(&mut spare);
            assert_eq!(spare.capacity(), 0);
        }
        // There are enough.
        let mut another = Vec::with_capacity(500);
        tray.take(&mut another);
        assert_eq!(another.capacity(), 500);
        let mut buffer = tray.spare();
        assert_eq!(buffer.capacity(), 400);
        buffer.push(2);
        tray.put(buffer);
        let mut buffer = tray.spare();
        buffer.push(3);
        tray.put(buffer);
        let left: Vec<_> = tray.reclaim().iter().map(Vec::capacity).collect();
        assert_eq!(left, [100, 200, 300]);
        assert_eq!(tray.take(&mut another), [2, 3]);
    }

    #[test]
    fn what_grows_gets_its_room_at_once() {
        let tray = Tray::new(1);
        for _ in 0..SEALED / 1000 {
            tray.put(vec![0; 1000]);
        }
        let taken = tray.take(&mut Vec::new());
        assert_eq!(taken.capacity(), SEALED + SMALL);
    }
}
