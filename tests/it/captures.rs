//! The real captures through the core: bytes out equal bytes in however they
//! are split, and what was decoded is what the captures' README counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use etcdtap::etcd::schema::etcdserverpb::compare::CompareTarget as Target;
use etcdtap::etcd::schema::etcdserverpb::request_op::Request as Request_;
use etcdtap::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use etcdtap::etcd::schema::etcdserverpb::{
    RangeRequest, RangeResponse, RequestOp, TxnRequest, WatchRequest, WatchResponse,
};
use etcdtap::etcd::{
    Call, CompareTarget, Event, Method, Op, Request, Session, SessionOptions, Watched,
};
use etcdtap::http2::Side;
use etcdtap::record::reader::Item;
use etcdtap::record::redact::Values;
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers, Transmit};
use prost::Message as _;

use crate::pcap::{self, Connection};
use crate::record::stage::{self, Stage};
use crate::session::script::{RANGE, TXN, WATCH};

/// What is counted over a whole capture.
#[derive(Debug, Default)]
pub struct Seen {
    connections: usize,
    streams: u64,
    by_method: BTreeMap<String, u64>,
    watch_streams: u64,
    watches_created: u64,
    watch_events: u64,
    progress: u64,
    offences: Vec<String>,
    txn_request_bytes: Vec<u64>,
    range_response_bytes: Vec<u64>,
    txn_shapes: BTreeMap<&'static str, u64>,
    range_shapes: BTreeMap<&'static str, u64>,
    pings: [u64; 2],
    bytes: [u64; 2],
    errors: u64,
}

impl Seen {
    /// With all sizes in order.
    pub fn sorted(mut self) -> Seen {
        self.txn_request_bytes.sort_unstable();
        self.range_response_bytes.sort_unstable();
        self
    }
}

/// A small generator of our own, so that a run can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// How a connection's bytes are cut before they reach the core.
#[derive(Clone, Copy)]
enum Cut {
    AsCaptured,
    Randomly(u64),
    ByteByByte,
}

fn run(
    connection: &Connection,
    number: u64,
    options: &Arc<SessionOptions>,
    cut: Cut,
    seen: &mut Seen,
) {
    let listener: SocketAddr = connection.server;
    let peers = Arc::new(Peers {
        id: ConnectionId(number),
        client: connection.client,
        listener,
        upstream: connection.server.to_string().into(),
        tls: None,
    });
    let start = Instant::now();
    let mut session = Session::new(peers, options, start);
    let mut random = match cut {
        Cut::Randomly(seed) => Random(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        _ => Random(1),
    };
    let (mut end, mut out) = (start, Vec::new());
    for segment in &connection.segments {
        let now = start + segment.at;
        end = now;
        let mut rest = &segment.bytes[..];
        while !rest.is_empty() {
            let n = match cut {
                Cut::AsCaptured => rest.len(),
                Cut::ByteByByte => 1,
                Cut::Randomly(_) => {
                    let bound = [3, 30, 3000][random.below(3)];
                    (1 + random.below(bound)).min(rest.len())
                }
            };
            let (chunk, later) = rest.split_at(n);
            rest = later;
            session.handle_bytes(segment.side, chunk, now);
            out.clear();
            while let Some(transmit) = session.poll_transmit(segment.side) {
                match transmit {
                    Transmit::AsCame(range) => out.extend_from_slice(&chunk[range]),
                    other => panic!("nothing was armed, and yet {other:?}"),
                }
            }
            assert_eq!(out, chunk, "bytes out equal bytes in");
            assert_eq!(session.poll_transmit(segment.side.peer()), None);
            while let Some(event) = session.poll_event() {
                count(event, seen);
            }
        }
    }
    session.handle_end(Side::Client, EndOfBytes::Closed, end);
    session.finish("the capture ended", end);
    while let Some(event) = session.poll_event() {
        count(event, seen);
    }
}

pub fn count(event: Event, seen: &mut Seen) {
    match event {
        Event::Call(call) => count_call(&call, seen),
        Event::Watch(note) => match note.watched {
            Watched::Created { asked, .. } => {
                assert!(asked.is_some(), "the request was seen");
                seen.watches_created += 1;
            }
            Watched::Event { kv, .. } => {
                assert!(!kv.key.is_empty() && kv.mod_revision > 0);
                seen.watch_events += 1;
            }
            Watched::Progress => seen.progress += 1,
            Watched::Canceled { .. } => {}
        },
        Event::TracingStopped { offence, .. } => seen.offences.push(offence.to_string()),
        Event::ConnectionEnded(ended) => {
            seen.connections += 1;
            seen.streams += ended.streams;
            for (i, side) in [Side::Client, Side::Server].into_iter().enumerate() {
                seen.pings[i] += ended.reports[side].pings;
                seen.bytes[i] += ended.bytes[side];
            }
        }
        Event::Ping { .. } => panic!("every PING was answered"),
        Event::ConnectionOpened { .. }
        | Event::Http1 { .. }
        | Event::Fault { .. }
        | Event::MembersAdvertise { .. } => {}
    }
}

fn count_call(call: &Call, seen: &mut Seen) {
    *seen.by_method.entry(call.name.to_string()).or_default() += 1;
    let finished = call.status.code == etcdtap::grpc::Code::OK;
    match (&call.request, call.method) {
        (_, Method::Watch) => seen.watch_streams += 1,
        (Request::Txn(txn), _) => {
            seen.errors += u64::from(!finished);
            seen.txn_request_bytes.push(call.sent.bytes);
            let guarded = matches!(&txn.compares[..], [compare] if compare.target == CompareTarget::ModRevision);
            let shape = match (guarded, &txn.success[..], &txn.failure[..]) {
                (true, [Op::Put { .. }], [Op::Range(_)]) => "if mod then put else range",
                (true, [Op::Put { .. }], []) => "if mod then put",
                (true, [Op::DeleteRange { .. }], [Op::Range(_)]) => "if mod then delete else range",
                _ => "other",
            };
            *seen.txn_shapes.entry(shape).or_default() += 1;
        }
        (Request::Range(range), _) => {
            seen.errors += u64::from(!finished);
            seen.range_response_bytes.push(call.received.bytes);
            // The README's rows overlap: a Range with a revision is also a page.
            let shape = if range.count_only {
                "count only"
            } else if range.range_end.is_empty() {
                "one key"
            } else if range.limit > 0 {
                "prefix with limit"
            } else {
                "prefix"
            };
            *seen.range_shapes.entry(shape).or_default() += 1;
            if range.revision > 0 {
                *seen.range_shapes.entry("with revision").or_default() += 1;
            }
        }
        _ => {}
    }
}

fn read(capture: &[Connection], cut: Cut) -> Seen {
    let options = Arc::new(SessionOptions::default());
    let mut seen = Seen::default();
    for (number, connection) in (1..).zip(capture) {
        run(connection, number, &options, cut, &mut seen);
    }
    seen.sorted()
}

/// Reads a capture with a scribe on every connection: what was seen, and what a
/// recording with nothing but redacted values tells of it.
fn record(capture: &[Connection], cut: Cut) -> (Seen, Seen) {
    let stage = Stage::new(Values::Redacted);
    let mut seen = Seen::default();
    for (number, connection) in (1..).zip(capture) {
        run(connection, number, &stage.options, cut, &mut seen);
    }
    let (folder, told, _) = stage.finish();
    assert_eq!(told.trouble, None);
    assert_eq!(told.lost, Default::default());
    (seen.sorted(), recorded(folder.path()).sorted())
}

/// Counts what the messages of a recording say, without any of the tracker's code.
fn recorded(folder: &Path) -> Seen {
    let mut seen = Seen::default();
    let mut calls = BTreeMap::new();
    for item in stage::items(folder) {
        let Item::Message(message) = item else {
            continue;
        };
        let path = message.path.text().into_owned();
        let meta = &message.meta;
        assert!(!meta.cut, "{path}");
        let data = message.data.clone();
        match (&*path, message.from()) {
            (TXN, Some(Side::Client)) => {
                seen.txn_request_bytes.push(meta.size);
                let txn = TxnRequest::decode(data).unwrap();
                *seen.txn_shapes.entry(txn_shape(&txn)).or_default() += 1;
            }
            (RANGE, Some(Side::Server)) => {
                seen.range_response_bytes.push(meta.size);
                RangeResponse::decode(data).unwrap();
            }
            (RANGE, Some(Side::Client)) => {
                let range = RangeRequest::decode(data).unwrap();
                for shape in range_shapes(&range) {
                    *seen.range_shapes.entry(shape).or_default() += 1;
                }
            }
            (WATCH, Some(Side::Client)) => {
                match WatchRequest::decode(data).unwrap().request_union.unwrap() {
                    RequestUnion::CreateRequest(_) => seen.watches_created += 1,
                    RequestUnion::ProgressRequest(_) => seen.progress += 1,
                    RequestUnion::CancelRequest(_) => panic!("the captures have no such thing"),
                }
            }
            (WATCH, Some(Side::Server)) => {
                let told = WatchResponse::decode(data).unwrap();
                seen.watch_events += told.events.len() as u64;
            }
            _ => {}
        }
        calls.insert((meta.connection, meta.stream), path);
    }
    seen.streams = calls.len() as u64;
    for path in calls.into_values() {
        seen.watch_streams += u64::from(path == WATCH);
        let method = path.trim_start_matches('/').to_owned();
        *seen.by_method.entry(method).or_default() += 1;
    }
    seen
}

fn txn_shape(txn: &TxnRequest) -> &'static str {
    let ops = |ops: &[RequestOp]| -> Vec<&'static str> {
        let name = |op: &RequestOp| match op.request {
            Some(Request_::RequestPut(_)) => "put",
            Some(Request_::RequestDeleteRange(_)) => "delete",
            Some(Request_::RequestRange(_)) => "range",
            _ => "other",
        };
        ops.iter().map(name).collect()
    };
    let guarded = matches!(&txn.compare[..], [compare] if compare.target() == Target::Mod);
    match (guarded, &ops(&txn.success)[..], &ops(&txn.failure)[..]) {
        (true, ["put"], ["range"]) => "if mod then put else range",
        (true, ["put"], []) => "if mod then put",
        (true, ["delete"], ["range"]) => "if mod then delete else range",
        _ => "other",
    }
}

fn range_shapes(range: &RangeRequest) -> Vec<&'static str> {
    let mut shapes = vec![match range {
        range if range.count_only => "count only",
        range if range.range_end.is_empty() => "one key",
        range if range.limit > 0 => "prefix with limit",
        _ => "prefix",
    }];
    if range.revision > 0 {
        shapes.push("with revision");
    }
    shapes
}

/// Holds what a recording tells against what was seen, which was held against the
/// captures' README.
fn is_what_was_seen(recorded: &Seen, seen: &Seen) {
    assert_eq!(recorded.streams, seen.streams);
    assert_eq!(recorded.by_method, seen.by_method);
    assert_eq!(recorded.watch_streams, seen.watch_streams);
    assert_eq!(recorded.watches_created, seen.watches_created);
    assert_eq!(recorded.watch_events, seen.watch_events);
    assert_eq!(recorded.txn_request_bytes, seen.txn_request_bytes);
    assert_eq!(recorded.range_response_bytes, seen.range_response_bytes);
    assert_eq!(recorded.txn_shapes, seen.txn_shapes);
    assert_eq!(recorded.range_shapes, seen.range_shapes);
}

/// min, median, p95 and max.
fn spread(sorted: &[u64]) -> [u64; 4] {
    let n = sorted.len();
    let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    [sorted[0], median, sorted[n * 95 / 100], sorted[n - 1]]
}

fn methods(seen: &Seen, method: &str) -> u64 {
    seen.by_method.get(method).copied().unwrap_or_default()
}

pub fn first_capture_is_as_counted(seen: &Seen) {
    assert_eq!(seen.offences, Vec::<String>::new());
    assert_eq!((seen.connections, seen.streams), (77, 3597));
    assert_eq!(methods(seen, "etcdserverpb.KV/Txn"), 1784);
    assert_eq!(methods(seen, "etcdserverpb.KV/Range"), 1741);
    assert_eq!(methods(seen, "etcdserverpb.Maintenance/Status"), 3);
    assert_eq!(methods(seen, "etcdserverpb.Lease/LeaseGrant"), 1);
    assert_eq!((seen.watch_streams, seen.watches_created), (68, 68));
    assert_eq!(seen.watch_events, 1866);
    assert_eq!(spread(&seen.txn_request_bytes), [93, 1605, 7324, 933_612]);
    assert_eq!(
        spread(&seen.range_response_bytes),
        [28, 1733, 7825, 2_336_873]
    );
    assert_eq!(seen.pings, [3710, 3424]);
    let shapes: Vec<_> = seen.txn_shapes.iter().map(|(k, n)| (*k, *n)).collect();
    assert_eq!(
        shapes,
        [
            ("if mod then delete else range", 435),
            ("if mod then put", 508),
            ("if mod then put else range", 841),
        ]
    );
    assert_eq!(seen.range_shapes["one key"], 1375);
    assert_eq!(seen.range_shapes["count only"], 111);
    assert_eq!(seen.range_shapes["with revision"], 7);
}

pub fn second_capture_is_as_counted(seen: &Seen) {
    assert_eq!(seen.offences, Vec::<String>::new());
    assert_eq!((seen.connections, seen.streams), (20, 2514));
    assert_eq!(methods(seen, "etcdserverpb.KV/Txn"), 1612);
    assert_eq!(methods(seen, "etcdserverpb.KV/Range"), 883);
    assert_eq!(methods(seen, "etcdserverpb.Maintenance/Status"), 4);
    assert_eq!(methods(seen, "etcdserverpb.Lease/LeaseGrant"), 1);
    assert_eq!((seen.watch_streams, seen.watches_created), (14, 14));
    assert_eq!(seen.watch_events, 1612);
    assert_eq!(spread(&seen.txn_request_bytes), [92, 1840, 7503, 933_612]);
    assert_eq!(
        spread(&seen.range_response_bytes),
        [27, 2197, 7392, 933_610]
    );
    assert_eq!(seen.pings, [2564, 2510]);
    let shapes: Vec<_> = seen.txn_shapes.iter().map(|(k, n)| (*k, *n)).collect();
    assert_eq!(
        shapes,
        [
            ("if mod then delete else range", 383),
            ("if mod then put", 437),
            ("if mod then put else range", 792),
        ]
    );
    assert_eq!(seen.range_shapes["one key"], 870);
}

#[test]
fn api_server_1_20_as_captured() {
    first_capture_is_as_counted(&read(&pcap::APISERVER_1_20, Cut::AsCaptured));
}

#[test]
fn api_server_1_20_cut_at_random() {
    for seed in [1, 2, 3] {
        first_capture_is_as_counted(&read(&pcap::APISERVER_1_20, Cut::Randomly(seed)));
    }
}

#[test]
fn api_server_0_36_as_captured() {
    second_capture_is_as_counted(&read(&pcap::APISERVER_0_36, Cut::AsCaptured));
}

#[test]
fn api_server_0_36_cut_at_random() {
    for seed in [4, 5, 6] {
        second_capture_is_as_counted(&read(&pcap::APISERVER_0_36, Cut::Randomly(seed)));
    }
}

#[test]
fn api_server_0_36_byte_by_byte() {
    second_capture_is_as_counted(&read(&pcap::APISERVER_0_36, Cut::ByteByByte));
}

#[test]
fn api_server_1_20_is_recorded_as_counted() {
    for cut in [Cut::AsCaptured, Cut::Randomly(7)] {
        let (seen, recorded) = record(&pcap::APISERVER_1_20, cut);
        first_capture_is_as_counted(&seen);
        is_what_was_seen(&recorded, &seen);
    }
}

#[test]
fn api_server_0_36_is_recorded_as_counted() {
    for cut in [Cut::AsCaptured, Cut::Randomly(8)] {
        let (seen, recorded) = record(&pcap::APISERVER_0_36, cut);
        second_capture_is_as_counted(&seen);
        is_what_was_seen(&recorded, &seen);
        assert_eq!(recorded.progress, 35);
    }
}
