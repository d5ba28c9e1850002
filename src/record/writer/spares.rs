//! Buffers that go back and forth between the writer and the trays.

use std::sync::Arc;

use crate::record::tray::{FULL, Tray};

/// Buffers that wait to be used again at most.
const MOST: usize = 8;

/// Empty buffers, and the trays that have one.
#[derive(Debug, Default)]
pub(super) struct Spares {
    buffers: Vec<Vec<u8>>,
    /// Trays that got one since [`Spares::settle`].
    lent: Vec<Arc<Tray>>,
}

impl Spares {
    /// A buffer for a tray; without room if there is none.
    pub fn next(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps a buffer, unless it is too great or there are enough.
    pub fn keep(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= 2 * FULL && self.buffers.len() < MOST {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// A tray has got one.
    pub fn lent(&mut self, tray: &Arc<Tray>) {
        self.lent.push(Arc::clone(tray));
    }

    /// Takes back what trays did not use: a connection that is silent has no buffer.
    pub fn settle(&mut self) {
        for tray in std::mem::take(&mut self.lent) {
            self.keep(tray.reclaim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_has_no_buffer_for_long() {
        let mut spares = Spares::default();
        spares.keep(Vec::with_capacity(1000));
        let tray = Arc::new(Tray::new(1));
        assert!(tray.put(vec![1]));
        let mut spare = spares.next();
        assert_eq!(tray.take(&mut spare).bytes, [1]);
        assert_eq!(spare.capacity(), 0);
        spares.lent(&tray);
        let mut bytes = tray.lift();
        assert_eq!(bytes.capacity(), 1000);
        bytes.push(2);
        assert!(tray.put(bytes));
        spares.settle();
        assert_eq!(spares.next().capacity(), 0);
        assert_eq!(tray.take(&mut Vec::with_capacity(500)).bytes, [2]);
        spares.lent(&tray);
        spares.settle();
        assert_eq!(spares.next().capacity(), 500);
        assert_eq!(tray.lift().capacity(), 0);
    }

    #[test]
    fn great_buffers_and_too_many_are_not_kept() {
        let mut spares = Spares::default();
        spares.keep(Vec::with_capacity(4 * FULL));
        for _ in 0..20 {
            spares.keep(Vec::with_capacity(10));
        }
        assert_eq!(spares.buffers.len(), MOST);
    }
}
