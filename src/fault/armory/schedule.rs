//! When a fault holds.

use std::time::{Duration, Instant};

use super::status::Over;
use crate::fault::plan::FaultSpec;

/// A fault's windows: the first one begins `start` after it was loaded, lasts
/// for `duration`, and begins again every `repeat`. Its time to live ends all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// `None` is beyond any clock.
    begins: Option<Instant>,
    duration: Option<Duration>,
    repeat: Option<Duration>,
    expires: Option<Instant>,
}

/// Where in its windows a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before a window.
    Waiting(Option<Instant>),
    /// In one, until then.
    Active(Option<Instant>),
    /// Behind the last one.
    Over(Over),
}

impl Schedule {
    pub fn new(spec: &FaultSpec, lives: Option<Duration>, loaded: Instant) -> Schedule {
        let after = spec.start.map_or(Duration::ZERO, |span| span.0);
        Schedule {
            begins: loaded.checked_add(after),
            duration: spec.duration.map(|span| span.0),
            repeat: spec.repeat.map(|span| span.0),
            expires: lives.and_then(|lives| loaded.checked_add(lives)),
        }
    }

    pub fn expires(&self) -> Option<Instant> {
        self.expires
    }

    pub fn phase(&self, now: Instant) -> Phase {
        if self.expires.is_some_and(|end| end <= now) {
            return Phase::Over(Over::TimeToLive);
        }
        let Some(begins) = self.begins.filter(|begins| *begins <= now) else {
            return Phase::Waiting(self.begins);
        };
        let Some(duration) = self.duration else {
            return Phase::Active(self.expires);
        };
        let Some(window) = self.window_at(begins, now) else {
            return Phase::Waiting(None);
        };
        match window.checked_add(duration) {
            Some(end) if end <= now => match self.repeat {
                Some(repeat) => Phase::Waiting(window.checked_add(repeat)),
                None => Phase::Over(Over::Duration),
            },
            end => Phase::Active(sooner(end, self.expires)),
        }
    }

    /// Which of its windows it is in, from 0; the last one that began, between two.
    pub fn window(&self, now: Instant) -> u64 {
        let (Some(begins), Some(repeat)) = (self.begins, self.repeat) else {
            return 0;
        };
        let into = now.saturating_duration_since(begins).as_nanos();
        into.checked_div(repeat.as_nanos())
            .map_or(0, |window| u64::try_from(window).unwrap_or(u64::MAX))
    }

    /// The window that it is in: when that began, and when it ends.
    pub fn window_now(&self, now: Instant) -> Option<(Instant, Option<Instant>)> {
        let Phase::Active(until) = self.phase(now) else {
            return None;
        };
        Some((self.window_at(self.begins?, now)?, until))
    }

    /// When it is over for good.
    pub fn ends(&self) -> Option<Instant> {
        let last = match (self.repeat, self.begins, self.duration) {
            (None, Some(begins), Some(duration)) => begins.checked_add(duration),
            _ => None,
        };
        sooner(last, self.expires)
    }

    /// The beginning of the last window that has begun.
    fn window_at(&self, begins: Instant, now: Instant) -> Option<Instant> {
        let Some(repeat) = self.repeat.filter(|repeat| !repeat.is_zero()) else {
            return Some(begins);
        };
        let into = now.saturating_duration_since(begins).as_nanos() % repeat.as_nanos();
        now.checked_sub(Duration::from_nanos(u64::try_from(into).ok()?))
    }
}

/// The sooner of two ends, where `None` is none.
pub(super) fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
