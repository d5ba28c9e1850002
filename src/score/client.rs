//! What one client did: its connections, what it asked again, its first signs
//! of having noticed.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::mem::discriminant;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHasher};

use super::fact::{CallFact, Moment};
use crate::trace::Histogram;

/// Failed calls that may be asked again.
const FAILED_MAX: usize = 65_536;

/// A call later than this after the last failure is a new one.
pub(super) const ASKED_AGAIN_WITHIN: u64 = 60_000_000;

/// Signs that are remembered while no failure has begun.
const MARKS_MAX: usize = 256;

/// Lists that are remembered.
const LISTS_MAX: usize = 16_384;

/// Something by which a client shows that it noticed, or that its connections
/// went and came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Reset,
    Close,
    Retry,
    Ping,
    /// A watch that had ended was created anew.
    Rewatch,
    /// What a watch had told was listed.
    Relist,
    /// A connection of it ended, whoever ended it.
    Lost {
        /// When the latest was opened that stands instead.
        newer: Option<Moment>,
    },
    Opened,
}

impl Mark {
    /// How the card calls it, if it is a sign.
    pub fn sign(self) -> Option<&'static str> {
        match self {
            Mark::Reset => Some("reset"),
            Mark::Close => Some("close"),
            Mark::Retry => Some("retry"),
            Mark::Ping => Some("ping"),
            Mark::Rewatch => Some("rewatch"),
            Mark::Relist => Some("list"),
            Mark::Lost { .. } | Mark::Opened => None,
        }
    }
}

/// A list of a range that the client watches.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    pub at: Moment,
    /// Since when the range was watched.
    pub watched_since: Moment,
    pub bytes: u64,
    pub range: usize,
}

/// Failures of one call in a row.
#[derive(Debug, Clone, Copy)]
struct Failed {
    last_end: Moment,
    retries: u64,
}

/// One client.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub ip: IpAddr,
    pub user_agent: Option<Box<str>>,
    pub open: u64,
    pub opened: u64,
    pub closed: u64,
    pub refused: u64,
    pub calls: u64,
    pub failed_calls: u64,
    pub retries: u64,
    pub retries_max: u64,
    pub spacing: Histogram,
    pub spacing_least: Option<u64>,
    failed: FxHashMap<u64, Failed>,
    pub marks: VecDeque<(Moment, Mark)>,
    pub lists: VecDeque<List>,
    /// The last moment at which something was not as it should be.
    pub trouble: Option<Moment>,
    /// When all was as before, once that is sure.
    pub recovered: Option<Moment>,
}

impl Client {
    pub fn new(ip: IpAddr, user_agent: Option<&str>) -> Client {
        Client {
            ip,
            user_agent: user_agent.map(Into::into),
            open: 0,
            opened: 0,
            closed: 0,
            refused: 0,
            calls: 0,
            failed_calls: 0,
            retries: 0,
            retries_max: 0,
            spacing: Histogram::default(),
            spacing_least: None,
            failed: FxHashMap::default(),
            marks: VecDeque::new(),
            lists: VecDeque::new(),
            trouble: None,
            recovered: None,
        }
    }

    /// A call ended that is no stream.
    pub fn handle_call(&mut self, call: &CallFact<'_>, at: Moment, begun: Option<Moment>) {
        self.calls += 1;
        let id = identity(call);
        let before = self.failed.get(&id).copied();
        let again = before.filter(|failed| {
            call.started >= failed.last_end
                && call.started.since(failed.last_end) <= ASKED_AGAIN_WITHIN
        });
        if let Some(failed) = again {
            self.retries += 1;
            self.retries_max = self.retries_max.max(failed.retries + 1);
            let pause = call.started.since(failed.last_end);
            self.spacing
                .record(i64::try_from(pause).unwrap_or(i64::MAX));
            self.spacing_least = Some(self.spacing_least.map_or(pause, |least| least.min(pause)));
            self.mark(call.started, Mark::Retry, begun);
        }
        if call.succeeded() {
            // One that began before the failure's end is no answer to it.
            if again.is_some() {
                self.failed.remove(&id);
            }
            return;
        }
        self.failed_calls += 1;
        self.in_trouble(at);
        if self.failed.len() >= FAILED_MAX {
            self.failed
                .retain(|_, failed| at.since(failed.last_end) <= ASKED_AGAIN_WITHIN);
        }
        // Keepalives of different leases cannot be told apart.
        if call.verb != "lease_keepalive" && self.failed.len() < FAILED_MAX {
            let retries = again.map_or(0, |failed| failed.retries + 1);
            self.failed.insert(
                id,
                Failed {
                    last_end: at,
                    retries,
                },
            );
        }
    }

    /// Something is not, or until now was not, as it should be.
    pub fn in_trouble(&mut self, at: Moment) {
        self.trouble = self.trouble.max(Some(at));
    }

    /// Takes note of a sign. Once the failure has begun only the first of each
    /// kind matters, and every loss and opening that may follow it.
    pub fn mark(&mut self, at: Moment, mark: Mark, begun: Option<Moment>) {
        let kind = discriminant(&mark);
        let seen = |one: &(Moment, Mark)| {
            discriminant(&one.1) == kind && begun.is_some_and(|from| one.0 >= from)
        };
        if begun.is_some() && mark != Mark::Opened && self.marks.iter().any(seen) {
            return;
        }
        if self.marks.len() >= MARKS_MAX {
            // What was before the failure matters least.
            let oldest = self.marks.iter().position(|(at, _)| Some(*at) < begun);
            match oldest {
                Some(oldest) => self.marks.remove(oldest),
                // Openings alone are not bounded by their kind.
                None if begun.is_some() && mark == Mark::Opened => return,
                None => self.marks.pop_front(),
            };
        }
        self.marks.push_back((at, mark));
    }

    /// The first sign after `begun`.
    pub fn noticed(&self, begun: Moment) -> Option<(Moment, &'static str)> {
        let signs = self.marks.iter().filter(|(at, _)| *at >= begun);
        let signs = signs.filter_map(|(at, mark)| Some((*at, mark.sign()?)));
        signs.min_by_key(|(at, _)| *at)
    }

    /// From the first connection that was lost after `begun` to the first that
    /// was opened then; the second is `None` while there is none. One that was
    /// opened between `begun` and the loss is there at once.
    pub fn reconnected(&self, begun: Moment) -> Option<(Moment, Option<Moment>)> {
        let lost = self.marks.iter().filter_map(|(at, mark)| match mark {
            Mark::Lost { newer } if *at >= begun => Some((*at, *newer)),
            _ => None,
        });
        let (lost, newer) = lost.min_by_key(|(at, _)| *at)?;
        if newer.is_some_and(|newer| newer >= begun) {
            return Some((lost, Some(lost)));
        }
        let opened = self.marks.iter();
        let opened = opened.filter(|(at, mark)| *mark == Mark::Opened && *at >= lost);
        Some((lost, opened.map(|(at, _)| *at).min()))
    }

    /// When the latest connection was opened that may stand instead of one that
    /// was opened at `before`.
    pub fn opened_after(&self, before: Option<Moment>) -> Option<Moment> {
        let marks = self.marks.iter().filter(|_| self.open > 0);
        let opened = marks.filter(|(at, mark)| *mark == Mark::Opened && Some(*at) > before);
        opened.map(|(at, _)| *at).max()
    }

    pub fn listed(&mut self, list: List) {
        if self.lists.len() == LISTS_MAX {
            self.lists.pop_front();
        }
        self.lists.push_back(list);
    }
}

/// What makes two calls the same one asked again: method, keys and kind. A
/// write that is asked again may turn out to be a conflict, so all writes are of
/// one kind.
fn identity(call: &CallFact<'_>) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(call.method.as_bytes());
    if let Some(range) = &call.range {
        hasher.write_u8(1);
        hasher.write(&range.key);
        hasher.write_u8(2);
        hasher.write(&range.end);
    }
    let kind: &str = match &*call.verb {
        "create" | "update" | "delete" | "conflict" => "write",
        verb => verb,
    };
    hasher.write_u8(3);
    hasher.write(kind.as_bytes());
    hasher.finish()
}
