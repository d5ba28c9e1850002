//! Each of etcd's messages that holds values.

use bytes::Bytes;
use prost::Message;

use super::expected::{Valued, stars};
use super::*;
use crate::etcd::schema::etcdserverpb::*;
use crate::etcd::schema::mvccpb::{Event, KeyValue};
use crate::etcd::schema::v3electionpb::{
    CampaignRequest, LeaderKey, LeaderResponse, ProclaimRequest,
};

const SECRET: &str = "/registry/secrets/lab/web";
const OTHER: &str = "/registry/configmaps/lab/web";

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        create_revision: 10,
        mod_revision: 12,
        version: 3,
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease: 77,
    }
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease: 5,
        prev_kv: true,
        ..PutRequest::default()
    }
}

fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 1,
        member_id: 2,
        revision: 3,
        raft_term: 4,
    })
}

/// The message, and what must have become of it: values of Secrets replaced,
/// nothing else. As a whole and in pieces.
fn is_redacted(path: &str, message: &impl Valued) -> Findings {
    let expected = message.replaced(&|key, value| match holds(key, b"secrets/") {
        true => stars(value).into(),
        false => value.clone(),
    });
    becomes(&default(), path, &message.encode_to_vec(), &expected)
}

fn becomes(policy: &Arc<Policy>, path: &str, message: &[u8], expected: &[u8]) -> Findings {
    let (out, findings) = redacted(policy, path, message);
    assert_eq!(
        out.escape_ascii().to_string(),
        expected.escape_ascii().to_string(),
        "{path}"
    );
    assert!(findings.whole);
    for size in 1..message.len().min(40) {
        let (pieces, found) = in_pieces(policy, path, message, &[size]);
        assert_eq!(pieces, out, "{path} in pieces of {size}");
        assert_eq!(found, findings, "{path} in pieces of {size}");
    }
    findings
}

fn kvs() -> Vec<KeyValue> {
    vec![
        kv(OTHER, "shown, and long enough for a hash to stand in it"),
        kv(
            SECRET,
            "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2",
        ),
        kv(SECRET, "short"),
        kv("/registry/secrets/lab/empty", ""),
        kv("/registry/example.com/secrets/lab/x", "of any group"),
        kv("/elsewhere/secrets/x", "under any prefix"),
    ]
}

#[test]
fn range_answers() {
    let range = RangeResponse {
        header: header(),
        kvs: kvs(),
        more: true,
        count: 9,
    };
    let findings = is_redacted("KV/Range<", &range);
    assert_eq!(findings.redacted.len(), 4);
    assert!(
        findings
            .redacted
            .iter()
            .all(|found| found.why == Why::Secret)
    );
    let stream = RangeStreamResponse {
        range_response: Some(range),
    };
    is_redacted("KV/RangeStream<", &stream);
}

#[test]
fn a_finding_says_where_it_stood_and_what_its_hash_is() {
    let range = RangeResponse {
        kvs: kvs(),
        ..RangeResponse::default()
    };
    let message = range.encode_to_vec();
    let (out, findings) = redacted(&default(), "KV/Range<", &message);
    for found in &findings.redacted {
        let at = found.offset as usize..(found.offset + found.length) as usize;
        assert_eq!(found.hash, Some(default().hash(&message[at.clone()])));
        assert_eq!(out[at.clone()], stars(&message[at.clone()]));
        if found.length > 40 {
            assert_eq!(redacted_hash(&out[at]), found.hash);
        }
    }
    assert_eq!(
        findings.bytes,
        findings
            .redacted
            .iter()
            .map(|found| found.length)
            .sum::<u64>()
    );
}

#[test]
fn equal_values_stay_recognisable_within_a_recording_and_only_there() {
    let value = "the same value, and it is long enough for a hash";
    let range = RangeResponse {
        kvs: vec![kv(SECRET, value), kv("/registry/secrets/lab/b", value)],
        ..RangeResponse::default()
    };
    let message = range.encode_to_vec();
    let values = |policy: &Arc<Policy>| {
        let (out, _) = redacted(policy, "KV/Range<", &message);
        let range = RangeResponse::decode(&*out).unwrap();
        range.kvs.into_iter().map(|kv| kv.value).collect::<Vec<_>>()
    };
    let own = values(&default());
    assert_eq!(own[0], own[1]);
    let other = RecordingKey::from_bytes([8; 32]);
    let others = values(&Arc::new(Policy::new(other)));
    assert_ne!(own[0], others[0]);
    assert_eq!(own[0].len(), others[0].len());
}

#[test]
fn puts_and_their_previous_values() {
    is_redacted("KV/Put>", &put(SECRET, "hunter2"));
    is_redacted("KV/Put>", &put(OTHER, "shown"));
    for key in [SECRET, OTHER] {
        let answer = PutResponse {
            header: header(),
            prev_kv: Some(kv(key, "what stood there before")),
        };
        is_redacted("KV/Put<", &answer);
    }
}

#[test]
fn deletions_with_their_previous_values() {
    let answer = DeleteRangeResponse {
        header: header(),
        deleted: 6,
        prev_kvs: kvs(),
    };
    is_redacted("KV/DeleteRange<", &answer);
}

fn op(request: request_op::Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn answer(response: response_op::Response) -> ResponseOp {
    ResponseOp {
        response: Some(response),
    }
}

fn compares() -> Vec<Compare> {
    [SECRET, OTHER]
        .map(|key| Compare {
            target: compare::CompareTarget::Value.into(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            target_union: Some(compare::TargetUnion::Value(Bytes::from_static(b"guarded"))),
            ..Compare::default()
        })
        .into()
}

#[test]
fn transactions_in_both_branches_and_within_each_other() {
    let inner = TxnRequest {
        compare: compares(),
        success: vec![op(request_op::Request::RequestPut(put(
            SECRET,
            "inner secret",
        )))],
        failure: vec![op(request_op::Request::RequestPut(put(
            OTHER,
            "inner other",
        )))],
    };
    let range = RangeRequest {
        key: Bytes::from_static(SECRET.as_bytes()),
        ..RangeRequest::default()
    };
    let txn = TxnRequest {
        compare: compares(),
        success: vec![
            op(request_op::Request::RequestPut(put(SECRET, "outer secret"))),
            op(request_op::Request::RequestTxn(inner.clone())),
        ],
        failure: vec![
            op(request_op::Request::RequestRange(range)),
            op(request_op::Request::RequestPut(put(SECRET, "else secret"))),
            op(request_op::Request::RequestTxn(inner)),
        ],
    };
    assert_eq!(is_redacted("KV/Txn>", &txn).redacted.len(), 7);

    let range = RangeResponse {
        kvs: kvs(),
        ..RangeResponse::default()
    };
    let inner = TxnResponse {
        responses: vec![answer(response_op::Response::ResponseRange(range))],
        ..TxnResponse::default()
    };
    let put = PutResponse {
        prev_kv: Some(kv(SECRET, "previous secret")),
        ..PutResponse::default()
    };
    let delete = DeleteRangeResponse {
        prev_kvs: kvs(),
        ..DeleteRangeResponse::default()
    };
    let txn = TxnResponse {
        header: header(),
        succeeded: true,
        responses: vec![
            answer(response_op::Response::ResponsePut(put)),
            answer(response_op::Response::ResponseDeleteRange(delete)),
            answer(response_op::Response::ResponseTxn(inner)),
        ],
    };
    assert_eq!(is_redacted("KV/Txn<", &txn).redacted.len(), 9);
}

#[test]
fn a_value_that_is_compared_with_a_range_of_keys_is_replaced() {
    let txn = |range_end: &'static [u8]| TxnRequest {
        compare: vec![Compare {
            key: Bytes::from_static(b"/registry/a"),
            target_union: Some(compare::TargetUnion::Value(Bytes::from_static(b"guarded"))),
            range_end: Bytes::from_static(range_end),
            ..Compare::default()
        }],
        ..TxnRequest::default()
    };
    let (out, _) = redacted(&default(), "KV/Txn>", &txn(b"/registry/t").encode_to_vec());
    assert!(!holds(&out, b"guarded"));
    is_redacted("KV/Txn>", &txn(b""));
}

#[test]
fn watch_events_and_fragments() {
    let pairs = kvs().into_iter().zip(kvs().into_iter().rev());
    let events = pairs.map(|(kv, prev_kv)| Event {
        r#type: 0,
        kv: Some(kv),
        // Of one watch, so of one key: but each counts for itself.
        prev_kv: Some(prev_kv),
    });
    let mut watch = WatchResponse {
        header: header(),
        watch_id: 4,
        events: events.collect(),
        ..WatchResponse::default()
    };
    is_redacted("Watch/Watch<", &watch);
    watch.fragment = true;
    is_redacted("Watch/Watch<", &watch);
}

#[test]
fn elections() {
    for key in ["/elections/secrets", "/elections/other"] {
        let leader = LeaderKey {
            name: Bytes::copy_from_slice(key.as_bytes()),
            key: Bytes::from(format!("{key}/1234")),
            rev: 5,
            lease: 6,
        };
        let campaign = CampaignRequest {
            name: leader.name.clone(),
            lease: 6,
            value: Bytes::from_static(b"who leads"),
        };
        is_redacted("v3electionpb.Election/Campaign>", &campaign);
        let answer = LeaderResponse {
            header: header(),
            kv: Some(kv(&format!("{key}/1234"), "who leads")),
        };
        is_redacted("v3electionpb.Election/Observe<", &answer);
        let proclaim = ProclaimRequest {
            leader: Some(leader),
            value: Bytes::from_static(b"who leads"),
        };
        is_redacted("v3electionpb.Election/Proclaim>", &proclaim);
    }
}

#[test]
fn a_value_says_itself_that_it_is_a_secret() {
    for (value, secret) in [
        (
            &b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x07hunter2\x1a\0"[..],
            true,
        ),
        (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x07hunter2\x1a\0",
            false,
        ),
        (
            br#"{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}"#,
            true,
        ),
        (br#"{"kind":"SecretList","items":[]}"#, true),
        (
            br#"{"kind":"Event","involvedObject":{"kind":"Secret"}}"#,
            false,
        ),
        (b"k8s:enc:aescbc:v1:key1:ciphertext", false),
    ] {
        let range = RangeResponse {
            kvs: vec![KeyValue {
                value: Bytes::from_static(value),
                ..kv(OTHER, "")
            }],
            ..RangeResponse::default()
        };
        let expected = range.replaced(&|_, value| match secret {
            true => stars(value).into(),
            false => value.clone(),
        });
        becomes(&default(), "KV/Range<", &range.encode_to_vec(), &expected);
    }
}

/// The fields of a message in the opposite order.
fn reversed(message: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let len = match super::super::walk::next_field(rest) {
            super::super::walk::Field::Number { len } => len,
            super::super::walk::Field::Bytes { head, len, .. } => head + len as usize,
            other => panic!("{other:?}"),
        };
        fields.push(&rest[..len]);
        rest = &rest[len..];
    }
    fields.reverse();
    fields.concat()
}

/// A length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

#[test]
fn the_key_may_stand_behind_its_value() {
    for key in [SECRET, OTHER] {
        let put = put(key, "hunter2 hunter2");
        let expected = put.replaced(&|key, value| match holds(key, b"secrets/") {
            true => stars(value).into(),
            false => value.clone(),
        });
        let message = reversed(&put.encode_to_vec());
        becomes(&default(), "KV/Put>", &message, &reversed(&expected));
        let kv = reversed(&kv(key, "hunter2 hunter2").encode_to_vec());
        let (out, _) = redacted(&default(), "KV/Range<", &field(2, &kv));
        assert_eq!(holds(&out, b"hunter2"), key == OTHER);
    }
}

#[test]
fn a_value_without_a_key_and_one_with_two_are_replaced() {
    let value = field(2, b"hunter2 hunter2");
    let (secret, other) = (field(1, SECRET.as_bytes()), field(1, OTHER.as_bytes()));
    for message in [
        value.clone(),
        [field(1, b""), value.clone()].concat(),
        [secret.clone(), other.clone(), value.clone()].concat(),
        [other.clone(), value.clone(), secret.clone()].concat(),
        [value.clone(), other.clone(), value.clone(), secret].concat(),
    ] {
        let (out, _) = redacted(&default(), "KV/Put>", &message);
        assert!(!holds(&out, b"hunter2"), "{}", out.escape_ascii());
    }
    let message = [other.clone(), value, other].concat();
    let (out, _) = redacted(&default(), "KV/Put>", &message);
    assert_eq!(out, message);
}

#[test]
fn unknown_fields_are_replaced_unless_they_are_numbers() {
    let known = put(OTHER, "shown");
    let mut message = known.encode_to_vec();
    message.extend(field(99, b"what is new in etcd"));
    message.extend([0x98, 0x06, 0x2a]);
    message.extend([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
    message.extend([0xad, 0x06, 1, 2, 3, 4]);
    // A number of the schema, with a length.
    message.extend(field(3, b"not a lease"));
    let mut expected = known.encode_to_vec();
    expected.extend(field(99, &stars(b"what is new in etcd")));
    expected.extend([0x98, 0x06, 0x2a, 0xa1, 0x06]);
    expected.extend(stars(&[1, 2, 3, 4, 5, 6, 7, 8]));
    expected.extend([0xad, 0x06]);
    expected.extend(stars(&[1, 2, 3, 4]));
    expected.extend(field(3, &stars(b"not a lease")));
    let findings = becomes(&default(), "KV/Put>", &message, &expected);
    assert!(
        findings
            .redacted
            .iter()
            .all(|found| found.why == Why::UnknownField)
    );
    // In messages without fields as well.
    let (out, _) = redacted(&default(), "Maintenance/Status>", &field(1, b"hunter2!"));
    assert_eq!(out, field(1, &stars(b"hunter2!")));
}

#[test]
fn tokens_are_replaced_wherever_they_stand() {
    let token = stars(TOKEN.as_bytes());
    let token = str::from_utf8(&token).unwrap();
    let with = |token: &str| RangeResponse {
        header: header(),
        kvs: vec![
            kv(OTHER, &format!(r#"{{"token":"{token}","x":1}}"#)),
            kv(&format!("/registry/x/{token}"), "of a key"),
            // The lease's tag behind it would pass for a character of it.
            kv(OTHER, token),
        ],
        ..RangeResponse::default()
    };
    let findings = becomes(
        &default(),
        "KV/Range<",
        &with(TOKEN).encode_to_vec(),
        // In a key the slash before it does not belong to it.
        &with(token).encode_to_vec(),
    );
    assert!(
        findings
            .redacted
            .iter()
            .all(|found| found.why == Why::Token)
    );
    assert_eq!(findings.redacted.len(), 3);
    let watch = |reason: String| WatchResponse {
        canceled: true,
        cancel_reason: reason,
        ..WatchResponse::default()
    };
    becomes(
        &default(),
        "Watch/Watch<",
        &watch(format!("no {TOKEN}!")).encode_to_vec(),
        &watch(format!("no {token}!")).encode_to_vec(),
    );
}

#[test]
fn a_token_in_an_object_ends_with_its_field() {
    // Unknown.raw { 1: { 12: TOKEN, 11: "Z" } }: both tags are letters.
    let object = |token: &[u8]| {
        let meta = [field(12, token), field(11, b"Zebra")].concat();
        let unknown = [
            field(1, &field(2, b"ConfigMap")),
            field(2, &field(1, &meta)),
        ]
        .concat();
        let value = [b"k8s\0", &unknown[..]].concat();
        [field(1, OTHER.as_bytes()), field(2, &value)].concat()
    };
    becomes(
        &default(),
        "KV/Put>",
        &object(TOKEN.as_bytes()),
        &object(&stars(TOKEN.as_bytes())),
    );
}

#[test]
fn all_and_none_and_rules() {
    let range = RangeResponse {
        header: header(),
        kvs: vec![
            kv(OTHER, "a config map"),
            kv(SECRET, "a secret"),
            kv("/registry/pods/kube-system/etcd", "a pod"),
            kv("/elsewhere/x", &format!("a {TOKEN}")),
        ],
        ..RangeResponse::default()
    };
    let message = range.encode_to_vec();
    let hidden = |values, rules: &[&str]| {
        let (out, _) = redacted(&policy(values, rules), "KV/Range<", &message);
        let range = RangeResponse::decode(&*out).unwrap();
        let hidden = |kv: &KeyValue| !kv.value.starts_with(b"a ");
        range.kvs.iter().map(hidden).collect::<Vec<_>>()
    };
    assert_eq!(hidden(Values::Redacted, &[]), [false, true, false, false]);
    assert_eq!(hidden(Values::None, &[]), [true; 4]);
    assert_eq!(hidden(Values::All, &[]), [false; 4]);
    assert_eq!(
        hidden(Values::All, &["namespace=kube-system"]),
        [false, false, true, false]
    );
    assert_eq!(
        hidden(Values::Redacted, &["resource=pods", "key=/elsewhere/*"]),
        [false, true, true, true]
    );
    let (out, findings) = redacted(&policy(Values::All, &[]), "KV/Range<", &message);
    assert_eq!(out, message);
    assert!(findings.is_empty());
    let (out, _) = redacted(&policy(Values::Redacted, &[]), "KV/Range<", &message);
    assert!(!holds(&out, b"eyJhbGci"));
    let (out, _) = redacted(&policy(Values::None, &[]), "KV/Range<", &message);
    assert!(!holds(&out, b"eyJhbGci"));
}
