//! Contents of plain HTTP: length and hash, and never a byte of them.

use std::time::Instant;

use etcdtap::http2::Side;
use etcdtap::record::reader::Item;
use etcdtap::record::redact::Values;
use etcdtap::record::schema::v1::hidden::Reason;
use etcdtap::record::schema::v1::{self, Content};
use etcdtap::relay::EndOfBytes;

use super::stage::{self, Stage, items};
use crate::pcap;

const PASSWORD: &str = "{\"name\":\"root\",\"password\":\"correct horse battery staple\"}";
const ASKED: &str =
    "{\"key\":\"L3JlZ2lzdHJ5L3NlY3JldHMv\",\"range_end\":\"L3JlZ2lzdHJ5L3NlY3JldHMw\"}";
const ANSWER: &str = "{\"kvs\":[{\"value\":\"dGhlIHZhbHVlIG9mIGEgU2VjcmV0\"}],\"count\":\"1\"}";

fn contents(stage: Stage) -> Vec<Content> {
    let (folder, told, _) = stage.finish();
    assert_eq!(told.trouble, None);
    assert_eq!(told.lost, Default::default());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            let data = message.unwrap().data;
            for secret in ["battery", "L3JlZ2lzdHJ5", "dGhlIHZhbHVl"] {
                let found = memchr::memmem::find(&data, secret.as_bytes());
                assert!(found.is_none(), "{secret}");
            }
        }
    }
    let mut contents: Vec<Content> = (items(folder.path()).into_iter())
        .filter_map(|item| match item {
            Item::Content { content, times } => {
                assert!(times.began <= times.whole);
                Some(*content)
            }
            _ => None,
        })
        .collect();
    contents.sort_by_key(|content| (content.index, content.stream, content.from));
    contents
}

/// How a content stands in a recording.
fn content(
    (stream, index): (u32, u64),
    from: v1::Side,
    (method, path): (&str, &str),
    bytes: &str,
) -> Content {
    let credential = path.contains("auth");
    Content {
        connection: 1,
        stream,
        index,
        from: from.into(),
        method: method.to_owned(),
        path: path.to_owned(),
        size: bytes.len() as u64,
        hash: match credential {
            true => Default::default(),
            false => stage::key().hash(bytes.as_bytes()).0.to_vec().into(),
        },
        reason: match credential {
            true => Reason::Credential.into(),
            false => Reason::Unreadable.into(),
        },
        cut: false,
    }
}

#[test]
fn the_json_gateway_leaves_lengths_and_hashes_whatever_values_are_kept() {
    let range = ("POST", "/v3/kv/range");
    let login = ("POST", "/v3/auth/authenticate");
    let metrics = "# HELP etcd_server_has_leader Whether or not a leader exists.\n".repeat(3000);
    let client = format!(
        "GET /health HTTP/1.1\r\n\r\n\
         POST /v3/kv/range HTTP/1.1\r\nContent-Length: {}\r\n\r\n{ASKED}\
         POST /v3/auth/authenticate HTTP/1.1\r\nContent-Length: {}\r\n\r\n{PASSWORD}\
         GET /metrics?secret=battery HTTP/1.1\r\n\r\n",
        ASKED.len(),
        PASSWORD.len(),
    );
    let (first, second) = ANSWER.split_at(20);
    let server = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{{\"health\":\"true\"}}\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}\
         HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{metrics}",
        first.len(),
        second.len(),
        metrics.len(),
    );
    let expected = [
        content(
            (0, 0),
            v1::Side::Server,
            ("GET", "/health"),
            "{\"health\":\"true\"}",
        ),
        content((0, 1), v1::Side::Client, range, ASKED),
        content((0, 1), v1::Side::Server, range, ANSWER),
        content((0, 2), v1::Side::Client, login, PASSWORD),
        content((0, 2), v1::Side::Server, login, "{}"),
        content((0, 3), v1::Side::Server, ("GET", "/metrics"), &metrics),
    ];
    for (values, step) in [
        (Values::Redacted, 1),
        (Values::All, 13),
        (Values::None, 4096),
        (Values::All, usize::MAX),
    ] {
        let stage = Stage::new(values);
        let now = Instant::now();
        let mut session = stage.session(&pcap::APISERVER_0_36[0], 1, now);
        for (from, bytes) in [(Side::Client, &client), (Side::Server, &server)] {
            for chunk in bytes.as_bytes().chunks(step) {
                session.handle_bytes(from, chunk, now);
                while session.poll_transmit(from).is_some() {}
                while session.poll_event().is_some() {}
            }
        }
        session.handle_end(Side::Client, EndOfBytes::Closed, now);
        session.finish("the client closed it", now);
        drop(session);
        assert_eq!(contents(stage), expected, "{values:?} {step}");
    }
}

#[test]
fn a_request_that_speaks_http2_leaves_the_same() {
    let stage = Stage::new(Values::All);
    let mut script = stage.script();
    let mut ask = |stream, answered: bool| {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/v3/kv/range?x=battery"),
            (":authority", "etcd"),
        ];
        script.headers(Side::Client, stream, &fields, false);
        let (first, second) = ASKED.as_bytes().split_at(11);
        script.data(Side::Client, stream, first, false);
        if answered {
            script.data(Side::Client, stream, second, true);
            script.headers(Side::Server, stream, &[(":status", "200")], false);
            script.data(Side::Server, stream, ANSWER.as_bytes(), false);
            // It ends with trailers.
            script.headers(Side::Server, stream, &[("x", "y")], true);
        }
    };
    ask(1, true);
    ask(3, false);
    script.close(Side::Client, EndOfBytes::Lost);
    drop(script);
    let range = ("POST", "/v3/kv/range");
    let cut = Content {
        cut: true,
        ..content((3, 0), v1::Side::Client, range, &ASKED[..11])
    };
    assert_eq!(
        contents(stage),
        [
            content((1, 0), v1::Side::Client, range, ASKED),
            content((1, 0), v1::Side::Server, range, ANSWER),
            cut,
        ]
    );
}
