//! Requests and answers in the target's numbers.

use bytes::Bytes;
use prost::Message;

use super::numbering::Numbering;
use crate::etcd::Method;
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::KeyValue;
use pb::compare::TargetUnion;
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

/// A request as it is put to the target: the recorded bytes, or others where a
/// number in it is another one. `None` if it is no message of its method.
pub fn request(method: Method, recorded: &Bytes, numbers: &Numbering) -> Option<Bytes> {
    fn map<M: Message + Default + PartialEq + Clone>(
        recorded: &Bytes,
        change: impl FnOnce(&mut M),
    ) -> Option<Bytes> {
        let was = M::decode(recorded.clone()).ok()?;
        let mut is = was.clone();
        change(&mut is);
        // What needs no change keeps fields that we do not know.
        Some(match was == is {
            true => recorded.clone(),
            false => is.encode_to_vec().into(),
        })
    }
    match method {
        Method::Range => map(recorded, |asked| range(asked, numbers)),
        Method::Put => map(recorded, |asked| put(asked, numbers)),
        Method::Txn => map(recorded, |asked| txn(asked, numbers)),
        Method::Compact => map(recorded, |asked: &mut pb::CompactionRequest| {
            asked.revision = numbers.revision(asked.revision);
        }),
        Method::LeaseRevoke => map(recorded, |asked: &mut pb::LeaseRevokeRequest| {
            asked.id = numbers.lease(asked.id);
        }),
        Method::LeaseTimeToLive => map(recorded, |asked: &mut pb::LeaseTimeToLiveRequest| {
            asked.id = numbers.lease(asked.id);
        }),
        _ => Some(recorded.clone()),
    }
}

/// A watch as it is asked of the target.
pub fn create(asked: &mut pb::WatchCreateRequest, numbers: &Numbering) {
    asked.start_revision = numbers.watched_from(asked.start_revision);
}

fn range(asked: &mut pb::RangeRequest, numbers: &Numbering) {
    asked.revision = numbers.read_at(asked.revision);
    asked.max_mod_revision = numbers.revision(asked.max_mod_revision);
    asked.max_create_revision = numbers.revision(asked.max_create_revision);
    asked.min_mod_revision = numbers.start(asked.min_mod_revision);
    asked.min_create_revision = numbers.start(asked.min_create_revision);
}

fn put(asked: &mut pb::PutRequest, numbers: &Numbering) {
    asked.lease = numbers.lease(asked.lease);
}

/// A Txn as it is put to the target.
pub(super) fn txn(asked: &mut pb::TxnRequest, numbers: &Numbering) {
    for compare in &mut asked.compare {
        match &mut compare.target_union {
            Some(TargetUnion::CreateRevision(at) | TargetUnion::ModRevision(at)) => {
                *at = numbers.modified(*at);
            }
            Some(TargetUnion::Lease(lease)) => *lease = numbers.lease(*lease),
            Some(TargetUnion::Version(_) | TargetUnion::Value(_)) | None => {}
        }
    }
    for op in asked.success.iter_mut().chain(&mut asked.failure) {
        match &mut op.request {
            Some(AskedOp::RequestRange(op)) => range(op, numbers),
            Some(AskedOp::RequestPut(op)) => put(op, numbers),
            Some(AskedOp::RequestTxn(op)) => txn(op, numbers),
            Some(AskedOp::RequestDeleteRange(_)) | None => {}
        }
    }
}

/// An answer of etcd as it is compared.
pub trait Answer: Message + Default + PartialEq + Clone {
    /// The full name of its type.
    const NAME: &'static str;

    /// Puts it in the target's numbers; `seen` is the target's, from which is learnt
    /// what cannot be known.
    fn map(&mut self, seen: &Self, numbers: &mut Numbering);

    /// Takes out what two etcds never have in common: cluster, member, term.
    fn strip(&mut self);
}

/// A header of which only the revision counts, and that only `exactly` where the
/// answer is bound to it.
fn strip_header(header: &mut Option<pb::ResponseHeader>, exactly: bool) {
    if let Some(header) = header {
        *header = pb::ResponseHeader {
            revision: if exactly { header.revision } else { 0 },
            ..pb::ResponseHeader::default()
        };
    }
}

fn map_header(header: &mut Option<pb::ResponseHeader>, numbers: &Numbering) {
    if let Some(header) = header {
        header.revision = numbers.revision(header.revision);
    }
}

/// A key with its value.
pub fn key_value(kv: &mut KeyValue, seen: Option<&KeyValue>, numbers: &mut Numbering) {
    let seen = seen.filter(|seen| seen.key == kv.key);
    let created = kv.create_revision;
    kv.create_revision =
        numbers.create_revision(&kv.key, created, seen.map(|seen| seen.create_revision));
    kv.version = numbers.version(&kv.key, created, kv.version, seen.map(|seen| seen.version));
    kv.mod_revision = numbers.modified(kv.mod_revision);
    kv.lease = numbers.lease(kv.lease);
}

fn key_values(kvs: &mut [KeyValue], seen: &[KeyValue], numbers: &mut Numbering) {
    for (n, kv) in kvs.iter_mut().enumerate() {
        key_value(kv, seen.get(n), numbers);
    }
}

impl Answer for pb::RangeResponse {
    const NAME: &'static str = "etcdserverpb.RangeResponse";

    fn map(&mut self, seen: &Self, numbers: &mut Numbering) {
        map_header(&mut self.header, numbers);
        key_values(&mut self.kvs, &seen.kvs, numbers);
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, true);
    }
}

impl Answer for pb::PutResponse {
    const NAME: &'static str = "etcdserverpb.PutResponse";

    fn map(&mut self, seen: &Self, numbers: &mut Numbering) {
        map_header(&mut self.header, numbers);
        if let Some(kv) = &mut self.prev_kv {
            key_value(kv, seen.prev_kv.as_ref(), numbers);
        }
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, true);
    }
}

impl Answer for pb::DeleteRangeResponse {
    const NAME: &'static str = "etcdserverpb.DeleteRangeResponse";

    fn map(&mut self, seen: &Self, numbers: &mut Numbering) {
        map_header(&mut self.header, numbers);
        key_values(&mut self.prev_kvs, &seen.prev_kvs, numbers);
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, true);
    }
}

impl Answer for pb::TxnResponse {
    const NAME: &'static str = "etcdserverpb.TxnResponse";

    fn map(&mut self, seen: &Self, numbers: &mut Numbering) {
        map_header(&mut self.header, numbers);
        for (n, op) in self.responses.iter_mut().enumerate() {
            let seen = seen.responses.get(n).and_then(|op| op.response.as_ref());
            match (&mut op.response, seen) {
                (Some(AnsweredOp::ResponseRange(op)), seen) => match seen {
                    Some(AnsweredOp::ResponseRange(seen)) => op.map(seen, numbers),
                    _ => op.map(&Default::default(), numbers),
                },
                (Some(AnsweredOp::ResponsePut(op)), seen) => match seen {
                    Some(AnsweredOp::ResponsePut(seen)) => op.map(seen, numbers),
                    _ => op.map(&Default::default(), numbers),
                },
                (Some(AnsweredOp::ResponseDeleteRange(op)), seen) => match seen {
                    Some(AnsweredOp::ResponseDeleteRange(seen)) => op.map(seen, numbers),
                    _ => op.map(&Default::default(), numbers),
                },
                (Some(AnsweredOp::ResponseTxn(op)), seen) => match seen {
                    Some(AnsweredOp::ResponseTxn(seen)) => op.map(seen, numbers),
                    _ => op.map(&Default::default(), numbers),
                },
                (None, _) => {}
            }
        }
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, true);
        for op in &mut self.responses {
            match &mut op.response {
                Some(AnsweredOp::ResponseRange(op)) => op.strip(),
                Some(AnsweredOp::ResponsePut(op)) => op.strip(),
                Some(AnsweredOp::ResponseDeleteRange(op)) => op.strip(),
                Some(AnsweredOp::ResponseTxn(op)) => op.strip(),
                None => {}
            }
        }
    }
}

impl Answer for pb::CompactionResponse {
    const NAME: &'static str = "etcdserverpb.CompactionResponse";

    fn map(&mut self, _: &Self, _: &mut Numbering) {}

    fn strip(&mut self) {
        strip_header(&mut self.header, false);
    }
}

impl Answer for pb::LeaseGrantResponse {
    const NAME: &'static str = "etcdserverpb.LeaseGrantResponse";

    fn map(&mut self, seen: &Self, numbers: &mut Numbering) {
        // This is where the two numbers of a lease are learnt.
        if self.error.is_empty() && seen.error.is_empty() && seen.id != 0 {
            numbers.granted(self.id, seen.id);
        }
        self.id = numbers.lease(self.id);
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, false);
    }
}

impl Answer for pb::LeaseRevokeResponse {
    const NAME: &'static str = "etcdserverpb.LeaseRevokeResponse";

    fn map(&mut self, _: &Self, _: &mut Numbering) {}

    fn strip(&mut self) {
        strip_header(&mut self.header, false);
    }
}

impl Answer for pb::LeaseTimeToLiveResponse {
    const NAME: &'static str = "etcdserverpb.LeaseTimeToLiveResponse";

    fn map(&mut self, _: &Self, numbers: &mut Numbering) {
        self.id = numbers.lease(self.id);
    }

    fn strip(&mut self) {
        strip_header(&mut self.header, false);
        // What is left is a matter of the clock; that it is over is not.
        self.ttl = self.ttl.min(0);
    }
}
