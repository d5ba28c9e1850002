//! Leases and the keys that hang on them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::refusal::Refusal;
use super::store::Store;
use crate::etcd::schema::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};

/// Seconds that etcd grants at least, with its usual election time-out.
const LEAST_TTL: i64 = 2;

/// Seconds that etcd grants at most.
const MOST_TTL: i64 = 9_000_000_000;

const SECOND: u64 = 1_000_000_000;

/// Leases and the keys that hang on them.
#[derive(Debug, Default)]
pub struct Leases {
    leases: BTreeMap<i64, Lease>,
    /// What the next lease without a number is called.
    next: i64,
}

#[derive(Debug, Default)]
struct Lease {
    /// In seconds, as granted; `None` if nobody told.
    ttl: Option<i64>,
    /// When it ends, in nanoseconds; `None`: never.
    ends: Option<u64>,
    keys: BTreeSet<Bytes>,
}

impl Leases {
    /// Whether there is such a lease.
    pub fn contains(&self, id: i64) -> bool {
        self.leases.contains_key(&id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Adds a lease of which a recording told. It does not end before it is kept
    /// alive, or [started](Leases::start).
    pub(super) fn known(&mut self, id: i64, ttl: Option<i64>) {
        let lease = self.leases.entry(id).or_default();
        lease.ttl = ttl.or(lease.ttl);
    }

    /// Starts every lease's time again: those of which only the keys are known never
    /// end.
    pub fn start(&mut self, now: u64) {
        for lease in self.leases.values_mut() {
            lease.ends = lease.ttl.map(|ttl| end(now, ttl));
        }
    }

    pub(super) fn attach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
        }
    }

    pub(super) fn detach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// When the next lease ends, in nanoseconds.
    pub fn next_end(&self) -> Option<u64> {
        self.leases.values().filter_map(|lease| lease.ends).min()
    }
}

impl Store {
    /// Answers a LeaseGrant.
    ///
    /// # Errors
    /// As etcd's.
    pub fn lease_grant(
        &mut self,
        asked: &LeaseGrantRequest,
        now: u64,
    ) -> Result<LeaseGrantResponse, Refusal> {
        self.check_writable()?;
        if asked.ttl > MOST_TTL {
            return Err(Refusal::TtlTooLarge);
        }
        let header = Some(self.header());
        let leases = &mut self.leases;
        let id = match asked.id {
            0 => loop {
                leases.next = (leases.next.wrapping_add(1) & i64::MAX).max(1);
                if !leases.contains(leases.next) {
                    break leases.next;
                }
            },
            id => id,
        };
        if leases.contains(id) {
            return Err(Refusal::LeaseExists);
        }
        let ttl = asked.ttl.max(LEAST_TTL);
        let lease = Lease {
            ttl: Some(ttl),
            ends: Some(end(now, ttl)),
            keys: BTreeSet::new(),
        };
        leases.leases.insert(id, lease);
        Ok(LeaseGrantResponse {
            header,
            id,
            ttl,
            error: String::new(),
        })
    }

    /// Answers a LeaseRevoke; the keys that hang on it are deleted.
    ///
    /// # Errors
    /// As etcd's.
    pub fn lease_revoke(
        &mut self,
        asked: &LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Refusal> {
        self.check_writable()?;
        let lease = self.leases.leases.remove(&asked.id);
        let lease = lease.ok_or(Refusal::LeaseNotFound)?;
        self.delete_keys(lease.keys);
        Ok(LeaseRevokeResponse {
            header: Some(self.header()),
        })
    }

    /// Answers a keepalive. A lease that is gone has a TTL of 0.
    pub fn lease_keep_alive(
        &mut self,
        asked: &LeaseKeepAliveRequest,
        now: u64,
    ) -> LeaseKeepAliveResponse {
        let header = Some(self.header());
        let lease = self.leases.leases.get_mut(&asked.id);
        let ttl = lease.map_or(0, |lease| {
            if lease.ends.is_some() {
                lease.ends = lease.ttl.map(|ttl| end(now, ttl));
            }
            // Of one that never ends something has to be said.
            lease.ttl.unwrap_or(LEAST_TTL)
        });
        LeaseKeepAliveResponse {
            header,
            id: asked.id,
            ttl,
        }
    }

    /// Answers a LeaseTimeToLive. A lease that is not there has a TTL of -1.
    ///
    /// # Errors
    /// If nobody told for how long it was granted.
    pub fn lease_time_to_live(
        &self,
        asked: &LeaseTimeToLiveRequest,
        now: u64,
    ) -> Result<LeaseTimeToLiveResponse, Refusal> {
        let mut answer = LeaseTimeToLiveResponse {
            header: Some(self.header()),
            id: asked.id,
            ttl: -1,
            ..LeaseTimeToLiveResponse::default()
        };
        let Some(lease) = self.leases.leases.get(&asked.id) else {
            return Ok(answer);
        };
        let granted = lease.ttl.ok_or_else(|| {
            let what = format!("for how long lease {:x} was granted", asked.id);
            Refusal::Unknown(what.into())
        })?;
        answer.granted_ttl = granted;
        answer.ttl = match lease.ends {
            Some(end) => (end.saturating_sub(now) / SECOND) as i64,
            None => granted,
        };
        if asked.keys {
            answer.keys = lease.keys.iter().cloned().collect();
        }
        Ok(answer)
    }

    /// Answers a LeaseLeases.
    pub fn lease_leases(&self) -> LeaseLeasesResponse {
        let ids = self.leases.leases.keys();
        LeaseLeasesResponse {
            header: Some(self.header()),
            leases: ids.map(|&id| LeaseStatus { id }).collect(),
        }
    }

    /// Ends the leases whose time is over; says how many.
    pub fn expire(&mut self, now: u64) -> usize {
        if self.read_only {
            return 0;
        }
        let over = |lease: &Lease| lease.ends.is_some_and(|end| end <= now);
        let leases = self.leases.leases.iter();
        let ended: Vec<i64> = leases
            .filter(|(_, lease)| over(lease))
            .map(|(&id, _)| id)
            .collect();
        for id in &ended {
            // It was there a moment ago.
            let _ = self.lease_revoke(&LeaseRevokeRequest { id: *id });
        }
        ended.len()
    }
}

fn end(now: u64, ttl: i64) -> u64 {
    now.saturating_add(u64::try_from(ttl).unwrap_or(0).saturating_mul(SECOND))
}
