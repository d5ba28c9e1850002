//! How many connections there are and were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many connections there are and were.
#[derive(Debug, Default)]
pub(super) struct Tally {
    present: AtomicUsize,
    served: AtomicU64,
    cut: AtomicU64,
    emptied: Notify,
}

/// One connection's presence; it leaves when this is dropped.
pub(super) struct Present(Arc<Tally>);

impl Tally {
    /// A connection has come.
    pub(super) fn enter(self: &Arc<Tally>) -> Present {
        self.present.fetch_add(1, Ordering::AcqRel);
        self.served.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(self))
    }

    /// A connection was closed over open calls.
    pub(super) fn cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until no connection is present.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.present() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Connections that are open.
    pub(super) fn present(&self) -> usize {
        self.present.load(Ordering::Acquire)
    }

    /// Connections that were ever accepted.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Connections that were closed over open calls.
    pub(super) fn were_cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if self.0.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}
