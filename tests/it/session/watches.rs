//! Watch streams: each watch id on its own.

use etcdtap::etcd::schema::etcdserverpb::{
    ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest,
    WatchResponse, watch_request::RequestUnion,
};
use etcdtap::etcd::schema::mvccpb::{Event, KeyValue, event::EventType};
use etcdtap::etcd::{CancelCause, EventKind, Watched};
use etcdtap::grpc::Code;
use etcdtap::http2::{ErrorCode, Side};

use super::script::{Script, WATCH};

fn create(key: &str, start_revision: i64) -> WatchRequest {
    WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
            key: key.to_owned().into(),
            range_end: format!("{}0", key.trim_end_matches('/')).into(),
            start_revision,
            progress_notify: true,
            prev_kv: true,
            ..Default::default()
        })),
    }
}

fn response(watch_id: i64, revision: i64) -> WatchResponse {
    WatchResponse {
        header: Some(ResponseHeader {
            cluster_id: 7,
            revision,
            ..Default::default()
        }),
        watch_id,
        ..Default::default()
    }
}

fn event(key: &str, mod_revision: i64, kind: EventType) -> Event {
    Event {
        r#type: kind as i32,
        kv: Some(KeyValue {
            key: key.to_owned().into(),
            mod_revision,
            create_revision: 3,
            value: vec![b'x'; 3000].into(),
            ..Default::default()
        }),
        prev_kv: Some(KeyValue {
            value: vec![b'y'; 3000].into(),
            ..Default::default()
        }),
    }
}

fn opened() -> Script {
    let mut script = Script::greeted();
    script.open_with(1, WATCH, &[("hasleader", "true")]);
    script.accept(1);
    script
}

#[test]
fn watches_of_one_stream_are_told_apart() {
    let mut script = opened();
    script.message(Side::Client, 1, &create("/registry/pods/", 11), false);
    script.message(Side::Client, 1, &create("/registry/events/", 12), false);
    script.wait(3);
    for (watch_id, revision) in [(0, 20), (1, 20)] {
        let created = WatchResponse {
            created: true,
            ..response(watch_id, revision)
        };
        script.message(Side::Server, 1, &created, false);
    }
    let events = WatchResponse {
        events: vec![
            event("/registry/pods/a/b", 21, EventType::Put),
            event("/registry/pods/a/c", 21, EventType::Delete),
        ],
        ..response(0, 21)
    };
    script.message(Side::Server, 1, &events, false);
    let progress = WatchRequest {
        request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
    };
    script.message(Side::Client, 1, &progress, false);
    script.message(Side::Server, 1, &response(-1, 25), false);
    let notes = script.notes();
    let told: Vec<_> = notes
        .iter()
        .map(|note| match &note.watched {
            Watched::Created {
                key,
                start_revision,
                asked,
                ..
            } => {
                assert!(asked.is_some_and(|asked| note.at > asked));
                format!(
                    "{} created {} from {start_revision}",
                    note.watch_id,
                    String::from_utf8_lossy(key)
                )
            }
            Watched::Event { kind, kv, prev_kv } => {
                assert!(prev_kv);
                assert_eq!((kv.value.len, kv.value.head.len()), (3000, 256));
                let kind = match kind {
                    EventKind::Put => "put",
                    EventKind::Delete => "delete",
                };
                format!(
                    "{} {kind} {} at {}",
                    note.watch_id,
                    String::from_utf8_lossy(&kv.key),
                    kv.mod_revision
                )
            }
            Watched::Progress => format!("{} progress {}", note.watch_id, note.revision),
            Watched::Canceled { .. } => "canceled".to_owned(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "0 created /registry/pods/ from 11",
            "1 created /registry/events/ from 12",
            "0 put /registry/pods/a/b at 21",
            "0 delete /registry/pods/a/c at 21",
            "-1 progress 25",
        ]
    );
}

#[test]
fn a_watch_ends_for_a_reason() {
    let mut script = opened();
    for (n, key) in ["/a/", "/b/", "/c/", "/d/"].into_iter().enumerate() {
        script.message(Side::Client, 1, &create(key, 1), false);
        if n < 3 {
            let created = WatchResponse {
                created: true,
                ..response(n as i64, 20)
            };
            script.message(Side::Server, 1, &created, false);
        }
    }
    // The fourth is refused.
    let refused = WatchResponse {
        created: true,
        canceled: true,
        cancel_reason: "etcdserver: permission denied".into(),
        ..response(-1, 20)
    };
    script.message(Side::Server, 1, &refused, false);
    // One is asked to end, one was compacted, one ends with the stream.
    let cancel = WatchRequest {
        request_union: Some(RequestUnion::CancelRequest(WatchCancelRequest {
            watch_id: 0,
        })),
    };
    script.message(Side::Client, 1, &cancel, false);
    script.message(
        Side::Server,
        1,
        &WatchResponse {
            canceled: true,
            ..response(0, 20)
        },
        false,
    );
    let compacted = WatchResponse {
        canceled: true,
        compact_revision: 9,
        ..response(1, 20)
    };
    script.message(Side::Server, 1, &compacted, false);
    script.reset(Side::Client, 1, ErrorCode::CANCEL);
    let ends: Vec<_> = script
        .notes()
        .iter()
        .filter_map(|note| match &note.watched {
            Watched::Canceled { cause, key, .. } => Some((
                note.watch_id,
                *cause,
                String::from_utf8_lossy(key).into_owned(),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        ends,
        [
            (-1, CancelCause::Refused, "/d/".to_owned()),
            (0, CancelCause::Requested, "/a/".to_owned()),
            (
                1,
                CancelCause::Compacted {
                    compact_revision: 9
                },
                "/b/".to_owned()
            ),
            (2, CancelCause::StreamEnded, "/c/".to_owned()),
        ]
    );
    let calls = script.calls();
    assert_eq!((calls.len(), calls[0].status.code), (1, Code::CANCELLED));
}

#[test]
fn what_is_no_watch_response_is_no_progress() {
    let mut script = opened();
    let nonsense = super::script::prefixed(&[0x0a, 0x7f, 1], false);
    script.data(Side::Server, 1, &nonsense, false);
    assert!(script.notes().is_empty());
}

#[test]
fn creations_beyond_what_is_kept_still_pair_in_order() {
    let mut script = opened();
    // 70,000 creations before the first answer: more than are kept.
    for n in 0..70_000 {
        script.message(Side::Client, 1, &create(&format!("/{n}/"), 1), false);
        if n % 500 == 0 {
            script.credit(Side::Server, 1, 60_000);
        }
    }
    let mut last = None;
    for n in 0..70_000 {
        let created = WatchResponse {
            created: true,
            ..response(n, 20)
        };
        script.message(Side::Server, 1, &created, false);
        if n % 500 == 0 {
            script.credit(Side::Client, 1, 60_000);
        }
        if n == 65_535 {
            last = script.notes().last().map(|note| note.watched.clone());
        }
    }
    assert!(matches!(last, Some(Watched::Created { key, .. }) if *key == *b"/65535/"));
    // Behind them a key would be a guess.
    let notes = script.notes();
    assert!(matches!(&notes[69_999].watched, Watched::Created { key, .. } if key.is_empty()));
    // And then it is known again.
    script.message(Side::Client, 1, &create("/again/", 1), false);
    let created = WatchResponse {
        created: true,
        ..response(70_000, 20)
    };
    script.message(Side::Server, 1, &created, false);
    let notes = script.notes();
    let again = notes.last().map(|note| &note.watched);
    assert!(matches!(again, Some(Watched::Created { key, .. }) if **key == *b"/again/"));
}
