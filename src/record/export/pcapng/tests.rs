//! What is written, read back: packets to bytes, bytes through the core that
//! reads live traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::etcd::schema::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use crate::etcd::{Call, Ending, Event, Session, SessionOptions};
use crate::grpc::Code;
use crate::http2::ErrorCode;
use crate::record::container::Times;
use crate::record::schema::v1::{self, Meta};
use crate::relay::{ConnectionId, Peers};

const RANGE: &str = "/etcdserverpb.KV/Range";
const SECOND: u64 = 1_000_000_000;

/// One record after the other, and the file that becomes of them.
struct Script {
    pcapng: Pcapng<Vec<u8>>,
}

impl Script {
    fn new() -> Script {
        Script {
            pcapng: Pcapng::new(Vec::new()),
        }
    }

    fn message(&mut self, at: u64, stream: u32, from: v1::Side, meta: Meta, data: &Bytes) {
        let meta = Meta {
            connection: 7,
            stream,
            from: from.into(),
            ..meta
        };
        let passed = Passed {
            channel: None,
            times: Times {
                whole: at,
                began: at,
            },
            meta: &meta,
            path: RANGE,
            offset: 0,
            data,
            last: true,
        };
        self.pcapng.passed(&passed).unwrap();
    }

    fn asked(&mut self, at: u64, stream: u32) {
        let data = request();
        let meta = Meta {
            size: data.len() as u64,
            ..Meta::default()
        };
        self.message(at, stream, v1::Side::Client, meta, &data);
    }

    fn answered(&mut self, at: u64, stream: u32) {
        let data = response();
        let meta = Meta {
            size: data.len() as u64,
            ..Meta::default()
        };
        self.message(at, stream, v1::Side::Server, meta, &data);
    }

    fn line(&mut self, at: u64, line: LogLine) {
        self.pcapng.line(&Line { at, line }).unwrap();
    }

    fn finish(mut self) -> (Vec<Packet>, Vec<String>) {
        self.pcapng.finish().unwrap();
        let left_out = self.pcapng.left_out();
        (packets(&self.pcapng.blocks.into_inner()), left_out)
    }
}

fn request() -> Bytes {
    let request = RangeRequest {
        key: "/registry/pods/lab/web".into(),
        ..RangeRequest::default()
    };
    request.encode_to_vec().into()
}

fn response() -> Bytes {
    let response = RangeResponse {
        header: Some(ResponseHeader {
            revision: 42,
            ..ResponseHeader::default()
        }),
        ..RangeResponse::default()
    };
    response.encode_to_vec().into()
}

fn call(stream: u32) -> LogLine {
    LogLine {
        event: "call".to_owned(),
        conn: 7,
        stream: Some(stream),
        client: "10.0.0.7:40312".to_owned(),
        upstream: "etcd-0:2379".to_owned(),
        service: Some("etcdserverpb.KV".to_owned()),
        method: Some("Range".to_owned()),
        status: Some("OK".to_owned()),
        duration_us: Some(1000),
        ..LogLine::default()
    }
}

/// A segment as it stands in the file.
struct Packet {
    at: u64,
    from: Side,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
}

fn packets(file: &[u8]) -> Vec<Packet> {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut packets, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let length = number(at + 4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(number(at + length - 4) as usize, length);
        if number(at) == 6 {
            let time = (u64::from(number(at + 12)) << 32) | u64::from(number(at + 16));
            let held = number(at + 20) as usize;
            packets.push(packet(time, &file[at + 28..at + 28 + held]));
        }
        at += length;
    }
    packets
}

fn packet(at: u64, ip: &[u8]) -> Packet {
    let tcp = match ip[0] >> 4 {
        4 => {
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
            &ip[20..]
        }
        6 => &ip[40..],
        other => panic!("IP {other}"),
    };
    let to = u16::from_be_bytes([tcp[2], tcp[3]]);
    Packet {
        at,
        from: if to == 2379 {
            Side::Client
        } else {
            Side::Server
        },
        sequence: u32::from_be_bytes(tcp[4..8].try_into().unwrap()),
        flags: tcp[13],
        payload: tcp[20..].to_vec(),
    }
}

/// The calls that the core makes of the packets, which must be sound.
fn calls(packets: &[Packet]) -> Vec<Call> {
    let start = Instant::now();
    let peers = Arc::new(Peers {
        id: ConnectionId(1),
        client: "10.0.0.7:40312".parse().unwrap(),
        listener: "10.0.0.5:2379".parse().unwrap(),
        upstream: "etcd-0:2379".into(),
        tls: None,
    });
    let mut session = Session::new(peers, &Arc::new(SessionOptions::default()), start);
    let mut next: [Option<u32>; 2] = [None; 2];
    let (mut last, mut calls) = (0, Vec::new());
    for packet in packets {
        assert!(packet.at >= last, "time goes back");
        last = packet.at;
        let next = &mut next[usize::from(packet.from == Side::Server)];
        let expected = next.unwrap_or(packet.sequence);
        assert_eq!(packet.sequence, expected);
        let taken = packet.payload.len() as u32 + u32::from(packet.flags & 0x03 != 0);
        *next = Some(expected.wrapping_add(taken));
        let now = start + Duration::from_nanos(packet.at);
        session.handle_bytes(packet.from, &packet.payload, now);
        for side in [Side::Client, Side::Server] {
            while session.poll_transmit(side).is_some() {}
        }
        while let Some(event) = session.poll_event() {
            match event {
                Event::Call(call) => calls.push(*call),
                Event::TracingStopped { offence, .. } => panic!("{offence}"),
                _ => {}
            }
        }
    }
    calls
}

#[test]
fn a_call_is_a_call_again_at_its_time() {
    let mut script = Script::new();
    script.asked(SECOND, 1);
    script.answered(SECOND + 900_000, 1);
    script.line(SECOND + 1_000_000, call(1));
    let (packets, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    let calls = calls(&packets);
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (&*call.name.service, &*call.name.method),
        ("etcdserverpb.KV", "Range")
    );
    assert_eq!(call.status.code, Code::OK);
    assert_eq!(call.status.ending, Ending::Trailers);
    assert_eq!(call.header.unwrap().revision, 42);
    assert_eq!(call.sent.bytes, request().len() as u64);
    assert_eq!(call.ended - call.started, Duration::from_millis(1));
}

#[test]
fn every_kind_of_end_is_told() {
    let ends = [
        ("no_trailers", None, Ending::NoTrailers),
        ("injected", None, Ending::Trailers),
        (
            "reset",
            Some(("CANCEL", v1::Side::Client)),
            Ending::Reset {
                by: Side::Client,
                code: ErrorCode::CANCEL,
            },
        ),
        (
            "injected_reset",
            Some(("ENHANCE_YOUR_CALM", v1::Side::Server)),
            Ending::Reset {
                by: Side::Server,
                code: ErrorCode::ENHANCE_YOUR_CALM,
            },
        ),
    ];
    let mut script = Script::new();
    for (number, (ending, reset, _)) in (0..).zip(&ends) {
        let (stream, at) = (number * 2 + 1, SECOND * (u64::from(number) + 1));
        script.asked(at, stream);
        script.line(
            at + 5,
            LogLine {
                ending: Some((*ending).to_owned()),
                status: Some("UNAVAILABLE".to_owned()),
                message: Some("etcdserver: no leader".to_owned()),
                reset: reset.map(|(code, _)| code.to_owned()),
                reset_by: reset.map(|(_, by)| by.into()),
                ..call(stream)
            },
        );
    }
    let (packets, _) = script.finish();
    let calls = calls(&packets);
    assert_eq!(calls.len(), ends.len());
    for (call, (name, _, expected)) in calls.iter().zip(ends) {
        assert_eq!(call.status.ending, expected, "{name}");
    }
    assert_eq!(calls[1].status.code, Code::UNAVAILABLE);
    assert_eq!(
        calls[1].status.message.as_deref(),
        Some("etcdserver: no leader")
    );
}

#[test]
fn what_was_hidden_as_a_whole_is_as_long_as_it_was_and_a_cut_message_is_cut() {
    let mut script = Script::new();
    script.asked(SECOND, 1);
    let hidden = Meta {
        size: 3_000_000,
        ..Meta::default()
    };
    let nothing = Bytes::new();
    script.message(SECOND + 5, 1, v1::Side::Server, hidden, &nothing);
    script.line(SECOND + 9, call(1));
    let cut = Meta {
        size: 4,
        cut: true,
        ..Meta::default()
    };
    script.message(SECOND + 11, 3, v1::Side::Client, cut, &request().slice(..4));
    script.line(
        SECOND + 20,
        LogLine {
            ending: Some("reset".to_owned()),
            reset: Some("CANCEL".to_owned()),
            ..call(3)
        },
    );
    let (packets, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    assert!(packets.iter().all(|packet| packet.payload.len() <= 65_000));
    let calls = calls(&packets);
    assert_eq!(calls[0].received.bytes, 3_000_000);
    assert_eq!(calls[0].received.messages, 1);
    assert_eq!(
        calls[1].status.ending,
        Ending::Reset {
            by: Side::Server,
            code: ErrorCode::CANCEL,
        }
    );
}

#[test]
fn records_that_come_late_find_their_place() {
    let mut script = Script::new();
    script.asked(SECOND + 100, 3);
    script.answered(SECOND + 200, 3);
    script.line(SECOND + 300, call(3));
    // Its line came sooner than its messages, and both later than the other's.
    script.line(SECOND + 40, call(1));
    script.answered(SECOND + 30, 1);
    script.asked(SECOND + 20, 1);
    let (packets, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    let calls = calls(&packets);
    let streams: Vec<u32> = calls.iter().map(|call| call.stream.number()).collect();
    assert_eq!(streams, [1, 3]);
}

#[test]
fn what_comes_after_its_calls_end_is_counted() {
    let mut script = Script::new();
    script.asked(SECOND, 1);
    script.line(SECOND + 1, call(1));
    script.asked(60 * SECOND, 3);
    script.line(60 * SECOND, call(3));
    script.answered(60 * SECOND, 1);
    let (packets, left_out) = script.finish();
    assert_eq!(left_out, ["1 messages that came after their call's end"]);
    assert_eq!(calls(&packets).len(), 2);
}

#[test]
fn windows_are_never_overrun() {
    let mut script = Script::new();
    script.asked(SECOND, 1);
    for index in 0..3 {
        let hidden = Meta {
            size: 400 << 20,
            index,
            ..Meta::default()
        };
        let nothing = Bytes::new();
        script.message(SECOND + 5 + index, 1, v1::Side::Server, hidden, &nothing);
    }
    // Not to be read: only to be counted.
    let mut sent = 0_u64;
    let (mut stream, mut connection) = (i64::from(i32::MAX), i64::from(i32::MAX));
    while let Some(first) = script.pcapng.waiting.first_entry() {
        let (_, (_, deed)) = first.remove_entry();
        let exchange = &mut script.pcapng.connections.get_mut(&7).unwrap().exchange;
        let carried = exchange.carry_out(deed, |side, bytes| {
            let mut rest = bytes;
            while side == Side::Client && rest.len() >= 9 && !rest.starts_with(b"PRI") {
                let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
                if rest[3] == 8 && sent > 0 {
                    let more = u32::from_be_bytes(rest[9..13].try_into().unwrap());
                    match rest[8] {
                        0 => connection += i64::from(more),
                        _ => stream += i64::from(more),
                    }
                }
                rest = &rest[9 + length..];
            }
            if side == Side::Server {
                sent += bytes.len() as u64;
                stream -= bytes.len() as i64;
                connection -= bytes.len() as i64;
            }
            assert!(stream > 0 && connection > 0);
            Ok(())
        });
        carried.unwrap().unwrap();
    }
    assert!(sent > 3 * (400 << 20));
}
