//! What the redaction of a message costs: `cargo bench --bench redact`.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use etcdtap::etcd::schema::etcdserverpb::{RangeResponse, ResponseHeader};
use etcdtap::etcd::schema::mvccpb::KeyValue;
use etcdtap::http2::Side;
use etcdtap::kube::token;
use etcdtap::record::redact::{Policy, RecordingKey, Redactor};
use prost::Message;

/// Bytes as they stand in objects: names, text, and some base64.
fn object(length: usize) -> Vec<u8> {
    let text =
        b"\x0a\x12app.kubernetes.io/x\x12\x07settings{\"f:metadata\":{\"f:labels\":{\".\":{}}}} \
                 MIIDBjCCAe6gAwIBAgIBATANBgkqhkiG9w0BAQsFADAVMRMwEQYDVQQDEwptaW5p ";
    let head = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap";
    head.iter()
        .chain(text.iter().cycle())
        .take(length)
        .copied()
        .collect()
}

fn range(resource: &str, keys: usize, length: usize) -> Vec<u8> {
    let kvs = (0..keys).map(|i| KeyValue {
        key: Bytes::from(format!("/registry/{resource}/kube-system/settings-{i}")),
        create_revision: 10_200,
        mod_revision: 10_220,
        version: 3,
        value: object(length).into(),
        lease: 0,
    });
    let range = RangeResponse {
        header: Some(ResponseHeader {
            cluster_id: 0x1234_5678_9abc_def0,
            member_id: 0x1234_5678_9abc_def1,
            revision: 10_231,
            raft_term: 4,
        }),
        kvs: kvs.collect(),
        more: false,
        count: keys as i64,
    };
    range.encode_to_vec()
}

fn messages(c: &mut Criterion) {
    let policy = Arc::new(Policy::new(RecordingKey::from_bytes([7; 32])));
    let mut group = c.benchmark_group("redact");
    for (name, resource, keys, length) in [
        ("a config map of 1 KB", "configmaps", 1, 1024),
        ("a secret of 1 KB", "secrets", 1, 1024),
        ("500 config maps of 2 KB", "configmaps", 500, 2048),
    ] {
        let message = range(resource, keys, length);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || message.clone(),
                |message| {
                    let length = message.len() as u64;
                    let mut redactor = Redactor::begin(
                        &policy,
                        "etcdserverpb.KV",
                        "Range",
                        Side::Server,
                        false,
                        length,
                    );
                    redactor.push(message);
                    black_box(redactor.finish(&mut Vec::new()))
                },
                BatchSize::SmallInput,
            );
        });
    }
    let message = range("configmaps", 1, 1024);
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("the search for tokens alone", |b| {
        b.iter(|| token::suspected(black_box(&message)));
    });
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
