//! What is missing of a recording, in words.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::record::schema::v1::Loss;
use crate::trace::{grouped, size};

/// Damaged places that are told one by one; beyond it they are counted.
pub const MOST_LISTED: usize = 64;

/// How whole what was read is. Complete once the reading has come to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wholeness {
    /// Whether every file was ended by its writer. One that was not is being
    /// written still, or its writer was killed.
    pub finished: bool,
    /// What is missing, in order; at most [`MOST_LISTED`].
    pub missing: Vec<Missing>,
    /// Places that are missing, those included that are not listed.
    pub places: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records that stood whole in the file and could not be read.
    pub unreadable: u64,
    /// What the recorder itself could not write down, as far as it was passed.
    pub losses: Loss,
}

/// A place of a file that says nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The file, as it was named.
    pub file: Box<str>,
    /// Which bytes of it.
    pub bytes: Range<u64>,
    /// Whether the file ends there: it was cut, or is being written.
    pub is_end: bool,
    /// What it is, in words.
    pub what: Box<str>,
    /// The latest time before it, in nanoseconds since 1970.
    pub after: Option<u64>,
    /// The earliest time behind it.
    pub before: Option<u64>,
}

impl Wholeness {
    /// Whether nothing is known to be missing. (What a file that was not finished
    /// would have held, nobody knows.)
    pub fn is_whole(&self) -> bool {
        self.places == 0 && self.unreadable == 0 && self.losses == Loss::default()
    }

    /// What is missing, in one sentence; `None` if nothing is known to be.
    pub fn sentence(&self) -> Option<String> {
        let mut parts = Vec::new();
        let damaged: Vec<&Missing> = self.missing.iter().filter(|one| !one.is_end).collect();
        let more = self.places.saturating_sub(self.missing.len() as u64);
        if let (Some(first), Some(last)) = (damaged.first(), damaged.last()) {
            let places = damaged.len() as u64 + more;
            let bytes: u64 = damaged.iter().map(|one| length(one)).sum();
            let what = match places {
                1 => format!(
                    "{} is damaged at byte {} ({}: {})",
                    first.file,
                    first.bytes.start,
                    size(bytes),
                    first.what
                ),
                _ => format!(
                    "{} is damaged in {} places from byte {} on ({}, the first: {})",
                    first.file,
                    grouped(places),
                    first.bytes.start,
                    size(bytes),
                    first.what
                ),
            };
            parts.push(format!(
                "{what}, and what was recorded {} is missing in part",
                between(first.after, last.before)
            ));
        }
        for cut in self.missing.iter().filter(|one| one.is_end) {
            let when = match cut.after {
                Some(after) => format!("after {}", time(after)),
                None => "there".to_owned(),
            };
            parts.push(format!(
                "{} breaks off: its last {} are no whole record, and what was recorded {when} is \
                 missing",
                cut.file,
                size(length(cut)),
            ));
        }
        if self.unreadable > 0 {
            let s = if self.unreadable == 1 { "" } else { "s" };
            parts.push(format!(
                "{} record{s} could not be read as what their channel says",
                grouped(self.unreadable)
            ));
        }
        let Loss {
            calls,
            messages,
            lines,
            reason,
            ..
        } = &self.losses;
        let lost: Vec<String> = [(calls, "call"), (messages, "message"), (lines, "line")]
            .iter()
            .filter(|(count, _)| **count > 0)
            .map(|(count, what)| {
                let s = if **count == 1 { "" } else { "s" };
                format!("{} {what}{s}", grouped(**count))
            })
            .collect();
        if !lost.is_empty() {
            let why = match reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            parts.push(format!(
                "the recorder itself left out {}{why}",
                lost.join(", ")
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Takes another file's.
    pub(super) fn add(&mut self, other: Wholeness) {
        self.finished &= other.finished;
        let room = MOST_LISTED.saturating_sub(self.missing.len());
        self.missing.extend(other.missing.into_iter().take(room));
        self.places += other.places;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unreadable += other.unreadable;
        self.add_loss(&other.losses);
    }

    pub(super) fn add_missing(&mut self, missing: Missing) {
        self.places += 1;
        self.bytes = self.bytes.saturating_add(length(&missing));
        if self.missing.len() < MOST_LISTED {
            self.missing.push(missing);
        }
    }

    pub(super) fn add_loss(&mut self, loss: &Loss) {
        let losses = &mut self.losses;
        losses.calls = losses.calls.saturating_add(loss.calls);
        losses.messages = losses.messages.saturating_add(loss.messages);
        losses.bytes = losses.bytes.saturating_add(loss.bytes);
        losses.lines = losses.lines.saturating_add(loss.lines);
        if losses.reason.is_empty() {
            losses.reason.clone_from(&loss.reason);
        }
    }

    /// Those behind what is missing at the end were recorded from then on.
    pub(super) fn before(&mut self, at: u64) {
        for missing in self.missing.iter_mut().rev() {
            match missing.before {
                None => missing.before = Some(at),
                Some(_) => break,
            }
        }
    }
}

impl fmt::Display for Wholeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sentence() {
            Some(sentence) => f.write_str(&sentence),
            None => f.write_str("nothing is missing"),
        }
    }
}

fn length(missing: &Missing) -> u64 {
    missing.bytes.end.saturating_sub(missing.bytes.start)
}

fn between(after: Option<u64>, before: Option<u64>) -> String {
    match (after, before) {
        (Some(after), Some(before)) => format!("between {} and {}", time(after), time(before)),
        (Some(after), None) => format!("after {}", time(after)),
        (None, Some(before)) => format!("before {}", time(before)),
        (None, None) => "there".to_owned(),
    }
}

/// `2026-11-03T08:05:32.123Z`
fn time(nanos: u64) -> String {
    let millis = i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    format!("{:.3}Z", Offset::UTC.to_datetime(at))
}
