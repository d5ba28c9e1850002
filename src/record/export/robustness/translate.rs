//! etcd's messages in the words of the model.

use bytes::Bytes;

use super::model::{
    CompactRequest, DeleteOptions, EtcdCondition, EtcdOperation, EtcdOperationResult, EtcdRequest,
    KeyValue, Lease, MaybeEtcdResponse, Nothing, PutOptions, RangeOptions, RangeRequest,
    RangeResponse, TxnRequest, TxnResponse, ValueOrHash, ValueRevision, WatchEvent, WatchRequest,
    operation, request,
};
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb;
use crate::etcd::schema::mvccpb::event::EventType;
use crate::record::schema::v1::Hidden;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request as Op;
use pb::response_op::Response as OpResponse;

/// What the model has no word for.
pub(super) type Unspoken = &'static str;

/// A message, and what is hidden in it.
pub(super) struct Message<'a> {
    pub bytes: &'a Bytes,
    pub hidden: &'a [Hidden],
}

impl Message<'_> {
    /// A value that stands in the message. Where something was hidden in it, its
    /// keyed hash takes that place: equal values stay equal, and others do not
    /// become so.
    pub fn value(&self, value: &Bytes) -> ValueOrHash {
        // Values of a message that was decoded from `Bytes` lie in it.
        let begin = (value.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        if begin > self.bytes.len() || value.len() > self.bytes.len() - begin {
            return ValueOrHash::plain(value);
        }
        let (begin, end) = (begin as u64, (begin + value.len()) as u64);
        let mut told = Vec::new();
        let mut at = begin;
        let mut places: Vec<_> = self
            .hidden
            .iter()
            .filter(|place| place.offset < end && place.offset.saturating_add(place.length) > begin)
            .collect();
        if places.is_empty() {
            return ValueOrHash::plain(value);
        }
        places.sort_by_key(|place| place.offset);
        let shown = |from: u64, to: u64| &value[(from - begin) as usize..(to - begin) as usize];
        for place in places {
            if place.offset > at {
                told.extend_from_slice(shown(at, place.offset));
            }
            told.extend_from_slice(&place.hash);
            at = at.max(place.offset.saturating_add(place.length)).min(end);
        }
        told.extend_from_slice(shown(at, end));
        ValueOrHash::hashed(&told)
    }

    fn key_value(&self, kv: &mvccpb::KeyValue) -> KeyValue {
        KeyValue {
            key: text(&kv.key),
            at: self.revision_of(kv),
        }
    }

    fn revision_of(&self, kv: &mvccpb::KeyValue) -> ValueRevision {
        ValueRevision {
            value: self.value(&kv.value),
            mod_revision: kv.mod_revision,
            version: kv.version,
        }
    }

    pub fn range(&self, asked: &pb::RangeRequest) -> Result<EtcdRequest, Unspoken> {
        Ok(EtcdRequest {
            r#type: request::RANGE,
            range: Some(RangeRequest {
                options: range_options(asked)?,
                revision: asked.revision,
            }),
            ..EtcdRequest::default()
        })
    }

    pub fn range_response(&self, answer: &pb::RangeResponse) -> MaybeEtcdResponse {
        let kvs = answer.kvs.iter().map(|kv| self.key_value(kv)).collect();
        MaybeEtcdResponse {
            range: Some(RangeResponse {
                kvs,
                count: answer.count,
            }),
            revision: revision(answer.header.as_ref()),
            ..MaybeEtcdResponse::default()
        }
    }

    pub fn put(&self, asked: &pb::PutRequest) -> Result<EtcdRequest, Unspoken> {
        let put = self.put_operation(asked)?;
        Ok(txn(TxnRequest {
            conditions: None,
            operations_on_success: Some(vec![put]),
            operations_on_failure: None,
        }))
    }

    pub fn txn(&self, asked: &pb::TxnRequest) -> Result<EtcdRequest, Unspoken> {
        let operations = |ops: &[pb::RequestOp]| {
            let operations = ops.iter().map(|op| self.operation(op));
            operations.collect::<Result<Vec<_>, _>>().map(Some)
        };
        let conditions: Result<_, _> = asked.compare.iter().map(condition).collect();
        Ok(txn(TxnRequest {
            conditions: Some(conditions?),
            operations_on_success: operations(&asked.success)?,
            operations_on_failure: operations(&asked.failure)?,
        }))
    }

    pub fn txn_response(&self, answer: &pb::TxnResponse) -> Result<MaybeEtcdResponse, Unspoken> {
        let results: Result<_, _> = answer
            .responses
            .iter()
            .map(|one| match &one.response {
                Some(OpResponse::ResponseRange(range)) => Ok(EtcdOperationResult {
                    kvs: Some(range.kvs.iter().map(|kv| self.key_value(kv)).collect()),
                    count: range.count,
                    deleted: 0,
                }),
                Some(OpResponse::ResponsePut(_)) => Ok(EtcdOperationResult::default()),
                Some(OpResponse::ResponseDeleteRange(deletion)) => Ok(EtcdOperationResult {
                    deleted: deletion.deleted,
                    ..EtcdOperationResult::default()
                }),
                Some(OpResponse::ResponseTxn(_)) | None => Err(NESTED),
            })
            .collect();
        let revision = revision(answer.header.as_ref());
        Ok(txn_answer(!answer.succeeded, results?, revision))
    }

    fn operation(&self, op: &pb::RequestOp) -> Result<EtcdOperation, Unspoken> {
        match &op.request {
            Some(Op::RequestRange(range)) if range.revision != 0 => {
                Err("transactions that read an old revision")
            }
            Some(Op::RequestRange(range)) => Ok(EtcdOperation {
                r#type: operation::RANGE,
                range: range_options(range)?,
                ..EtcdOperation::default()
            }),
            Some(Op::RequestPut(put)) => self.put_operation(put),
            Some(Op::RequestDeleteRange(deletion)) => delete_operation(deletion),
            Some(Op::RequestTxn(_)) | None => Err(NESTED),
        }
    }

    fn put_operation(&self, asked: &pb::PutRequest) -> Result<EtcdOperation, Unspoken> {
        if asked.ignore_value || asked.ignore_lease {
            return Err("puts that keep the value or the lease");
        }
        Ok(EtcdOperation {
            r#type: operation::PUT,
            put: PutOptions {
                key: text(&asked.key),
                value: self.value(&asked.value),
                lease_id: asked.lease,
            },
            ..EtcdOperation::default()
        })
    }

    pub fn event(&self, event: &mvccpb::Event) -> Option<WatchEvent> {
        let kv = event.kv.as_ref()?;
        let deleted = event.r#type() == EventType::Delete;
        Some(WatchEvent {
            r#type: if deleted {
                operation::DELETE
            } else {
                operation::PUT
            },
            key: text(&kv.key),
            value: self.value(&kv.value),
            revision: kv.mod_revision,
            is_create: !deleted && kv.create_revision == kv.mod_revision,
            prev_value: event.prev_kv.as_ref().map(|kv| self.revision_of(kv)),
        })
    }
}

/// As the end of a range: there is none.
const ENDLESS: &[u8] = b"\0";

/// What no key reaches that can be told.
const AFTER_ALL: &str = "\u{10ffff}";

const NESTED: Unspoken = "transactions within transactions";

/// A deletion is a transaction in the model.
pub(super) fn delete(asked: &pb::DeleteRangeRequest) -> Result<EtcdRequest, Unspoken> {
    Ok(txn(TxnRequest {
        conditions: None,
        operations_on_success: Some(vec![delete_operation(asked)?]),
        operations_on_failure: None,
    }))
}

/// Of a Put: one result without anything in it.
pub(super) fn put_response(answer: &pb::PutResponse) -> MaybeEtcdResponse {
    let revision = revision(answer.header.as_ref());
    txn_answer(false, vec![EtcdOperationResult::default()], revision)
}

pub(super) fn delete_response(answer: &pb::DeleteRangeResponse) -> MaybeEtcdResponse {
    let result = EtcdOperationResult {
        deleted: answer.deleted,
        ..EtcdOperationResult::default()
    };
    txn_answer(false, vec![result], revision(answer.header.as_ref()))
}

pub(super) fn lease_grant(lease_id: i64) -> EtcdRequest {
    EtcdRequest {
        r#type: request::LEASE_GRANT,
        lease_grant: Some(Lease { lease_id, ttl: 0 }),
        ..EtcdRequest::default()
    }
}

pub(super) fn lease_revoke(lease_id: i64) -> EtcdRequest {
    EtcdRequest {
        r#type: request::LEASE_REVOKE,
        lease_revoke: Some(Lease { lease_id, ttl: 0 }),
        ..EtcdRequest::default()
    }
}

pub(super) fn lease_grant_response(answer: &pb::LeaseGrantResponse) -> MaybeEtcdResponse {
    MaybeEtcdResponse {
        // etcd's recorder leaves the number out here; so does the model.
        lease_grant: Some(Lease::default()),
        revision: revision(answer.header.as_ref()),
        ..MaybeEtcdResponse::default()
    }
}

pub(super) fn lease_revoke_response(answer: &pb::LeaseRevokeResponse) -> MaybeEtcdResponse {
    MaybeEtcdResponse {
        lease_revoke: Some(Nothing {}),
        revision: revision(answer.header.as_ref()),
        ..MaybeEtcdResponse::default()
    }
}

pub(super) fn compact(asked: &pb::CompactionRequest) -> EtcdRequest {
    EtcdRequest {
        r#type: request::COMPACT,
        compact: Some(CompactRequest {
            revision: asked.revision,
        }),
        ..EtcdRequest::default()
    }
}

/// The revision of a compaction's answer orders nothing; the model wants -1.
pub(super) fn compact_response() -> MaybeEtcdResponse {
    MaybeEtcdResponse {
        compact: Some(Nothing {}),
        revision: -1,
        ..MaybeEtcdResponse::default()
    }
}

pub(super) fn defragment() -> EtcdRequest {
    EtcdRequest {
        r#type: request::DEFRAGMENT,
        defragment: Some(Nothing {}),
        ..EtcdRequest::default()
    }
}

pub(super) fn defragment_response(answer: &pb::DefragmentResponse) -> MaybeEtcdResponse {
    MaybeEtcdResponse {
        defragment: Some(Nothing {}),
        revision: revision(answer.header.as_ref()),
        ..MaybeEtcdResponse::default()
    }
}

pub(super) fn watch(asked: &pb::WatchCreateRequest) -> Result<WatchRequest, Unspoken> {
    let with_prefix = !asked.range_end.is_empty();
    // All keys begin with nothing; clients ask for them as those from 0 on.
    let all = asked.key.as_ref() == ENDLESS && asked.range_end.as_ref() == ENDLESS;
    let key = if all { &[] } else { asked.key.as_ref() };
    if with_prefix && asked.range_end != prefix_end(key) {
        return Err("watches of a range that is no prefix");
    }
    if !asked.filters.is_empty() {
        return Err("watches with filters");
    }
    Ok(WatchRequest {
        key: text(key),
        revision: asked.start_revision,
        with_prefix,
        with_progress_notify: asked.progress_notify,
        with_prev_kv: asked.prev_kv,
    })
}

/// Whether a call only reads, for the model.
pub(super) fn is_read(asked: &EtcdRequest) -> bool {
    let Some(txn) = &asked.txn else {
        return asked.r#type == request::RANGE;
    };
    let operations = [&txn.operations_on_success, &txn.operations_on_failure];
    let mut operations = operations.into_iter().flatten().flatten();
    operations.all(|op| op.r#type == operation::RANGE)
}

fn txn(txn: TxnRequest) -> EtcdRequest {
    EtcdRequest {
        r#type: request::TXN,
        txn: Some(txn),
        ..EtcdRequest::default()
    }
}

fn txn_answer(
    failure: bool,
    results: Vec<EtcdOperationResult>,
    revision: i64,
) -> MaybeEtcdResponse {
    MaybeEtcdResponse {
        txn: Some(TxnResponse { failure, results }),
        revision,
        ..MaybeEtcdResponse::default()
    }
}

fn range_options(asked: &pb::RangeRequest) -> Result<RangeOptions, Unspoken> {
    if asked.keys_only || asked.count_only {
        return Err("reads of keys only or of counts");
    }
    if asked.serializable && asked.revision == 0 {
        return Err("serializable reads of the present");
    }
    let sorted = asked.sort_order() != pb::range_request::SortOrder::None;
    let bounded = asked.min_mod_revision != 0
        || asked.max_mod_revision != 0
        || asked.min_create_revision != 0
        || asked.max_create_revision != 0;
    if sorted || bounded {
        return Err("reads that sort, or that choose by revision");
    }
    // The model compares as it stands, and knows no sign for "without an end".
    let end = if asked.range_end.as_ref() == ENDLESS {
        AFTER_ALL.to_owned()
    } else {
        text(&asked.range_end)
    };
    Ok(RangeOptions {
        start: text(&asked.key),
        end,
        limit: asked.limit,
    })
}

fn delete_operation(asked: &pb::DeleteRangeRequest) -> Result<EtcdOperation, Unspoken> {
    if !asked.range_end.is_empty() {
        return Err("deletions of ranges");
    }
    Ok(EtcdOperation {
        r#type: operation::DELETE,
        delete: DeleteOptions {
            key: text(&asked.key),
        },
        ..EtcdOperation::default()
    })
}

fn condition(compare: &pb::Compare) -> Result<EtcdCondition, Unspoken> {
    const OTHER: Unspoken = "transactions with guards other than on revision or version";
    if compare.result() != CompareResult::Equal || !compare.range_end.is_empty() {
        return Err(OTHER);
    }
    let (expected_revision, expected_version) = match (compare.target(), &compare.target_union) {
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(revision))) => (*revision, 0),
        (CompareTarget::Version, Some(TargetUnion::Version(version))) => (0, *version),
        // A number that is 0 need not be there at all.
        (CompareTarget::Mod | CompareTarget::Version | CompareTarget::Create, None) => (0, 0),
        // What was never created was never changed.
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(0))) => (0, 0),
        _ => return Err(OTHER),
    };
    Ok(EtcdCondition {
        key: text(&compare.key),
        expected_revision,
        expected_version,
    })
}

fn revision(header: Option<&pb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// Go's JSON replaces what is no UTF-8, too.
fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The first key after all that begin so.
fn prefix_end(key: &[u8]) -> Vec<u8> {
    let mut end = key.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    // All keys from here on.
    vec![0]
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn hidden_bytes_count_by_their_hash() {
        let put = |value: &'static str| pb::PutRequest {
            key: "/registry/secrets/lab/token".into(),
            value: value.into(),
            ..pb::PutRequest::default()
        };
        let told = |value, hash: &'static [u8]| {
            let bytes = Bytes::from(put(value).encode_to_vec());
            let at = bytes.len() as u64 - 4;
            let hidden = [Hidden {
                offset: at,
                length: 4,
                hash: hash.into(),
                ..Hidden::default()
            }];
            let message = Message {
                bytes: &bytes,
                hidden: &hidden,
            };
            let read = pb::PutRequest::decode(bytes.clone()).unwrap();
            message.value(&read.value)
        };
        let (one, same, other) = (
            told("ab****", b"1"),
            told("ab****", b"1"),
            told("ab****", b"2"),
        );
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert!(one.value.is_empty());
        assert_ne!(one, told("ac****", b"1"));
    }

    #[test]
    fn all_keys_are_those_that_begin_with_nothing() {
        let create = |key: &'static [u8], range_end: &'static [u8]| pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            ..pb::WatchCreateRequest::default()
        };
        for key in [b"".as_slice(), b"\0"] {
            let told = watch(&create(key, b"\0")).unwrap();
            assert_eq!((told.key.as_str(), told.with_prefix), ("", true));
        }
        assert!(watch(&create(b"a", b"\0")).is_err());
        let range = pb::RangeRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            ..pb::RangeRequest::default()
        };
        let told = range_options(&range).unwrap();
        assert_eq!(told.start, "\0");
        assert!(told.end.as_str() > text(b"/registry/\xff\xff").as_str());
    }

    #[test]
    fn a_prefix_ends_where_etcd_says_so() {
        assert_eq!(prefix_end(b"/registry/pods/"), b"/registry/pods0");
        assert_eq!(prefix_end(b"a\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), b"\0");
        assert_eq!(prefix_end(b""), b"\0");
    }
}
