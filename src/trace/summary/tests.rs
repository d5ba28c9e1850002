use super::super::fixtures::{Time, a_little_of_everything, call, create, event};
use super::super::{Format, Options, Pipeline};
use super::*;
use crate::etcd::{Event, Request, Response};
use crate::grpc::Code;

fn summary_of(time: Time, events: impl IntoIterator<Item = Event>) -> Summary {
    let options = Options {
        summary: true,
        ..Options::new(Format::Off)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    for event in events {
        pipeline.handle_event(event);
    }
    assert!(pipeline.output().is_empty());
    *pipeline.finish().expect("asked for")
}

#[test]
fn calls_are_counted_by_verb_and_resource() {
    let time = Time::new();
    let creates = (1..=100).map(|millis| {
        let mut call = create(time);
        call.ended = time.millis(millis);
        if millis > 98 {
            call.status.code = Code::UNAVAILABLE;
        }
        Event::Call(call)
    });
    let summary = summary_of(time, creates);
    let [row] = &summary.calls()[..] else {
        panic!("one verb, one resource");
    };
    assert_eq!((row.verb, row.resource), ("create", "configmaps"));
    assert_eq!((row.calls, row.errors), (100, 2));
    assert_eq!((row.sent, row.received), (164_000, 2_800));
    assert_eq!(row.max_micros, Some(100_000));
    let near = |micros: Option<i64>, wanted: i64| {
        let micros = micros.expect("there were calls");
        assert!(
            micros >= wanted && micros <= wanted + wanted / 64,
            "{micros}"
        );
    };
    near(row.p50_micros, 50_000);
    near(row.p99_micros, 99_000);
}

#[test]
fn streams_that_live_long_have_no_duration_and_may_be_cancelled() {
    let time = Time::new();
    let mut watch = call(
        time,
        "/etcdserverpb.Watch/Watch",
        Request::Unread,
        Response::Unread,
    );
    watch.status.code = Code::CANCELLED;
    let mut get = watch.clone();
    (get.method, get.name) = crate::etcd::MethodName::parse(b"/etcdserverpb.KV/Range");
    let summary = summary_of(time, [Event::Call(watch), Event::Call(get)]);
    let rows = summary.calls();
    assert_eq!((rows[0].verb, rows[0].errors), ("Range", 1));
    assert_eq!((rows[1].verb, rows[1].errors), ("watch", 0));
    assert_eq!(rows[1].p50_micros, None);
}

#[test]
fn keepalives_are_timed_and_their_stream_adds_no_bytes() {
    let time = Time::new();
    let path = "/etcdserverpb.Lease/LeaseKeepAlive";
    let keepalive = call(
        time,
        path,
        Request::Lease { id: 7, ttl: 0 },
        Response::Lease { id: 7, ttl: 60 },
    );
    let mut stream = call(time, path, Request::Unread, Response::Unread);
    stream.status.code = Code::CANCELLED;
    let summary = summary_of(time, [Event::Call(keepalive), Event::Call(stream)]);
    let rows = summary.calls();
    assert_eq!((rows[0].verb, rows[0].calls), ("LeaseKeepAlive", 1));
    assert_eq!((rows[0].sent, rows[0].received, rows[0].errors), (0, 0, 0));
    assert_eq!(rows[0].p50_micros, None);
    assert_eq!((rows[1].verb, rows[1].calls), ("lease_keepalive", 1));
    assert_eq!((rows[1].sent, rows[1].received), (1_640, 28));
    assert_eq!(rows[1].max_micros, Some(1_214));
}

#[test]
fn lags_are_counted_where_they_are_known() {
    let time = Time::new();
    let mut late = event(time, 7, 10_231, 4);
    late.at = time.micros(1_300);
    let summary = summary_of(
        time,
        [
            Event::Call(create(time)),
            Event::Watch(event(time, 7, 10_231, 1)),
            Event::Watch(late),
            Event::Watch(event(time, 9, 3, 1)),
        ],
    );
    let [row] = &summary.watches()[..] else {
        panic!("one resource");
    };
    assert_eq!(
        (row.resource, row.events, row.with_lag),
        ("configmaps", 3, 2)
    );
    assert_eq!(row.lag_p50_micros, Some(-201));
    assert_eq!(row.lag_max_micros, Some(100));
}

#[test]
fn rows_are_bounded_and_names_harmless() {
    let time = Time::new();
    let creates = (0..ROWS_MAX + 500).map(|i| {
        let mut call = create(time);
        call.name.method = format!("Method{i}\u{1b}[2J").into();
        call.request = Request::Unread;
        Event::Call(call)
    });
    let summary = summary_of(time, creates);
    let rows = summary.calls();
    assert_eq!(rows.len(), ROWS_MAX + 1);
    assert_eq!((rows[0].verb, rows[0].calls), (OTHERS.0, 500));
    assert!(!summary.to_string().contains('\u{1b}'));
}

#[test]
fn the_table_is_aligned() {
    let time = Time::new();
    let summary = summary_of(time, a_little_of_everything(time));
    assert_eq!(summary.to_string(), EXPECTED.trim_start());
}

const EXPECTED: &str = "
VERB         RESOURCE    CALLS  ERRORS     P50     P99     MAX   SENT  RECEIVED
Range        -               1       0  1.21ms  1.21ms  1.21ms  1.60K       28B
Status       -               1       1  1.21ms  1.21ms  1.21ms  1.60K       28B
conflict     pods            1       0  1.21ms  1.21ms  1.21ms  1.60K       28B
create       configmaps      1       0  1.21ms  1.21ms  1.21ms  1.60K       28B
delete       pods            1       1  1.21ms  1.21ms  1.21ms  1.60K        0B
get          pods            1       0   240ms   240ms   240ms  1.60K       28B
lease_grant  -               1       0  1.21ms  1.21ms  1.21ms  1.60K       28B
list_page    pods            1       0  1.21ms  1.21ms  1.21ms  1.60K       28B
total                        8       2                          12.8K      196B

WATCHED     CREATED  ENDED  EVENTS  WITH LAG  LAG P50  LAG P99  LAG MAX
configmaps        0      0       1         1   +800µs   +800µs   +800µs
pods              1      1       0         0        -        -        -

connections: 1, and 1 that failed; plain HTTP requests: 1
";

#[test]
fn a_table_may_be_cut_to_its_first_rows() {
    let time = Time::new();
    let summary = summary_of(time, a_little_of_everything(time));
    let rows = summary.calls().len();
    assert!(rows > 2, "{rows}");
    let whole = summary.to_string();
    assert!(!whole.contains(" more"), "{whole}");
    let cut = format!("{summary:.1}");
    assert!(cut.contains(&format!("and {} more", rows - 1)), "{cut}");
    assert!(cut.lines().any(|line| line.starts_with("total")), "{cut}");
}
