//! Pieces in, records out.

use super::super::batch::write_field;
use super::super::redact::RecordingKey;
use super::super::schema::{Channels, Envelope};
use super::*;

#[derive(Default)]
struct Seen {
    headers: Vec<u64>,
    messages: Vec<(u64, bool)>,
}

impl Sink for Seen {
    fn record(&mut self, channel: ChannelId, _: Times, data: &[u8]) {
        let meta = match channel {
            ChannelId::HEADERS => {
                self.headers.push(Headers::decode(data).unwrap().id);
                return;
            }
            ChannelId::PARTS => Part::decode(data).unwrap().meta,
            _ => Envelope::decode(data).unwrap().meta,
        };
        let meta = meta.unwrap();
        self.messages.push((meta.headers, meta.cut));
    }
}

fn assembly() -> Assembly {
    let key = RecordingKey::from_bytes([1; 32]);
    Assembly::new(Arc::new(Policy::new(key)), 0)
}

fn lane(stream: u32) -> Lane {
    Lane {
        stream: StreamId::from_bits(stream),
        from: Side::Client,
    }
}

/// A call's head, with a block of its own, and what of its message has come.
fn call(stream: u32, id: u64, length: u32, came: &[u8]) -> Vec<u8> {
    let (of, mut fields, mut batch) = (lane(stream), Vec::new(), Vec::new());
    write_field(b"traceparent", &id.to_be_bytes(), &mut fields);
    let channel = Channels::all()
        .of_method("etcdserverpb.KV", "Range", Side::Client)
        .unwrap()
        .0;
    for op in [
        Op::Head {
            of,
            trailers: false,
            id,
            at: 1,
            fields: &fields,
        },
        Op::Begin {
            of,
            channel,
            path: "",
            compressed: false,
            length,
            index: 0,
            at: 1,
        },
        Op::Body { of, bytes: came },
    ] {
        op.write(&mut batch);
    }
    batch
}

#[test]
fn what_a_lost_connection_cuts_has_its_header_block_in_the_file() {
    let (mut assembly, mut seen) = (assembly(), Seen::default());
    assembly.take(7, &call(1, 9, 100, b"abc"), &mut seen);
    assembly.begin_file();
    seen.headers.clear();
    assembly.gone(7, &mut seen);
    assert_eq!(seen.messages, [(9, true)]);
    assert_eq!(seen.headers, [9]);
    assert!(assembly.written.is_empty() && assembly.connections.is_empty());
    assert_eq!(assembly.open, 0);
}

/// Counts what comes out, and keeps nothing.
#[derive(Default)]
struct Weighed {
    bytes: u64,
    records: usize,
    greatest: usize,
    last: Option<Meta>,
}

impl Sink for Weighed {
    fn record(&mut self, channel: ChannelId, _: Times, data: &[u8]) {
        if channel == ChannelId::PARTS {
            let part = Part::decode(data).unwrap();
            assert_eq!(part.offset, self.bytes);
            self.bytes += part.data.len() as u64;
            self.records += 1;
            self.greatest = self.greatest.max(part.data.len());
            self.last = part.meta.filter(|_| part.last);
        }
    }
}

#[test]
fn a_great_answer_is_held_by_the_mebibyte() {
    const LENGTH: u64 = 300_000_000;
    const PIECE: usize = 16_384;
    /// A part, as much as a piece may add to it, and what a redactor may hold.
    const BOUND: usize = 2 * PART + 256 * 1024;
    // One value, or one after another.
    for value in [LENGTH as usize - 64, 200_000] {
        let mut message = Vec::new();
        encode_key(1, WireType::LengthDelimited, &mut message);
        encode_varint(28, &mut message);
        message.extend_from_slice(b"/registry/configmaps/lab/big");
        encode_key(5, WireType::LengthDelimited, &mut message);
        encode_varint(value as u64, &mut message);
        let mut kv = Vec::new();
        encode_key(2, WireType::LengthDelimited, &mut kv);
        encode_varint((message.len() + value) as u64, &mut kv);
        kv.extend_from_slice(&message);
        let unit = kv.len() + value;
        // The last value is cut, and so is the message with it.
        let byte_at = |at: u64| {
            let within = (at % unit as u64) as usize;
            kv.get(within).copied().unwrap_or(b'v')
        };
        let (mut assembly, mut seen) = (assembly(), Weighed::default());
        let of = lane(1);
        let channel = Channels::all()
            .of_method("etcdserverpb.KV", "Range", Side::Server)
            .unwrap()
            .0;
        let mut batch = Vec::new();
        Op::Begin {
            of,
            channel,
            path: "",
            compressed: false,
            length: LENGTH as u32,
            index: 0,
            at: 1,
        }
        .write(&mut batch);
        let (mut at, mut most) = (0, 0);
        let mut piece = vec![b'v'; PIECE];
        while at < LENGTH {
            let until = (at + PIECE as u64).min(LENGTH);
            piece.resize((until - at) as usize, b'v');
            for (n, byte) in piece.iter_mut().enumerate() {
                *byte = byte_at(at + n as u64);
            }
            Op::Body { of, bytes: &piece }.write(&mut batch);
            at = until;
            assembly.take(7, &batch, &mut seen);
            batch.clear();
            most = most.max(assembly.held());
        }
        Op::End { of, at: 2 }.write(&mut batch);
        assembly.take(7, &batch, &mut seen);
        assert!(most <= BOUND, "{most} bytes were held");
        assert_eq!(assembly.held(), 0);
        assert_eq!(seen.bytes, LENGTH);
        assert!(seen.records > 270, "{}", seen.records);
        assert!(seen.greatest <= BOUND, "{}", seen.greatest);
        assert_eq!(seen.last.unwrap().size, LENGTH);
    }
}

#[test]
fn a_block_a_call_is_not_remembered_for_ever() {
    let (mut assembly, mut seen) = (assembly(), Seen::default());
    for n in 1..=10 * BLOCKS_MOST as u64 {
        let mut batch = call(n as u32 * 2 + 1, n, 2, b"\x0a\x00");
        let of = lane(n as u32 * 2 + 1);
        Op::End { of, at: 2 }.write(&mut batch);
        assembly.take(7, &batch, &mut seen);
    }
    assert_eq!(seen.headers.len(), 10 * BLOCKS_MOST);
    assert_eq!(seen.messages.len(), 10 * BLOCKS_MOST);
    assert!(assembly.written.len() <= BLOCKS_MOST);
    assert!(assembly.connections[&7].blocks.len() <= BLOCKS_MOST);
}
