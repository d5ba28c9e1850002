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
    /// One that is empty, for the connection to write into.
    spare: Vec<u8>,
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
        std::mem::take(&mut self.lock().spare)
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
            false => left.open.append(&mut bytes),
        }
        if left.spare.capacity() == 0 {
            left.spare = bytes;
        }
        if left.open.len() >= SEALED {
            let sealed = std::mem::take(&mut left.open);
            left.sealed.push_back(sealed);
        }
        begins
    }

    /// Takes the oldest buffer, once for each time that the recorder was told. The
    /// connection gets `spare`, if it has no other.
    pub fn take(&self, spare: &mut Vec<u8>) -> Vec<u8> {
        let mut left = self.lock();
        if left.spare.capacity() == 0 {
            left.spare = std::mem::take(spare);
        }
        match left.sealed.pop_front() {
            Some(bytes) => bytes,
            None => std::mem::take(&mut left.open),
        }
    }

    /// Takes the spare buffer back.
    pub fn reclaim(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().spare)
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
        let mut spare = Vec::with_capacity(100);
        tray.take(&mut spare);
        // It may lie there already.
        let mut another = Vec::with_capacity(200);
        tray.take(&mut another);
        assert_eq!((spare.capacity(), another.capacity()), (0, 200));
        let mut buffer = tray.spare();
        assert_eq!(buffer.capacity(), 100);
        buffer.push(2);
        tray.put(buffer);
        let mut buffer = Vec::with_capacity(300);
        buffer.push(3);
        tray.put(buffer);
        assert_eq!(tray.reclaim().capacity(), 300);
        assert_eq!(tray.take(&mut another), [2, 3]);
    }
}
