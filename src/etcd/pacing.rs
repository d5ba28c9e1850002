//! How far time lets one direction of a call pass: messages that wait, content
//! that passes in portions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::verdict::{Delays, Pace};

/// Messages of one direction that wait for their time, in order.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    /// When each may pass, and where it begins.
    waiting: VecDeque<(Instant, u64)>,
    /// The last one's time: none overtakes another.
    last: Option<Instant>,
}

impl Spacing {
    pub fn push(&mut self, start: u64, delays: &mut dyn Delays, now: Instant) {
        let at = now + delays.next();
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        if at > now || !self.waiting.is_empty() {
            self.waiting.push_back((at, start));
        }
    }

    pub fn release(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|(at, _)| *at <= now) {
            self.waiting.pop_front();
        }
    }

    pub fn limit(&self) -> u64 {
        self.waiting.front().map_or(u64::MAX, |(_, start)| *start)
    }

    pub fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }
}

/// Content that passes in portions.
#[derive(Debug)]
pub(super) struct Paced {
    pace: Arc<dyn Pace>,
    /// So far it may pass.
    pub to: u64,
    /// How much was reserved, and when it may pass.
    next: Option<(u64, Instant)>,
}

impl Paced {
    pub fn new(pace: Arc<dyn Pace>) -> Paced {
        Paced {
            pace,
            to: 0,
            next: None,
        }
    }

    pub fn advance(&mut self, seen: u64, now: Instant) {
        while self.to < seen {
            let (portion, at) = *self.next.get_or_insert_with(|| {
                let portion = self.pace.portion().max(1).min(seen - self.to);
                (portion, self.pace.reserve(portion, now))
            });
            if at > now {
                return;
            }
            self.to += portion;
            self.next = None;
        }
    }

    /// How far content may pass; all of it only once there is no more to come.
    pub fn limit(&self, seen: u64, ended: bool) -> u64 {
        match self.to < seen || !ended {
            true => self.to,
            false => u64::MAX,
        }
    }

    pub fn next(&self, seen: u64) -> Option<Instant> {
        self.next.filter(|_| self.to < seen).map(|(_, at)| at)
    }
}
