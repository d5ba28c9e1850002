//! Time that a sender spends with an exhausted window.

use std::time::{Duration, Instant};

/// How often and how long one side's windows were used up. Stalls of several
/// streams that overlap count once each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowStalls {
    /// How often a window was used up.
    pub count: u64,
    /// For how long in all; stalls that still last are not in it.
    pub total: Duration,
}

/// The stall of one window, while it lasts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stall(Option<Instant>);

impl Stall {
    /// The window has `available` bytes left after something was sent.
    pub fn spent(&mut self, available: i64, stalls: &mut FlowStalls, now: Instant) {
        if available <= 0 && self.0.is_none() {
            self.0 = Some(now);
            stalls.count += 1;
        }
    }

    /// The window has `available` bytes left after it was credited.
    pub fn credited(&mut self, available: i64, stalls: &mut FlowStalls, now: Instant) {
        if available > 0 {
            self.over(stalls, now);
        }
    }

    /// The window is of no more use, or open again.
    pub fn over(&mut self, stalls: &mut FlowStalls, now: Instant) {
        if let Some(since) = self.0.take() {
            stalls.total += now.saturating_duration_since(since);
        }
    }
}
