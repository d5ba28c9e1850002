//! What is replaced in a message: whatever the bytes are and however they come,
//! as many come out as went in, all that is not listed stays as it was, and pieces
//! lead to what the whole leads to.

#![no_main]

use std::sync::{Arc, LazyLock};

use etcdtap::http2::Side;
use etcdtap::record::redact::{
    Findings, MOST_HELD, MOST_LISTED, Policy, RecordingKey, Redactor, Treatment, Values, Why,
};
use libfuzzer_sys::fuzz_target;

const METHODS: [(&str, &str); 12] = [
    ("etcdserverpb.KV", "Range"),
    ("etcdserverpb.KV", "Put"),
    ("etcdserverpb.KV", "DeleteRange"),
    ("etcdserverpb.KV", "Txn"),
    ("etcdserverpb.Watch", "Watch"),
    ("etcdserverpb.Lease", "LeaseGrant"),
    ("etcdserverpb.Maintenance", "Snapshot"),
    ("etcdserverpb.Auth", "Authenticate"),
    ("v3electionpb.Election", "Campaign"),
    ("v3lockpb.Lock", "Lock"),
    ("etcdserverpb.Cluster", "MemberList"),
    ("some.Other", "Method"),
];

static POLICIES: LazyLock<Vec<Arc<Policy>>> = LazyLock::new(|| {
    [Values::Redacted, Values::All, Values::None]
        .map(|values| {
            Arc::new(Policy {
                values,
                ..Policy::new(RecordingKey::from_bytes([7; 32]))
            })
        })
        .into()
});

fuzz_target!(|input: &[u8]| {
    let Some(([how, method, size, announced], message)) = input.split_first_chunk::<4>() else {
        return;
    };
    let policy = &POLICIES[usize::from(how & 3) % 3];
    let (service, method) = METHODS[usize::from(*method) % METHODS.len()];
    let from = if how & 4 == 0 { Side::Client } else { Side::Server };
    let compressed = how & 8 != 0;
    // Now and then the prefix lies.
    let length = match how & 16 {
        0 => message.len() as u64,
        _ => u64::from(*announced),
    };
    let begin = || Redactor::begin(policy, service, method, from, compressed, length);

    let mut redactor = begin();
    let treatment = redactor.treatment();
    let mut whole = message.to_vec();
    redactor.push(&mut whole);
    let mut rest = Vec::new();
    let findings = redactor.finish(&mut rest);
    whole.extend(rest);
    check(message, &whole, &findings, treatment);

    let mut redactor = begin();
    let (mut pieces, mut came) = (Vec::new(), 0);
    for piece in message.chunks(usize::from(*size).max(1)) {
        came += piece.len();
        let mut piece = piece.to_vec();
        redactor.push(&mut piece);
        pieces.extend(piece);
        if treatment != Treatment::Never {
            assert!(came - pieces.len() <= MOST_HELD + 32);
        }
    }
    let mut rest = Vec::new();
    let found = redactor.finish(&mut rest);
    pieces.extend(rest);
    check(message, &pieces, &found, treatment);
    let broken = findings.redacted.iter().any(|found| found.why == Why::Undecodable);
    if !broken && length == message.len() as u64 {
        assert_eq!(pieces, whole);
        assert_eq!(found, findings);
    }
});

/// What holds of every message.
fn check(message: &[u8], out: &[u8], findings: &Findings, treatment: Treatment) {
    if treatment == Treatment::Never {
        assert!(out.is_empty());
        return;
    }
    assert_eq!(out.len(), message.len());
    if findings.unlisted > 0 {
        assert_eq!(findings.redacted.len(), MOST_LISTED);
        return;
    }
    // Between what is listed everything is as it was.
    let mut at = 0;
    for found in &findings.redacted {
        let start = found.offset as usize;
        assert!(at <= start, "they come in order");
        assert_eq!(out[at..start], message[at..start]);
        at = start + found.length as usize;
    }
    assert_eq!(out[at..], message[at..]);
}
