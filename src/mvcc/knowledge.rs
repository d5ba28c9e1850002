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
    /// Where a key that was never heard of does not exist; in the order of the spans.
    pub(super) complete: Vec<(Span, Revisions)>,
    /// Where every change of these keys is known: revisions in order, no two of which
    /// touch.
    pub(super) changes: Vec<(Span, Vec<Revisions>)>,
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
            changes: vec![(Span::all(), vec![always])],
        }
    }

    /// The first part of the span whose keys are not all known at a revision.
    pub fn gap(&self, span: &Span, revision: i64) -> Option<Span> {
        if span.is_empty() {
            return None;
        }
        let mut rest = span.clone();
        // They come in order: what begins behind the part that is known leaves a gap.
        for (known, revisions) in &self.complete {
            if !revisions.contains(revision) {
                continue;
            }
            if known.start > rest.start {
                let next = End::Before(known.start.clone());
                rest.end = rest.end.min(next);
                return Some(rest);
            }
            if known.end >= rest.end {
                return None;
            }
            if let End::Before(end) = &known.end
                && *end > rest.start
            {
                rest.start = end.clone();
            }
        }
        Some(rest)
    }

    /// The first of the revisions in which not every change of the span's keys is
    /// known.
    pub fn untold(&self, span: &Span, revisions: Revisions) -> Option<i64> {
        let about = self.changes.iter().filter(|(known, _)| known.covers(span));
        let about: Vec<&[Revisions]> = about.map(|(_, told)| told.as_slice()).collect();
        let mut at = revisions.from;
        while at <= revisions.to {
            let Some(reach) = about.iter().filter_map(|told| reach(told, at)).max() else {
                return Some(at);
            };
            if reach == i64::MAX {
                return None;
            }
            at = reach + 1;
        }
        None
    }
}

/// Up to where all is known from a revision on.
fn reach(told: &[Revisions], at: i64) -> Option<i64> {
    let place = told.partition_point(|told| told.to < at);
    told.get(place)
        .filter(|told| told.contains(at))
        .map(|told| told.to)
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
