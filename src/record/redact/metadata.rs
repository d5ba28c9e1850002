//! Header fields: whose values may stand in a file.

use std::borrow::Cow;

use super::key::{FILL, Hash, tag, told};
use super::policy::Policy;
use crate::kube::token::{Search, suspected};

/// What of a header field may stand in a file, besides its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<'v> {
    /// Its value; tokens in it are replaced.
    Value(Cow<'v, [u8]>),
    /// How long it was, and its hash, if it was not too short for one.
    LengthAndHash(usize, Option<Hash>),
    /// How long it was, and nothing else: it is a credential, or may be one.
    Length(usize),
}

/// Fields that hold nothing secret: HTTP's own, gRPC's, and those that etcd's
/// clients and tracing send.
const SHOWN: &[&[u8]] = &[
    b":authority",
    b":method",
    b":path",
    b":scheme",
    b":status",
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"allow",
    b"cache-control",
    b"client-api-version",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"date",
    b"expect",
    b"grpc-accept-encoding",
    b"grpc-encoding",
    b"grpc-message",
    b"grpc-message-type",
    b"grpc-previous-rpc-attempts",
    b"grpc-retry-pushback-ms",
    b"grpc-status",
    b"grpc-timeout",
    b"hasleader",
    b"host",
    b"keep-alive",
    b"server",
    b"te",
    b"traceparent",
    b"tracestate",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
    b"vary",
    b"x-content-type-options",
    b"x-etcd-cluster-id",
    b"x-server-version",
];

/// Words in the names of fields that carry credentials.
const CREDENTIALS: [&[u8]; 12] = [
    b"apikey",
    b"api-key",
    b"assertion",
    b"auth",
    b"cookie",
    b"credential",
    b"jwt",
    b"pass",
    b"secret",
    b"session",
    b"signature",
    b"token",
];

/// What of a header field may stand in a file. That does not depend on which
/// values of objects are kept.
pub fn metadata<'v>(policy: &Policy, name: &[u8], value: &'v [u8]) -> Shown<'v> {
    let lower;
    let name = match name.iter().any(u8::is_ascii_uppercase) {
        true => {
            lower = name.to_ascii_lowercase();
            &lower[..]
        }
        false => name,
    };
    if SHOWN.contains(&name) {
        // A user and a password may stand before a host.
        let is_url = matches!(name, b":authority" | b":path" | b"host");
        if !is_url || !value.contains(&b'@') {
            return Shown::Value(without_tokens(policy, value));
        }
        return Shown::Length(value.len());
    }
    let has = |word: &&[u8]| memchr::memmem::find(name, word).is_some();
    if CREDENTIALS.iter().any(has) {
        return Shown::Length(value.len());
    }
    let hash = told(policy.hash(value), value.len() as u64);
    Shown::LengthAndHash(value.len(), hash)
}

/// Bytes of whatever kind, in which tokens are replaced as they are in messages.
fn without_tokens<'v>(policy: &Policy, value: &'v [u8]) -> Cow<'v, [u8]> {
    let mut out = Cow::Borrowed(value);
    if suspected(value) {
        for found in Search::new(value) {
            let range = &mut out.to_mut()[found];
            let hash = policy.hash(range);
            range.fill(FILL);
            tag(range, hash);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::RecordingKey;
    use super::*;

    #[test]
    fn only_fields_that_are_known_to_be_harmless_show_their_values() {
        let policy = Policy::new(RecordingKey::from_bytes([1; 32]));
        let shown =
            |name: &str, value: &'static str| metadata(&policy, name.as_bytes(), value.as_bytes());
        for (name, value) in [
            (":path", "/etcdserverpb.KV/Range"),
            ("user-agent", "grpc-go/1.81.0"),
            ("User-Agent", "curl/8"),
            ("grpc-timeout", "5S"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("grpc-message", "etcdserver: no leader"),
        ] {
            assert_eq!(
                shown(name, value),
                Shown::Value(Cow::Borrowed(value.as_bytes()))
            );
        }
        for name in [
            "authorization",
            "Authorization",
            "token",
            "cookie",
            "set-cookie",
            "proxy-authorization",
            "x-api-key",
            "x-auth-request-email",
            "www-authenticate",
        ] {
            assert_eq!(shown(name, "hunter2"), Shown::Length(7), "{name}");
        }
        assert_eq!(
            shown(":authority", "root:hunter2@etcd:2379"),
            Shown::Length(22)
        );
        let hash = Some(policy.hash(b"abcd"));
        assert_eq!(shown("x-request-id", "abcd"), Shown::LengthAndHash(4, hash));
        assert_eq!(shown("x-request-id", "abc"), Shown::LengthAndHash(3, None));
    }

    #[test]
    fn tokens_in_values_that_show_are_replaced() {
        let policy = Policy::new(RecordingKey::from_bytes([1; 32]));
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
        let path = format!("/v3/kv/range?x={token}&y=1");
        let Shown::Value(value) = metadata(&policy, b":path", path.as_bytes()) else {
            panic!("a path is shown");
        };
        assert_eq!(value.len(), path.len());
        let text = str::from_utf8(&value).unwrap();
        assert!(
            text.starts_with("/v3/kv/range?x=***") && text.ends_with("&y=1"),
            "{text}"
        );
        assert!(
            text.contains(&policy.hash(token.as_bytes()).to_string()),
            "{text}"
        );
    }
}
