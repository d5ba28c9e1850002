//! Saying the same thing once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Decides which of many like complaints about one thing are said: the first,
/// one that differs from the last, and one every ten seconds.
#[derive(Debug)]
pub(super) struct Complaints {
    again_after: Duration,
    standing: AtomicBool,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    what: String,
    said: Instant,
    unsaid: u64,
}

impl Default for Complaints {
    fn default() -> Complaints {
        Complaints::every(Duration::from_secs(10))
    }
}

impl Complaints {
    /// Repeats the same complaint after `again_after` at the earliest.
    pub(super) fn every(again_after: Duration) -> Complaints {
        Complaints {
            again_after,
            standing: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// Whether to say `what`, and what to add about those that were not said.
    pub(super) fn about(&self, what: &str, now: Instant) -> Option<String> {
        self.standing.store(true, Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaid = match &mut *last {
            Some(last) if last.what == what => {
                if now.saturating_duration_since(last.said) < self.again_after {
                    last.unsaid += 1;
                    return None;
                }
                last.unsaid
            }
            _ => 0,
        };
        *last = Some(Last {
            what: what.to_owned(),
            said: now,
            unsaid: 0,
        });
        Some(match unsaid {
            0 => String::new(),
            n => format!(" ({n} more since this was last said)"),
        })
    }

    /// All is well. Whether that is news.
    pub(super) fn settled(&self) -> bool {
        // Asked on every connection: a load where nothing stands.
        if !self.standing.load(Ordering::Relaxed) || !self.standing.swap(false, Ordering::Relaxed) {
            return false;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_itself_every_ten_seconds_at_most() {
        let complaints = Complaints::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(complaints.about("a", at(0)).as_deref(), Some(""));
        assert_eq!(complaints.about("a", at(1)), None);
        assert_eq!(complaints.about("a", at(9)), None);
        let again = complaints.about("a", at(10)).expect("ten seconds are over");
        assert!(again.contains("2 more"), "{again}");
        assert_eq!(complaints.about("b", at(11)).as_deref(), Some(""));
    }

    #[test]
    fn recovery_is_news_once() {
        let complaints = Complaints::default();
        assert!(!complaints.settled());
        let now = Instant::now();
        complaints.about("a", now);
        assert!(complaints.settled());
        assert!(!complaints.settled());
        assert!(complaints.about("a", now).is_some());
    }
}
