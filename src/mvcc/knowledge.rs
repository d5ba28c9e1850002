//! Where every key is known, and every change.

use super::span::{End, Span};

/// Revisions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revisions {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Revisions {
    /// Whether it is one of them.
    pub fn contains(self, revision: i64) -> bool {
        (self.from..=self.to).contains(&revision)
    }
}

/// Where every key is known, and every change.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Where a key that was never heard of does not exist.
    pub(super) complete: Vec<(Span, Revisions)>,
    /// Where every change of these keys is known.
    pub(super) changes: Vec<(Span, Revisions)>,
}

impl Knowledge {
    /// Of a store that nobody has written to: everything, for good.
    pub fn everything() -> Knowledge {
        let always = Revisions {
            from: 0,
            to: i64::MAX,
        };
        Knowledge {
            complete: vec![(Span::all(), always)],
            changes: vec![(Span::all(), always)],
        }
    }

    /// The first part of the span whose keys are not all known at a revision.
    pub fn gap(&self, span: &Span, revision: i64) -> Option<Span> {
        if span.is_empty() {
            return None;
        }
        let mut rest = span.clone();
        // Each round goes on where the one before ended.
        loop {
            let reaches = self
                .complete
                .iter()
                .filter(|(known, revisions)| {
                    revisions.contains(revision) && known.contains(&rest.start)
                })
                .map(|(known, _)| &known.end)
                .max();
            match reaches {
                None => {
                    // Up to where the next one begins.
                    let next = self
                        .complete
                        .iter()
                        .filter(|(known, revisions)| {
                            revisions.contains(revision) && known.start > rest.start
                        })
                        .map(|(known, _)| End::Before(known.start.clone()))
                        .min();
                    if let Some(next) = next
                        && next < rest.end
                    {
                        rest.end = next;
                    }
                    return Some(rest);
                }
                Some(reach) if *reach >= rest.end => return None,
                Some(End::Before(end)) => rest.start = end.clone(),
                Some(End::Open) => return None,
            }
        }
    }

    /// The first of the revisions in which not every change of the span's keys is
    /// known.
    pub fn untold(&self, span: &Span, revisions: Revisions) -> Option<i64> {
        let mut at = revisions.from;
        while at <= revisions.to {
            let reach = self
                .changes
                .iter()
                .filter(|(known, told)| told.contains(at) && known.covers(span))
                .map(|(_, told)| told.to)
                .max();
            match reach {
                Some(reach) => at = reach.saturating_add(1),
                None => return Some(at),
            }
            if at == i64::MAX {
                return None;
            }
        }
        None
    }
}

/// Sorts, and joins those that touch.
pub(super) fn joined(mut revisions: Vec<Revisions>) -> Vec<Revisions> {
    revisions.sort_unstable();
    let mut joined: Vec<Revisions> = Vec::with_capacity(revisions.len());
    for next in revisions {
        match joined.last_mut() {
            Some(last) if next.from <= last.to.saturating_add(1) => last.to = last.to.max(next.to),
            _ => joined.push(next),
        }
    }
    joined
}

/// How far on a state of `revision` stays as it is, when nothing happens unseen in
/// the `quiet` ones.
pub(super) fn onward(quiet: &[Revisions], revision: i64) -> i64 {
    let next = revision.saturating_add(1);
    let at = quiet.partition_point(|quiet| quiet.to < next);
    match quiet.get(at) {
        Some(quiet) if quiet.from <= next => quiet.to,
        _ => revision,
    }
}

/// Since when it was as it is at `revision`.
pub(super) fn since(quiet: &[Revisions], revision: i64) -> i64 {
    let at = quiet.partition_point(|quiet| quiet.to < revision);
    match quiet.get(at) {
        Some(quiet) if quiet.from <= revision => quiet.from.saturating_sub(1),
        _ => revision,
    }
}
