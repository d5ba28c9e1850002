//! Messages in pieces, with fields greater than what is held back.

use bytes::Bytes;
use prost::Message;

use super::expected::{Valued, stars};
use super::*;
use crate::etcd::schema::etcdserverpb::{PutRequest, RangeResponse};
use crate::etcd::schema::mvccpb::KeyValue;

fn kv(key: &str, value: Vec<u8>) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        mod_revision: 12,
        value: value.into(),
        ..KeyValue::default()
    }
}

/// Text of so many bytes with a token at these places.
fn text(length: usize, tokens: &[usize], token: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = b"some words "
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect();
    for at in tokens {
        text[*at..at + token.len()].copy_from_slice(token);
        text[at + token.len()] = b'"';
    }
    text
}

/// Great messages are not shown whole where they differ.
fn first_difference(a: &[u8], b: &[u8]) -> Option<(usize, String, String)> {
    assert_eq!(a.len(), b.len());
    let at = a.iter().zip(b).position(|(a, b)| a != b)?;
    let around = at.saturating_sub(20)..a.len().min(at + 60);
    let shown = |bytes: &[u8]| bytes[around.clone()].escape_ascii().to_string();
    Some((at, shown(a), shown(b)))
}

#[test]
fn great_values_come_out_in_pieces_as_they_do_as_a_whole() {
    let held = MOST_HELD;
    let token = TOKEN.as_bytes();
    let stars_of = stars(token);
    let tokens = [
        0,
        1000,
        held - 10,
        held + 300,
        2 * held - 50,
        3 * held - 300,
    ];
    let make = |token: &[u8]| RangeResponse {
        kvs: vec![
            kv("/registry/configmaps/lab/a", text(3 * held, &tokens, token)),
            kv("/registry/secrets/lab/a", text(2 * held + 7, &[], b"")),
            kv("/registry/secrets/lab/b", text(held + 1, &[], b"")),
            kv("/registry/configmaps/lab/b", text(100, &[], b"")),
            kv("/registry/configmaps/lab/c", text(held + 40, &[], b"")),
        ],
        more: true,
        ..RangeResponse::default()
    };
    let message = make(token).encode_to_vec();
    let expected = make(&stars_of).replaced(&|key, value| match holds(key, b"secrets/") {
        true => stars(value).into(),
        false => value.clone(),
    });
    let (whole, findings) = redacted(&default(), "KV/Range<", &message);
    assert_eq!(first_difference(&whole, &expected), None);
    for sizes in [
        &[message.len() - 1][..],
        &[1 << 20],
        &[100_000],
        &[held],
        &[held + 1, 1],
        &[16_384],
        &[997],
        &[40, 41, 42, 1, 30_000],
    ] {
        let (out, found) = in_pieces(&default(), "KV/Range<", &message, sizes);
        assert_eq!(first_difference(&out, &expected), None, "{sizes:?}");
        assert_eq!(found, findings, "{sizes:?}");
    }
}

#[test]
fn a_token_at_every_piece_boundary_is_found() {
    let token = TOKEN.as_bytes();
    let encoded = data_encoding::BASE64.encode(format!("\"{TOKEN}").as_bytes());
    for token in [token, encoded.as_bytes()] {
        let at = MOST_HELD + 5000;
        let put = PutRequest {
            key: Bytes::from_static(b"/registry/configmaps/lab/a"),
            value: text(2 * MOST_HELD, &[at], token).into(),
            ..PutRequest::default()
        };
        let message = put.encode_to_vec();
        let (whole, findings) = redacted(&default(), "KV/Put>", &message);
        let [found] = findings.redacted[..] else {
            panic!("{findings:?}");
        };
        let start = found.offset as usize;
        for cut in (start - 3..start + token.len() + 3).step_by(3) {
            let sizes = [cut, message.len() - cut];
            let (out, again) = in_pieces(&default(), "KV/Put>", &message, &sizes);
            assert!(out == whole && again == findings, "{cut}");
        }
    }
}

#[test]
fn a_great_value_before_its_key_is_replaced() {
    let value = text(2 * MOST_HELD, &[], b"");
    for key in ["/registry/configmaps/lab/a", "/registry/secrets/lab/a"] {
        let put = PutRequest {
            value: value.clone().into(),
            ..PutRequest::default()
        };
        let mut message = put.encode_to_vec();
        let key = PutRequest {
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..PutRequest::default()
        };
        message.extend(key.encode_to_vec());
        let (out, findings) = in_pieces(&default(), "KV/Put>", &message, &[10_000]);
        assert_eq!(findings.redacted.len(), 1);
        assert!(!holds(&out, b"some words"));
        assert!(PutRequest::decode(&*out).unwrap().value == stars(&value));
    }
}

#[test]
fn a_great_secret_says_so_in_its_head() {
    let mut value = br#"{"kind":"Secret","apiVersion":"v1","data":{"a":""#.to_vec();
    value.extend(text(2 * MOST_HELD, &[], b""));
    value.extend(br#""}}"#);
    let put = PutRequest {
        key: Bytes::from_static(b"/elsewhere/a"),
        value: value.into(),
        ..PutRequest::default()
    };
    let message = put.encode_to_vec();
    let whole = redacted(&default(), "KV/Put>", &message);
    assert!(!holds(&whole.0, b"some words"));
    assert!(in_pieces(&default(), "KV/Put>", &message, &[3000]) == whole);
}

#[test]
fn many_findings_are_counted() {
    let kvs = (0..3000).map(|i| kv("/registry/secrets/lab/a", format!("secret {i}").into()));
    let range = RangeResponse {
        kvs: kvs.collect(),
        ..RangeResponse::default()
    };
    let message = range.encode_to_vec();
    let (out, findings) = redacted(&default(), "KV/Range<", &message);
    assert!(!holds(&out, b"secret "));
    assert_eq!(findings.redacted.len(), MOST_LISTED);
    assert_eq!(findings.unlisted, 3000 - MOST_LISTED as u64);
    assert!(in_pieces(&default(), "KV/Range<", &message, &[777]) == (out, findings));
}
