//! When the failure was: between the first and the last trace of a fault.

use std::collections::BTreeMap;

use super::fact::{Fact, Moment, What};

/// Names of faults that are counted; more are counted together.
const NAMES_MAX: usize = 1024;

/// When the failure began and ended, as far as is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    from: Option<Moment>,
    to: Option<Moment>,
    seen: Option<(Moment, Moment)>,
    /// From lines that do not say when within a long life the fault struck.
    vague: Option<(Moment, Moment)>,
    /// How many facts each fault had to do with.
    pub struck: BTreeMap<Box<str>, u64>,
}

impl Window {
    pub fn new(from: Option<Moment>, to: Option<Moment>) -> Window {
        Window {
            from,
            to,
            ..Window::default()
        }
    }

    /// Its times are these, whatever else shows.
    pub fn give(&mut self, from: Moment, to: Moment) {
        self.from = Some(from);
        self.to = Some(to);
    }

    /// Takes note of a fact's faults; says whether the window moved.
    pub fn handle(&mut self, fact: &Fact<'_>) -> bool {
        if fact.faults.is_empty() {
            return false;
        }
        for hit in &fact.faults {
            let known = self.struck.len() < NAMES_MAX || self.struck.contains_key(&*hit.name);
            let name = if known { &*hit.name } else { "(others)" };
            *self.struck.entry(name.into()).or_default() += 1;
        }
        let before = (self.begin(), self.end());
        let (began, is_vague) = match &fact.what {
            What::Call(call) if call.stream_call && !call.injected => (call.started, true),
            What::Call(call) if call.stream_call => (fact.at, false),
            What::Call(call) => (call.started, false),
            What::Event { held, .. } => (fact.at.before(*held), false),
            What::Closed { .. } => (fact.at, true),
            _ => (fact.at, false),
        };
        let place = match is_vague {
            true => &mut self.vague,
            false => &mut self.seen,
        };
        *place = Some(match *place {
            None => (began, fact.at),
            Some((first, last)) => (first.min(began), last.max(fact.at)),
        });
        before != (self.begin(), self.end())
    }

    /// When the failure began; `None` if there was none.
    pub fn begin(&self) -> Option<Moment> {
        let seen = self.seen.or(self.vague);
        self.from.or(seen.map(|(first, _)| first)).or(self.to)
    }

    /// When it ended.
    pub fn end(&self) -> Option<Moment> {
        let seen = self.seen.or(self.vague);
        let last = seen.map(|(_, last)| last);
        self.to.or(last.max(self.from)).max(self.begin())
    }

    /// Whether its times were given, not found.
    pub fn is_given(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    pub fn phase(&self, at: Moment) -> Phase {
        match (self.begin(), self.end()) {
            (Some(begin), Some(end)) if at >= begin => match at <= end {
                true => Phase::During,
                false => Phase::After,
            },
            _ => Phase::Before,
        }
    }
}

/// Before, during or after the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    During,
    After,
}
