//! From lists and watches to where all is known. A recording may have many thousands
//! of spans, a chunk of a list being one, so they are gone through in their order.

use rustc_hash::FxHashMap;

use super::knowledge::{Knowledge, Revisions, joined, onward, since};
use super::span::{End, Span};

/// Spans in the order of their beginnings, with what was told of each.
#[derive(Debug)]
pub(super) struct Spans<T>(Vec<(Span, T)>);

impl<T> Spans<T> {
    pub fn of(mut spans: Vec<(Span, T)>) -> Spans<T> {
        spans.retain(|(span, _)| !span.is_empty());
        spans.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Spans(spans)
    }

    /// Goes through them once.
    pub fn sweep(&self) -> Sweep<'_, T> {
        Sweep {
            spans: &self.0,
            begun: 0,
            open: Vec::new(),
        }
    }
}

/// Which spans are about the place that is looked at; places come in order.
#[derive(Debug)]
pub(super) struct Sweep<'s, T> {
    spans: &'s [(Span, T)],
    /// How many have begun.
    begun: usize,
    /// Those of them that go on, by their place.
    open: Vec<usize>,
}

impl<'s, T> Sweep<'s, T> {
    /// What was told of the spans that have a key, which is behind those before.
    pub fn about(&mut self, key: &[u8]) -> impl Iterator<Item = &'s T> {
        self.reach(key, |span| span.contains(key));
        self.open.iter().map(|at| &self.spans[*at].1)
    }

    /// What was told of the spans that have all of a span, which does not begin before
    /// those before.
    fn covering(&mut self, span: &Span) -> impl Iterator<Item = (usize, &'s T)> {
        self.reach(&span.start, |open| open.contains(&span.start));
        let covering = self.open.iter();
        let covering = covering.filter(|at| self.spans[**at].0.covers(span));
        covering.map(|at| (*at, &self.spans[*at].1))
    }

    /// Takes in what has begun by a key, and leaves what has ended.
    fn reach(&mut self, key: &[u8], goes_on: impl Fn(&Span) -> bool) {
        while let Some((span, _)) = self.spans.get(self.begun) {
            if span.start.as_ref() > key {
                break;
            }
            self.open.push(self.begun);
            self.begun += 1;
        }
        self.open.retain(|at| goes_on(&self.spans[*at].0));
    }
}

/// The revisions in which every change of a key was told; keys come in order.
#[derive(Debug)]
pub(super) struct Quiet<'s> {
    whole: &'s [Revisions],
    watched: Sweep<'s, Vec<Revisions>>,
    /// Of the key before, by which watches that was.
    of: Vec<usize>,
    quiet: Vec<Revisions>,
}

impl<'s> Quiet<'s> {
    pub fn of(whole: &'s [Revisions], watched: &'s Spans<Vec<Revisions>>) -> Quiet<'s> {
        Quiet {
            whole,
            watched: watched.sweep(),
            of: Vec::new(),
            quiet: whole.to_vec(),
        }
    }

    /// Of a key, which is behind those before.
    pub fn about(&mut self, key: &[u8]) -> &[Revisions] {
        self.watched.reach(key, |span| span.contains(key));
        if self.watched.open != self.of {
            self.of.clone_from(&self.watched.open);
            let watched = self.of.iter().map(|at| &self.watched.spans[*at].1);
            self.quiet = quiet(self.whole, watched);
        }
        &self.quiet
    }
}

fn quiet<'s>(
    whole: &[Revisions],
    watched: impl Iterator<Item = &'s Vec<Revisions>>,
) -> Vec<Revisions> {
    let watched = watched.flat_map(|revisions| revisions.iter().copied());
    joined(watched.chain(whole.iter().copied()).collect())
}

/// Where all keys and all changes are known, as of a revision from which on nothing
/// happens unseen.
pub(super) fn knowledge(
    whole: &[Revisions],
    watched: &Spans<Vec<Revisions>>,
    lists: &Spans<Vec<i64>>,
    revision: i64,
) -> Knowledge {
    let mut complete = Vec::new();
    let mut listed = lists.sweep();
    let mut watches = watched.sweep();
    // By the watches that tell of a span.
    let mut known: FxHashMap<Vec<usize>, Vec<Revisions>> = FxHashMap::default();
    for span in parts(watched, lists) {
        let by: Vec<(usize, &Vec<Revisions>)> = watches.covering(&span).collect();
        let places = by.iter().map(|(at, _)| *at).collect();
        let quiet = known
            .entry(places)
            .or_insert_with(|| quiet(whole, by.iter().map(|(_, revisions)| *revisions)));
        let mut reaches = Vec::new();
        for (_, at) in listed.covering(&span) {
            reaches.extend(at.iter().map(|&at| Revisions {
                from: since(quiet, at),
                to: onward(quiet, at),
            }));
        }
        for mut reach in joined(reaches) {
            if reach.from > revision {
                continue;
            }
            if reach.to >= revision {
                reach.to = i64::MAX;
            }
            complete.push((span.clone(), reach));
        }
    }
    let afterwards = Revisions {
        from: revision.saturating_add(1),
        to: i64::MAX,
    };
    // Nothing happened before the first one.
    let first = Revisions { from: 0, to: 1 };
    let whole = whole.iter().copied().filter(|told| told.from <= revision);
    let whole = joined(whole.chain([first, afterwards]).collect());
    let mut changes = vec![(Span::all(), whole)];
    changes.extend(watched.0.iter().cloned());
    Knowledge {
        complete: needed(complete),
        changes,
    }
}

/// The spans of which there is something to say, in order: a list tells of every part
/// of it, and a watch may go on with a part only.
fn parts(watched: &Spans<Vec<Revisions>>, lists: &Spans<Vec<i64>>) -> Vec<Span> {
    let mut parts: Vec<Span> = lists.0.iter().map(|(list, _)| list.clone()).collect();
    for (list, _) in &lists.0 {
        // Those that begin before the list ends.
        let before = watched.0.partition_point(|(watch, _)| match &list.end {
            End::Before(end) => watch.start < *end,
            End::Open => true,
        });
        let watched = watched.0[..before].iter().map(|(watch, _)| watch);
        let watched = watched.filter(|watch| !watch.covers(list));
        parts.extend(watched.map(|watch| list.and(watch)));
    }
    parts.retain(|span| !span.is_empty());
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Without those that say less than another, which come in the order of their spans.
fn needed(complete: Vec<(Span, Revisions)>) -> Vec<(Span, Revisions)> {
    let all = Spans(complete);
    let mut sweep = all.sweep();
    let mut needed = Vec::new();
    for (place, (span, reach)) in all.0.iter().enumerate() {
        let mut wider = sweep.covering(span);
        let said = wider.any(|(other, longer)| {
            let same = all.0[other].0 == *span && longer == reach;
            let says_more = longer.from <= reach.from && longer.to >= reach.to;
            says_more && (!same || other < place)
        });
        if !said {
            needed.push((span.clone(), *reach));
        }
    }
    needed
}
