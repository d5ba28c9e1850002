//! A WatchResponse as it stands on the wire: what it says, and how it is written
//! anew with a part of it changed. Fields that are not known here stay as they
//! are.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

use crate::etcd::call::Header;
use crate::etcd::watch::EventKind;
use crate::grpc::PREFIX_LEN;

// Field numbers of `WatchResponse`.
const HEADER: u32 = 1;
const WATCH_ID: u32 = 2;
const CREATED: u32 = 3;
const CANCELED: u32 = 4;
const COMPACT_REVISION: u32 = 5;
const CANCEL_REASON: u32 = 6;
const FRAGMENT: u32 = 7;
const EVENTS: u32 = 11;

/// `ResponseHeader.revision`.
const REVISION: u32 = 3;

/// A WatchResponse.
#[derive(Debug)]
pub(super) struct Response<'a> {
    /// The header, as it stands there.
    pub header: &'a [u8],
    pub revision: i64,
    pub watch_id: i64,
    pub created: bool,
    pub canceled: bool,
    /// More of the same follows.
    pub fragment: bool,
    pub events: Vec<Seen<'a>>,
    /// All other fields, with their tags.
    rest: Vec<&'a [u8]>,
}

/// An event of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub raw: &'a [u8],
    pub kind: EventKind,
    pub key: &'a [u8],
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    number: u32,
    value: Value<'a>,
    /// With its tag.
    raw: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of `message`, which is shortened by it; `None` if it is none.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let whole = *message;
    let tag = decode_varint(message).ok()?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let value = match WireType::try_from(tag & 7).ok()? {
        WireType::Varint => Value::Varint(decode_varint(message).ok()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(message).ok()?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Value::Bytes(bytes)
        }
        WireType::SixtyFourBit => {
            *message = message.get(8..)?;
            Value::Other
        }
        WireType::ThirtyTwoBit => {
            *message = message.get(4..)?;
            Value::Other
        }
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    let raw = &whole[..whole.len() - message.len()];
    Some(Field { number, value, raw })
}

/// The field with this number, if it is bytes.
fn bytes_of(mut message: &[u8], number: u32) -> Option<&[u8]> {
    let mut found = None;
    while !message.is_empty() {
        let field = next_field(&mut message)?;
        if let (true, Value::Bytes(bytes)) = (field.number == number, field.value) {
            found = Some(bytes);
        }
    }
    found
}

/// The field with this number, if it is a varint; 0 where it is not there.
fn varint_of(mut message: &[u8], number: u32) -> u64 {
    let mut found = 0;
    while !message.is_empty() {
        let Some(field) = next_field(&mut message) else {
            break;
        };
        if let (true, Value::Varint(value)) = (field.number == number, field.value) {
            found = value;
        }
    }
    found
}

impl<'a> Response<'a> {
    /// Reads a message; `None` if it is no WatchResponse.
    pub fn read(mut message: &'a [u8]) -> Option<Response<'a>> {
        let mut response = Response {
            header: &[],
            revision: 0,
            watch_id: 0,
            created: false,
            canceled: false,
            fragment: false,
            events: Vec::new(),
            rest: Vec::new(),
        };
        while !message.is_empty() {
            let field = next_field(&mut message)?;
            match (field.number, field.value) {
                (HEADER, Value::Bytes(header)) => {
                    response.header = header;
                    response.revision = varint_of(header, REVISION) as i64;
                }
                (WATCH_ID, Value::Varint(value)) => response.watch_id = value as i64,
                (CREATED, Value::Varint(value)) => response.created = value != 0,
                (CANCELED, Value::Varint(value)) => response.canceled = value != 0,
                (FRAGMENT, Value::Varint(value)) => response.fragment = value != 0,
                (EVENTS, Value::Bytes(raw)) => {
                    // `Event`: type is 1, kv is 2; `KeyValue`: key is 1.
                    let kind = match varint_of(raw, 1) {
                        1 => EventKind::Delete,
                        _ => EventKind::Put,
                    };
                    let key = bytes_of(raw, 2).and_then(|kv| bytes_of(kv, 1));
                    let key = key.unwrap_or_default();
                    response.events.push(Seen { raw, kind, key });
                }
                _ => response.rest.push(field.raw),
            }
        }
        Some(response)
    }

    /// Whether it says only that the watch is up to date.
    pub fn is_progress(&self) -> bool {
        !self.created && !self.canceled && self.events.is_empty()
    }

    /// The same with other events, as a gRPC message.
    pub fn with_events(&self, events: &[Seen<'_>], fragment: bool) -> Bytes {
        let mut out = begin();
        put_bytes(&mut out, HEADER, self.header);
        put_varint(&mut out, WATCH_ID, self.watch_id as u64);
        put_varint(&mut out, CREATED, u64::from(self.created));
        put_varint(&mut out, CANCELED, u64::from(self.canceled));
        for raw in &self.rest {
            out.put_slice(raw);
        }
        put_varint(&mut out, FRAGMENT, u64::from(fragment));
        for event in events {
            put_bytes(&mut out, EVENTS, event.raw);
        }
        end(out)
    }
}

/// `header` with its revision moved by `ahead`, never below 1.
pub(super) fn moved(header: &[u8], ahead: i64) -> Vec<u8> {
    let (mut out, mut rest) = (BytesMut::new(), header);
    while !rest.is_empty() {
        let Some(field) = next_field(&mut rest) else {
            break;
        };
        if field.number != REVISION {
            out.put_slice(field.raw);
        }
    }
    let revision = (varint_of(header, REVISION) as i64).saturating_add(ahead);
    put_varint(&mut out, REVISION, revision.max(1) as u64);
    out.to_vec()
}

/// A header that says this.
pub(super) fn header(of: Header) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, 1, of.cluster_id);
    put_varint(&mut out, 2, of.member_id);
    put_varint(&mut out, REVISION, of.revision as u64);
    put_varint(&mut out, 4, of.raft_term);
    out.to_vec()
}

/// `ResponseHeader.revision` of `header`.
pub(super) fn revision_of(header: &[u8]) -> i64 {
    varint_of(header, REVISION) as i64
}

/// That this watch is up to date, as a gRPC message.
pub(super) fn progress(header: &[u8], watch_id: i64) -> Bytes {
    let mut out = begin();
    put_bytes(&mut out, HEADER, header);
    put_varint(&mut out, WATCH_ID, watch_id as u64);
    end(out)
}

/// That this watch ended, as a gRPC message. One that never stood is `created`,
/// too: that is how etcd answers a creation that it refuses.
pub(super) fn canceled(
    header: &[u8],
    watch_id: i64,
    created: bool,
    compact_revision: i64,
    reason: &str,
) -> Bytes {
    let mut out = begin();
    // clientv3 reads the header without asking whether there is one.
    put_bytes(&mut out, HEADER, header);
    put_varint(&mut out, WATCH_ID, watch_id as u64);
    put_varint(&mut out, CREATED, u64::from(created));
    put_varint(&mut out, CANCELED, 1);
    put_varint(&mut out, COMPACT_REVISION, compact_revision as u64);
    if !reason.is_empty() {
        put_bytes(&mut out, CANCEL_REASON, reason.as_bytes());
    }
    end(out)
}

/// A message as a gRPC message.
pub(super) fn prefixed(compressed: bool, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX_LEN + message.len());
    out.put_slice(&prefix(compressed, message.len() as u32));
    out.put_slice(message);
    out.freeze()
}

/// gRPC's prefix of a message.
pub(super) fn prefix(compressed: bool, length: u32) -> [u8; PREFIX_LEN] {
    let [a, b, c, d] = length.to_be_bytes();
    [u8::from(compressed), a, b, c, d]
}

pub(super) fn begin() -> BytesMut {
    BytesMut::zeroed(PREFIX_LEN)
}

pub(super) fn end(mut out: BytesMut) -> Bytes {
    let length = (out.len() - PREFIX_LEN) as u32;
    out[..PREFIX_LEN].copy_from_slice(&prefix(false, length));
    out.freeze()
}

pub(super) fn put_bytes(out: &mut BytesMut, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

/// As proto3 writes it: 0 is left out.
pub(super) fn put_varint(out: &mut BytesMut, number: u32, value: u64) {
    if value != 0 {
        encode_key(number, WireType::Varint, out);
        encode_varint(value, out);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::etcd::schema::etcdserverpb::{ResponseHeader, WatchResponse};
    use crate::etcd::schema::mvccpb::{Event, KeyValue};

    fn event(key: &str, kind: i32) -> Event {
        Event {
            r#type: kind,
            kv: Some(KeyValue {
                key: key.to_owned().into(),
                mod_revision: 7,
                value: vec![9; 20].into(),
                ..KeyValue::default()
            }),
            prev_kv: None,
        }
    }

    fn header(revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: 1,
            member_id: u64::MAX,
            revision,
            raft_term: 4,
        }
    }

    fn sample() -> WatchResponse {
        WatchResponse {
            header: Some(header(8)),
            watch_id: 3,
            events: vec![event("a", 0), event("b", 1), event("c", 0)],
            ..WatchResponse::default()
        }
    }

    fn decoded(message: &Bytes) -> WatchResponse {
        let (prefix, body) = message.split_at(PREFIX_LEN);
        assert_eq!(prefix, super::prefix(false, body.len() as u32));
        WatchResponse::decode(body).expect("a WatchResponse")
    }

    #[test]
    fn a_response_is_read_and_written_as_it_was() {
        let wire = sample().encode_to_vec();
        let response = Response::read(&wire).expect("it is one");
        assert_eq!((response.watch_id, response.revision), (3, 8));
        let kinds: Vec<_> = response.events.iter().map(|seen| seen.kind).collect();
        assert_eq!(kinds, [EventKind::Put, EventKind::Delete, EventKind::Put]);
        assert_eq!(response.events[1].key, b"b");
        let same = response.with_events(&response.events, false);
        assert_eq!(decoded(&same), sample());
    }

    #[test]
    fn fields_that_are_not_known_stay() {
        let mut wire = sample().encode_to_vec();
        let mut unknown = BytesMut::new();
        put_bytes(&mut unknown, 99, b"from the future");
        wire.extend_from_slice(&unknown);
        let response = Response::read(&wire).expect("it is one");
        let less = response.with_events(&response.events[..1], true);
        assert!(less.windows(15).any(|part| part == b"from the future"));
        let less = decoded(&less);
        assert_eq!((less.events.len(), less.fragment), (1, true));
    }

    #[test]
    fn headers_are_moved() {
        let wire = header(8).encode_to_vec();
        let ahead = moved(&wire, 1000);
        assert_eq!(ResponseHeader::decode(&*ahead), Ok(header(1008)));
        assert_eq!(revision_of(&moved(&wire, -1000)), 1);
    }

    #[test]
    fn what_is_made_up_is_what_etcd_would_send() {
        let wire = header(8).encode_to_vec();
        let refused = decoded(&canceled(&wire, -1, true, 0, "no"));
        assert!(refused.created && refused.canceled);
        assert_eq!((refused.watch_id, &*refused.cancel_reason), (-1, "no"));
        let progress = decoded(&progress(&wire, 0));
        assert_eq!(progress.header, Some(header(8)));
    }

    #[test]
    fn what_is_none_is_refused() {
        for wire in [&b"\x0a\xff"[..], b"\x00", b"\x5a\x05abc", b"\x13"] {
            assert!(Response::read(wire).is_none(), "{wire:?}");
        }
    }
}
