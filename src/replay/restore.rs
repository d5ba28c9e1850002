//! What a snapshot holds, written to the target.
//!
//! All of it, in its order: of keys that were there when the store was compacted their
//! last version, and from then on every write and deletion, each revision as one of the
//! target's. So revisions keep their order and are numbered, and also watches and reads
//! that go back behind the recording find what they should.

use std::collections::BTreeSet;
use std::future::Future;

use prost::Message as _;

use super::drive::Replay;
use super::presupposed::{Foreign, LEASE_TTL, MOST_AT_ONCE};
use super::report::{Ended, Restored};
use super::target::Lost;
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::KeyValue;
use crate::snapshot::{Change, ReadAt, Snapshot, State};

/// What is written at once: of one revision, and no key twice.
#[derive(Debug, Default)]
struct Batch {
    revision: i64,
    foreigns: Vec<Foreign>,
    kvs: Vec<KeyValue>,
}

impl Batch {
    fn takes(&self, change: &Change) -> bool {
        self.revision == change.revision
            && self.foreigns.len() < MOST_AT_ONCE
            && !self
                .foreigns
                .iter()
                .any(|foreign| foreign.key == change.key)
    }

    fn add(&mut self, change: Change) {
        self.revision = change.revision;
        let put = change.put.as_ref().map(|kv| (kv.value.clone(), kv.lease));
        let key = change.key;
        self.foreigns.push(Foreign { key, put });
        self.kvs.extend(change.put);
    }
}

impl Replay<'_> {
    /// Writes what a snapshot holds before anything is driven, until `stop` is ready;
    /// tells `progress` how many writes are done, of how many. If it does not come to
    /// its end, nothing is driven.
    pub async fn restore<R: ReadAt>(
        &mut self,
        snapshot: &Snapshot<R>,
        stop: impl Future<Output = ()>,
        progress: impl FnMut(u64, u64),
    ) {
        self.report.restored = Some(Restored {
            revision: snapshot.state.revision,
            ..Restored::default()
        });
        let done = tokio::select! {
            biased;
            () = stop => {
                self.report.ended = Ended::Interrupted;
                return;
            }
            done = self.restore_all(snapshot, progress) => done,
        };
        if let Err(Lost(reason)) = done {
            self.report.ended = Ended::Lost(reason);
        }
    }

    async fn restore_all<R: ReadAt>(
        &mut self,
        snapshot: &Snapshot<R>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), Lost> {
        let state = &snapshot.state;
        for (&id, &ttl) in &state.leases {
            self.keep_leases().await?;
            self.lease(id, ttl).await?;
        }
        self.told(|restored| restored.leases = state.leases.len() as u64);
        // Leases that were over when the snapshot was taken.
        let mut former = BTreeSet::new();
        let mut batch = Batch::default();
        for change in snapshot.changes() {
            let change = change.map_err(|refusal| Lost(format!("the snapshot {refusal}")))?;
            if !batch.takes(&change) && !batch.foreigns.is_empty() {
                let batch = std::mem::take(&mut batch);
                self.write(batch, state, &mut former).await?;
                progress(self.written(), state.changes);
            }
            batch.add(change);
        }
        self.write(batch, state, &mut former).await?;
        let held: BTreeSet<i64> = state.keys.values().map(|kept| kept.lease).collect();
        for lease in former.difference(&held) {
            self.revoke(*lease).await?;
        }
        match self.numbers.revision(state.compacted) {
            1.. if state.compacted > 0 => self.compact(state.compacted).await,
            _ => Ok(()),
        }
    }

    async fn write(
        &mut self,
        batch: Batch,
        state: &State,
        former: &mut BTreeSet<i64>,
    ) -> Result<(), Lost> {
        if batch.foreigns.is_empty() {
            return Ok(());
        }
        self.keep_leases().await?;
        for kv in &batch.kvs {
            if kv.lease != 0 && !state.leases.contains_key(&kv.lease) && former.insert(kv.lease) {
                self.lease(kv.lease, LEASE_TTL).await?;
            }
        }
        let what = "what the snapshot holds";
        self.presuppose(batch.revision, &batch.foreigns, what)
            .await?;
        for kv in &batch.kvs {
            self.numbers.restored(kv, state.compacted);
        }
        self.told(|restored| restored.changes += batch.foreigns.len() as u64);
        Ok(())
    }

    fn told(&mut self, tell: impl FnOnce(&mut Restored)) {
        tell(self.report.restored.get_or_insert_default());
    }

    fn written(&self) -> u64 {
        self.report.restored.map_or(0, |restored| restored.changes)
    }

    /// Ends a lease that no key is attached to any more.
    async fn revoke(&mut self, id: i64) -> Result<(), Lost> {
        self.leases.remove(&id);
        let asked = pb::LeaseRevokeRequest { id }.encode_to_vec().into();
        let path = "/etcdserverpb.Lease/LeaseRevoke";
        let answered = self
            .target
            .unary(path, asked, self.options.patience)
            .await?;
        // One that is not there is as good.
        drop(answered);
        Ok(())
    }

    /// What the snapshot's store had forgotten, the target forgets as well.
    async fn compact(&mut self, recorded: i64) -> Result<(), Lost> {
        let asked = pb::CompactionRequest {
            revision: self.numbers.revision(recorded),
            physical: false,
        };
        let asked = asked.encode_to_vec().into();
        let path = "/etcdserverpb.KV/Compact";
        let answered = self
            .target
            .unary(path, asked, self.options.patience)
            .await?;
        self.numbers.compacted(recorded);
        // It may have been compacted further, if it was not new.
        drop(answered);
        Ok(())
    }
}
