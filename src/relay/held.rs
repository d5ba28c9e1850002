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

/// What one connection holds; clones are the same account.
#[derive(Debug, Clone, Default)]
pub struct HoldAccount(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    budget: HoldBudget,
    bytes: AtomicU64,
}

impl HoldAccount {
    /// An account with nothing in it, which draws on `budget`.
    pub fn new(budget: HoldBudget) -> HoldAccount {
        let bytes = AtomicU64::new(0);
        HoldAccount(Arc::new(Account { budget, bytes }))
    }

    /// So many bytes more are held.
    pub(super) fn add(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.budget.all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes are not held any more.
    pub(super) fn remove(&self, bytes: u64) {
        let bytes = bytes.min(self.0.bytes.load(Ordering::Relaxed));
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.0.budget.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether something has to be let go.
    pub(super) fn is_too_much(&self) -> bool {
        self.would_be_too_much(0)
    }

    fn would_be_too_much(&self, more: u64) -> bool {
        let bytes = self.0.bytes.load(Ordering::Relaxed) + more;
        let budget = &self.0.budget;
        bytes > budget.per_connection || bytes > 0 && budget.held() + more > budget.in_all
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let left = *self.bytes.get_mut();
        self.budget.all.fetch_sub(left, Ordering::Relaxed);
    }
}

/// Bytes that are held outside of the relay. They are given back when this is
/// dropped.
#[derive(Debug)]
pub struct Hold {
    account: HoldAccount,
    bytes: u64,
}

impl Hold {
    /// Nothing yet.
    pub fn new(account: &HoldAccount) -> Hold {
        let account = account.clone();
        Hold { account, bytes: 0 }
    }

    /// Takes room for so many bytes more; whether there is any.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let fits = !self.account.would_be_too_much(bytes);
        if fits {
            self.account.add(bytes);
            self.bytes += bytes;
        }
        fits
    }

    /// Takes over what another one holds of the same account.
    pub fn absorb(&mut self, mut other: Hold) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back all that it took.
    pub fn give_back(&mut self) {
        self.account.remove(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_takes_what_there_is_and_gives_it_back() {
        let budget = HoldBudget::new(100, 150);
        let (one, other) = (
            HoldAccount::new(budget.clone()),
            HoldAccount::new(budget.clone()),
        );
        let mut first = Hold::new(&one);
        assert!(first.grow(60));
        assert!(!first.grow(50), "of one connection");
        assert!(first.grow(40));
        let mut second = Hold::new(&other);
        assert!(!second.grow(51), "in all");
        assert!(second.grow(50));
        assert_eq!(budget.held(), 150);
        drop(first);
        assert!(second.grow(50));
        drop(second);
        assert_eq!(budget.held(), 0);
    }
}
