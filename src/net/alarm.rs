//! How every connection learns at once that the rules have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Wakes all connections; clones share one bell.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    rung: AtomicU64,
    bell: Notify,
}

impl Alarm {
    /// Wakes every connection.
    pub fn ring(&self) {
        self.shared.rung.fetch_add(1, Ordering::AcqRel);
        self.shared.bell.notify_waiters();
    }

    /// How often it has rung.
    pub(super) fn rung(&self) -> u64 {
        self.shared.rung.load(Ordering::Acquire)
    }

    /// Resolves at the next ring that comes after this call.
    pub(super) fn next(&self) -> Notified<'_> {
        self.shared.bell.notified()
    }
}
