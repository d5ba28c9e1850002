//! What a call speaks of that another call made: the revision that its guard asks
//! for, its lease.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::record::traffic::{Call, Said};
use pb::compare::TargetUnion;
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

/// Which call made last what others speak of, in the order of revisions.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// Keys that guards speak of.
    writers: BTreeMap<Bytes, u32>,
    granted: FxHashMap<i64, u32>,
}

/// What a request has that matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Numbers for which the target may have others.
    pub numbered: bool,
    /// It is a Txn with a guard.
    pub is_guarded: bool,
    /// The keys that its guard speaks of.
    pub guarded: Vec<Bytes>,
}

impl Causes {
    /// A key was written.
    pub fn wrote(&mut self, key: &Bytes, by: u32) {
        self.writers.insert(key.clone(), by);
    }

    /// If the call granted a lease.
    pub fn granted(&mut self, call: &Call, by: u32) {
        if call.method() == Method::LeaseGrant
            && let Some(answer) = call
                .response
                .as_ref()
                .and_then(Said::decode::<pb::LeaseGrantResponse>)
        {
            self.granted.insert(answer.id, by);
        }
    }

    /// The calls that made what this one speaks of.
    pub fn of(&self, call: &Call) -> Vec<u32> {
        let Some(request) = &call.request else {
            return Vec::new();
        };
        let mut found = Vec::new();
        match call.method() {
            Method::Txn => {
                if let Some(asked) = request.decode::<pb::TxnRequest>() {
                    self.of_txn(&asked, &mut found);
                }
            }
            Method::Put => {
                if let Some(asked) = request.decode::<pb::PutRequest>() {
                    self.of_lease(asked.lease, &mut found);
                }
            }
            Method::LeaseRevoke => {
                if let Some(asked) = request.decode::<pb::LeaseRevokeRequest>() {
                    self.of_lease(asked.id, &mut found);
                }
            }
            Method::LeaseTimeToLive => {
                if let Some(asked) = request.decode::<pb::LeaseTimeToLiveRequest>() {
                    self.of_lease(asked.id, &mut found);
                }
            }
            _ => {}
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn of_lease(&self, id: i64, found: &mut Vec<u32>) {
        found.extend(self.granted.get(&id));
    }

    fn of_txn(&self, asked: &pb::TxnRequest, found: &mut Vec<u32>) {
        for compare in &asked.compare {
            found.extend(self.writers.get(&compare.key));
        }
        for op in asked.success.iter().chain(&asked.failure) {
            match &op.request {
                Some(AskedOp::RequestPut(op)) => self.of_lease(op.lease, found),
                Some(AskedOp::RequestTxn(op)) => self.of_txn(op, found),
                _ => {}
            }
        }
    }

    /// Takes in what a call wrote, as far as guards speak of it; whether they do.
    pub fn made(&mut self, call: &Call, by: u32, guarded: &FxHashSet<Bytes>) -> bool {
        let mut any = false;
        written(call, |key, end| {
            if end.is_empty() {
                if guarded.contains(key) {
                    any = true;
                    self.wrote(key, by);
                }
                return;
            }
            let all = end[..] == [0];
            for (known, writer) in self.writers.range_mut(key.clone()..) {
                if !all && *known >= *end {
                    break;
                }
                any = true;
                *writer = by;
            }
        });
        any
    }
}

/// Tells which keys a recorded call wrote or deleted, with the end where it is a
/// range.
fn written(call: &Call, mut tell: impl FnMut(&Bytes, &Bytes)) {
    let (Some(request), Some(response)) = (&call.request, &call.response) else {
        return;
    };
    match call.method() {
        Method::Put => {
            if let Some(asked) = request.decode::<pb::PutRequest>() {
                tell(&asked.key, &Bytes::new());
            }
        }
        Method::DeleteRange => {
            if let Some(asked) = request.decode::<pb::DeleteRangeRequest>() {
                tell(&asked.key, &asked.range_end);
            }
        }
        Method::Txn => {
            if let (Some(asked), Some(answer)) = (
                request.decode::<pb::TxnRequest>(),
                response.decode::<pb::TxnResponse>(),
            ) {
                written_by_txn(&asked, &answer, &mut tell);
            }
        }
        _ => {}
    }
}

/// The same of a Txn that was answered so.
pub(super) fn written_by_txn(
    asked: &pb::TxnRequest,
    answer: &pb::TxnResponse,
    tell: &mut impl FnMut(&Bytes, &Bytes),
) {
    let ops = match answer.succeeded {
        true => &asked.success,
        false => &asked.failure,
    };
    for (op, answer) in ops.iter().zip(&answer.responses) {
        match (&op.request, &answer.response) {
            (Some(AskedOp::RequestPut(asked)), _) => tell(&asked.key, &Bytes::new()),
            (Some(AskedOp::RequestDeleteRange(asked)), _) => tell(&asked.key, &asked.range_end),
            (Some(AskedOp::RequestTxn(asked)), Some(AnsweredOp::ResponseTxn(answer))) => {
                written_by_txn(asked, answer, tell);
            }
            _ => {}
        }
    }
}

/// What a request has that matters.
pub(super) fn facts(method: Method, request: &Bytes) -> Facts {
    let mut facts = Facts::default();
    match method {
        Method::Range => {
            facts.numbered = pb::RangeRequest::decode(request.clone())
                .is_ok_and(|asked| range_is_numbered(&asked));
        }
        Method::Put => {
            facts.numbered =
                pb::PutRequest::decode(request.clone()).is_ok_and(|asked| asked.lease != 0);
        }
        Method::Txn => {
            if let Ok(asked) = pb::TxnRequest::decode(request.clone()) {
                facts.is_guarded = !asked.compare.is_empty();
                facts.txn(&asked);
            }
        }
        Method::Compact | Method::LeaseRevoke | Method::LeaseTimeToLive => facts.numbered = true,
        _ => {}
    }
    facts
}

fn range_is_numbered(asked: &pb::RangeRequest) -> bool {
    asked.revision != 0
        || asked.min_mod_revision != 0
        || asked.max_mod_revision != 0
        || asked.min_create_revision != 0
        || asked.max_create_revision != 0
}

impl Facts {
    fn txn(&mut self, asked: &pb::TxnRequest) {
        for compare in &asked.compare {
            self.guarded.push(compare.key.clone());
            self.numbered |= matches!(
                compare.target_union,
                Some(
                    TargetUnion::CreateRevision(1..)
                        | TargetUnion::ModRevision(1..)
                        | TargetUnion::Lease(1..)
                )
            );
        }
        for op in asked.success.iter().chain(&asked.failure) {
            match &op.request {
                Some(AskedOp::RequestRange(op)) => self.numbered |= range_is_numbered(op),
                Some(AskedOp::RequestPut(op)) => self.numbered |= op.lease != 0,
                Some(AskedOp::RequestTxn(op)) => self.txn(op),
                Some(AskedOp::RequestDeleteRange(_)) | None => {}
            }
        }
    }
}
