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

#[test]
fn no_token_reaches_the_log_whatever_it_stands_in() {
    const TOKEN: &str =
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU";
    let encoded = data_encoding::BASE64.encode(format!("x{TOKEN}").as_bytes());
    let time = Time::new();
    for token in [TOKEN, &encoded] {
        let key = format!("/registry/{token}/{token}/{token}").into_bytes();
        let mut told = call(
            time,
            &format!("/{token}/{token}"),
            Request::Range(crate::etcd::RangeAsked {
                key: key.clone().into(),
                ..Default::default()
            }),
            Response::Unread,
        );
        told.user_agent = Some(token.into());
        told.status.code = crate::grpc::Code::UNAVAILABLE;
        told.status.message = Some(format!("no {token}!").into());
        let mut named = call(
            time,
            "/v3lockpb.Lock/Lock",
            Request::Named {
                key: None,
                range_end: None,
                revision: None,
                name: Some(token.into()),
            },
            Response::Unread,
        );
        named.user_agent = None;
        let mut elsewhere = told.clone();
        elsewhere.request = Request::Range(crate::etcd::RangeAsked {
            key: key[3..].into(),
            range_end: key[4..].into(),
            ..Default::default()
        });
        let exchange = crate::http1::Exchange {
            protocol: "HTTP/1.1",
            method: token.into(),
            target: format!("/v3/{token}/x").into(),
            user_agent: Some(token.into()),
            started: time.millis(0),
            first_byte: None,
            ended: time.millis(1),
            status: None,
            request_bytes: 0,
            response_bytes: 0,
        };
        let mut ended = super::super::fixtures::ended(time, super::super::fixtures::peers(1));
        ended.how = token.to_owned().into();
        if let Some(goaway) = &mut ended.reports.server.goaway {
            goaway.debug = token.into();
        }
        for format in [
            Format::Json,
            Format::Pretty {
                colour: Colour::Always,
                width: Some(100),
            },
        ] {
            let options = Options {
                summary: true,
                ..Options::new(format)
            };
            let mut pipeline = Pipeline::new(options, time.anchor());
            for event in [
                Event::Call(told.clone()),
                Event::Call(named.clone()),
                Event::Call(elsewhere.clone()),
                Event::Http1 {
                    peers: super::super::fixtures::peers(1),
                    exchange: exchange.clone().into(),
                },
                Event::ConnectionEnded(ended.clone()),
            ] {
                pipeline.handle_event(event);
            }
            let summary = pipeline.finish().expect("it was asked for").to_string();
            let text = take(&mut pipeline);
            assert_eq!(text.lines().count(), 5);
            for line in text.lines().chain(summary.lines()) {
                for part in token.as_bytes().windows(16) {
                    let part = str::from_utf8(part).expect("ASCII");
                    assert!(!line.contains(part), "{part} in {line}");
                }
                if format == Format::Json && line.starts_with('{') {
                    let _: serde_json::Value = serde_json::from_str(line).expect("JSON");
                }
            }
            assert!(
                text.contains(&format!("[redacted: token of {} bytes]", TOKEN.len()))
                    || token != TOKEN
            );
        }
    }
}
