//! Events for tests, as a small cluster would cause them.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::Anchor;
use crate::etcd::verdict::{FaultId, Hit};
use crate::etcd::{
    Call, CancelCause, Compare, CompareTarget, ConnectionEnded, Ending, Event, EventKind, Header,
    KeyValue, MethodName, Op, RangeAsked, Request, Response, Status, Traffic, TxnAsked, Value,
    WatchNote, Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::{Both, ErrorCode, Offence, Settings, Side, StreamId};
use crate::relay::{
    ConnectionId, FlowStalls, Goaway, Peers, Resets, RoundTrips, SideReport, TlsSeen,
};

/// 2026-11-03T08:05:32.000000Z
pub(crate) const WALL_SECONDS: u64 = 1_793_693_132;

/// A time line whose zero is [`WALL_SECONDS`].
#[derive(Clone, Copy)]
pub(crate) struct Time(Instant);

impl Time {
    pub fn new() -> Time {
        // Away from the machine's start, so that there is a time before it.
        Time(Instant::now() + Duration::from_secs(3600))
    }

    pub fn micros(self, micros: u64) -> Instant {
        self.0 + Duration::from_micros(micros)
    }

    pub fn millis(self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }

    pub fn anchor(self) -> Anchor {
        Anchor {
            wall: UNIX_EPOCH + Duration::from_secs(WALL_SECONDS),
            at: self.0,
        }
    }
}

pub(crate) fn peers(id: u64) -> Arc<Peers> {
    Arc::new(Peers {
        id: ConnectionId(id),
        client: "10.0.0.7:40312".parse().expect("an address"),
        listener: "10.0.0.5:2379".parse().expect("an address"),
        upstream: "etcd-0:2379".into(),
        tls: None,
    })
}

pub(crate) fn tls_peers(id: u64) -> Arc<Peers> {
    Arc::new(Peers {
        tls: Some(TlsSeen {
            version: "TLSv1.3".into(),
            sni: Some("etcd-0".into()),
            alpn: Some("h2".into()),
            identity: Some("kube-apiserver-etcd-client".into()),
        }),
        ..Peers::clone(&peers(id))
    })
}

/// A call of `path` that took 1214 µs from the time line's zero on.
pub(crate) fn call(time: Time, path: &str, request: Request, response: Response) -> Box<Call> {
    let (method, name) = MethodName::parse(path.as_bytes());
    Box::new(Call {
        peers: peers(12),
        stream: StreamId::from_bits(345),
        user_agent: Some("grpc-go/1.81.0".into()),
        method,
        name,
        started: time.micros(0),
        first_byte: Some(time.micros(1_100)),
        answered: Some(time.micros(1_200)),
        ended: time.micros(1_214),
        sent: Traffic {
            messages: 1,
            bytes: 1_640,
        },
        received: Traffic {
            messages: 1,
            bytes: 28,
        },
        request,
        response,
        header: Some(Header {
            cluster_id: 7,
            member_id: 1,
            revision: 10_231,
            raft_term: 2,
        }),
        status: Status {
            code: Code::OK,
            message: None,
            ending: Ending::Trailers,
        },
        faults: Box::default(),
    })
}

/// The head of a stored object of built-in kind.
pub(crate) fn stored(api_version: &str, kind: &str) -> Value {
    let mut meta = vec![0x0a, api_version.len() as u8];
    meta.extend_from_slice(api_version.as_bytes());
    meta.extend_from_slice(&[0x12, kind.len() as u8]);
    meta.extend_from_slice(kind.as_bytes());
    let mut head = b"k8s\0\x0a".to_vec();
    head.push(meta.len() as u8);
    head.extend_from_slice(&meta);
    head.extend_from_slice(b"\x12\x0bTOP-SECRET!");
    Value {
        len: head.len() as u64,
        head: head.into(),
    }
}

pub(crate) fn put(key: &[u8], value: Value) -> Op {
    Op::Put {
        key: key.into(),
        value,
        lease: 0,
    }
}

pub(crate) fn delete(key: &[u8]) -> Op {
    Op::DeleteRange {
        key: key.into(),
        range_end: Box::default(),
    }
}

pub(crate) fn range(key: &[u8], range_end: &[u8]) -> RangeAsked {
    RangeAsked {
        key: key.into(),
        range_end: range_end.into(),
        ..RangeAsked::default()
    }
}

/// If `key` is at `revision` then `op`, else read it.
pub(crate) fn txn(key: &[u8], revision: i64, op: Op) -> Request {
    Request::Txn(TxnAsked {
        compares: vec![Compare {
            target: CompareTarget::ModRevision,
            key: key.into(),
            number: revision,
        }],
        success: vec![op],
        failure: vec![Op::Range(range(key, b""))],
        omitted: 0,
    })
}

pub(crate) const WRITTEN: Response = Response::Txn {
    succeeded: true,
    puts: 1,
    deleted: 0,
    kvs: 0,
    first: None,
};

pub(crate) fn key_value(key: &[u8], revision: i64, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        value,
        lease: 0,
    }
}

/// A create of a config map, answered 1200 µs after the time line's zero.
pub(crate) fn create(time: Time) -> Box<Call> {
    let key = b"/registry/configmaps/lab/settings-104";
    let request = txn(key, 0, put(key, stored("v1", "ConfigMap")));
    call(time, "/etcdserverpb.KV/Txn", request, WRITTEN)
}

/// A write of `revision` in cluster `cluster` whose answer passed at `millis`.
pub(crate) fn write(time: Time, cluster: u64, revision: i64, millis: u64) -> Box<Call> {
    let mut call = create(time);
    call.started = time.millis(millis.saturating_sub(1));
    call.answered = Some(time.millis(millis));
    call.ended = time.millis(millis);
    let header = call.header.as_mut().expect("the fixture's");
    header.revision = revision;
    header.cluster_id = cluster;
    call
}

pub(crate) fn note(time: Time, millis: u64, watched: Watched) -> Box<WatchNote> {
    Box::new(WatchNote {
        peers: peers(14),
        stream: StreamId::from_bits(3),
        user_agent: Some("grpc-go/1.81.0".into()),
        at: time.millis(millis),
        watch_id: 2,
        cluster_id: 7,
        revision: 10_231,
        message_bytes: 1_710,
        watched,
        faults: Box::default(),
        held: Duration::ZERO,
        delivered: true,
    })
}

/// The event of `revision` in cluster `cluster`, which passed at `millis`.
pub(crate) fn event(time: Time, cluster: u64, revision: i64, millis: u64) -> Box<WatchNote> {
    let key = b"/registry/configmaps/lab/settings-104";
    let kv = key_value(key, revision, stored("v1", "ConfigMap"));
    let mut note = note(
        time,
        millis,
        Watched::Event {
            kind: EventKind::Put,
            kv,
            prev_kv: false,
        },
    );
    note.cluster_id = cluster;
    note.revision = revision;
    note
}

pub(crate) fn ended(time: Time, peers: Arc<Peers>) -> Box<ConnectionEnded> {
    Box::new(ConnectionEnded {
        peers,
        user_agent: None,
        opened: time.millis(0),
        ended: time.millis(303_000),
        how: "client closed".into(),
        bytes: Both {
            client: 5_500_000,
            server: 25_500_000,
        },
        streams: 3,
        reports: Both {
            client: SideReport {
                settings: Some(Settings {
                    max_concurrent_streams: Some(100),
                    ..Settings::default()
                }),
                pings: 2,
                round_trips: RoundTrips {
                    count: 2,
                    total: Duration::from_micros(900),
                    longest: Duration::from_micros(600),
                },
                ..SideReport::default()
            },
            server: SideReport {
                goaway: Some(Goaway {
                    last_stream: StreamId::from_bits(5),
                    code: ErrorCode::ENHANCE_YOUR_CALM,
                    debug: "too_many_pings".into(),
                }),
                resets: Resets {
                    count: 1,
                    last: Some(ErrorCode::CANCEL),
                },
                stalls: FlowStalls {
                    count: 3,
                    total: Duration::from_micros(1_460),
                },
                ..SideReport::default()
            },
        },
        by: Some(Side::Client),
        faults: Vec::new(),
        interposed: false,
        pings_answered: 0,
    })
}

/// Events of every kind, in an order that could have been.
pub(crate) fn a_little_of_everything(time: Time) -> Vec<Event> {
    let pods: (&[u8], &[u8]) = (b"/registry/pods/", b"/registry/pods0");
    let pod = b"/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z";
    let mut events = vec![
        Event::ConnectionOpened {
            peers: tls_peers(12),
            at: time.millis(0),
        },
        Event::Call(create(time)),
    ];
    let mut push = |call: Box<Call>| events.push(Event::Call(call));

    let found = key_value(pod, 10_220, stored("v1", "Pod"));
    let mut get = call(
        time,
        "/etcdserverpb.KV/Range",
        Request::Range(range(pod, b"")),
        Response::Range {
            kvs: 1,
            count: 1,
            more: false,
            first: Some(Box::new(found.clone())),
        },
    );
    get.ended = time.micros(240_000);
    push(get);

    let after = [pods.0, b"lab/web\0"].concat();
    push(call(
        time,
        "/etcdserverpb.KV/Range",
        Request::Range(RangeAsked {
            limit: 500,
            revision: 10_200,
            ..range(&after, pods.1)
        }),
        Response::Range {
            kvs: 500,
            count: 1_375,
            more: true,
            first: Some(Box::new(found.clone())),
        },
    ));

    push(call(
        time,
        "/etcdserverpb.KV/Txn",
        txn(pod, 10_219, put(pod, stored("v1", "Pod"))),
        Response::Txn {
            succeeded: false,
            puts: 0,
            deleted: 0,
            kvs: 1,
            first: Some(Box::new(found)),
        },
    ));

    let mut lost = call(
        time,
        "/etcdserverpb.KV/Txn",
        txn(pod, 10_220, delete(pod)),
        Response::Unread,
    );
    lost.header = None;
    lost.first_byte = None;
    lost.received = Traffic::default();
    lost.status = Status {
        code: Code::CANCELLED,
        message: None,
        ending: Ending::Reset {
            by: Side::Client,
            code: ErrorCode::CANCEL,
        },
    };
    push(lost);

    let mut refused = call(
        time,
        "/etcdserverpb.Maintenance/Status",
        Request::Unread,
        Response::Unread,
    );
    refused.header = None;
    refused.status = Status {
        code: Code::UNAVAILABLE,
        message: Some("etcdserver: no leader\u{1b}[2J".into()),
        ending: Ending::Trailers,
    };
    push(refused);

    push(call(
        time,
        "/etcdserverpb.Lease/LeaseGrant",
        Request::Lease { id: 0, ttl: 3_660 },
        Response::Lease {
            id: 0x694d_7a3b_1c2d_3e4f,
            ttl: 3_660,
        },
    ));
    push(call(
        time,
        "/etcdserverpb.KV/Range",
        Request::Range(range(b"/odd\xff\x1b\\key", b"\0")),
        Response::Range {
            kvs: 0,
            count: 0,
            more: false,
            first: None,
        },
    ));

    let mut push = |millis, watched| events.push(Event::Watch(note(time, millis, watched)));
    push(
        2,
        Watched::Created {
            asked: Some(time.micros(1_500)),
            key: pods.0.into(),
            range_end: pods.1.into(),
            start_revision: 10_232,
            progress_notify: true,
            prev_kv: true,
        },
    );
    push(3, Watched::Progress);
    push(
        5_000,
        Watched::Canceled {
            cause: CancelCause::Compacted {
                compact_revision: 10_300,
            },
            reason: Some("etcdserver: mvcc: required revision has been compacted".into()),
            key: pods.0.into(),
            range_end: pods.1.into(),
            events: 1_866,
        },
    );
    events.push(Event::Watch(event(time, 7, 10_231, 2)));
    events.push(Event::Http1 {
        peers: peers(15),
        exchange: Box::new(Exchange {
            protocol: "HTTP/1.1",
            started: time.millis(0),
            first_byte: Some(time.millis(1)),
            ended: time.millis(2),
            method: "GET".into(),
            target: "/health".into(),
            user_agent: Some("kube-probe/1.31".into()),
            status: Some(503),
            request_bytes: 0,
            response_bytes: 18,
        }),
    });
    events.push(Event::TracingStopped {
        peers: peers(15),
        at: time.millis(3),
        offence: Offence::new(
            Side::Client,
            ErrorCode::FRAME_SIZE_ERROR,
            StreamId::from_bits(5),
            "RFC 9113 section 4.2",
            "sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed",
        ),
    });
    events.push(Event::Fault {
        peers: peers(15),
        at: time.millis(3),
        hits: vec![Hit {
            fault: FaultId(7),
            name: "black-hole".into(),
            did: "nothing passes in either direction".into(),
        }],
    });
    events.push(Event::ConnectionEnded(ended(time, tls_peers(12))));
    let mut failed = ended(time, peers(16));
    failed.faults = vec![Hit {
        fault: FaultId(8),
        name: "stuck-accept".into(),
        did: "accepted, and nothing said".into(),
    }];
    failed.how = "upstream refused: Connection refused (os error 111)".into();
    failed.bytes = Both::default();
    failed.streams = 0;
    failed.ended = time.micros(310);
    failed.reports = Both::default();
    events.push(Event::ConnectionEnded(failed));
    events
}
