//! Messages in every shape that DATA can give them.

use std::io::Write;

use etcdtap::etcd::schema::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use etcdtap::etcd::schema::mvccpb::KeyValue;
use etcdtap::etcd::{Request, Response, SessionOptions};
use etcdtap::http2::{Side, frame_encoder};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::script::{RANGE, Script, id, prefixed};

fn answer(keys: usize, value: usize) -> RangeResponse {
    RangeResponse {
        header: Some(ResponseHeader {
            revision: 77,
            ..Default::default()
        }),
        kvs: (0..keys)
            .map(|n| KeyValue {
                key: format!("/registry/pods/default/web-{n:08}").into(),
                value: vec![b'v'; value].into(),
                mod_revision: 5,
                ..Default::default()
            })
            .collect(),
        more: true,
        count: keys as i64 + 1,
    }
}

fn ask() -> RangeRequest {
    RangeRequest {
        key: "/registry/pods/".into(),
        range_end: "/registry/pods0".into(),
        ..Default::default()
    }
}

fn counted(script: &Script, call: usize) -> (u64, i64, bool) {
    match script.calls()[call].response {
        Response::Range {
            kvs, count, more, ..
        } => (kvs, count, more),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn one_message_over_many_padded_frames() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.message(Side::Client, 1, &ask(), true);
    script.accept(1);
    let wire = prefixed(&answer(40, 100).encode_to_vec(), false);
    for (n, part) in wire.chunks(7).enumerate() {
        script.frames(Side::Server, |out| match n % 3 {
            0 => frame_encoder::padded_data(out, id(1), part, Some(n as u8), false),
            _ => frame_encoder::data(out, id(1), part, false),
        });
    }
    script.trailers(1, "0");
    assert_eq!(counted(&script, 0), (40, 41, true));
    assert_eq!(script.calls()[0].received.bytes, wire.len() as u64 - 5);
}

#[test]
fn a_gigabyte_is_counted_and_not_held() {
    let mut script = Script::with(SessionOptions {
        capture_bytes: 4096,
        ..Default::default()
    })
    .greet();
    script.frames(Side::Client, |out| {
        // Windows as a client sets them that wants such an answer.
        frame_encoder::settings(
            out,
            &[(etcdtap::http2::SettingId::INITIAL_WINDOW_SIZE, 0x7fff_ffff)],
        );
        frame_encoder::window_update(out, id(0), 0x7fff_ffff - 65535);
    });
    script.open(1, RANGE);
    script.message(Side::Client, 1, &ask(), true);
    script.accept(1);
    // One key of 1 MiB, a thousand times over.
    let one = RangeResponse {
        kvs: answer(1, 1 << 20).kvs,
        ..Default::default()
    }
    .encode_to_vec();
    let tail = RangeResponse {
        count: 1024,
        ..Default::default()
    }
    .encode_to_vec();
    let mut prefix = vec![0];
    prefix.extend((one.len() as u32 * 1024 + tail.len() as u32).to_be_bytes());
    script.data(Side::Server, 1, &prefix, false);
    for _ in 0..1024 {
        for part in one.chunks(16384) {
            script.data(Side::Server, 1, part, false);
        }
    }
    script.data(Side::Server, 1, &tail, false);
    script.trailers(1, "0");
    assert_eq!(counted(&script, 0), (1024, 1024, false));
    assert!(script.calls()[0].received.bytes > 1 << 30);
}

#[test]
fn gzip_is_unpacked_for_reading() {
    let pack = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let mut script = Script::greeted();
    script.open_with(1, RANGE, &[("grpc-encoding", "gzip")]);
    script.data(
        Side::Client,
        1,
        &prefixed(&pack(&ask().encode_to_vec()), true),
        true,
    );
    let fields = [(":status", "200"), ("grpc-encoding", "gzip")];
    script.headers(Side::Server, 1, &fields, false);
    let packed = prefixed(&pack(&answer(5000, 300).encode_to_vec()), true);
    for part in packed.chunks(1000) {
        script.data(Side::Server, 1, part, false);
    }
    script.trailers(1, "0");
    assert_eq!(counted(&script, 0), (5000, 5001, true));
    assert!(
        matches!(&script.calls()[0].request, Request::Range(range) if *range.key == *b"/registry/pods/")
    );
    assert_eq!(script.calls()[0].received.bytes, packed.len() as u64 - 5);
}

#[test]
fn what_cannot_be_unpacked_is_still_counted() {
    let mut script = Script::greeted();
    script.open_with(1, RANGE, &[("grpc-encoding", "snappy")]);
    script.data(Side::Client, 1, &prefixed(b"whatever", true), true);
    script.headers(
        Side::Server,
        1,
        &[(":status", "200"), ("grpc-encoding", "gzip")],
        false,
    );
    script.data(Side::Server, 1, &prefixed(b"this is no gzip", true), false);
    script.trailers(1, "0");
    let call = script.calls()[0].clone();
    assert_eq!(call.request, Request::Unread);
    assert_eq!((call.sent.bytes, call.received.bytes), (8, 15));
    assert!(script.offences().is_empty());
}

#[test]
fn a_message_of_nonsense_harms_nobody() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.data(Side::Client, 1, &prefixed(&[0xff; 300], false), true);
    script.accept(1);
    script.message(Side::Server, 1, &answer(2, 10), false);
    script.trailers(1, "0");
    assert_eq!(counted(&script, 0), (2, 3, true));
    assert!(script.offences().is_empty());
}
