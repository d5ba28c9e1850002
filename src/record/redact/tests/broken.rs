//! Messages that are no protobuf, and such as end too early.

use bytes::Bytes;
use prost::Message;

use super::expected::stars;
use super::*;
use crate::etcd::schema::etcdserverpb::{
    PutRequest, RangeResponse, RequestOp, TxnRequest, request_op,
};
use crate::etcd::schema::mvccpb::KeyValue;

const VALUE: &[u8] = b"hunter2-hunter2-hunter2";

fn message() -> Vec<u8> {
    let kv = |key: &'static str, value: &[u8]| KeyValue {
        key: Bytes::from_static(key.as_bytes()),
        mod_revision: 12,
        value: Bytes::copy_from_slice(value),
        ..KeyValue::default()
    };
    let range = RangeResponse {
        header: None,
        kvs: vec![
            kv("/registry/secrets/lab/a", VALUE),
            kv("/registry/configmaps/lab/a", TOKEN.as_bytes()),
            kv("/registry/secrets/lab/b", VALUE),
        ],
        more: true,
        count: 2,
    };
    range.encode_to_vec()
}

#[test]
fn a_message_that_ends_within_a_field_is_replaced_as_a_whole() {
    let message = message();
    let (policy, path) = (default(), "KV/Range<");
    for cut in 0..message.len() {
        let cut = &message[..cut];
        let (out, findings) = redacted(&policy, path, cut);
        if RangeResponse::decode(cut).is_err() {
            assert_eq!(out, stars(cut));
            assert_eq!(findings.redacted[0].why, Why::Undecodable);
        }
        nothing_secret(&out);
    }
}

#[test]
fn nothing_secret_is_left_of_what_was_broken_on_its_way() {
    let message = message();
    for at in 0..message.len() {
        for with in [0, 1, 0x7f, 0x80, 0xff, message[at] ^ 1, message[at] ^ 3] {
            let mut message = message.clone();
            message[at] = with;
            let (out, _) = redacted(&default(), "KV/Range<", &message);
            assert!(!holds(&out, b"eyJhbGci"), "{at} {with}");
            let (whole, found) = redacted(&default(), "KV/Range<", &message);
            let (pieces, _) = in_pieces(&default(), "KV/Range<", &message, &[at.max(1), 5]);
            assert!(!holds(&pieces, b"eyJhbGci"), "{at} {with}");
            let broken = found
                .redacted
                .iter()
                .any(|found| found.why == Why::Undecodable);
            if !broken {
                assert_eq!(pieces, whole, "{at} {with}");
            }
        }
    }
}

#[test]
fn a_message_whose_rest_never_came_holds_nothing_secret() {
    let message = message();
    for cut in 0..message.len() {
        for sizes in [&[message.len()][..], &[1], &[7, 50]] {
            // More was announced than came.
            let mut redactor = begin(&default(), "KV/Range<", message.len());
            let mut out = Vec::new();
            let mut sizes = sizes.iter().cycle();
            let mut rest = &message[..cut];
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                rest = later;
                let mut piece = piece.to_vec();
                redactor.push(&mut piece);
                out.extend(piece);
            }
            let mut held = Vec::new();
            let findings = redactor.finish(&mut held);
            out.extend(held);
            assert_eq!(out.len(), cut);
            assert!(!findings.whole);
            nothing_secret(&out);
        }
    }
}

#[test]
fn bytes_beyond_the_announced_length_are_replaced() {
    let message = message();
    for first in [message.len(), 10] {
        let mut redactor = begin(&default(), "KV/Range<", message.len());
        let mut out = Vec::new();
        let more = [&message[..], VALUE].concat();
        for piece in [&more[..first], &more[first..]] {
            let mut piece = piece.to_vec();
            redactor.push(&mut piece);
            out.extend(piece);
        }
        let mut held = Vec::new();
        assert!(!redactor.finish(&mut held).whole);
        out.extend(held);
        assert_eq!(out.len(), more.len());
        nothing_secret(&out);
    }
}

#[test]
fn what_breaks_in_a_message_in_pieces_is_replaced_from_there_on() {
    let mut message = message();
    let good = message.len();
    // A group, and a secret behind it.
    message.extend(b"\x0b");
    message.extend(VALUE);
    let (out, findings) = in_pieces(&default(), "KV/Range<", &message, &[20]);
    assert_eq!(out[good..], stars(&message[good..]));
    nothing_secret(&out);
    let last = findings.redacted.last().unwrap();
    assert_eq!((last.offset, last.why), (good as u64, Why::Undecodable));
}

#[test]
fn messages_nested_beyond_reason_are_broken() {
    let put = PutRequest {
        key: Bytes::from_static(b"/registry/pods/lab/web"),
        value: Bytes::from_static(VALUE),
        ..PutRequest::default()
    };
    let mut txn = TxnRequest {
        success: vec![RequestOp {
            request: Some(request_op::Request::RequestPut(put)),
        }],
        ..TxnRequest::default()
    };
    for depth in 1..40 {
        let (out, findings) = redacted(&default(), "KV/Txn>", &txn.encode_to_vec());
        assert_eq!(findings.is_empty(), depth <= 31, "{depth}");
        assert_eq!(holds(&out, VALUE), depth <= 31, "{depth}");
        txn = TxnRequest {
            success: vec![RequestOp {
                request: Some(request_op::Request::RequestTxn(txn)),
            }],
            ..TxnRequest::default()
        };
    }
}

fn nothing_secret(out: &[u8]) {
    for part in VALUE.windows(8).chain(TOKEN.as_bytes().windows(8)) {
        assert!(!holds(out, part), "{}", out.escape_ascii());
    }
}
