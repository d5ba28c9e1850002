//! How much may be held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that may be held: of one connection, and of all together.
#[derive(Debug, Clone)]
pub struct HoldBudget {
    per_connection: u64,
    in_all: u64,
    all: Arc<AtomicU64>,
}

/// Bytes of one connection that may be held unless it is said otherwise.
pub const DEFAULT_HELD_PER_CONNECTION: u64 = 16 << 20;

/// Bytes of all connections that may be held unless it is said otherwise.
pub const DEFAULT_HELD_IN_ALL: u64 = 256 << 20;

impl Default for HoldBudget {
    fn default() -> HoldBudget {
        HoldBudget::new(DEFAULT_HELD_PER_CONNECTION, DEFAULT_HELD_IN_ALL)
    }
}

impl HoldBudget {
    /// A budget of so many bytes; clones share it.
    pub fn new(per_connection: u64, in_all: u64) -> HoldBudget {
        HoldBudget {
            per_connection,
            in_all,
            all: Arc::default(),
        }
    }

    /// Bytes that all connections hold at the moment.
    pub fn held(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

/// What one connection holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    budget: HoldBudget,
    bytes: u64,
}

impl Held {
    pub fn new(budget: HoldBudget) -> Held {
        Held { budget, bytes: 0 }
    }

    /// So many bytes more are held.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes are not held any more.
    pub fn remove(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether something has to be let go.
    pub fn is_too_much(&self) -> bool {
        self.bytes > self.budget.per_connection
            || self.bytes > 0 && self.budget.held() > self.budget.in_all
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.remove(self.bytes);
    }
}
