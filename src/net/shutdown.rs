//! How a running proxy is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How far the end has come. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serve.
    Running,
    /// Accept nothing new; a connection closes once its calls are over.
    Drain,
    /// The time for that is over: write what is pending, then close.
    Close,
    /// Drop everything at once.
    Now,
}

impl Phase {
    const ALL: [Phase; 4] = [Phase::Running, Phase::Drain, Phase::Close, Phase::Now];
}

/// Tells everything that runs to end, in two steps; clones share one state.
///
/// Every connection asks for the phase on every wake-up, so asking is one
/// atomic load; waiting goes through the `Notify`.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    phase: AtomicU8,
    moved: Notify,
}

impl Shutdown {
    /// Nobody has asked for the end yet.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// A signal has come: the first one drains, the second one ends at once.
    pub fn signal(&self) {
        let next = match self.phase() {
            Phase::Running => Phase::Drain,
            Phase::Drain | Phase::Close | Phase::Now => Phase::Now,
        };
        self.advance_to(next);
    }

    /// Moves to `phase`, unless it is already there or beyond.
    pub fn advance_to(&self, phase: Phase) {
        let before = self.shared.phase.fetch_max(phase as u8, Ordering::AcqRel);
        if before < phase as u8 {
            self.shared.moved.notify_waiters();
        }
    }

    /// How far the end has come.
    pub fn phase(&self) -> Phase {
        let at = usize::from(self.shared.phase.load(Ordering::Acquire));
        Phase::ALL[at.min(Phase::ALL.len() - 1)]
    }

    /// Waits until `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        loop {
            let moved = self.moved();
            if self.phase() >= phase {
                return;
            }
            moved.await;
        }
    }

    /// Resolves at the next move that comes after this call.
    pub(super) fn moved(&self) -> Notified<'_> {
        self.shared.moved.notified()
    }
}
