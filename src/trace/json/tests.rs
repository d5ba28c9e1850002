use super::super::fixtures::{Time, a_little_of_everything, create, peers};
use super::super::{Format, Options, Pipeline};
use crate::etcd::Event;
use crate::grpc::Code;

fn log() -> String {
    let time = Time::new();
    let mut pipeline = Pipeline::new(
        Options {
            slow: Some(std::time::Duration::from_millis(200)),
            ..Options::new(Format::Json)
        },
        time.anchor(),
    );
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    String::from_utf8(pipeline.output().clone()).expect("the log is text")
}

const EXPECTED: &str = r####"
{"ts":"2026-11-03T08:05:32.000000Z","event":"connection","conn":12,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","state":"opened","listener":"10.0.0.5:2379","tls_version":"TLSv1.3","sni":"etcd-0","alpn":"h2","identity":"kube-apiserver-etcd-client"}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Txn","verb":"create","key":"/registry/configmaps/lab/settings-104","resource":"configmaps","namespace":"lab","name":"settings-104","kind":"ConfigMap","if_revision":0,"status":"OK","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28,"revision":10231}
{"ts":"2026-11-03T08:05:32.240000Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Range","verb":"get","key":"/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z","resource":"pods","namespace":"kube-system","name":"coredns-7db6d8ff4d-x2x1z","kind":"Pod","status":"OK","duration_us":240000,"first_byte_us":1100,"slow":true,"request_bytes":1640,"response_bytes":28,"revision":10231,"count":1,"mod_revision":10220}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Range","verb":"list_page","key":"/registry/pods/lab/web\u0000","range_end":"/registry/pods0","resource":"pods","kind":"Pod","limit":500,"at_revision":10200,"status":"OK","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28,"revision":10231,"count":500,"total":1375,"more":true,"continue":"lab/web"}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Txn","verb":"conflict","key":"/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z","resource":"pods","namespace":"kube-system","name":"coredns-7db6d8ff4d-x2x1z","kind":"Pod","if_revision":10219,"status":"OK","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28,"revision":10231,"count":1,"mod_revision":10220}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Txn","verb":"delete","key":"/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z","resource":"pods","namespace":"kube-system","name":"coredns-7db6d8ff4d-x2x1z","if_revision":10220,"status":"CANCELLED","ending":"reset","reset":"CANCEL","reset_by":"client","duration_us":1214,"request_bytes":1640,"response_bytes":0,"response_messages":0}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Maintenance","method":"Status","verb":"Status","status":"UNAVAILABLE","message":"etcdserver: no leader\u001b[2J","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Lease","method":"LeaseGrant","verb":"lease_grant","ttl":3660,"status":"OK","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28,"revision":10231,"lease":"694d7a3b1c2d3e4f","granted_ttl":3660}
{"ts":"2026-11-03T08:05:32.001214Z","event":"call","conn":12,"stream":345,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.KV","method":"Range","verb":"Range","key":"/odd\\xff\u001b\\\\key","range_end":"\u0000","status":"OK","duration_us":1214,"first_byte_us":1100,"request_bytes":1640,"response_bytes":28,"revision":10231,"count":0}
{"ts":"2026-11-03T08:05:32.002000Z","event":"watch_created","conn":14,"stream":3,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Watch","method":"Watch","verb":"watch","key":"/registry/pods/","range_end":"/registry/pods0","resource":"pods","response_bytes":1710,"revision":10231,"watch_id":2,"duration_us":500,"start_revision":10232,"progress_notify":true,"prev_kv":true}
{"ts":"2026-11-03T08:05:32.003000Z","event":"watch_progress","conn":14,"stream":3,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Watch","method":"Watch","verb":"progress","response_bytes":1710,"revision":10231,"watch_id":2}
{"ts":"2026-11-03T08:05:37.000000Z","event":"watch_canceled","conn":14,"stream":3,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Watch","method":"Watch","verb":"watch","key":"/registry/pods/","range_end":"/registry/pods0","resource":"pods","response_bytes":1710,"revision":10231,"watch_id":2,"cause":"compacted","message":"etcdserver: mvcc: required revision has been compacted","compact_revision":10300,"events":1866}
{"ts":"2026-11-03T08:05:32.002000Z","event":"watch_event","conn":14,"stream":3,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"grpc-go/1.81.0","service":"etcdserverpb.Watch","method":"Watch","verb":"create","key":"/registry/configmaps/lab/settings-104","resource":"configmaps","namespace":"lab","name":"settings-104","kind":"ConfigMap","type":"PUT","response_bytes":1710,"revision":10231,"watch_id":2,"lag_us":800}
{"ts":"2026-11-03T08:05:32.002000Z","event":"http1","conn":15,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","user_agent":"kube-probe/1.31","protocol":"HTTP/1.1","method":"GET","path":"/health","http_status":503,"duration_us":2000,"first_byte_us":1000,"request_bytes":0,"response_bytes":18}
{"ts":"2026-11-03T08:05:32.003000Z","event":"connection","conn":15,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","state":"tracing_stopped","by":"client","code":"FRAME_SIZE_ERROR","offending_stream":5,"message":"client sent a DATA frame of 20000 bytes on stream 5, more than the 16384 allowed (FRAME_SIZE_ERROR, RFC 9113 section 4.2)"}
{"ts":"2026-11-03T08:05:32.003000Z","event":"fault","conn":15,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","listener":"10.0.0.5:2379","fault":[{"name":"black-hole","did":"nothing passes in either direction"}]}
{"ts":"2026-11-03T08:10:35.000000Z","event":"connection","conn":12,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","state":"closed","listener":"10.0.0.5:2379","tls_version":"TLSv1.3","sni":"etcd-0","alpn":"h2","identity":"kube-apiserver-etcd-client","message":"client closed","by":"client","duration_us":303000000,"streams":3,"bytes_client":5500000,"settings_client":{"header_table_size":4096,"enable_push":true,"max_concurrent_streams":100,"initial_window_size":65535,"max_frame_size":16384},"pings_client":2,"ping_rtt_mean_us_client":450,"ping_rtt_max_us_client":600,"bytes_server":25500000,"resets_server":1,"last_reset_server":"CANCEL","stalls_server":3,"stalled_us_server":1460,"goaway_server":{"last_stream":5,"code":"ENHANCE_YOUR_CALM","debug":"too_many_pings"}}
{"ts":"2026-11-03T08:05:32.000310Z","event":"connection","conn":16,"client":"10.0.0.7:40312","upstream":"etcd-0:2379","state":"failed","listener":"10.0.0.5:2379","message":"upstream refused: Connection refused (os error 111)","by":"client","duration_us":310,"streams":0,"fault":[{"name":"stuck-accept","did":"accepted, and nothing said"}],"bytes_client":0,"bytes_server":0}
"####;

#[test]
fn lines_are_as_documented() {
    let log = log();
    for (line, expected) in log.lines().zip(EXPECTED.trim_start().lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(
        log.lines().count(),
        EXPECTED.trim_start().lines().count(),
        "{log}"
    );
}

#[test]
fn every_line_is_an_object_whose_fields_come_once() {
    for line in log().lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        let fields = value.as_object().expect("an object").len();
        let names = line.matches("\":").count();
        let nested: usize = value
            .as_object()
            .into_iter()
            .flat_map(|object| object.values())
            .flat_map(|value| match value.as_array() {
                Some(list) => list.as_slice(),
                None => std::slice::from_ref(value),
            })
            .filter_map(|value| value.as_object().map(|inner| inner.len()))
            .sum();
        assert_eq!(names, fields + nested, "{line}");
    }
}

#[test]
fn values_never_show() {
    assert!(!log().contains("SECRET"));
}

fn line_of(event: Event, time: Time) -> String {
    let mut pipeline = Pipeline::new(Options::new(Format::Json), time.anchor());
    pipeline.handle_event(event);
    String::from_utf8(pipeline.output().clone()).expect("the log is text")
}

#[test]
fn a_ping_that_is_not_answered_has_a_line() {
    let time = Time::new();
    let event = Event::Ping {
        peers: peers(15),
        at: time.millis(4),
    };
    let documented = include_str!("../../../docs/log.md")
        .lines()
        .find(|line| line.contains(r#""event":"ping""#))
        .expect("it is documented");
    assert_eq!(line_of(event, time).trim_end(), documented);
}

#[test]
fn a_write_whose_client_was_told_otherwise_is_said_to_be_committed() {
    let time = Time::new();
    let mut call = create(time);
    assert!(!line_of(Event::Call(call.clone()), time).contains("committed"));
    call.status.code = Code::UNAVAILABLE;
    let line = line_of(Event::Call(call.clone()), time);
    assert!(
        line.contains(r#""revision":10231,"committed":true"#),
        "{line}"
    );
    // What was never answered is not known to be.
    call.header = None;
    assert!(!line_of(Event::Call(call), time).contains("committed"));
}
