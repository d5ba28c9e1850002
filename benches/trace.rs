//! What a line of the log costs: `cargo bench --bench trace`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etcdtap::etcd::{
    Call, Ending, Event, Header, KeyValue, MethodName, RangeAsked, Request, Response, Status,
    Traffic, Value,
};
use etcdtap::grpc::Code;
use etcdtap::http2::StreamId;
use etcdtap::relay::{ConnectionId, Peers};
use etcdtap::trace::{Anchor, Colour, Filter, Format, Options, Pipeline};

/// A Range of one pod, as kube-apiserver asks for it.
fn get() -> Box<Call> {
    let key = b"/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z";
    let (method, name) = MethodName::parse(b"/etcdserverpb.KV/Range");
    let now = Instant::now();
    let first = KeyValue {
        key: (*key).into(),
        mod_revision: 10_220,
        value: Value {
            head: (*b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x04meta").into(),
            len: 1024,
        },
        ..KeyValue::default()
    };
    Box::new(Call {
        peers: Arc::new(Peers {
            id: ConnectionId(12),
            client: "10.0.0.7:40312".parse().expect("an address"),
            listener: "10.0.0.5:2379".parse().expect("an address"),
            upstream: "10.0.0.6:2379".into(),
            tls: None,
        }),
        stream: StreamId::from_bits(345),
        user_agent: Some("grpc-go/1.81.0".into()),
        method,
        name,
        started: now,
        first_byte: Some(now + Duration::from_micros(400)),
        answered: Some(now + Duration::from_micros(420)),
        ended: now + Duration::from_micros(430),
        sent: Traffic {
            messages: 1,
            bytes: 53,
        },
        received: Traffic {
            messages: 1,
            bytes: 1130,
        },
        request: Request::Range(RangeAsked {
            key: (*key).into(),
            ..RangeAsked::default()
        }),
        response: Response::Range {
            kvs: 1,
            count: 1,
            more: false,
            first: Some(Box::new(first)),
        },
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

fn lines(c: &mut Criterion) {
    let call = get();
    let pretty = Format::Pretty {
        colour: Colour::Always,
        width: None,
    };
    let filtered = Filter {
        resources: vec!["secrets".into()],
        ..Filter::default()
    };
    let options = [
        ("json", Options::new(Format::Json)),
        ("pretty", Options::new(pretty)),
        (
            "json, filtered out",
            Options {
                filter: filtered,
                ..Options::new(Format::Json)
            },
        ),
        (
            "summary only",
            Options {
                summary: true,
                ..Options::new(Format::Off)
            },
        ),
    ];
    let mut group = c.benchmark_group("trace");
    group.throughput(Throughput::Elements(1));
    for (name, options) in options {
        let mut pipeline = Pipeline::new(options, Anchor::now());
        group.bench_function(name, |b| {
            b.iter_batched(
                || Event::Call(call.clone()),
                |event| {
                    pipeline.handle_event(black_box(event));
                    if pipeline.output().len() > 64 * 1024 {
                        pipeline.output().clear();
                    }
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, lines);
criterion_main!(benches);
