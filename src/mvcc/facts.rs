//! What was told of one key, and the timeline that it makes.

use std::collections::BTreeMap;

use super::knowledge::{Revisions, joined, onward, since};
use super::timeline::{Life, Place, Timeline, Version, What};

/// What was told of one key.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub events: BTreeMap<i64, Fact>,
    /// It did not exist when the store stood there.
    pub absent: Vec<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub sub: u32,
    /// What was put; `None`: it was deleted.
    pub put: Option<Version>,
    /// Until when it was seen to be as it was put.
    pub until: i64,
    /// What was there before.
    pub before: Before,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    NotTold,
    Absent,
    /// What was put at this revision.
    Put(i64),
}

impl Fact {
    pub fn new(sub: u32, put: Option<Version>, at: i64) -> Fact {
        Fact {
            sub,
            put,
            until: at,
            before: Before::NotTold,
        }
    }

    /// What was there before, as far as the fact itself tells.
    fn before(&self, at: i64) -> Before {
        let life = self.put.as_ref().and_then(|version| version.life);
        match life {
            Some(life) if life.created == at => Before::Absent,
            _ => self.before,
        }
    }
}

impl Facts {
    /// Whether it was told to exist at a revision.
    pub fn stands_at(&self, at: i64) -> bool {
        let last = self.events.range(..=at).next_back();
        last.is_some_and(|(_, fact)| fact.put.is_some() && fact.until >= at)
    }

    /// Puts together what is known, revision by revision. `quiet`: the revisions in
    /// which every change of the key was told.
    pub fn timeline(mut self, quiet: &[Revisions]) -> Timeline {
        self.absent.sort_unstable();
        self.absent.dedup();
        let mut entries = Vec::new();
        let events: Vec<(i64, Fact)> = self.events.into_iter().collect();
        let mut known = Known {
            entries: &mut entries,
            // At revision 1 every etcd is empty.
            state: None,
            absent: &self.absent,
            quiet,
        };
        let next = |at: usize| events.get(at).map(|(revision, fact)| (*revision, fact));
        known.stretch(
            What::Absent,
            Place {
                revision: 1,
                sub: 0,
            },
            1,
            next(0),
            None,
        );
        for (at, (revision, fact)) in events.iter().enumerate() {
            let place = Place {
                revision: *revision,
                sub: fact.sub,
            };
            let what = match &fact.put {
                None => What::Delete,
                Some(version) => What::Put(Version {
                    life: version.life.or_else(|| known.life_at(*revision)),
                    ..version.clone()
                }),
            };
            known.stretch(what, place, fact.until, next(at + 1), Some(*revision));
        }
        Timeline::new(entries)
    }
}

/// A timeline that is being put together.
struct Known<'k> {
    entries: &'k mut Vec<(Place, What)>,
    /// What is there right before the next event, as far as it is known.
    state: Option<Option<Life>>,
    absent: &'k [i64],
    quiet: &'k [Revisions],
}

impl Known<'_> {
    /// The life of what is put next, if it is known what it follows.
    fn life_at(&self, revision: i64) -> Option<Life> {
        match self.state? {
            None => Some(Life {
                created: revision,
                version: 1,
            }),
            Some(life) => Some(Life {
                created: life.created,
                version: life.version + 1,
            }),
        }
    }

    /// From something that happened up to what happens next: how far it is known,
    /// and what is known beyond.
    fn stretch(
        &mut self,
        what: What,
        place: Place,
        until: i64,
        next: Option<(i64, &Fact)>,
        put_at: Option<i64>,
    ) {
        let end = next.map_or(i64::MAX, |(revision, _)| revision - 1);
        let life = match &what {
            What::Put(version) => version.life,
            _ => None,
        };
        let is_put = matches!(what, What::Put(_));
        let mut reach = onward(self.quiet, until).min(end);
        let before = next.map_or(Before::NotTold, |(revision, fact)| fact.before(revision));
        if is_put {
            // The next version of the same life follows at once.
            let next_life = next.and_then(|(_, fact)| fact.put.as_ref()?.life);
            let follows = match (life, next_life) {
                (Some(life), Some(next)) => {
                    next.created == life.created && next.version == life.version + 1
                }
                _ => false,
            };
            if follows || put_at.is_some_and(|at| before == Before::Put(at)) {
                reach = end;
            }
        }
        // Where else it is known not to exist.
        let mut absences: Vec<Revisions> = Vec::new();
        let from = place.revision + i64::from(is_put);
        let first = self.absent.partition_point(|at| *at < from);
        let told = self.absent[first..].iter().take_while(|at| **at <= end);
        let told = told.copied().chain(match before {
            Before::Absent => Some(end),
            _ => None,
        });
        for at in told {
            absences.push(Revisions {
                from: since(self.quiet, at).max(from),
                to: onward(self.quiet, at).min(end),
            });
        }
        self.entries.push((place, what));
        let mut known_to = reach;
        let mut exists = is_put;
        for absence in joined(absences) {
            if absence.to <= known_to {
                continue;
            }
            if absence.from > known_to.saturating_add(1) {
                self.mark(known_to + 1, What::Unknown);
                self.mark(absence.from, What::Absent);
            } else if exists {
                self.mark((known_to + 1).max(absence.from), What::Absent);
            }
            exists = false;
            known_to = absence.to;
        }
        if known_to < end {
            self.mark(known_to + 1, What::Unknown);
            self.state = None;
        } else {
            self.state = match exists {
                false => Some(None),
                true => life.map(Some),
            };
        }
    }

    fn mark(&mut self, revision: i64, what: What) {
        self.entries.push((Place { revision, sub: 0 }, what));
    }
}
