//! Leases that expired. etcd revokes them by itself, and the model, which has no
//! clock, only knows revocations that somebody asked for: each is told as one.
//!
//! That a lease expired is known from watches: a key that it held was deleted, at a
//! revision that is nobody's. A lease that held nothing leaves no trace, and needs
//! none.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::model::{EtcdRequest, Lease, MaybeEtcdResponse, operation};
use crate::etcd::schema::mvccpb;
use crate::etcd::schema::mvccpb::event::EventType;

/// What is known of leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    granted: FxHashMap<i64, Granted>,
    /// Which lease holds a key, and since which revision.
    holds: FxHashMap<Box<[u8]>, (i64, i64)>,
    /// Deletions of keys that leases held, by revision.
    deleted: BTreeMap<i64, Deleted>,
    /// The revisions of deletions that somebody asked for.
    asked: FxHashSet<i64>,
    /// Keys and leases of which somebody asked that they go, and saw no answer.
    maybe_deleted: FxHashSet<String>,
    maybe_revoked: FxHashSet<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Granted {
    conn: u64,
    /// It cannot have expired before.
    until: i64,
}

#[derive(Debug)]
struct Deleted {
    lease: i64,
    keys: Vec<Box<[u8]>>,
    /// When the first watch was told.
    at: i64,
}

/// An expiry, as the report has it.
#[derive(Debug, PartialEq)]
pub(super) struct Expired {
    pub conn: u64,
    pub lease: i64,
    pub revision: i64,
    /// It happened between these.
    pub call: i64,
    pub returned: i64,
}

impl Leases {
    /// What was done. Times are the report's.
    pub fn done(&mut self, conn: u64, asked: &EtcdRequest, call: i64, output: &MaybeEtcdResponse) {
        if let Some(Lease { lease_id, ttl }) = asked.lease_grant {
            let until = call.saturating_add(ttl.max(0).saturating_mul(1_000_000_000));
            self.granted.insert(lease_id, Granted { conn, until });
        }
        let deletes = output
            .txn
            .as_ref()
            .is_some_and(|txn| txn.results.iter().any(|result| result.deleted > 0));
        if deletes || output.lease_revoke.is_some() {
            self.asked.insert(output.revision);
        }
    }

    /// What may have been done.
    pub fn perhaps_done(&mut self, asked: &EtcdRequest) {
        if let Some(revoked) = asked.lease_revoke {
            self.maybe_revoked.insert(revoked.lease_id);
        }
        let Some(txn) = &asked.txn else { return };
        let operations = [&txn.operations_on_success, &txn.operations_on_failure];
        for op in operations.into_iter().flatten().flatten() {
            if op.r#type == operation::DELETE {
                self.maybe_deleted.insert(op.delete.key.clone());
            }
        }
    }

    /// What a watch was told.
    pub fn saw(&mut self, event: &mvccpb::Event, at: i64) {
        let Some(kv) = &event.kv else { return };
        let before = self.holds.get(kv.key.as_ref()).copied();
        let newer = before.is_none_or(|(since, _)| since < kv.mod_revision);
        if event.r#type() == EventType::Put {
            if newer && kv.lease != 0 {
                let held = (kv.mod_revision, kv.lease);
                self.holds.insert(kv.key.as_ref().into(), held);
            } else if newer {
                self.holds.remove(kv.key.as_ref());
            }
            return;
        }
        // What the event says itself goes before what earlier ones said.
        let lease = match &event.prev_kv {
            Some(kv) => kv.lease,
            None => before.filter(|_| newer).map_or(0, |(_, lease)| lease),
        };
        if newer {
            self.holds.remove(kv.key.as_ref());
        }
        if lease == 0 {
            return;
        }
        let deleted = self.deleted.entry(kv.mod_revision).or_insert(Deleted {
            lease,
            keys: Vec::new(),
            at,
        });
        deleted.at = deleted.at.min(at);
        if !deleted.keys.iter().any(|key| **key == *kv.key) {
            deleted.keys.push(kv.key.as_ref().into());
        }
    }

    /// The leases that expired, in order, once all has been told.
    pub fn expired(&self) -> impl Iterator<Item = Expired> {
        self.deleted.iter().filter_map(|(revision, deleted)| {
            let granted = self.granted.get(&deleted.lease)?;
            let by_somebody = self.asked.contains(revision)
                || self.maybe_revoked.contains(&deleted.lease)
                || deleted.keys.iter().any(|key| {
                    let key = String::from_utf8_lossy(key);
                    self.maybe_deleted.contains(key.as_ref())
                });
            let expired = !by_somebody && granted.until < deleted.at;
            expired.then_some(Expired {
                conn: granted.conn,
                lease: deleted.lease,
                revision: *revision,
                call: granted.until,
                returned: deleted.at,
            })
        })
    }
}
