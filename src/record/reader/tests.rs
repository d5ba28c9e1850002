//! Recordings as they should be, and as they should not.

mod broken;
mod files;

use std::collections::BTreeMap;
use std::io::Cursor;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::http2::Side;
use crate::record::container::{Container, ContainerOptions, Times};
use crate::record::schema::v1::{self, LogLine, Loss, Meta};
use crate::record::schema::{ChannelId, Channels, Envelope};

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

fn container(compression: Option<u32>) -> Container {
    Container::new(&ContainerOptions {
        compression,
        about: BTreeMap::from([("values".to_owned(), "redacted".to_owned())]),
    })
    .unwrap()
}

fn line(n: u64) -> LogLine {
    LogLine {
        event: "call".to_owned(),
        conn: n,
        key: Some(format!("/registry/pods/lab/web-{n}").into_bytes().into()),
        resource: Some("pods".to_owned()),
        revision: Some(n as i64 + 1000),
        ..LogLine::default()
    }
}

fn add_line(container: &mut Container, n: u64) {
    let line = line(n);
    let data = line.encode_to_vec();
    container
        .add_line(n * SECOND, &crate::record::index::About::line(&line), &data)
        .unwrap();
}

fn add_message(container: &mut Container, n: u64) {
    let id = Channels::all()
        .of_method("etcdserverpb.KV", "Range", Side::Client)
        .unwrap();
    let envelope = Envelope {
        meta: Some(Meta {
            connection: n,
            stream: 5,
            from: v1::Side::Client.into(),
            size: 3,
            ..Meta::default()
        }),
        message: Bytes::from_static(b"abc"),
    };
    let times = Times {
        whole: n * SECOND,
        began: n * SECOND - 7,
    };
    container.add(id, times, &envelope.encode_to_vec()).unwrap();
}

fn bytes_of(container: &mut Container) -> Vec<u8> {
    let mut bytes = Vec::new();
    container.take(&mut bytes);
    bytes
}

/// A recording of so many chunks of three lines and a message each.
fn recording(chunks: u64, compression: Option<u32>) -> Vec<u8> {
    recording_of(chunks, 3, compression)
}

fn recording_of(chunks: u64, lines: u64, compression: Option<u32>) -> Vec<u8> {
    let mut container = container(compression);
    for chunk in 0..chunks {
        for n in 0..lines {
            add_line(&mut container, 10 + chunk * lines + n);
        }
        add_message(&mut container, 11 + chunk * lines);
        container.end_chunk().unwrap();
    }
    container.finish().unwrap();
    bytes_of(&mut container)
}

fn open(bytes: &[u8]) -> Result<Recording, Refusal> {
    Recording::open(Cursor::new(bytes.to_vec()), "calls.mcap")
}

fn read(bytes: &[u8], query: Query) -> (Vec<Item>, Wholeness, Figures) {
    let mut reading = Reading::of(open(bytes).unwrap(), query);
    let items = (&mut reading).collect::<Result<_, _>>().unwrap();
    (items, reading.wholeness(), reading.figures())
}

fn numbers(items: &[Item]) -> Vec<u64> {
    let lines = items.iter().filter_map(|item| match item {
        Item::Line(line) => Some(line.line.conn),
        _ => None,
    });
    lines.collect()
}

#[test]
fn all_of_it_comes_in_its_order() {
    for compression in [None, Some(1)] {
        let bytes = recording(4, compression);
        let (items, wholeness, figures) = read(&bytes, Query::all(Wants::ALL));
        assert_eq!(numbers(&items), (10..22).collect::<Vec<_>>());
        assert_eq!(items.len(), 16);
        assert!(wholeness.is_whole() && wholeness.finished);
        assert_eq!(wholeness.to_string(), "nothing is missing");
        assert_eq!((figures.chunks, figures.unpacked), (4, 4));
        let Item::Message(message) = &items[3] else {
            panic!("{items:?}");
        };
        assert_eq!(message.path.text(), "/etcdserverpb.KV/Range");
        assert_eq!(message.from(), Some(Side::Client));
        assert_eq!(&*message.data, b"abc");
        assert_eq!(message.times.began, 11 * SECOND - 7);
        let Item::Line(line) = &items[0] else {
            panic!("{items:?}");
        };
        assert_eq!(line.at, 10 * SECOND);
        assert_eq!(line.line, super::tests::line(10));
        let recording = open(&bytes).unwrap();
        assert_eq!(recording.about().notes["values"], "redacted");
        assert!(recording.about().library.starts_with("etcdtap "));
    }
}

#[test]
fn what_is_not_asked_for_is_not_unpacked() {
    let bytes = recording_of(60, 100, Some(1));
    let key = |n: u64| {
        let key = format!("/registry/pods/lab/web-{n}").into_bytes();
        AnyOf(vec![Asked::Key(key.into())])
    };
    let query = Query {
        terms: vec![key(3000)],
        ..Query::all(Wants::LINES)
    };
    let (items, _, figures) = read(&bytes, query);
    assert!(numbers(&items).contains(&3000));
    assert_eq!(figures.chunks, 60);
    assert!(figures.unpacked <= 5, "{figures:?}");

    let query = Query {
        from: Some(1005 * SECOND),
        to: Some(1115 * SECOND),
        ..Query::all(Wants::LINES)
    };
    let (items, _, figures) = read(&bytes, query);
    assert_eq!(numbers(&items), (1005..=1115).collect::<Vec<_>>());
    assert_eq!(figures.unpacked, 3, "{figures:?}");

    let query = Query {
        revisions: Some(1050..=1051),
        ..Query::all(Wants::LINES)
    };
    let (items, _, figures) = read(&bytes, query);
    assert_eq!(numbers(&items).len(), 100);
    assert_eq!(figures.unpacked, 1);

    let query = Query {
        terms: vec![AnyOf(vec![Asked::Resource("secrets".into())]), key(3000)],
        ..Query::all(Wants::LINES)
    };
    assert!(read(&bytes, query).2.unpacked <= 2);
}

#[test]
fn a_message_in_parts_is_one_again_unless_it_is_too_great() {
    let mut container = container(Some(1));
    let part = |stream: u32, offset: u64, data: &'static [u8], last: bool| {
        v1::Part {
            meta: Some(Meta {
                connection: 1,
                stream,
                from: v1::Side::Server.into(),
                size: 9,
                ..Meta::default()
            }),
            path: "/etcdserverpb.KV/Range".to_owned(),
            offset,
            data: Bytes::from_static(data),
            last,
        }
        .encode_to_vec()
    };
    let times = |n| Times { whole: n, began: n };
    // Two at a time, and one whose middle is missing.
    for (n, data) in [
        part(3, 0, b"abc", false),
        part(5, 0, b"uvw", false),
        part(3, 3, b"def", false),
        part(7, 0, b"xxx", false),
        part(3, 6, b"ghi", true),
        part(5, 3, b"xyz", true),
        part(7, 6, b"zzz", true),
    ]
    .iter()
    .enumerate()
    {
        let n = n as u64 + 1;
        container.add(ChannelId::PARTS, times(n), data).unwrap();
    }
    container.finish().unwrap();
    let bytes = bytes_of(&mut container);
    let joined = |most| {
        let reading = Reading::of(open(&bytes).unwrap(), Query::all(Wants::ALL));
        let items: Vec<Item> = Joined::new(reading, most)
            .collect::<Result<_, _>>()
            .unwrap();
        items
            .into_iter()
            .map(|item| match item {
                Item::Message(message) => {
                    assert_eq!(message.path.text(), "/etcdserverpb.KV/Range");
                    assert!(message.path.channel().is_some());
                    (true, message.data)
                }
                Item::Part(part) => (false, part.data),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let bytes = |bytes: &'static [u8]| Bytes::from_static(bytes);
    assert_eq!(
        joined(100),
        [
            (true, bytes(b"abcdefghi")),
            (true, bytes(b"uvwxyz")),
            (false, bytes(b"xxx")),
            (false, bytes(b"zzz")),
        ]
    );
    let small = joined(6);
    assert_eq!(small.iter().filter(|(whole, _)| *whole).count(), 1);
    let parts: usize = small.iter().map(|(_, data)| data.len()).sum();
    assert_eq!(parts, 21);
}

#[test]
fn what_the_recorder_left_out_is_told() {
    let mut container = container(Some(1));
    add_line(&mut container, 10);
    let loss = Loss {
        calls: 1200,
        lines: 1,
        reason: "the disk could not keep up".to_owned(),
        ..Loss::default()
    };
    let at = Times { whole: 5, began: 5 };
    for _ in 0..2 {
        container
            .add(ChannelId::LOSSES, at, &loss.encode_to_vec())
            .unwrap();
    }
    container.finish().unwrap();
    let (_, wholeness, _) = read(&bytes_of(&mut container), Query::all(Wants::LINES));
    assert_eq!(
        wholeness.sentence().unwrap(),
        "the recorder itself left out 2,400 calls, 2 lines (the disk could not keep up)"
    );
}

#[test]
fn another_tool_may_have_given_the_channels_other_numbers() {
    let mut written = Vec::new();
    let mut writer = mcap::WriteOptions::new()
        .profile("etcdtap")
        .create(Cursor::new(&mut written))
        .unwrap();
    let none = BTreeMap::new();
    let own = writer.add_channel(0, "/elsewhere", "json", &none).unwrap();
    let log = writer.add_channel(0, "/log", "protobuf", &none).unwrap();
    let meant_otherwise = ChannelId::LOG.0;
    assert_eq!((own, log), (meant_otherwise, 2));
    for (channel_id, data) in [(own, b"{}".to_vec()), (log, line(3).encode_to_vec())] {
        let header = mcap::records::MessageHeader {
            channel_id,
            sequence: 0,
            log_time: 1,
            publish_time: 1,
        };
        writer.write_to_known_channel(&header, &data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let (items, wholeness, _) = read(&written, Query::all(Wants::ALL));
    assert_eq!(numbers(&items), [3]);
    assert!(wholeness.is_whole());
}
