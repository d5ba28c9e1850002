//! Where a connection leaves what it hands over, until the recorder takes it.
//!
//! The connection takes its buffer out, writes into it, and puts it back: what the
//! recorder has not taken in between stands in it still. So a buffer is neither
//! made nor copied for every input, and the recorder hears once of all that came
//! since it looked last. The lock is the connection's own and is held for the
//! length of a move.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A buffer that is this long is full: another one follows it.
pub(super) const FULL: usize = 256 * 1024;

/// What one connection handed over and the recorder did not take yet.
#[derive(Debug)]
pub struct Tray {
    /// Whose it is.
    pub connection: u64,
    left: Mutex<Left>,
}

#[derive(Debug, Default)]
struct Left {
    /// Buffers that are full, the oldest first.
    full: VecDeque<Vec<u8>>,
    /// The last one. It is empty while the connection has it.
    open: Vec<u8>,
    /// The recorder has been told that there is something.
    told: bool,
}

/// What was taken from a tray.
#[derive(Debug)]
pub struct Taken {
    /// The oldest buffer, which may be empty.
    pub bytes: Vec<u8>,
    /// There is more, and the recorder will not be told again.
    pub more: bool,
}

impl Tray {
    /// An empty one.
    pub fn new(connection: u64) -> Tray {
        Tray {
            connection,
            left: Mutex::default(),
        }
    }

    /// Takes the last buffer out, for the connection to go on with it.
    pub fn lift(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().open)
    }

    /// Puts it back. Says whether the recorder has to be told.
    pub fn put(&self, bytes: Vec<u8>) -> bool {
        let mut left = self.lock();
        let is_something = !bytes.is_empty() || !left.full.is_empty();
        match bytes.len() >= FULL {
            true => left.full.push_back(bytes),
            false => left.open = bytes,
        }
        !std::mem::replace(&mut left.told, is_something) && is_something
    }

    /// Takes the oldest buffer for good; `spare` is used in place of the last one.
    pub fn take(&self, spare: &mut Vec<u8>) -> Taken {
        let mut left = self.lock();
        let bytes = match left.full.pop_front() {
            Some(bytes) => bytes,
            None if left.open.is_empty() => Vec::new(),
            None => std::mem::replace(&mut left.open, std::mem::take(spare)),
        };
        let more = !left.full.is_empty() || !left.open.is_empty();
        left.told = more;
        Taken { bytes, more }
    }

    /// Takes back a spare buffer that was not used.
    pub fn reclaim(&self) -> Vec<u8> {
        let mut left = self.lock();
        match left.open.is_empty() {
            true => std::mem::take(&mut left.open),
            false => Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_in_order_and_told_once() {
        let tray = Tray::new(1);
        let mut spare = Vec::with_capacity(100);
        assert!(tray.lift().is_empty());
        assert!(!tray.put(Vec::new()));
        assert!(tray.put(vec![1]));
        let mut bytes = tray.lift();
        // The recorder comes in between: it finds nothing, and has to be told again.
        assert!(tray.take(&mut spare).bytes.is_empty());
        bytes.push(2);
        assert!(tray.put(bytes));
        let mut bytes = tray.lift();
        bytes.resize(FULL, 3);
        assert!(!tray.put(bytes));
        assert!(!tray.put(vec![4]));
        let Taken { bytes, more } = tray.take(&mut spare);
        assert_eq!(
            (bytes.len(), &bytes[..3], more),
            (FULL, &[1, 2, 3][..], true)
        );
        assert_eq!(spare.capacity(), 100);
        let Taken { bytes, more } = tray.take(&mut spare);
        assert_eq!((bytes, more), (vec![4], false));
        // The spare lies in the tray now, and is given back unless it was used.
        assert_eq!(tray.reclaim().capacity(), 100);
        assert!(tray.put(vec![5]));
        assert!(tray.reclaim().is_empty());
        assert_eq!(tray.take(&mut spare).bytes, [5]);
    }
}
