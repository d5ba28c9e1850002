//! Recordings as calls: whole ones, and those of which something is missing.

use std::convert::Infallible;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::etcd::schema::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use crate::http2::Side;
use crate::record::container::Times;
use crate::record::reader::item::{Message, Part, Path};
use crate::record::reader::{Item, Line};
use crate::record::schema::Channels;
use crate::record::schema::v1::{self, LogLine, Meta};

const SECOND: u64 = 1_000_000_000;

fn message(
    stream: u32,
    from: Side,
    method: (&str, &str),
    index: u64,
    at: u64,
    data: Vec<u8>,
) -> Item {
    let id = Channels::all().of_method(method.0, method.1, from).unwrap();
    Item::Message(Box::new(Message {
        times: Times {
            whole: at,
            began: at - 1,
        },
        meta: Meta {
            connection: 1,
            stream,
            from: v1::Side::from(from).into(),
            index,
            size: data.len() as u64,
            ..Meta::default()
        },
        path: Path::Known(id),
        data: data.into(),
    }))
}

const RANGE: (&str, &str) = ("etcdserverpb.KV", "Range");
const WATCH: (&str, &str) = ("etcdserverpb.Watch", "Watch");

fn request(stream: u32, at: u64) -> Item {
    let request = RangeRequest {
        key: "/a".into(),
        ..RangeRequest::default()
    };
    message(stream, Side::Client, RANGE, 0, at, request.encode_to_vec())
}

fn answer(stream: u32, at: u64, revision: i64) -> Item {
    let answer = RangeResponse {
        header: Some(ResponseHeader {
            revision,
            ..ResponseHeader::default()
        }),
        count: 3,
        ..RangeResponse::default()
    };
    message(stream, Side::Server, RANGE, 0, at, answer.encode_to_vec())
}

fn line(stream: u32, at: u64, method: (&str, &str), status: &str) -> Item {
    Item::Line(Box::new(Line {
        at,
        line: LogLine {
            event: "call".to_owned(),
            conn: 1,
            stream: Some(stream),
            service: Some(method.0.to_owned()),
            method: Some(method.1.to_owned()),
            status: Some(status.to_owned()),
            duration_us: Some(2),
            ..LogLine::default()
        },
    }))
}

fn book(items: Vec<Item>) -> Book {
    let items = items.into_iter().map(Ok::<Item, Infallible>);
    Book::read(&mut Traffic::of(items)).unwrap_or_else(|never| match never {})
}

#[test]
fn a_call_is_its_two_messages_and_its_line() {
    let book = book(vec![
        request(1, SECOND),
        request(3, SECOND + 10),
        answer(3, SECOND + 20, 7),
        answer(1, SECOND + 30, 8),
        line(3, SECOND + 21, RANGE, "OK"),
        line(1, SECOND + 31, RANGE, "OK"),
    ]);
    let [first, second] = &book.calls[..] else {
        panic!("{book:?}")
    };
    assert_eq!((first.lane.stream, second.lane.stream), (1, 3));
    assert_eq!((first.revision(), second.revision()), (Some(8), Some(7)));
    assert_eq!((first.began(), first.ended()), (SECOND - 1, SECOND + 31));
    assert!(first.is_ok() && first.path() == "/etcdserverpb.KV/Range");
    let read: RangeResponse = first.response.as_ref().unwrap().decode().unwrap();
    assert_eq!(read.count, 3);
}

#[test]
fn a_line_that_comes_first_waits_for_its_messages_and_not_for_ever() {
    let told = book(vec![
        line(1, SECOND, RANGE, "OK"),
        request(1, SECOND - 20),
        answer(1, SECOND - 10, 8),
        line(3, SECOND, RANGE, "OK"),
        line(5, 9 * SECOND, RANGE, "UNAVAILABLE"),
    ]);
    let calls = told.calls.iter();
    let calls: Vec<_> = calls
        .map(|call| {
            (
                call.lane.stream,
                call.request.is_some(),
                call.response.is_some(),
            )
        })
        .collect();
    assert_eq!(
        calls,
        [(3, false, false), (1, true, true), (5, false, false)]
    );
}

#[test]
fn what_is_missing_is_marked() {
    let cut = Item::Part(Box::new(Part {
        times: Times {
            whole: SECOND + 5,
            began: SECOND + 1,
        },
        meta: Meta {
            connection: 1,
            stream: 1,
            from: v1::Side::Server.into(),
            size: 500,
            ..Meta::default()
        },
        path: "/etcdserverpb.KV/Range".into(),
        offset: 200,
        data: Bytes::from_static(&[0; 300]),
        last: true,
    }));
    let book = book(vec![
        request(1, SECOND),
        cut,
        line(1, SECOND + 9, RANGE, "OK"),
        request(7, SECOND),
    ]);
    let [cut, open] = &book.calls[..] else {
        panic!("{book:?}")
    };
    let response = cut.response.as_ref().unwrap();
    assert_eq!(response.condition, Condition::Cut);
    assert_eq!((response.whole(), cut.revision()), (None, None));
    assert_eq!(open.ending, Ending::NotRecorded);
    assert_eq!(open.response, None);
}

#[test]
fn a_stream_is_told_step_by_step_and_knows_when_it_is_torn() {
    use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
    use crate::etcd::schema::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
    let create = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
            key: "/a".into(),
            ..WatchCreateRequest::default()
        })),
    };
    let created = WatchResponse {
        created: true,
        ..WatchResponse::default()
    };
    let book = book(vec![
        message(9, Side::Client, WATCH, 0, SECOND, create.encode_to_vec()),
        message(
            9,
            Side::Server,
            WATCH,
            0,
            SECOND + 1,
            created.encode_to_vec(),
        ),
        message(
            9,
            Side::Server,
            WATCH,
            2,
            SECOND + 3,
            created.encode_to_vec(),
        ),
        line(9, 2 * SECOND, WATCH, "CANCELLED"),
    ]);
    let [stream] = &book.streams[..] else {
        panic!("{book:?}")
    };
    assert!(stream.torn && stream.shape == Shape::Watch);
    let steps: Vec<_> = stream
        .messages
        .iter()
        .map(|(from, said)| WatchStep::read(*from, said))
        .collect();
    assert!(matches!(&steps[0], WatchStep::Create(create) if &create.key[..] == b"/a"));
    assert!(matches!(&steps[1], WatchStep::Answer(answer) if answer.created));
    assert!(matches!(&stream.ending, Ending::Ended(ended) if &*ended.status == "CANCELLED"));
}

#[test]
fn a_connection_that_counts_from_one_again_is_another() {
    let opened = || {
        Item::Line(Box::new(Line {
            at: 3 * SECOND,
            line: LogLine {
                event: "connection".to_owned(),
                conn: 1,
                state: Some("opened".to_owned()),
                ..LogLine::default()
            },
        }))
    };
    let book = book(vec![
        request(1, SECOND),
        opened(),
        request(1, 4 * SECOND),
        answer(1, 4 * SECOND + 5, 9),
        line(1, 4 * SECOND + 6, RANGE, "OK"),
    ]);
    assert_eq!(book.calls.len(), 2);
    assert_eq!(book.calls[0].ending, Ending::NotRecorded);
    assert_eq!(book.calls[1].revision(), Some(9));
}
