//! The stored values that a connection carries, whatever message they stand in:
//! any length-delimited field that begins as Kubernetes' values do.

use etcdtap::http2::Side;

use crate::pcap::Connection;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The values of both directions, the client's first.
pub fn values(connection: &Connection) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for side in [Side::Client, Side::Server] {
        let bytes = connection.stream_of(side);
        let frames = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
        for message in messages(frames) {
            collect(&message, &mut values);
        }
    }
    values
}

/// The gRPC messages of one direction, in the order in which they became whole.
fn messages(mut frames: &[u8]) -> Vec<Vec<u8>> {
    let mut streams: std::collections::BTreeMap<u32, Vec<u8>> = Default::default();
    let mut messages = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        frames = rest;
        if head[3] != 0 {
            continue;
        }
        assert_eq!(head[4] & 8, 0, "no padding in the captures");
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let content = streams.entry(stream).or_default();
        content.extend_from_slice(payload);
        while let Some((prefix, rest)) = content.split_first_chunk::<5>() {
            assert_eq!(prefix[0], 0, "no compression in the captures");
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            let Some((message, rest)) = rest.split_at_checked(length) else {
                break;
            };
            messages.push(message.to_vec());
            *content = rest.to_vec();
        }
    }
    messages
}

/// Walks a message as far as it reads as one.
fn collect(message: &[u8], values: &mut Vec<Vec<u8>>) {
    let mut rest = message;
    let mut inner = Vec::new();
    while !rest.is_empty() {
        let Some(tag) = varint(&mut rest) else { return };
        match tag & 7 {
            0 if varint(&mut rest).is_some() => {}
            2 => {
                let Some(length) = varint(&mut rest).and_then(|n| usize::try_from(n).ok()) else {
                    return;
                };
                let Some((bytes, after)) = rest.split_at_checked(length) else {
                    return;
                };
                rest = after;
                inner.push(bytes);
            }
            _ => return,
        }
    }
    for bytes in inner {
        if bytes.starts_with(b"k8s\0") || bytes.starts_with(b"{\"") {
            values.push(bytes.to_vec());
        } else {
            collect(bytes, values);
        }
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
