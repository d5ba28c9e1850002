//! Random messages of every kind that holds values, against what they must
//! become.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::expected::{Valued, stars};
use super::*;
use crate::etcd::schema::etcdserverpb::*;
use crate::etcd::schema::mvccpb::{Event, KeyValue};

/// A piece of a value.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Token,
    /// Long enough not to be held back.
    Long(usize),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        8 => "[ a-z{}:,]{0,30}".prop_map(Piece::Text),
        2 => Just(Piece::Token),
        1 => (1usize..120_000).prop_map(Piece::Long),
    ];
    prop::collection::vec(piece, 0..5)
}

/// A value, with its tokens or without.
fn value(pieces: &[Piece], token: &[u8]) -> Bytes {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend(text.bytes()),
            Piece::Token => out.extend([b"\"", token, b"\""].concat()),
            Piece::Long(length) => out.extend(b"long and longer ".iter().cycle().take(*length)),
        }
    }
    out.into()
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        "/registry/secrets/[a-c]{1,3}/[a-z]{0,9}",
        "/registry/(configmaps|pods)/[a-c]{1,3}/[a-z]{0,9}",
        "/registry/[a-z]{1,5}\\.com/secrets/[a-z]{1,9}",
        "[a-z/]{1,40}",
    ]
    .prop_map(|key| Bytes::from(key.into_bytes()))
}

/// The index of a value stands for it until the tokens are in.
fn kv() -> impl Strategy<Value = (Bytes, Vec<Piece>)> {
    (key(), pieces())
}

type Kvs = Vec<(Bytes, Vec<Piece>)>;

/// Makes a message of a kind from keys and values.
fn message(kind: usize, kvs: &Kvs, token: &[u8]) -> (&'static str, Box<dyn Encoded>) {
    let kv = |(key, pieces): &(Bytes, Vec<Piece>)| KeyValue {
        key: key.clone(),
        mod_revision: 9,
        value: value(pieces, token),
        lease: pieces.len() as i64,
        ..KeyValue::default()
    };
    let put = |(key, pieces): &(Bytes, Vec<Piece>)| PutRequest {
        key: key.clone(),
        value: value(pieces, token),
        ..PutRequest::default()
    };
    let op = |request| RequestOp {
        request: Some(request),
    };
    let range = || RangeResponse {
        kvs: kvs.iter().map(kv).collect(),
        count: 3,
        ..RangeResponse::default()
    };
    match kind {
        0 => ("KV/Range<", Box::new(range())),
        1 => (
            "KV/Put>",
            Box::new(kvs.first().map(put).unwrap_or_default()),
        ),
        2 => {
            let compare = |(key, pieces): &(Bytes, Vec<Piece>)| Compare {
                key: key.clone(),
                target_union: Some(compare::TargetUnion::Value(value(pieces, token))),
                ..Compare::default()
            };
            let puts = || {
                kvs.iter()
                    .map(|kv| op(request_op::Request::RequestPut(put(kv))))
            };
            let inner = TxnRequest {
                success: puts().collect(),
                ..TxnRequest::default()
            };
            let txn = TxnRequest {
                compare: kvs.iter().map(compare).collect(),
                success: puts().collect(),
                failure: vec![op(request_op::Request::RequestTxn(inner))],
            };
            ("KV/Txn>", Box::new(txn))
        }
        3 => {
            let answer = |response| ResponseOp {
                response: Some(response),
            };
            let puts = kvs.iter().map(|pair| PutResponse {
                prev_kv: Some(kv(pair)),
                ..PutResponse::default()
            });
            let txn = TxnResponse {
                responses: puts
                    .map(response_op::Response::ResponsePut)
                    .chain([response_op::Response::ResponseRange(range())])
                    .map(answer)
                    .collect(),
                ..TxnResponse::default()
            };
            ("KV/Txn<", Box::new(txn))
        }
        _ => {
            let event = |pair: &(Bytes, Vec<Piece>)| Event {
                kv: Some(kv(pair)),
                prev_kv: Some(kv(pair)),
                ..Event::default()
            };
            let watch = WatchResponse {
                watch_id: 3,
                events: kvs.iter().map(event).collect(),
                ..WatchResponse::default()
            };
            ("Watch/Watch<", Box::new(watch))
        }
    }
}

trait Encoded {
    fn encoded(&self) -> Vec<u8>;
    fn with_secrets_replaced(&self, by: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8>;
}

impl<M: Valued + Message> Encoded for M {
    fn encoded(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn with_secrets_replaced(&self, by: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        self.replaced(&|key, value| match is_secret(key) {
            true => by(value).into(),
            false => value.clone(),
        })
    }
}

fn is_secret(key: &[u8]) -> bool {
    let segments: Vec<_> = key.split(|byte| *byte == b'/').collect();
    key.is_empty() || segments[..segments.len() - 1].contains(&&b"secrets"[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_messages_become_what_they_must(
        kind in 0usize..5,
        kvs in prop::collection::vec(kv(), 1..5),
        sizes in prop::collection::vec(prop_oneof![1usize..64, 1000usize..90_000], 1..6),
    ) {
        let (path, original) = message(kind, &kvs, TOKEN.as_bytes());
        let (_, without_tokens) = message(kind, &kvs, &stars(TOKEN.as_bytes()));
        let message = original.encoded();
        // A secret's hash is that of what stood there, tokens included.
        let values: Vec<_> = kvs
            .iter()
            .map(|(_, pieces)| [&stars(TOKEN.as_bytes())[..], TOKEN.as_bytes()].map(|t| value(pieces, t)))
            .collect();
        let expected = without_tokens.with_secrets_replaced(&|shown| {
            let found = values.iter().find(|[without, _]| without == shown);
            stars(&found.expect("one of the values")[1])
        });
        let (whole, findings) = redacted(&default(), path, &message);
        prop_assert!(whole == expected);
        let sizes = match message.len() {
            // Byte by byte only where that is no long work.
            0..5000 => sizes,
            _ => sizes.into_iter().map(|size| size.max(1000)).collect(),
        };
        let (pieces, found) = in_pieces(&default(), path, &message, &sizes);
        prop_assert!(pieces == expected);
        prop_assert_eq!(found, findings);
        for (key, pieces) in &kvs {
            if is_secret(key) {
                for part in value(pieces, TOKEN.as_bytes()).chunks(8).take(20) {
                    let elsewhere = kvs.iter().any(|(key, pieces)| {
                        !is_secret(key) && holds(&value(pieces, TOKEN.as_bytes()), part)
                    });
                    prop_assert!(elsewhere || part.len() < 8 || !holds(&whole, part));
                }
            }
        }
        prop_assert!(!holds(&whole, b"eyJhbGci"));
    }

    #[test]
    fn any_bytes_are_survived_and_keep_their_length(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1usize..64, 1..6),
    ) {
        for path in ["KV/Txn>", "KV/Range<", "Watch/Watch<", "Auth/RoleGet<", "KV/Nothing>"] {
            let (_, findings) = redacted(&default(), path, &bytes);
            prop_assert!(findings.whole);
            let (_, findings) = in_pieces(&default(), path, &bytes, &sizes);
            prop_assert!(findings.whole);
        }
    }
}
