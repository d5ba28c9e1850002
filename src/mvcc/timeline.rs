//! What is known of one key, revision by revision.

use bytes::Bytes;

/// Where something happened: the revision, and its place among what the same
/// transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The revision.
    pub revision: i64,
    /// From 0.
    pub sub: u32,
}

/// A key from its creation to its deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// The revision that created it.
    pub created: i64,
    /// Which of its versions this is, from 1.
    pub version: i64,
}

/// A value as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `None` if nobody told.
    pub life: Option<Life>,
    /// `None` if nobody told.
    pub value: Option<Bytes>,
    /// The lease it hangs on; 0: none.
    pub lease: i64,
    /// The value, or a part of it, was hidden when it was recorded.
    pub hidden: bool,
}

/// What happened to a key, or what is known of it from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was put.
    Put(Version),
    /// It was deleted.
    Delete,
    /// From here on it is known that it did not exist; nobody told when it went.
    Absent,
    /// From here on nobody told.
    Unknown,
}

/// The state of a key.
#[derive(Debug, Clone, Copy)]
pub enum State<'s> {
    /// It exists, as it was put at that place.
    Present(Place, &'s Version),
    /// It does not exist.
    Absent,
    /// Nobody told.
    Unknown,
}

/// What is known of one key, in order. Before the first entry the knowledge of
/// the store counts.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    entries: Vec<(Place, What)>,
}

impl Timeline {
    /// One whose entries are known.
    pub(super) fn new(entries: Vec<(Place, What)>) -> Timeline {
        debug_assert!(entries.is_sorted_by_key(|(place, _)| *place));
        Timeline { entries }
    }

    /// Where what comes after a revision begins.
    fn after(&self, revision: i64) -> usize {
        self.entries
            .partition_point(|(place, _)| place.revision <= revision)
    }

    /// The state at a revision; `None` before the first entry.
    pub fn at(&self, revision: i64) -> Option<State<'_>> {
        let after = self.after(revision);
        let (place, what) = self.entries.get(after.checked_sub(1)?)?;
        Some(match what {
            What::Put(version) => State::Present(*place, version),
            What::Delete | What::Absent => State::Absent,
            What::Unknown => State::Unknown,
        })
    }

    /// What happened in these revisions, both ends included.
    pub fn between(&self, from: i64, to: i64) -> &[(Place, What)] {
        let first = self.after(from - 1);
        let after = self.after(to);
        self.entries.get(first..after).unwrap_or_default()
    }

    /// Adds what happened next.
    pub(super) fn push(&mut self, place: Place, what: What) {
        self.entries.push((place, what));
    }

    /// Takes back what happened from a revision on; says whether anything is left.
    pub(super) fn take_back(&mut self, from: i64) -> bool {
        while self
            .entries
            .pop_if(|(place, _)| place.revision >= from)
            .is_some()
        {}
        !self.entries.is_empty()
    }

    /// Cuts off what comes after a revision.
    pub(super) fn split_after(&mut self, revision: i64) -> Vec<(Place, What)> {
        let after = self.after(revision);
        self.entries.split_off(after)
    }

    /// Forgets what a compaction forgets; says whether anything is left. Of a key that
    /// did not exist then, nothing is left if `known` says so elsewhere.
    pub(super) fn compact(&mut self, revision: i64, known: impl FnOnce() -> bool) -> bool {
        let after = self.after(revision);
        if let Some(last) = after.checked_sub(1) {
            let stays = match self.entries[last].1 {
                What::Put(_) | What::Unknown => true,
                What::Delete | What::Absent => !known(),
            };
            self.entries.drain(..if stays { last } else { after });
        }
        !self.entries.is_empty()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
