//! Every message of the real captures through the redactor: no token and no
//! Secret's value is left, in any encoding, and nothing else is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use etcdtap::etcd::MethodName;
use etcdtap::etcd::schema::etcdserverpb::{
    RangeResponse, TxnRequest, TxnResponse, WatchResponse, request_op, response_op,
};
use etcdtap::etcd::schema::mvccpb::KeyValue;
use etcdtap::grpc::{Deframer, Part};
use etcdtap::http2::{Both, Offence, Side, StreamId};
use etcdtap::record::redact::{
    Findings, Policy, RecordingKey, Redactor, Shown, Why, metadata, redacted_hash,
};
use etcdtap::relay::{Connection as Relayed, Data, HoldAccount, HoldBudget, Order, StreamEnd, Tap};
use prost::Message;

use crate::pcap::{self, Connection};

/// What became of a capture's messages.
#[derive(Default)]
struct Recorded {
    /// All that may stand in a file.
    out: Vec<u8>,
    /// What each message was and became.
    messages: u64,
    found: BTreeMap<Why, u64>,
    /// Values of Secrets as they were, and of everything else.
    secrets: BTreeSet<Vec<u8>>,
    others: Vec<u8>,
    /// Tokens in what came.
    tokens: u64,
    header_fields: u64,
}

struct Recorder {
    policy: Arc<Policy>,
    recorded: Recorded,
}

#[derive(Default)]
struct Stream {
    service: String,
    method: String,
    deframers: Both<Deframer>,
    messages: Both<Option<Underway>>,
}

/// A message of which some came.
struct Underway {
    redactor: Redactor,
    original: Vec<u8>,
    out: Vec<u8>,
}

impl Recorder {
    /// The message is whole: it must have become the same in pieces as at once,
    /// and must be the same where nothing was found.
    fn take(&mut self, stream: &Stream, from: Side, message: Underway) {
        let Underway {
            redactor,
            original,
            mut out,
        } = message;
        let mut rest = Vec::new();
        let findings = redactor.finish(&mut rest);
        out.extend(rest);

        let (service, method) = (&stream.service, &stream.method);
        let length = original.len() as u64;
        let mut at_once = original.clone();
        let mut redactor = Redactor::begin(&self.policy, service, method, from, false, length);
        redactor.push(&mut at_once);
        assert_eq!(redactor.finish(&mut Vec::new()), findings);
        assert!(at_once == out, "{service}/{method}");
        same_elsewhere(&original, &out, &findings);

        self.recorded.messages += 1;
        for found in &findings.redacted {
            *self.recorded.found.entry(found.why).or_default() += 1;
        }
        let original = values(service, method, from, &original);
        for (kv, kept) in original.iter().zip(values(service, method, from, &out)) {
            assert_eq!((&kv.key, kv.mod_revision), (&kept.key, kept.mod_revision));
            self.recorded.tokens += u64::from(holds(&kv.value, b"eyJhbGci"));
            if kv.key.starts_with(b"/registry/secrets/") {
                let hash = Some(self.policy.hash(&kv.value)).filter(|_| !kv.value.is_empty());
                assert_eq!(redacted_hash(&kept.value), hash);
                self.recorded.secrets.insert(kv.value.to_vec());
            } else {
                self.recorded.others.extend_from_slice(&kv.value);
            }
        }
        self.recorded.out.append(&mut out);
    }
}

fn same_elsewhere(original: &[u8], out: &[u8], findings: &Findings) {
    assert_eq!(original.len(), out.len());
    assert!(findings.whole && findings.unlisted == 0);
    let mut at = 0;
    for found in &findings.redacted {
        let start = found.offset as usize;
        assert!(original[at..start] == out[at..start]);
        at = start + found.length as usize;
    }
    assert!(original[at..] == out[at..]);
}

/// The keys and values of a message.
fn values(service: &str, method: &str, from: Side, message: &[u8]) -> Vec<KeyValue> {
    match (service, method, from) {
        ("etcdserverpb.KV", "Range", Side::Server) => RangeResponse::decode(message).unwrap().kvs,
        ("etcdserverpb.KV", "Txn", Side::Client) => {
            let txn = TxnRequest::decode(message).unwrap();
            let ops = txn.success.into_iter().chain(txn.failure);
            ops.filter_map(|op| match op.request {
                Some(request_op::Request::RequestPut(put)) => Some(KeyValue {
                    key: put.key,
                    value: put.value,
                    ..KeyValue::default()
                }),
                _ => None,
            })
            .collect()
        }
        ("etcdserverpb.KV", "Txn", Side::Server) => {
            let txn = TxnResponse::decode(message).unwrap();
            let ranges = txn
                .responses
                .into_iter()
                .filter_map(|op| match op.response {
                    Some(response_op::Response::ResponseRange(range)) => Some(range.kvs),
                    _ => None,
                });
            ranges.flatten().collect()
        }
        ("etcdserverpb.Watch", "Watch", Side::Server) => {
            let events = WatchResponse::decode(message).unwrap().events.into_iter();
            events
                .flat_map(|event| event.kv.into_iter().chain(event.prev_kv))
                .collect()
        }
        _ => Vec::new(),
    }
}

impl Tap for Recorder {
    type Stream = Stream;

    fn opened(&mut self, _: StreamId, _: bool, _: Instant) -> Stream {
        Stream::default()
    }

    fn field(&mut self, _: Side, stream: &mut Stream, name: &[u8], value: &[u8]) {
        if name == b":path" {
            let (_, path) = MethodName::parse(value);
            (stream.service, stream.method) = (path.service.into(), path.method.into());
        }
        self.recorded.header_fields += 1;
        match metadata(&self.policy, name, value) {
            Shown::Value(shown) => assert_eq!(shown, value),
            hidden => panic!("{} is hidden: {hidden:?}", name.escape_ascii()),
        }
    }

    fn may_decide(&self, _: Side, _: &Stream) -> bool {
        false
    }

    fn data(&mut self, stream: &mut Stream, data: Data<'_>, _: &mut Vec<Order>) {
        let from = data.from;
        let mut rest = data.chunk;
        while let Some(part) = stream.deframers[from].next(&mut rest) {
            match part {
                Part::Start { compressed, length } => {
                    let redactor = Redactor::begin(
                        &self.policy,
                        &stream.service,
                        &stream.method,
                        from,
                        compressed,
                        u64::from(length),
                    );
                    stream.messages[from] = Some(Underway {
                        redactor,
                        original: Vec::new(),
                        out: Vec::new(),
                    });
                }
                Part::Body(body) => {
                    let message = stream.messages[from].as_mut().unwrap();
                    message.original.extend_from_slice(body);
                    let mut piece = body.to_vec();
                    message.redactor.push(&mut piece);
                    message.out.append(&mut piece);
                }
                Part::End => {
                    let message = stream.messages[from].take().unwrap();
                    self.take(stream, from, message);
                }
            }
        }
    }

    fn headers(&mut self, _: Side, _: &mut Stream, _: bool, _: &mut Vec<Order>, _: Instant) {}
    fn passed(&mut self, _: Side, _: &mut Stream, _: Instant) {}
    fn let_go(&mut self, _: &mut Stream) {}
    fn nudged(&mut self, _: &mut Stream, _: Both<bool>, _: &mut Vec<Order>, _: Instant) {}
    fn is_involved(&self) -> bool {
        false
    }
    fn ended(&mut self, _: Stream, _: StreamEnd, _: Instant) {}
    fn stopped(&mut self, offence: Offence, _: Instant) {
        panic!("{offence}");
    }
}

fn recorded(capture: &[Connection]) -> Recorded {
    let policy = Arc::new(Policy::new(RecordingKey::generate().unwrap()));
    let mut recorded = Recorded::default();
    let start = Instant::now();
    for connection in capture {
        let recorder = Recorder {
            policy: Arc::clone(&policy),
            recorded: std::mem::take(&mut recorded),
        };
        let mut relayed = Relayed::new(recorder, HoldAccount::new(HoldBudget::default()));
        for segment in &connection.segments {
            relayed.handle_bytes(segment.side, &segment.bytes, start + segment.at);
            while relayed.poll_transmit(segment.side).is_some() {}
        }
        recorded = std::mem::take(&mut relayed.tap().recorded);
    }
    recorded
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// The beginning of a token in every encoding that could be read back, made
/// without the search for tokens.
pub fn beginnings() -> Vec<Vec<u8>> {
    let once = |text: &[u8]| -> Vec<Vec<u8>> {
        (0..3)
            .map(|before| {
                let text = [&b"\0\0"[..before], text].concat();
                let encoded = BASE64.encode(&text).into_bytes();
                // The first and the last character depend on what stands around.
                let from = [0, 2, 3][before];
                let to = encoded.len() - [0, 3, 2][text.len() % 3];
                encoded[from..to].to_vec()
            })
            .collect()
    };
    let plain = b"eyJhbGci";
    let mut all = vec![
        plain.to_vec(),
        HEXLOWER.encode(plain).into(),
        HEXUPPER.encode(plain).into(),
        plain.iter().flat_map(|byte| [*byte, 0]).collect(),
    ];
    for encoded in once(plain) {
        all.extend(once(&encoded));
        all.push(encoded);
    }
    all
}

fn nothing_is_left(recorded: &Recorded) {
    for beginning in beginnings() {
        assert!(
            !holds(&recorded.out, &beginning),
            "{} is left",
            beginning.escape_ascii()
        );
    }
    assert!(!recorded.secrets.is_empty());
    let mut searched = 0;
    for secret in &recorded.secrets {
        // Some of it may stand in other objects as well: names, a certificate.
        let parts = secret.chunks_exact(24).rev().step_by(3);
        let own = parts.filter(|part| !holds(&recorded.others, part));
        for part in own.take(60_usize.saturating_sub(searched).min(10)) {
            assert!(!holds(&recorded.out, part), "{}", part.escape_ascii());
            searched += 1;
        }
    }
    assert!(searched >= 10, "{searched}");
}

#[test]
fn the_older_api_servers_secrets_and_tokens_are_replaced() {
    let recorded = recorded(&pcap::APISERVER_1_20);
    if std::env::var_os("ETCDTAP_TEST_SHOW").is_some() {
        println!(
            "{} {:?} {}",
            recorded.messages, recorded.found, recorded.tokens
        );
    }
    nothing_is_left(&recorded);
    assert!(recorded.tokens > 0, "the capture is a test");
    assert_eq!(recorded.found.keys().collect::<Vec<_>>(), [&Why::Secret]);
    // Two messages a unary call, and those of the Watch streams.
    assert!(recorded.messages > 2 * (1784 + 1741) + 1866);
    assert!(recorded.header_fields > 10_000);
}

#[test]
fn the_newer_api_servers_secrets_and_tokens_are_replaced() {
    let recorded = recorded(&pcap::APISERVER_0_36);
    if std::env::var_os("ETCDTAP_TEST_SHOW").is_some() {
        println!(
            "{} {:?} {}",
            recorded.messages, recorded.found, recorded.tokens
        );
    }
    nothing_is_left(&recorded);
    assert!(recorded.tokens > 0, "the capture is a test");
    assert_eq!(recorded.found.keys().collect::<Vec<_>>(), [&Why::Secret]);
    assert!(recorded.messages > 2 * (1612 + 883) + 1612);
    assert!(recorded.header_fields > 10_000);
}
