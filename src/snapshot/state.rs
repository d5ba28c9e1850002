//! What etcd keeps in its database: revisions of keys, leases, how far it was
//! compacted (`server/storage/mvcc`, `server/storage/schema` of etcd).

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::bolt::{Bolt, Bucket, Entries, Entry};
use super::{ReadAt, Refusal, trailer};
use crate::etcd::schema::mvccpb::KeyValue;

/// A revision as a key: eight bytes, `_`, eight bytes.
const REVISION: usize = 17;

/// What stands behind the revision of a deletion.
const DELETED: u8 = b't';

/// A snapshot.
#[derive(Debug)]
pub struct Snapshot<R> {
    bolt: Bolt<R>,
    changes: Bucket,
    /// What the store was.
    pub state: State,
}

/// What a store was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Its revision.
    pub revision: i64,
    /// The revision that it was compacted at; 0 if it never was.
    pub compacted: i64,
    /// The keys that were there.
    pub keys: BTreeMap<Bytes, Kept>,
    /// The leases that were there, and how long each lives from its last keepalive, in
    /// seconds.
    pub leases: BTreeMap<i64, i64>,
    /// Writes and deletions in the snapshot: of those before the compaction, the last
    /// of each key.
    pub changes: u64,
}

/// A key that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The revision that wrote it.
    pub revision: i64,
    /// The lease that it is attached to; 0 if to none.
    pub lease: i64,
}

/// A key that was written or deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The revision that did it.
    pub revision: i64,
    /// The key.
    pub key: Bytes,
    /// What it became; `None` if it was deleted.
    pub put: Option<KeyValue>,
}

/// A lease as etcd stores it (`lease/leasepb`).
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Lease {
    #[prost(int64, tag = "1")]
    pub id: i64,
    #[prost(int64, tag = "2")]
    pub ttl: i64,
}

impl<R: ReadAt> Snapshot<R> {
    /// Reads the whole of it once: the hash at its end, and what the store was.
    ///
    /// # Errors
    /// If it is no snapshot, not whole, or damaged.
    pub fn open(file: R) -> Result<Snapshot<R>, Refusal> {
        let length = trailer::database(&file)?;
        let bolt = Bolt::open(file, length)?;
        let changes = bolt.bucket(b"key")?;
        let changes = changes.ok_or(Refusal::NoSnapshot("there is no bucket of keys in it"))?;
        let mut snapshot = Snapshot {
            state: State {
                revision: 1,
                ..State::default()
            },
            bolt,
            changes,
        };
        snapshot.state.compacted = snapshot.compaction()?;
        snapshot.state.leases = snapshot.leases()?;
        snapshot.look_through()?;
        Ok(snapshot)
    }

    /// All that was written and deleted, in order.
    pub fn changes(&self) -> Changes<'_, R> {
        Changes(self.bolt.entries(&self.changes))
    }

    fn compaction(&self) -> Result<i64, Refusal> {
        let mut compacted = 0;
        let Some(meta) = self.bolt.bucket(b"meta")? else {
            return Ok(0);
        };
        for entry in self.bolt.entries(&meta) {
            let entry = entry?;
            // One that was only begun is ended when etcd starts.
            if matches!(&*entry.key, b"finishedCompactRev" | b"scheduledCompactRev") {
                let (at, _) = revision(&entry.value)
                    .ok_or(Refusal::Content("its compaction is at no revision"))?;
                compacted = at.max(compacted);
            }
        }
        Ok(compacted)
    }

    fn leases(&self) -> Result<BTreeMap<i64, i64>, Refusal> {
        let Some(bucket) = self.bolt.bucket(b"lease")? else {
            return Ok(BTreeMap::new());
        };
        let leases = self.bolt.entries(&bucket).map(|entry| {
            let lease = Lease::decode(entry?.value);
            let lease = lease.map_err(|_| Refusal::Content("a lease of it cannot be read"))?;
            Ok((lease.id, lease.ttl))
        });
        leases.collect()
    }

    fn look_through(&mut self) -> Result<(), Refusal> {
        let mut state = std::mem::take(&mut self.state);
        for change in self.changes() {
            let change = change?;
            state.changes += 1;
            state.revision = state.revision.max(change.revision);
            match change.put {
                Some(kv) => {
                    let kept = Kept {
                        revision: change.revision,
                        lease: kv.lease,
                    };
                    match state.keys.get_mut(&change.key) {
                        Some(there) => *there = kept,
                        // Bytes of its own: a slice would keep the whole page.
                        None => {
                            let key = Bytes::copy_from_slice(&change.key);
                            state.keys.insert(key, kept);
                        }
                    }
                }
                None => {
                    state.keys.remove(&change.key);
                }
            }
        }
        state.revision = state.revision.max(state.compacted);
        self.state = state;
        Ok(())
    }
}

/// What was written and deleted, in order. After an error nothing comes.
#[derive(Debug)]
pub struct Changes<'s, R>(Entries<'s, R>);

impl<R: ReadAt> Iterator for Changes<'_, R> {
    type Item = Result<Change, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next()?;
        Some(entry.and_then(|entry| change(&entry)))
    }
}

fn change(entry: &Entry) -> Result<Change, Refusal> {
    let wrong = Refusal::Content;
    let (at, rest) = revision(&entry.key).ok_or(wrong("a key is at no revision"))?;
    let kv = KeyValue::decode(entry.value.clone())
        .map_err(|_| wrong("a key and its value cannot be read"))?;
    let put = match rest {
        [] => {
            let created = kv.create_revision;
            if kv.mod_revision != at || created < 1 || created > at || kv.version < 1 {
                return Err(wrong("a key is not of the revision that it stands at"));
            }
            Some(kv.clone())
        }
        [DELETED] => None,
        _ => return Err(wrong("a key is at no revision")),
    };
    Ok(Change {
        revision: at,
        key: kv.key,
        put,
    })
}

/// The main part of a revision that bytes begin with, and what is behind it.
fn revision(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (revision, rest) = bytes.split_at_checked(REVISION)?;
    let main = u64::from_be_bytes(revision.get(..8)?.try_into().ok()?);
    let main = i64::try_from(main).ok()?;
    (revision[8] == b'_' && main > 0).then_some((main, rest))
}
