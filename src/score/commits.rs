//! What was committed in each range that is watched, and when.
//!
//! A change is known from the answer to its write, or from the first event that
//! shows it on any watch: so that one watch's events are held against another's.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use super::fact::{Moment, Range};

/// Commits that are remembered of one range.
pub(super) const COMMITS_MAX: usize = 1024;

/// Ranges that are followed.
const RANGES_MAX: usize = 65_536;

/// A key in one number; two keys of one revision hardly share it.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}

/// A committed change.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub revision: i64,
    pub hash: u64,
    pub key: Arc<[u8]>,
    /// When its answer or its first event passed.
    pub at: Moment,
}

/// A range that is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub range: Range<'static>,
    /// By revision.
    pub commits: VecDeque<Commit>,
    /// The watches on it.
    pub slots: Vec<usize>,
}

impl Watched {
    /// Commits with revisions beyond `after`, the oldest first.
    pub fn beyond(&self, after: i64) -> impl Iterator<Item = &Commit> {
        let from = self.commits.partition_point(|one| one.revision <= after);
        self.commits.range(from..)
    }

    /// The commit of this key at this revision.
    pub fn find(&self, revision: i64, hash: u64) -> Option<&Commit> {
        let mut here = self.beyond(revision.saturating_sub(1));
        here.by_ref()
            .take_while(|one| one.revision == revision)
            .find(|one| one.hash == hash)
    }

    /// Puts a commit in its place; `false` if it was there.
    pub fn insert(&mut self, commit: Commit) -> bool {
        let at = self
            .commits
            .partition_point(|one| (one.revision, one.hash) < (commit.revision, commit.hash));
        let there = self
            .commits
            .get(at)
            .is_some_and(|one| (one.revision, one.hash) == (commit.revision, commit.hash));
        if !there {
            self.commits.insert(at, commit);
        }
        !there
    }
}

/// All ranges that are watched.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges {
    pub all: Vec<Watched>,
    by_range: FxHashMap<Range<'static>, usize>,
    /// Ranges that are all keys with a prefix, and single keys, by that.
    by_start: FxHashMap<Box<[u8]>, Vec<usize>>,
    /// All others.
    odd: Vec<usize>,
    /// The lengths that prefixes have, so that not all must be tried.
    lengths: Vec<usize>,
}

impl Ranges {
    /// The range's number, if it is watched.
    pub fn find(&self, range: &Range<'_>) -> Option<usize> {
        // The map's keys are owned; a borrowed one hashes and compares alike.
        let wanted = Range {
            key: std::borrow::Cow::Borrowed(&*range.key),
            end: std::borrow::Cow::Borrowed(&*range.end),
        };
        self.by_range.get(&wanted).copied()
    }

    /// The range's number; `None` if there are too many.
    pub fn of(&mut self, range: &Range<'_>) -> Option<usize> {
        if let Some(found) = self.find(range) {
            return Some(found);
        }
        if self.all.len() >= RANGES_MAX {
            return None;
        }
        let number = self.all.len();
        let range = range.clone().into_owned();
        if range.end.is_empty() || is_prefix(&range) {
            let length = range.key.len();
            self.by_start
                .entry(range.key.as_ref().into())
                .or_default()
                .push(number);
            if let Err(at) = self.lengths.binary_search(&length) {
                self.lengths.insert(at, length);
            }
        } else {
            self.odd.push(number);
        }
        self.by_range.insert(range.clone(), number);
        self.all.push(Watched {
            range,
            commits: VecDeque::new(),
            slots: Vec::new(),
        });
        Some(number)
    }

    /// Every watched range that holds `key` goes to `found`.
    pub fn holding(&self, key: &[u8], found: &mut Vec<usize>) {
        found.clear();
        for &length in &self.lengths {
            let Some(start) = key.get(..length) else {
                break;
            };
            let here = self.by_start.get(start).into_iter().flatten();
            found.extend(here.filter(|&&one| self.all[one].range.holds(key)));
        }
        let odd = self.odd.iter();
        found.extend(odd.filter(|&&one| self.all[one].range.holds(key)));
    }
}

/// Whether a range is all keys that begin with its first.
fn is_prefix(range: &Range<'_>) -> bool {
    let (key, end) = (&*range.key, &*range.end);
    match (key.split_last(), end.split_last()) {
        (Some((last, head)), Some((next, same))) => {
            head == same && last.checked_add(1) == Some(*next)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn range(key: &'static [u8], end: &'static [u8]) -> Range<'static> {
        Range {
            key: Cow::Borrowed(key),
            end: Cow::Borrowed(end),
        }
    }

    #[test]
    fn a_key_finds_every_range_that_holds_it() {
        let mut ranges = Ranges::default();
        for (key, end) in [
            (&b"/a/"[..], &b"/a0"[..]),
            (b"/a/b/", b"/a/b0"),
            (b"/a/b/c", b""),
            (b"/a/b", b"\0"),
            (b"/a/b/c", b"/a/b/d"),
            (b"/b/", b"/b0"),
        ] {
            ranges.of(&range(key, end));
        }
        let mut found = Vec::new();
        ranges.holding(b"/a/b/c", &mut found);
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4]);
        ranges.holding(b"/b/x", &mut found);
        found.sort_unstable();
        assert_eq!(found, [3, 5]);
        assert_eq!(ranges.find(&range(b"/b/", b"/b0")), Some(5));
    }
}
