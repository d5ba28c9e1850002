//! Buffers that go back and forth between the writer and the trays.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::record::tray::{FULL, Tray};

/// Buffers that wait to be used again at most.
const MOST: usize = 16;

/// Empty buffers, and the trays that have one.
#[derive(Debug, Default)]
pub(super) struct Spares {
    buffers: Vec<Vec<u8>>,
    /// Trays that were taken from since [`Spares::settle`], by connection.
    lent: FxHashMap<u64, Arc<Tray>>,
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

    /// A tray was taken from: it may have one.
    pub fn lent(&mut self, tray: &Arc<Tray>) {
        self.lent
            .entry(tray.connection)
            .or_insert_with(|| Arc::clone(tray));
    }

    /// Takes back what trays did not use: a connection that is silent has no buffer.
    pub fn settle(&mut self) {
        for (_, tray) in std::mem::take(&mut self.lent) {
            for buffer in tray.reclaim() {
                self.keep(buffer);
            }
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
        assert_eq!(tray.take(&mut spares.next()), [1]);
        spares.lent(&tray);
        spares.settle();
        assert_eq!(spares.next().capacity(), 1000);
        assert_eq!(tray.spare().capacity(), 0);
    }

    #[test]
    fn great_buffers_and_too_many_are_not_kept() {
        let mut spares = Spares::default();
        spares.keep(Vec::with_capacity(4 * FULL));
        for _ in 0..2 * MOST {
            spares.keep(Vec::with_capacity(10));
        }
        assert_eq!(spares.buffers.len(), MOST);
    }
}
