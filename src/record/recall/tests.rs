use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::etcd::{Compare, CompareTarget, Ending, Event, Op, RangeAsked, Request, TxnAsked};
use crate::grpc::Code;
use crate::http2::ErrorCode;
use crate::http2::Side;
use crate::kube::key::KeySpace;
use crate::record::line::{LineWriter, Told};
use crate::trace::fixtures::{Time, a_little_of_everything, call, create, peers};
use crate::trace::{Colour, Format, Lines, Options, Pipeline};

/// A format that makes records.
#[derive(Debug)]
struct Records {
    writer: LineWriter,
}

impl Records {
    fn put(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut LineWriter, &mut Vec<u8>) -> Told,
    ) {
        let mut bytes = Vec::new();
        let told = write(&mut self.writer, &mut bytes);
        let line = LogLine::decode(&*bytes).unwrap();
        assert!(told.about.is_of(&line), "{line:?}");
        out.extend_from_slice(&told.at.to_le_bytes());
        line.encode_length_delimited(out).unwrap();
    }
}

impl Lines for Records {
    fn anchor(&mut self, anchor: Anchor) {
        self.writer.anchor(anchor);
    }

    fn call(&mut self, call: &Call, operation: &Operation<'_>, slow: bool, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.call(call, operation, slow, out));
    }

    fn watch(
        &mut self,
        note: &WatchNote,
        operation: &Operation<'_>,
        lag: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        self.put(out, |writer, out| writer.watch(note, operation, lag, out));
    }

    fn http1(&mut self, peers: &Peers, exchange: &Exchange, slow: bool, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.http1(peers, exchange, slow, out));
    }

    fn opened(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.opened(peers, at, out));
    }

    fn ping(&mut self, peers: &Arc<Peers>, at: Instant, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.ping(peers, at, out));
    }

    fn stopped(&mut self, peers: &Arc<Peers>, at: Instant, offence: &Offence, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.stopped(peers, at, offence, out));
    }

    fn fault(&mut self, peers: &Arc<Peers>, at: Instant, hits: &[Hit], out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.fault(peers, at, hits, out));
    }

    fn ended(&mut self, ended: &ConnectionEnded, failed: bool, out: &mut Vec<u8>) {
        self.put(out, |writer, out| writer.ended(ended, failed, out));
    }
}

const FORMATS: [Format; 3] = [
    Format::Json,
    Format::Pretty {
        colour: Colour::Always,
        width: Some(140),
    },
    Format::Pretty {
        colour: Colour::Never,
        width: None,
    },
];

fn options(format: Format) -> Options {
    Options {
        slow: Some(Duration::from_millis(200)),
        ..Options::new(format)
    }
}

fn log(pipeline: &mut Pipeline, events: &[Event]) -> Vec<u8> {
    for event in events {
        pipeline.handle_event(event.clone());
    }
    pipeline.finish();
    std::mem::take(pipeline.output())
}

fn records(events: &[Event], anchor: Anchor) -> Vec<Line> {
    let pipeline = Pipeline::new(options(Format::Json), anchor);
    let mut pipeline = pipeline.with_lines(Box::new(Records {
        writer: LineWriter::new(anchor),
    }));
    let bytes = log(&mut pipeline, events);
    let mut rest = bytes.as_slice();
    let mut lines = Vec::new();
    while let Some((at, line)) = rest.split_first_chunk::<8>() {
        rest = line;
        lines.push(Line {
            at: u64::from_le_bytes(*at),
            line: LogLine::decode_length_delimited(&mut rest).unwrap(),
        });
    }
    lines
}

/// What was printed then, and what is printed from the records.
fn both(events: &[Event], anchor: Anchor, format: Format) -> (String, String) {
    let live = log(&mut Pipeline::new(options(format), anchor), events);
    let mut recall = Recall::new(Instant::now());
    let mut printer = Printer::new(format, options(format).slow, recall.anchor());
    for line in records(events, anchor) {
        recall.line(&line).unwrap().print(&mut printer);
    }
    let told = std::mem::take(printer.output());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(live), text(told))
}

fn assert_same(events: &[Event], anchor: Anchor) {
    for format in FORMATS {
        let (live, told) = both(events, anchor, format);
        for (live, told) in live.lines().zip(told.lines()) {
            assert_eq!(told, live);
        }
        assert_eq!(told, live);
    }
}

#[test]
fn every_line_comes_back_as_it_was() {
    let time = Time::new();
    let mut events = a_little_of_everything(time);
    events.push(Event::Ping {
        peers: peers(15),
        at: time.millis(4),
    });
    assert_same(&events, time.anchor());
}

#[test]
fn a_filter_passes_what_it_passed_then() {
    let time = Time::new();
    let events = a_little_of_everything(time);
    let words = |words: &[&str]| words.iter().map(|word| (*word).into()).collect();
    let filters = [
        Filter {
            errors_only: true,
            ..Filter::default()
        },
        Filter {
            verbs: words(&["Conflict", "status", "progress"]),
            ..Filter::default()
        },
        Filter {
            resources: words(&["pods"]),
            ..Filter::default()
        },
        Filter {
            methods: words(&["kv/txn"]),
            min_duration: Some(Duration::from_millis(1)),
            ..Filter::default()
        },
        Filter {
            key_prefixes: vec![(*b"/odd\xff").into()],
            ..Filter::default()
        },
        Filter {
            expression: Some(
                "resource == \"pods\" && duration > 100ms || cause == \"compacted\""
                    .parse()
                    .unwrap(),
            ),
            ..Filter::default()
        },
    ];
    for filter in filters {
        let options = Options {
            filter: filter.clone(),
            ..options(Format::Json)
        };
        let live = log(&mut Pipeline::new(options, time.anchor()), &events);
        let mut recall = Recall::new(Instant::now());
        let mut printer = Printer::new(Format::Json, None, recall.anchor());
        for line in records(&events, time.anchor()) {
            let anchor = recall.anchor();
            let line = recall.line(&line).unwrap();
            if line.passes(&filter, anchor) {
                line.print(&mut printer);
            }
        }
        let told = std::mem::take(printer.output());
        assert!(!live.is_empty());
        assert_eq!(
            String::from_utf8_lossy(&told).lines().count(),
            String::from_utf8_lossy(&live).lines().count()
        );
    }
}

#[test]
fn numbers_of_connections_are_given_away_again() {
    let time = Time::new();
    let elsewhere = Arc::new(Peers {
        client: "[fe80::1%3]:999".parse().unwrap(),
        upstream: "etcd-1:2379".into(),
        ..Peers::clone(&peers(12))
    });
    let mut later = create(time);
    later.peers = elsewhere;
    let lines = records(&[Event::Call(create(time))], time.anchor());
    let more = records(&[Event::Call(later)], time.anchor());
    let mut recall = Recall::new(Instant::now());
    let mut printer = Printer::new(Format::Json, None, recall.anchor());
    for line in lines.iter().chain(&more).chain(&lines) {
        recall.line(line).unwrap().print(&mut printer);
    }
    let text = String::from_utf8(std::mem::take(printer.output())).unwrap();
    let upstreams: Vec<bool> = text
        .lines()
        .map(|line| line.contains("\"client\":\"[fe80::1%3]:999\",\"upstream\":\"etcd-1:2379\""))
        .collect();
    assert_eq!(upstreams, [false, true, false]);
}

#[test]
fn a_later_versions_line_is_told_to_be_unknown() {
    let line = Line {
        at: 5,
        line: LogLine {
            event: "dream".to_owned(),
            ..LogLine::default()
        },
    };
    let why = Recall::new(Instant::now()).line(&line).unwrap_err();
    assert_eq!(why.to_string(), "a line whose `event` is \"dream\"");
}

#[test]
fn a_token_reaches_no_record() {
    const TOKEN: &str =
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU";
    let time = Time::new();
    let mut told = call(
        time,
        &format!("/{TOKEN}/{TOKEN}"),
        Request::Range(RangeAsked {
            key: format!("/registry/pods/{TOKEN}/{TOKEN}")
                .into_bytes()
                .into(),
            ..RangeAsked::default()
        }),
        Response::Unread,
    );
    told.status.message = Some(TOKEN.into());
    told.user_agent = Some(TOKEN.into());
    let operation = Operation::of_call(&told, &KeySpace::default());
    let mut bytes = Vec::new();
    LineWriter::new(time.anchor()).call(&told, &operation, false, &mut bytes);
    assert!(!bytes.windows(8).any(|part| part == b"eyJhbGci"));
    assert!(!bytes.windows(9).any(|part| part == b"c2lnbmF0d"));
}

fn requests() -> impl Strategy<Value = (&'static str, Request)> {
    let key = || {
        prop_oneof![
            Just(b"/registry/pods/lab/web".to_vec()),
            Just(b"/registry/pods/".to_vec()),
            Just(b"/registry/pods/lab/web\0".to_vec()),
            Just(b"compact_rev_key".to_vec()),
            Just(b"/registry/pods/lab/w".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ]
    };
    let end = || {
        prop_oneof![
            Just(Vec::new()),
            Just(b"\0".to_vec()),
            Just(b"/registry/pods0".to_vec()),
            Just(b"/registry/pods/lab/x".to_vec()),
            Just(b"/registry/pods/lab/zzz".to_vec()),
        ]
    };
    let number = || prop_oneof![Just(0_i64), Just(7), any::<i64>()];
    let range = (key(), end(), number(), number(), any::<[bool; 3]>()).prop_map(
        |(key, end, limit, revision, [count_only, keys_only, serializable])| RangeAsked {
            key: key.into(),
            range_end: end.into(),
            limit,
            revision,
            count_only,
            keys_only,
            serializable,
        },
    );
    let op = prop_oneof![
        (key(), number()).prop_map(|(key, lease)| Op::Put {
            key: key.into(),
            value: crate::trace::fixtures::stored("v1", "Pod"),
            lease,
        }),
        (key(), end()).prop_map(|(key, end)| Op::DeleteRange {
            key: key.into(),
            range_end: end.into(),
        }),
        range.clone().prop_map(Op::Range),
    ];
    let compare = (key(), number(), any::<bool>()).prop_map(|(key, number, is_mod)| Compare {
        target: match is_mod {
            true => CompareTarget::ModRevision,
            false => CompareTarget::Version,
        },
        key: key.into(),
        number,
    });
    let ops = || proptest::collection::vec(op.clone(), 0..3);
    let txn = (proptest::collection::vec(compare, 0..3), ops(), ops()).prop_map(
        |(compares, success, failure)| {
            Request::Txn(TxnAsked {
                compares,
                success,
                failure,
                omitted: 0,
            })
        },
    );
    prop_oneof![
        range.prop_map(|asked| ("/etcdserverpb.KV/Range", Request::Range(asked))),
        txn.prop_map(|asked| ("/etcdserverpb.KV/Txn", asked)),
        op.clone()
            .prop_filter("a Range has its own", |op| !matches!(op, Op::Range(_)))
            .prop_map(|op| match op {
                Op::Put { .. } => ("/etcdserverpb.KV/Put", Request::Op(op)),
                _ => ("/etcdserverpb.KV/DeleteRange", Request::Op(op)),
            }),
        number().prop_map(|revision| ("/etcdserverpb.KV/Compact", Request::Compact { revision })),
        (number(), number())
            .prop_map(|(id, ttl)| ("/etcdserverpb.Lease/LeaseGrant", Request::Lease { id, ttl })),
        (number(), number()).prop_map(|(id, ttl)| (
            "/etcdserverpb.Lease/LeaseKeepAlive",
            Request::Lease { id, ttl }
        )),
        Just(("/etcdserverpb.Lease/LeaseKeepAlive", Request::Unread)),
        Just(("/etcdserverpb.Watch/Watch", Request::Unread)),
        Just(("/own.Service/get", Request::Unread)),
        Just(("odd", Request::Unread)),
        (
            proptest::option::of(key()),
            proptest::option::of(end()),
            proptest::option::of(number()),
            proptest::option::of("[a-z]{0,3}")
        )
            .prop_map(|(key, end, revision, name)| (
                "/v3lockpb.Lock/Lock",
                Request::Named {
                    key: key.map(Into::into),
                    range_end: end.map(Into::into),
                    revision,
                    name: name.map(Into::into),
                }
            )),
    ]
}

fn responses() -> impl Strategy<Value = Response> {
    let first = || {
        proptest::option::of((1_i64..99).prop_map(|revision| {
            let value = crate::trace::fixtures::stored("v1", "Pod");
            Box::new(crate::trace::fixtures::key_value(
                b"/registry/pods/lab/web",
                revision,
                value,
            ))
        }))
    };
    let few = || 0..3_u64;
    prop_oneof![
        Just(Response::Unread),
        (few(), 0..5_i64, any::<bool>(), first()).prop_map(|(kvs, more_than, more, first)| {
            Response::Range {
                kvs,
                count: kvs as i64 + more_than,
                more,
                first,
            }
        }),
        Just(Response::Put),
        any::<i64>().prop_map(|deleted| Response::DeleteRange { deleted }),
        (any::<bool>(), few(), few(), few(), first()).prop_map(
            |(succeeded, puts, deleted, kvs, first)| Response::Txn {
                succeeded,
                puts,
                deleted,
                kvs,
                first,
            }
        ),
        (0..3_i64, 0..3_i64).prop_map(|(id, ttl)| Response::Lease { id, ttl }),
        proptest::option::of(any::<i64>()).prop_map(|count| Response::Named { count }),
    ]
}

fn endings() -> impl Strategy<Value = Ending> {
    let side = || prop_oneof![Just(Side::Client), Just(Side::Server)];
    let code = || (0..20_u32).prop_map(ErrorCode);
    prop_oneof![
        Just(Ending::Trailers),
        Just(Ending::NoTrailers),
        (side(), code()).prop_map(|(by, code)| Ending::Reset { by, code }),
        proptest::option::of(side()).prop_map(|by| Ending::ConnectionLost { by }),
        Just(Ending::TracingStopped),
        Just(Ending::Injected),
        code().prop_map(|code| Ending::InjectedReset { code }),
    ]
}

/// An answer as etcd gives it to that request: a Range that only counts holds no
/// keys.
fn fits(request: &Request, response: &Response) -> bool {
    match (request, response) {
        (Request::Range(asked), Response::Range { kvs, .. }) => !asked.count_only || *kvs == 0,
        (_, Response::Range { kvs, count, .. }) => *kvs == 0 && *count == 0,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_call_comes_back_as_it_was(
        (path, request) in requests(),
        response in responses(),
        ending in endings(),
        code in 0..20_u32,
        messages in 0..3_u64,
        has_header in any::<bool>(),
    ) {
        prop_assume!(fits(&request, &response));
        let time = Time::new();
        let mut call = call(time, path, request, response);
        call.status.code = Code(code % 19);
        call.status.ending = ending;
        call.sent.messages = messages;
        if !has_header {
            call.header = None;
        }
        assert_same(&[Event::Call(call)], time.anchor());
    }
}
