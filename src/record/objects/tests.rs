use std::collections::BTreeMap as Map;
use std::fs;

use super::*;
use crate::etcd::schema::etcdserverpb::{RequestOp, ResponseHeader};
use crate::etcd::schema::mvccpb::Event;
use crate::record::container::{Container, ContainerOptions, Times};
use crate::record::index::About;
use crate::record::schema::v1::{self, Meta};
use crate::record::schema::{Channels, Envelope};

const KEY: &[u8] = b"/registry/pods/lab/web";
const SECOND: u64 = 1_000_000_000;

struct Written {
    container: Container,
    folder: tempfile::TempDir,
}

impl Written {
    fn new() -> Written {
        let options = ContainerOptions {
            compression: Some(1),
            about: Map::new(),
        };
        Written {
            container: Container::new(&options).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn message(&mut self, at: u64, stream: u32, path: &str, from: Side, message: Vec<u8>) {
        self.hidden_message(at, stream, path, from, message, Vec::new());
    }

    fn hidden_message(
        &mut self,
        at: u64,
        stream: u32,
        path: &str,
        from: Side,
        message: Vec<u8>,
        hidden: Vec<Hidden>,
    ) {
        let (service, method) = path.split_once('/').unwrap();
        let id = Channels::all().of_method(service, method, from).unwrap();
        let envelope = Envelope {
            meta: Some(Meta {
                connection: 1,
                stream,
                from: v1::Side::from(from).into(),
                size: message.len() as u64,
                hidden,
                ..Meta::default()
            }),
            message: message.into(),
        };
        let at = at * SECOND;
        let times = Times {
            whole: at,
            began: at,
        };
        self.container
            .add(id, times, &envelope.encode_to_vec())
            .unwrap();
    }

    fn line(&mut self, at: u64, line: LogLine) -> Line {
        let line = LogLine {
            conn: 1,
            key: Some(Bytes::from_static(KEY)),
            ..line
        };
        self.container
            .add_line(at * SECOND, &About::line(&line), &line.encode_to_vec())
            .unwrap();
        self.container.end_chunk().unwrap();
        Line {
            at: at * SECOND,
            line,
        }
    }

    fn done(mut self) -> (Recordings, tempfile::TempDir) {
        self.container.finish().unwrap();
        let mut bytes = Vec::new();
        self.container.take(&mut bytes);
        let path = self.folder.path().join("calls.mcap");
        fs::write(&path, bytes).unwrap();
        (Recordings::open(&[path]).unwrap(), self.folder)
    }
}

fn kv(revision: i64, value: &'static [u8]) -> KeyValue {
    KeyValue {
        key: Bytes::from_static(KEY),
        mod_revision: revision,
        value: Bytes::from_static(value),
        ..KeyValue::default()
    }
}

fn put(value: &'static [u8]) -> Vec<u8> {
    TxnRequest {
        success: vec![RequestOp {
            request: Some(AskedOp::RequestPut(PutRequest {
                key: Bytes::from_static(KEY),
                value: Bytes::from_static(value),
                ..PutRequest::default()
            })),
        }],
        ..TxnRequest::default()
    }
    .encode_to_vec()
}

fn update(stream: u32, from: i64, to: i64) -> LogLine {
    let mut line = LogLine {
        event: "call".to_owned(),
        stream: Some(stream),
        verb: Some("update".to_owned()),
        status: Some("OK".to_owned()),
        if_revision: Some(from),
        revision: Some(to),
        guards_held: Some(true),
        duration_us: Some(1000),
        ..LogLine::default()
    };
    line.set_asked(Form::Txn);
    line
}

#[test]
fn values_are_found_by_key_and_revision_wherever_they_passed() {
    let mut written = Written::new();
    let range = RangeResponse {
        kvs: vec![kv(5, b"five")],
        ..RangeResponse::default()
    };
    written.message(
        10,
        3,
        "etcdserverpb.KV/Range",
        Side::Server,
        range.encode_to_vec(),
    );
    let mut line = LogLine {
        event: "call".to_owned(),
        stream: Some(3),
        verb: Some("get".to_owned()),
        mod_revision: Some(5),
        ..LogLine::default()
    };
    line.set_asked(Form::Range);
    let read = written.line(10, line);

    written.message(20, 5, "etcdserverpb.KV/Txn", Side::Client, put(b"seven"));
    let wrote = written.line(20, update(5, 5, 7));

    let event = WatchResponse {
        header: Some(ResponseHeader::default()),
        events: vec![
            Event {
                kv: Some(kv(9, b"nine")),
                prev_kv: Some(kv(8, b"eight")),
                ..Event::default()
            },
            Event {
                r#type: 1,
                kv: Some(kv(11, b"")),
                prev_kv: Some(kv(10, b"ten")),
            },
        ],
        ..WatchResponse::default()
    };
    written.message(
        30,
        7,
        "etcdserverpb.Watch/Watch",
        Side::Server,
        event.encode_to_vec(),
    );
    let note = |verb: &str, kind: &str, revision| LogLine {
        event: "watch_event".to_owned(),
        stream: Some(7),
        verb: Some(verb.to_owned()),
        r#type: Some(kind.to_owned()),
        revision: Some(revision),
        ..LogLine::default()
    };
    let changed = written.line(30, note("update", "PUT", 9));
    let gone = written.line(30, note("delete", "DELETE", 11));
    let list = LogLine {
        range_end: Some(Bytes::from_static(b"/registry/pods0")),
        ..read.line.clone()
    };
    // Refused, so that nothing was put.
    written.message(40, 9, "etcdserverpb.KV/Txn", Side::Client, put(b"never"));
    let refused = written.line(
        40,
        LogLine {
            guards_held: Some(false),
            verb: Some("conflict".to_owned()),
            mod_revision: Some(9),
            ..update(9, 8, 12)
        },
    );
    let (recordings, _folder) = written.done();
    let lines = [&read, &wrote, &changed, &gone, &refused];
    let objects = Objects::find(&recordings, lines).unwrap();
    let stored = |revision, value: &'static [u8]| Stored {
        revision,
        value: Bytes::from_static(value),
        hidden: false,
    };
    assert_eq!(objects.of(&read.line), Object::Now(stored(5, b"five")));
    assert_eq!(objects.of(&wrote.line), Object::Now(stored(7, b"seven")));
    assert_eq!(objects.of(&changed.line), Object::Now(stored(9, b"nine")));
    assert_eq!(
        objects.of(&gone.line),
        Object::Deleted(Some(stored(10, b"ten")))
    );
    assert_eq!(objects.of(&refused.line), Object::Now(stored(9, b"nine")));
    assert_eq!(objects.of(&list), Object::None);
    assert_eq!(
        objects.previous(&wrote.line),
        Some((&stored(5, b"five"), true))
    );
    assert_eq!(
        objects.previous(&changed.line),
        Some((&stored(8, b"eight"), true))
    );
    assert_eq!(objects.previous(&read.line), None);
    let elsewhere = update(5, 100, 200);
    let elsewhere = LogLine {
        key: Some(Bytes::from_static(b"/registry/pods/lab/other")),
        ..elsewhere
    };
    assert_eq!(objects.of(&elsewhere), Object::Unknown);
}

#[test]
fn what_only_a_list_brought_is_what_was_there_before() {
    let mut written = Written::new();
    let mut list = |at: u64, stream: u32, revision: i64, kvs: Vec<KeyValue>, keys_only: bool| {
        let answer = RangeResponse {
            kvs,
            ..RangeResponse::default()
        };
        let path = "etcdserverpb.KV/Range";
        written.message(at, stream, path, Side::Server, answer.encode_to_vec());
        let mut line = LogLine {
            event: "call".to_owned(),
            stream: Some(stream),
            verb: Some("list".to_owned()),
            method: Some("Range".to_owned()),
            status: Some("OK".to_owned()),
            resource: Some("pods".to_owned()),
            range_end: Some(Bytes::from_static(b"/registry/pods0")),
            revision: Some(revision),
            count: Some(1),
            keys_only,
            ..LogLine::default()
        };
        line.set_asked(Form::Range);
        let line = LogLine {
            conn: 1,
            key: Some(Bytes::from_static(b"/registry/pods/")),
            ..line
        };
        let about = About::line(&line);
        let added = written
            .container
            .add_line(at * SECOND, &about, &line.encode_to_vec());
        added.unwrap();
        written.container.end_chunk().unwrap();
    };
    list(10, 3, 6, vec![kv(5, b"five")], false);
    // Of another key, without values, and after the write.
    let other = KeyValue {
        key: Bytes::from_static(b"/registry/pods/lab/other"),
        ..kv(6, b"other")
    };
    list(11, 5, 6, vec![other], false);
    list(12, 7, 6, vec![kv(5, b"")], true);
    list(30, 9, 8, vec![kv(8, b"eight")], false);
    let pods = |line| LogLine {
        resource: Some("pods".to_owned()),
        ..line
    };
    written.message(20, 11, "etcdserverpb.KV/Txn", Side::Client, put(b"seven"));
    let wrote = written.line(20, pods(update(11, 5, 7)));
    let (recordings, _folder) = written.done();
    let mut objects = Objects::find(&recordings, [&wrote]).unwrap();
    assert_eq!(objects.previous(&wrote.line), None);
    objects.look_into_lists(&recordings, [&wrote]).unwrap();
    let five = Stored {
        revision: 5,
        value: Bytes::from_static(b"five"),
        hidden: false,
    };
    assert_eq!(objects.previous(&wrote.line), Some((&five, true)));
}

#[test]
fn a_value_that_was_hidden_is_known_to_be() {
    let mut written = Written::new();
    let message = put(b"*****");
    let offset = message
        .windows(5)
        .position(|part| part == b"*****")
        .unwrap() as u64;
    let hidden = |offset| {
        vec![Hidden {
            offset,
            length: 5,
            ..Hidden::default()
        }]
    };
    let path = "etcdserverpb.KV/Txn";
    written.hidden_message(20, 5, path, Side::Client, message.clone(), hidden(offset));
    let wrote = written.line(20, update(5, 5, 7));
    written.hidden_message(30, 7, path, Side::Client, message, hidden(offset + 5));
    let beside = written.line(30, update(7, 7, 8));
    let (recordings, _folder) = written.done();
    let objects = Objects::find(&recordings, [&wrote, &beside]).unwrap();
    let hidden = |line: &Line| match objects.of(&line.line) {
        Object::Now(stored) => stored.hidden,
        other => panic!("{other:?}"),
    };
    assert!(hidden(&wrote));
    assert!(!hidden(&beside));
}

#[test]
fn windows_that_touch_are_one() {
    assert_eq!(joined(vec![5..7, 1..3, 2..4, 7..9]), [1..4, 5..9]);
}
