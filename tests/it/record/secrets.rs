//! A recording as it is made by default holds no token and no value of a Secret:
//! neither its messages nor its lines, in any encoding.

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use etcdtap::etcd::schema::etcdserverpb::{RangeResponse, TxnRequest, WatchResponse, request_op};
use etcdtap::record::redact::Values;
use prost::Message;

use super::stage::{Heard, Stage, Which};
use crate::pcap::{self, Connection};

/// The file as it is, and all that its chunks hold.
fn contents(folder: &Path) -> Vec<u8> {
    let mut contents = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            contents.extend_from_slice(&message.unwrap().data);
        }
        contents.extend(bytes);
    }
    contents
}

/// How a text may stand in a file, wherever it begins in what was encoded.
fn encodings(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        text.to_vec(),
        HEXLOWER.encode(text).into_bytes(),
        HEXUPPER.encode(text).into_bytes(),
        text.iter().flat_map(|byte| [*byte, 0]).collect(),
        text.iter().flat_map(|byte| [0, *byte]).collect(),
    ];
    for before in 0..3 {
        let padded = [&vec![b'x'; before], text].concat();
        for encoding in [&BASE64, &BASE64URL] {
            let encoded = encoding.encode(&padded);
            // Only the letters that depend on nothing else.
            let from = (before * 8).div_ceil(6);
            let to = padded.len() * 8 / 6;
            all.push(encoded.as_bytes()[from..to].to_vec());
        }
    }
    all
}

/// The values of Secrets in what passed.
fn secrets<'m>(messages: impl Iterator<Item = (&'m Which, &'m Heard)>) -> BTreeSet<Vec<u8>> {
    let mut secrets = BTreeSet::new();
    let mut see = |key: &[u8], value: &[u8]| {
        if key.starts_with(b"/registry/secrets/") && value.len() >= 16 {
            secrets.insert(value.to_vec());
        }
    };
    for (which, heard) in messages {
        let bytes = heard.bytes.as_slice();
        match (heard.path.as_str(), which.from_server) {
            ("/etcdserverpb.KV/Range", true) => {
                for kv in RangeResponse::decode(bytes).unwrap().kvs {
                    see(&kv.key, &kv.value);
                }
            }
            ("/etcdserverpb.KV/Txn", false) => {
                for op in TxnRequest::decode(bytes).unwrap().success {
                    if let Some(request_op::Request::RequestPut(put)) = op.request {
                        see(&put.key, &put.value);
                    }
                }
            }
            ("/etcdserverpb.Watch/Watch", true) => {
                for event in WatchResponse::decode(bytes).unwrap().events {
                    for kv in event.kv.iter().chain(&event.prev_kv) {
                        see(&kv.key, &kv.value);
                    }
                }
            }
            _ => {}
        }
    }
    secrets
}

fn holds(contents: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(contents, what).is_some()
}

fn nothing_of_a_secret(connections: &[Connection], values: Values) {
    let stage = Stage::new(values);
    for (number, connection) in (1..).zip(connections) {
        stage.pass(connection, number, 16 * 1024);
    }
    let (folder, _, passed) = stage.finish();
    let came: Vec<u8> = passed
        .values()
        .flat_map(|heard| heard.bytes.clone())
        .collect();
    assert!(holds(&came, b"eyJhbGci"), "what passed has tokens");
    let contents = contents(folder.path());
    for encoded in encodings(b"eyJhbGci") {
        assert!(!holds(&contents, &encoded), "{}", encoded.escape_ascii());
    }
    let secrets = secrets(passed.iter());
    assert!(secrets.len() >= 2, "{}", secrets.len());
    for secret in &secrets {
        // Their envelopes say little; the data comes after it.
        let inner = &secret[secret.len() / 2..];
        assert!(!holds(&contents, &inner[..inner.len().min(24)]));
    }
    // The recording's key stands nowhere in it.
    assert!(!holds(&contents, &[7; 32]));
    assert!(!holds(&contents, "07".repeat(32).as_bytes()));
}

#[test]
fn nothing_of_a_secret_in_the_first_capture() {
    nothing_of_a_secret(&pcap::APISERVER_1_20, Values::Redacted);
}

#[test]
fn nothing_of_a_secret_in_the_second_capture() {
    nothing_of_a_secret(&pcap::APISERVER_0_36, Values::Redacted);
}

#[test]
fn no_value_at_all_if_none_is_wanted() {
    nothing_of_a_secret(&pcap::APISERVER_0_36, Values::None);
}
