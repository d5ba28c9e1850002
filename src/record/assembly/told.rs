//! What a record says of a message besides its bytes, and of a header field.

use super::open::Begun;
use crate::record::batch::{Lane, fields};
use crate::record::redact::{Findings, Policy, Shown, Why, metadata};
use crate::record::schema::v1::hidden::Reason;
use crate::record::schema::v1::{self, Hidden, Meta};
use crate::record::schema::{ChannelId, Channels};

/// The two parts of a call's path.
pub(super) fn method(begun: &Begun) -> (&str, &str) {
    if begun.channel != 0 {
        let channel = Channels::all().channel(ChannelId(begun.channel));
        if let Some(method) = channel.and_then(|channel| channel.method.as_ref()) {
            return (&method.service, &method.method);
        }
    }
    let path = begun.path.strip_prefix('/').unwrap_or(&begun.path);
    path.rsplit_once('/').unwrap_or(("", path))
}

pub(super) fn meta(
    connection: u64,
    of: Lane,
    begun: &Begun,
    size: u64,
    findings: &Findings,
) -> Meta {
    Meta {
        connection,
        stream: of.stream.number(),
        from: v1::Side::from(of.from).into(),
        index: begun.index,
        size,
        compressed: begun.compressed,
        cut: false,
        headers: begun.headers,
        hidden: findings
            .redacted
            .iter()
            .map(|range| Hidden {
                offset: range.offset,
                length: range.length,
                hash: range
                    .hash
                    .map(|hash| bytes::Bytes::copy_from_slice(&hash.0))
                    .unwrap_or_default(),
                reason: reason(range.why).into(),
            })
            .collect(),
        more_hidden: findings.unlisted,
    }
}

pub(in crate::record) fn reason(why: Why) -> Reason {
    match why {
        Why::Secret => Reason::Secret,
        Why::Token => Reason::Token,
        Why::Rule => Reason::Rule,
        Why::ValuesNone => Reason::Value,
        Why::Undecodable => Reason::Unreadable,
        Why::UnknownField => Reason::UnknownField,
        Why::Credentials => Reason::Credential,
    }
}

pub(super) fn field(policy: &Policy, name: &[u8], value: &[u8]) -> v1::headers::Field {
    let mut field = v1::headers::Field {
        name: String::from_utf8_lossy(name).into_owned(),
        ..v1::headers::Field::default()
    };
    match metadata(policy, name, value) {
        Shown::Value(value) => field.value = String::from_utf8_lossy(&value).into_owned(),
        Shown::LengthAndHash(length, hash) => {
            field.hidden_length = length as u64;
            field.hash = hash
                .map(|hash| bytes::Bytes::copy_from_slice(&hash.0))
                .unwrap_or_default();
        }
        Shown::Length(length) => field.hidden_length = length as u64,
    }
    field
}

/// `grpc-status: 0`, and no words: what nearly every answer ends with.
pub(super) fn says_only_ok(block: &[u8]) -> bool {
    fields(block).all(|(name, value)| match name {
        b"grpc-status" => value == b"0",
        b"grpc-message" => value.is_empty(),
        _ => false,
    })
}
