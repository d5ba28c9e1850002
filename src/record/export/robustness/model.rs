//! What etcd's robustness tests write, as JSON: the types of `model/types.go`,
//! `model/watch.go` and porcupine's `Operation`, field by field.
//!
//! Go's `encoding/json` is exact about what is `null` and what is `[]`, and the
//! checkers compare with `reflect.DeepEqual`, for which those differ: where etcd's
//! own recorder leaves a slice nil, it is `None` here.

use serde::Serialize;

/// The values from this length on stand as their hash.
const HASHED_FROM: usize = 20;

/// A call and its answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Operation {
    /// Calls of one do not overlap.
    pub client_id: u64,
    /// What was asked.
    pub input: EtcdRequest,
    /// When, in nanoseconds.
    pub call: i64,
    /// What was answered.
    pub output: MaybeEtcdResponse,
    /// When, in nanoseconds.
    #[serde(rename = "Return")]
    pub returned: i64,
}

/// `EtcdRequest`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EtcdRequest {
    /// Which of the others is there.
    pub r#type: &'static str,
    /// `leaseGrant`
    pub lease_grant: Option<Lease>,
    /// `leaseRevoke`
    pub lease_revoke: Option<Lease>,
    /// `range`
    pub range: Option<RangeRequest>,
    /// `txn`
    pub txn: Option<TxnRequest>,
    /// `defragment`
    pub defragment: Option<Nothing>,
    /// `compact`
    pub compact: Option<CompactRequest>,
}

/// A struct without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Nothing {}

/// `LeaseGrantRequest`, `LeaseRevokeRequest`, `LeaseGrantReponse`
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Lease {
    /// Its number.
    #[serde(rename = "LeaseID")]
    pub lease_id: i64,
    /// How many seconds it was granted for. The model has no clock: not told.
    #[serde(skip)]
    pub ttl: i64,
}

/// `RangeRequest`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RangeRequest {
    /// What is asked for.
    #[serde(flatten)]
    pub options: RangeOptions,
    /// As of when; 0 is now.
    pub revision: i64,
}

/// `RangeOptions`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RangeOptions {
    /// The key, or the first one.
    pub start: String,
    /// The one after the last; empty for one key.
    pub end: String,
    /// How many at most; 0 is all.
    pub limit: i64,
}

/// `TxnRequest`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TxnRequest {
    /// Its guards.
    pub conditions: Option<Vec<EtcdCondition>>,
    /// What it does if they hold,
    pub operations_on_success: Option<Vec<EtcdOperation>>,
    /// and else.
    pub operations_on_failure: Option<Vec<EtcdOperation>>,
}

/// `EtcdCondition`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EtcdCondition {
    /// Of this key
    pub key: String,
    /// the revision is, unless
    pub expected_revision: i64,
    /// this is set: then the version is.
    pub expected_version: i64,
}

/// `EtcdOperation`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EtcdOperation {
    /// Which of the others says something.
    pub r#type: &'static str,
    /// `range-operation`
    pub range: RangeOptions,
    /// `put-operation`
    pub put: PutOptions,
    /// `delete-operation`
    pub delete: DeleteOptions,
}

/// `PutOptions`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutOptions {
    /// The key.
    pub key: String,
    /// What it is put to.
    pub value: ValueOrHash,
    /// The lease that holds it; 0 for none.
    #[serde(rename = "LeaseID")]
    pub lease_id: i64,
}

/// `DeleteOptions`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteOptions {
    /// The key.
    pub key: String,
}

/// `CompactRequest`
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompactRequest {
    /// Up to where.
    pub revision: i64,
}

/// `MaybeEtcdResponse`, with the `EtcdResponse` that is embedded in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MaybeEtcdResponse {
    /// Of a `txn`.
    pub txn: Option<TxnResponse>,
    /// Of a `range`.
    pub range: Option<RangeResponse>,
    /// Of a `leaseGrant`.
    pub lease_grant: Option<Lease>,
    /// Of a `leaseRevoke`.
    pub lease_revoke: Option<Nothing>,
    /// Of a `defragment`.
    pub defragment: Option<Nothing>,
    /// Of a `compact`.
    pub compact: Option<Nothing>,
    /// etcd refused, and did nothing.
    pub client_error: String,
    /// The store's revision then.
    pub revision: i64,
    /// Set by the checkers only.
    pub persisted: bool,
    /// Set by the checkers only.
    pub persisted_revision: i64,
    /// The client saw an error: nobody knows what etcd did.
    pub error: String,
}

/// `TxnResponse`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TxnResponse {
    /// Its guards did not hold.
    pub failure: bool,
    /// What came of each operation.
    pub results: Vec<EtcdOperationResult>,
}

/// `EtcdOperationResult`; the names in it do not follow the rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EtcdOperationResult {
    /// Of a range: the keys; nil of others.
    #[serde(rename = "KVs")]
    pub kvs: Option<Vec<KeyValue>>,
    /// Of a range: how many there are.
    #[serde(rename = "Count")]
    pub count: i64,
    /// Of a deletion: how many there were.
    #[serde(rename = "Deleted")]
    pub deleted: i64,
}

/// `RangeResponse`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RangeResponse {
    /// The keys.
    #[serde(rename = "KVs")]
    pub kvs: Vec<KeyValue>,
    /// How many there are.
    #[serde(rename = "Count")]
    pub count: i64,
}

/// `KeyValue`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// What it is at.
    #[serde(flatten)]
    pub at: ValueRevision,
}

/// `ValueRevision`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ValueRevision {
    /// The value.
    pub value: ValueOrHash,
    /// When it was put.
    #[serde(skip_serializing_if = "is_zero")]
    pub mod_revision: i64,
    /// How often the key was.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

/// `ValueOrHash`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ValueOrHash {
    /// A short value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// or FNV-1a (32 bits) of another.
    #[serde(skip_serializing_if = "is_zero")]
    pub hash: u32,
}

/// `WatchOperation`
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchOperation {
    /// What was asked.
    pub request: WatchRequest,
    /// What came.
    pub responses: Vec<WatchResponse>,
}

/// `WatchRequest`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WatchRequest {
    /// The key, or how keys begin.
    #[serde(rename = "Key")]
    pub key: String,
    /// From when on; 0 is now.
    #[serde(rename = "Revision")]
    pub revision: i64,
    /// All keys that begin so.
    #[serde(rename = "WithPrefix")]
    pub with_prefix: bool,
    /// It asked to be told of progress.
    #[serde(rename = "WithProgressNotify")]
    pub with_progress_notify: bool,
    /// It asked for what was before.
    #[serde(rename = "WithPrevKV")]
    pub with_prev_kv: bool,
}

/// `WatchResponse`
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchResponse {
    /// What happened; nil if nothing did.
    pub events: Option<Vec<WatchEvent>>,
    /// It only says that the watch is up to date.
    pub is_progress_notify: bool,
    /// The store's revision.
    pub revision: i64,
    /// When, in nanoseconds.
    pub time: i64,
    /// Why the watch ended.
    pub error: String,
}

/// `WatchEvent`, with what is embedded in it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchEvent {
    /// `put-operation` or `delete-operation`.
    pub r#type: &'static str,
    /// The key.
    pub key: String,
    /// What it was put to.
    pub value: ValueOrHash,
    /// When.
    pub revision: i64,
    /// It was not there before.
    pub is_create: bool,
    /// What was before.
    pub prev_value: Option<ValueRevision>,
}

/// `RequestType`s
pub mod request {
    /// A Range.
    pub const RANGE: &str = "range";
    /// A Txn, a Put or a DeleteRange.
    pub const TXN: &str = "txn";
    /// A LeaseGrant.
    pub const LEASE_GRANT: &str = "leaseGrant";
    /// A LeaseRevoke.
    pub const LEASE_REVOKE: &str = "leaseRevoke";
    /// A Defragment.
    pub const DEFRAGMENT: &str = "defragment";
    /// A Compact.
    pub const COMPACT: &str = "compact";
}

/// `OperationType`s
pub mod operation {
    /// Reads.
    pub const RANGE: &str = "range-operation";
    /// Puts.
    pub const PUT: &str = "put-operation";
    /// Deletes.
    pub const DELETE: &str = "delete-operation";
}

impl ValueOrHash {
    /// A value as it is. What is no UTF-8 stands as its hash, however short: in JSON
    /// different bytes would become the same replacement character.
    pub fn plain(value: &[u8]) -> ValueOrHash {
        match std::str::from_utf8(value) {
            Ok(text) if value.len() < HASHED_FROM => ValueOrHash {
                value: text.to_owned(),
                hash: 0,
            },
            _ => ValueOrHash::hashed(value),
        }
    }

    /// A value that is not to be shown.
    pub fn hashed(value: &[u8]) -> ValueOrHash {
        ValueOrHash {
            value: String::new(),
            hash: fnv_1a(value),
        }
    }
}

fn fnv_1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Go leaves such a number out.
fn is_zero<N: PartialEq + Default>(number: &N) -> bool {
    *number == N::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_stand_as_their_hash() {
        assert_eq!(ValueOrHash::plain(b"1").value, "1");
        let hashed = ValueOrHash::plain(&[b'a'; 20]);
        assert_eq!((hashed.value.as_str(), hashed.hash != 0), ("", true));
        assert_ne!(ValueOrHash::plain(b"\xff1"), ValueOrHash::plain(b"\xfe1"));
        // The vectors of FNV's authors.
        assert_eq!(fnv_1a(b""), 0x811c_9dc5);
        assert_eq!(fnv_1a(b"foobar"), 0xbf9c_f968);
    }
}
