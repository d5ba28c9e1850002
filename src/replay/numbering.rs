//! Recorded revisions and leases, and the target's for them.

use std::collections::BTreeMap;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::etcd::schema::mvccpb::KeyValue;

/// Which number of the target stands for which of the recording.
///
/// Revisions of writes are known once the write was driven. What a key was before
/// the recording began (its create revision, its version) is learnt where it is
/// seen first, and must be the same from then on.
#[derive(Debug)]
pub struct Numbering {
    /// The target's revision before anything was written.
    base: i64,
    /// The recorded revision that this is, where the target has the state that the
    /// recording presupposes.
    before: Option<i64>,
    revisions: BTreeMap<i64, i64>,
    /// The recorded revision that the target was compacted at before anything was
    /// driven; 0 if it was not.
    compacted: i64,
    /// Create revisions of keys that are older than the recording.
    created: FxHashMap<(Bytes, i64), i64>,
    /// What a version of the target is short of the recorded one; by key and
    /// recorded create revision.
    versions: FxHashMap<(Bytes, i64), i64>,
    leases: FxHashMap<i64, i64>,
}

impl Numbering {
    /// Of a target that is at this revision. `before` is the recorded one of the same
    /// state, if the target has that: then what is older has its own numbers.
    pub fn new(base: i64, before: Option<i64>) -> Numbering {
        Numbering {
            base,
            before,
            revisions: BTreeMap::new(),
            compacted: 0,
            created: FxHashMap::default(),
            versions: FxHashMap::default(),
            leases: FxHashMap::default(),
        }
    }

    /// A recorded write was committed at the target's revision.
    pub fn wrote(&mut self, recorded: i64, target: i64) {
        self.revisions.insert(recorded, target);
    }

    /// The target came to a revision by something whose own revision nobody knows.
    pub fn reached(&mut self, recorded: i64, target: i64) {
        self.revisions.entry(recorded).or_insert(target);
    }

    /// The target was compacted where the recorded etcd was, at this revision of it.
    pub fn compacted(&mut self, recorded: i64) {
        self.compacted = recorded;
    }

    /// The revision that is read at for a recorded one.
    pub fn read_at(&self, recorded: i64) -> i64 {
        self.forgotten(recorded, self.revision(recorded))
    }

    /// The revision that a watch begins at for a recorded one.
    pub fn watched_from(&self, recorded: i64) -> i64 {
        self.forgotten(recorded, self.start(recorded))
    }

    /// What was forgotten by a compaction is forgotten at the target as well, though
    /// the last that is left of it may stand where the compaction does.
    fn forgotten(&self, recorded: i64, target: i64) -> i64 {
        match recorded > 0 && recorded < self.compacted {
            true => target.min(self.revision(self.compacted) - 1).max(1),
            false => target,
        }
    }

    /// The state that the recording calls by this revision. 0 stays 0: it means no
    /// revision wherever it stands.
    pub fn revision(&self, recorded: i64) -> i64 {
        if recorded <= 0 {
            return recorded;
        }
        let at_or_before = self.revisions.range(..=recorded).next_back();
        match (at_or_before, self.before) {
            (Some((_, target)), _) => *target,
            (None, Some(before)) if recorded < before => recorded.min(self.base),
            (None, _) => self.base,
        }
    }

    /// The revision at which a key was written that the recording says was written at
    /// this one.
    pub fn modified(&self, recorded: i64) -> i64 {
        match self.before {
            Some(before) if recorded == before && !self.revisions.contains_key(&recorded) => {
                recorded.min(self.base)
            }
            _ => self.revision(recorded),
        }
    }

    /// The first revision of the target that is not before this one: where a watch
    /// begins.
    pub fn start(&self, recorded: i64) -> i64 {
        match recorded {
            ..=0 => recorded,
            1 => self.revision(1),
            _ => match self.revisions.get(&recorded) {
                Some(target) => *target,
                None => self.revision(recorded - 1) + 1,
            },
        }
    }

    /// The same where writes are not done in order: the first revision of the target
    /// that has nothing before it of what was recorded from this one on.
    pub fn start_of_all(&self, recorded: i64) -> i64 {
        if recorded <= 0 {
            return recorded;
        }
        let later = self.revisions.range(recorded..).map(|(_, target)| *target);
        later.fold(self.start(recorded), i64::min)
    }

    /// The create revision of a key; `seen` is what the target says, from which is
    /// learnt what cannot be known.
    pub fn create_revision(&mut self, key: &Bytes, recorded: i64, seen: Option<i64>) -> i64 {
        if recorded <= 0 {
            return recorded;
        }
        // Of the key before of the revision: there may be others that it wrote.
        let known = (key.clone(), recorded);
        if let Some(target) = self.created.get(&known) {
            return *target;
        }
        if let Some(target) = self.revisions.get(&recorded) {
            return *target;
        }
        match seen {
            Some(seen) if seen > 0 => {
                self.created.insert(known, seen);
                seen
            }
            _ => self.modified(recorded),
        }
    }

    /// The version of a key, likewise.
    pub fn version(&mut self, key: &Bytes, created: i64, recorded: i64, seen: Option<i64>) -> i64 {
        if recorded <= 0 {
            return recorded;
        }
        let known = (key.clone(), created);
        if let Some(short) = self.versions.get(&known) {
            return recorded - short;
        }
        if self.revisions.contains_key(&created) {
            return recorded;
        }
        match seen {
            Some(seen) if seen > 0 => {
                self.versions.insert(known, recorded - seen);
                seen
            }
            _ => recorded,
        }
    }

    /// A version of a key was written from a snapshot whose store was compacted at a
    /// revision. What the snapshot has of the key begins in the midst of its life.
    pub fn restored(&mut self, kv: &KeyValue, compacted: i64) {
        // A life that began later is there from its beginning.
        if kv.create_revision > compacted {
            return;
        }
        let target = self.modified(kv.mod_revision);
        let known = || (Bytes::copy_from_slice(&kv.key), kv.create_revision);
        // What is older counts: it is in the same life.
        self.created.entry(known()).or_insert(target);
        self.versions.entry(known()).or_insert(kv.version - 1);
    }

    /// A lease was granted by another number.
    pub fn granted(&mut self, recorded: i64, target: i64) {
        self.leases.insert(recorded, target);
    }

    /// The target's number of a lease; one that is not known keeps its own.
    pub fn lease(&self, recorded: i64) -> i64 {
        self.leases.get(&recorded).copied().unwrap_or(recorded)
    }
}
