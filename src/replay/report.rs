//! What came of a replay.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::compare::{Difference, Likeness};
use super::presupposed::Presupposed;
use crate::record::traffic::Lane;
use crate::trace::grouped;

/// Differences that are listed one by one; beyond it they are counted.
pub const MOST_LISTED: usize = 100;

/// What came of a replay, as far as it went.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target, as it was named.
    pub target: Box<str>,
    /// The version that it says it is.
    pub version: Box<str>,
    /// Its revision before anything was written.
    pub base: i64,
    /// Calls, by service and method; `watch event` for what watches brought.
    pub tallies: BTreeMap<String, Tally>,
    /// The first differences.
    pub listed: Vec<Found>,
    /// All of them.
    pub different: u64,
    /// Calls that were not driven, by why.
    pub left_out: BTreeMap<&'static str, u64>,
    /// What was written that no call of the recording wrote.
    pub presupposed: Presupposed,
    /// What was written from a snapshot.
    pub restored: Option<Restored>,
    /// Steps that were done, and all that there were.
    pub steps: (u64, u64),
    /// How it ended.
    pub ended: Ended,
    /// How long it took.
    pub took: Duration,
}

/// What was written from a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// The revision of its store.
    pub revision: i64,
    /// Writes and deletions.
    pub changes: u64,
    /// Leases.
    pub leases: u64,
}

/// How many there were, and how they were to the recorded ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Equal.
    pub equal: u64,
    /// Equal in the target's numbers.
    pub up_to_numbering: u64,
    /// Different.
    pub different: u64,
}

/// A difference, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What differs: `KV/Range`, `watch event`.
    pub what: Box<str>,
    /// Where the recording has it.
    pub lane: Lane,
    /// The recorded revision at which it stands.
    pub revision: i64,
    /// What it is about, for people.
    pub about: Box<str>,
    /// In what.
    pub difference: Difference,
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All steps were done.
    Complete,
    /// Somebody ended it.
    Interrupted,
    /// The target cannot be reached any more, or does not answer; in words.
    Lost(String),
}

impl Report {
    /// Counts how something was; a difference is listed as `found` says, while there
    /// is room.
    pub(super) fn note(
        &mut self,
        what: &str,
        likeness: Likeness,
        found: impl FnOnce(Difference) -> Found,
    ) {
        let tally = self.tallies.entry(what.to_owned()).or_default();
        match likeness {
            Likeness::Equal => tally.equal += 1,
            Likeness::UpToNumbering => tally.up_to_numbering += 1,
            Likeness::Different(difference) => {
                tally.different += 1;
                self.different += 1;
                if self.listed.len() < MOST_LISTED {
                    self.listed.push(found(difference));
                }
            }
        }
    }

    /// Whether everything was driven and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.different == 0 && self.ended == Ended::Complete
    }

    /// For other programs.
    pub fn to_json(&self) -> Value {
        let tallies = self.tallies.iter().map(|(what, tally)| {
            let Tally {
                equal,
                up_to_numbering,
                different,
            } = tally;
            let row = json!({
                "equal": equal, "up_to_numbering": up_to_numbering, "different": different,
            });
            (what.clone(), row)
        });
        let listed = self.listed.iter().map(|found| {
            json!({
                "what": found.what, "conn": found.lane.connection, "stream": found.lane.stream,
                "revision": found.revision, "about": found.about,
                "field": found.difference.field, "recorded": found.difference.recorded,
                "answered": found.difference.answered,
            })
        });
        let (ended, reason) = self.ended.words();
        let mut report = json!({
            "mode": "ordered", "target": self.target, "version": self.version, "base_revision": self.base,
            "ended": ended,
            "steps": self.steps.0, "steps_planned": self.steps.1,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "different": self.different,
            "compared": tallies.collect::<serde_json::Map<_, _>>(),
            "differences": listed.collect::<Vec<_>>(),
            "left_out": self.left_out,
            "presupposed": self.presupposed.to_json(),
        });
        if let Some(restored) = self.restored {
            report["from_snapshot"] = json!({
                "revision": restored.revision,
                "writes": restored.changes,
                "leases": restored.leases,
            });
        }
        if let Some(reason) = reason {
            report["reason"] = json!(reason);
        }
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.listed {
            writeln!(
                f,
                "{} {}/{} at {}, {}: {}",
                found.what,
                found.lane.connection,
                found.lane.stream,
                found.revision,
                found.about,
                found.difference
            )?;
        }
        let more = self.different.saturating_sub(self.listed.len() as u64);
        if more > 0 {
            writeln!(f, "and {} more differences", grouped(more))?;
        }
        if self.different > 0 {
            writeln!(f)?;
        }
        writeln!(
            f,
            "{:<24}{:>10}{:>18}{:>12}",
            "", "equal", "up to numbering", "different"
        )?;
        for (what, tally) in &self.tallies {
            writeln!(
                f,
                "{what:<24}{:>10}{:>18}{:>12}",
                grouped(tally.equal),
                grouped(tally.up_to_numbering),
                grouped(tally.different)
            )?;
        }
        if let Some(restored) = &self.restored {
            writeln!(
                f,
                "written from the snapshot, which is of revision {}: {} writes and deletions, {} leases",
                restored.revision,
                grouped(restored.changes),
                grouped(restored.leases)
            )?;
        }
        presupposed(f, &self.presupposed)?;
        left_out(f, &self.left_out)?;
        self.ended.tell(f, self.steps)?;
        let version = in_brackets(&self.version);
        let seconds = self.took.as_secs_f64();
        writeln!(f, "{}{version}, in {seconds:.1} s", self.target)
    }
}

/// Tells what was written besides the calls.
pub(super) fn presupposed(f: &mut fmt::Formatter<'_>, all: &Presupposed) -> fmt::Result {
    let Presupposed {
        keys,
        unknown_values,
        deletes,
        leases,
    } = *all;
    if keys + deletes + leases == 0 {
        return Ok(());
    }
    write!(
        f,
        "written because the recording presupposes it: {} keys, {} deletions, {} leases",
        grouped(keys),
        grouped(deletes),
        grouped(leases)
    )?;
    if unknown_values > 0 {
        let empty = grouped(unknown_values);
        write!(f, "; {empty} values are in no message and were left empty")?;
    }
    writeln!(f)
}

/// Tells what was not driven.
pub(super) fn left_out(
    f: &mut fmt::Formatter<'_>,
    all: &BTreeMap<&'static str, u64>,
) -> fmt::Result {
    for (why, count) in all {
        writeln!(f, "left out: {} calls, for {why}", grouped(*count))?;
    }
    Ok(())
}

impl Ended {
    /// For other programs: a word, and the reason.
    pub(super) fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Ended::Complete => ("complete", None),
            Ended::Interrupted => ("interrupted", None),
            Ended::Lost(reason) => ("lost", Some(reason)),
        }
    }

    /// Tells how far it came, if that is not all.
    pub(super) fn tell(&self, f: &mut fmt::Formatter<'_>, (done, all): (u64, u64)) -> fmt::Result {
        let (done, all) = (grouped(done), grouped(all));
        match self {
            Ended::Complete => Ok(()),
            Ended::Interrupted => writeln!(f, "interrupted after {done} of {all} steps"),
            Ended::Lost(reason) => writeln!(f, "ended after {done} of {all} steps: {reason}"),
        }
    }
}

/// The version that the target says it is, if it says any.
pub(super) fn in_brackets(version: &str) -> String {
    match version {
        "" => String::new(),
        version => format!(" (etcd {version})"),
    }
}

impl Presupposed {
    pub(super) fn to_json(self) -> Value {
        json!({
            "keys": self.keys,
            "unknown_values": self.unknown_values,
            "deletes": self.deletes,
            "leases": self.leases,
        })
    }
}
