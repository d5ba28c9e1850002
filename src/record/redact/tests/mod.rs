//! The redactor against messages that prost made: what it leaves is compared
//! with the same messages whose values were replaced before they were encoded.

mod broken;
mod expected;
mod messages;
mod methods;
mod pieces;
mod random;

use std::sync::Arc;

use super::*;
use crate::http2::Side;

const KEY: [u8; 32] = [7; 32];

/// A token as the API server makes them.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bGFiOngifQ.c2lnbmF0dXJlLW9mLWEtdG9rZW4tdGhhdC1uZXZlci13YXM";

fn policy(values: Values, rules: &[&str]) -> Arc<Policy> {
    Arc::new(Policy {
        values,
        rules: rules
            .iter()
            .map(|rule| Rule::parse(rule).unwrap())
            .collect(),
        ..Policy::new(RecordingKey::from_bytes(KEY))
    })
}

fn default() -> Arc<Policy> {
    policy(Values::Redacted, &[])
}

/// A message as a whole: `KV/Put>` is a request of that method, `KV/Put<` an
/// answer.
fn redacted(policy: &Arc<Policy>, path: &str, message: &[u8]) -> (Vec<u8>, Findings) {
    let mut redactor = begin(policy, path, message.len());
    let mut out = message.to_vec();
    redactor.push(&mut out);
    let mut rest = vec![1];
    let findings = redactor.finish(&mut rest);
    assert!(rest.is_empty(), "of a whole message nothing is held back");
    if !matches!(
        findings.redacted[..],
        [Redacted {
            why: Why::Credentials,
            ..
        }]
    ) {
        assert_eq!(out.len(), message.len());
    }
    (out, findings)
}

/// The same message in pieces of these sizes, again and again.
fn in_pieces(
    policy: &Arc<Policy>,
    path: &str,
    message: &[u8],
    sizes: &[usize],
) -> (Vec<u8>, Findings) {
    let mut redactor = begin(policy, path, message.len());
    let (mut out, mut came) = (Vec::new(), 0);
    let mut sizes = sizes.iter().cycle();
    while came < message.len() {
        let size = (*sizes.next().unwrap()).clamp(1, message.len() - came);
        let mut piece = message[came..came + size].to_vec();
        came += size;
        redactor.push(&mut piece);
        out.extend(piece);
        assert!(
            came - out.len() <= MOST_HELD + 32,
            "{} held",
            came - out.len()
        );
    }
    let mut rest = Vec::new();
    let findings = redactor.finish(&mut rest);
    out.extend(rest);
    assert_eq!(out.len(), message.len());
    (out, findings)
}

fn begin(policy: &Arc<Policy>, path: &str, length: usize) -> Redactor {
    let (path, from) = match path.strip_suffix('>') {
        Some(path) => (path, Side::Client),
        None => (path.strip_suffix('<').expect("a direction"), Side::Server),
    };
    let (service, method) = path.split_once('/').expect("a method");
    let service = match service.contains('.') {
        true => service.to_owned(),
        false => format!("etcdserverpb.{service}"),
    };
    Redactor::begin(policy, &service, method, from, false, length as u64)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
