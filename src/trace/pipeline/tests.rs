use super::super::fixtures::{Time, call, create, event, write};
use super::*;
use crate::etcd::{Request, Response};

fn pipeline(time: Time) -> Pipeline {
    Pipeline::new(Options::new(Format::Json), time.anchor())
}

fn take(pipeline: &mut Pipeline) -> String {
    String::from_utf8(std::mem::take(pipeline.output())).expect("text")
}

#[test]
fn an_early_event_is_told_when_its_write_is_with_its_own_time() {
    let time = Time::new();
    let mut pipeline = pipeline(time);
    pipeline.handle_event(Event::Watch(event(time, 7, 100, 3)));
    assert_eq!(take(&mut pipeline), "");
    assert_eq!(pipeline.poll_timeout(), Some(time.millis(53)));
    pipeline.handle_event(Event::Call(write(time, 7, 100, 5)));
    let text = take(&mut pipeline);
    let (call, event) = text.split_once('\n').expect("two lines");
    assert!(call.contains(r#""event":"call""#));
    assert!(event.contains(r#"{"ts":"2026-11-03T08:05:32.003000Z","event":"watch_event""#));
    assert!(event.ends_with("\"lag_us\":-2000}\n"), "{event}");
    assert_eq!(pipeline.poll_timeout(), None);
}

#[test]
fn an_early_event_without_a_write_is_told_without_a_lag() {
    let time = Time::new();
    let mut pipeline = pipeline(time);
    pipeline.handle_event(Event::Watch(event(time, 7, 100, 3)));
    pipeline.handle_timeout(time.millis(52));
    assert_eq!(take(&mut pipeline), "");
    pipeline.handle_timeout(time.millis(53));
    let text = take(&mut pipeline);
    assert!(text.contains("watch_event") && !text.contains("lag_us"));
    pipeline.handle_event(Event::Watch(event(time, 7, 101, 60)));
    pipeline.finish();
    assert!(take(&mut pipeline).contains(r#""revision":101"#));
}

#[test]
fn a_filtered_write_still_gives_its_events_their_lag() {
    let time = Time::new();
    let options = Options {
        filter: Filter {
            methods: vec!["Watch".into()],
            ..Filter::default()
        },
        ..Options::new(Format::Json)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    pipeline.handle_event(Event::Call(write(time, 7, 100, 5)));
    pipeline.handle_event(Event::Watch(event(time, 7, 100, 6)));
    let text = take(&mut pipeline);
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(r#""lag_us":1000"#));
}

#[test]
fn a_muted_pipeline_only_counts() {
    let time = Time::new();
    let mut pipeline = pipeline(time);
    pipeline.handle_event(Event::Call(create(time)));
    take(&mut pipeline);
    pipeline.mute();
    pipeline.handle_event(Event::Call(create(time)));
    assert_eq!(take(&mut pipeline), "");
    assert_eq!((pipeline.lines(), pipeline.muted_lines()), (2, 1));
}

#[test]
fn an_answered_keepalive_may_be_slow_and_its_stream_never_is() {
    let time = Time::new();
    let options = Options {
        slow: Some(Duration::from_millis(1)),
        ..Options::new(Format::Json)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    let path = "/etcdserverpb.Lease/LeaseKeepAlive";
    let asked = Request::Lease { id: 7, ttl: 0 };
    let answered = Response::Lease { id: 7, ttl: 60 };
    pipeline.handle_event(Event::Call(call(time, path, asked, answered)));
    assert!(take(&mut pipeline).contains(r#""slow":true"#));
    let end = call(time, path, Request::Unread, Response::Unread);
    pipeline.handle_event(Event::Call(end));
    assert!(!take(&mut pipeline).contains("slow"));
}
