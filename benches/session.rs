//! The core alone: a real capture's bytes, decoded, without a socket.
//!
//! `cargo bench --bench session`; one iteration is the whole capture (2,514
//! streams, 19.5 MB), so divide by that for a call.

#[path = "../tests/it"]
#[allow(dead_code, clippy::unwrap_used)]
mod it {
    pub mod pcap;
}

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etcdtap::etcd::{Session, SessionOptions};
use etcdtap::http2::Side;
use etcdtap::relay::{ConnectionId, Peers};
use it::pcap;

fn capture(c: &mut Criterion) {
    let connections = &*pcap::APISERVER_0_36;
    let bytes = connections
        .iter()
        .map(|connection| connection.bytes_from(Side::Client) + connection.bytes_from(Side::Server))
        .sum();
    let options = Arc::new(SessionOptions::default());
    let mut group = c.benchmark_group("session");
    group.throughput(Throughput::Bytes(bytes));
    group.measurement_time(Duration::from_secs(8));
    group.bench_function("apiserver-0.36", |b| {
        b.iter(|| {
            let now = Instant::now();
            let mut events = 0;
            for (n, connection) in connections.iter().enumerate() {
                let peers = Arc::new(Peers {
                    id: ConnectionId(n as u64),
                    client: connection.client,
                    listener: connection.server,
                    upstream: "etcd:2379".into(),
                    tls: None,
                });
                let mut session = Session::new(peers, &options, now);
                for segment in &connection.segments {
                    session.handle_bytes(segment.side, &segment.bytes, now);
                    while session.poll_transmit(segment.side).is_some() {}
                    while let Some(event) = session.poll_event() {
                        black_box(&event);
                        events += 1;
                    }
                }
                session.finish("over", now);
            }
            events
        });
    });
    group.finish();
}

criterion_group!(benches, capture);
criterion_main!(benches);
