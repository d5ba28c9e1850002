//! Faults on watches, message by message, with a fake clock.

use std::time::Duration;

use etcdtap::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use etcdtap::etcd::schema::etcdserverpb::{WatchProgressRequest, WatchRequest, WatchResponse};
use etcdtap::etcd::verdict::Refusal;
use etcdtap::etcd::watch_verdict::{CancelAs, Moment, StreamEnding, WatchAct};
use etcdtap::etcd::{CancelCause, SessionOptions, Watched};
use etcdtap::grpc::Code;
use etcdtap::http2::{ErrorCode, Side, frame_encoder};
use etcdtap::relay::HoldBudget;
use prost::Message;

use super::script::{id, prefixed};
use super::watch_stand::{
    WATCH, Watches, cancel, create, created, events, header, in_short, progress,
};

fn on_event(moment: Moment<'_>, key: &str, act: WatchAct) -> Vec<WatchAct> {
    match moment {
        Moment::Event { key: seen, .. } if seen == key.as_bytes() => vec![act],
        _ => Vec::new(),
    }
}

#[test]
fn what_nothing_strikes_is_the_same() {
    let mut watches = Watches::touched(|_, _| Vec::new());
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a", "-b"]));
    watches.say(&progress(0, 12));
    watches.say(&progress(-1, 13));
    watches.ask(&cancel(0));
    assert_eq!(watches.server_got(), [create("a"), cancel(0)]);
    let said = [
        created(0),
        events(0, 11, &["a", "-b"]),
        progress(0, 12),
        progress(-1, 13),
    ];
    assert_eq!(watches.client_got(), said);
    assert!(
        watches
            .notes()
            .iter()
            .all(|note| note.faults.is_empty() && note.delivered)
    );
    assert_eq!(watches.notes().len(), 5);
}

#[test]
fn messages_may_be_cut_anywhere() {
    let mut watches = Watches::touched(|_, moment| on_event(moment, "b", WatchAct::Drop));
    watches.ask(&create("a"));
    let mut wire = Vec::new();
    for said in [
        created(0),
        events(0, 11, &["a", "b"]),
        events(0, 12, &["b"]),
        progress(0, 13),
    ] {
        wire.extend(prefixed(&said.encode_to_vec(), false));
    }
    for byte in wire {
        watches.stand.data(Side::Server, 1, &[byte], false);
    }
    assert_eq!(
        watches.client_heard(),
        ["0 created", "0 a@11", "0 up to 13"]
    );
    let lost = watches
        .notes()
        .iter()
        .filter(|note| !note.delivered)
        .count();
    assert_eq!(lost, 2);
}

#[test]
fn dropped_events_leave_no_progress_behind() {
    let mut watches = Watches::touched(|_, moment| on_event(moment, "b", WatchAct::Drop));
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a"]));
    watches.say(&events(0, 12, &["b"]));
    watches.say(&events(0, 13, &["b", "c"]));
    assert_eq!(watches.client_heard(), ["0 created", "0 a@11", "0 c@13"]);
}

#[test]
fn credit_goes_on_for_what_is_dropped() {
    let mut watches = Watches::touched(|_, moment| on_event(moment, "b", WatchAct::Drop));
    watches.watch(0, "a");
    watches.stand.server_got();
    let lost = prefixed(&events(0, 12, &["b"]).encode_to_vec(), false).len();
    watches.say(&events(0, 12, &["b"]));
    let credit = watches.stand.server_got();
    assert_eq!(
        credit,
        [format!("CREDIT 1 {lost}"), format!("CREDIT 0 {lost}")]
    );
}

#[test]
fn duplicates_come_behind_and_in_order() {
    let mut watches = Watches::touched(|_, moment| on_event(moment, "b", WatchAct::Duplicate(2)));
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a", "b"]));
    watches.say(&events(0, 12, &["c"]));
    assert_eq!(
        watches.client_heard(),
        ["0 created", "0 a,b@11", "0 b,b@11", "0 c@12"]
    );
    let struck = watches
        .notes()
        .iter()
        .filter(|note| !note.faults.is_empty())
        .count();
    assert_eq!(struck, 3);
}

#[test]
fn a_late_event_holds_what_follows_on_its_watch_and_nothing_else() {
    let late = WatchAct::Delay(Duration::from_millis(100));
    let mut watches = Watches::touched(move |_, moment| on_event(moment, "b", late.clone()));
    watches.watch(0, "a");
    watches.watch(1, "x");
    watches.client_got();
    watches.say(&events(0, 11, &["b"]));
    watches.say(&events(0, 12, &["a"]));
    watches.say(&progress(0, 12));
    watches.say(&events(1, 13, &["x"]));
    assert_eq!(watches.client_heard(), ["1 x@13"]);
    // A broadcast would move the first one's revision over what is held.
    watches.say(&progress(-1, 14));
    assert_eq!(watches.client_heard(), ["1 up to 14"]);
    watches.stand.wait(99);
    assert_eq!(watches.client_heard(), Vec::<String>::new());
    watches.stand.wait(1);
    assert_eq!(
        watches.client_heard(),
        ["0 b@11", "0 a@12", "0 up to 12", "0 up to 14"]
    );
    let held: Vec<_> = watches
        .notes()
        .iter()
        .map(|note| note.held.as_millis())
        .collect();
    assert_eq!(held, [0, 0, 0, 0, 100, 100, 100, 100]);
}

#[test]
fn an_event_is_overtaken_or_waits_in_vain() {
    let behind = WatchAct::Behind {
        events: 2,
        within: Duration::from_secs(1),
    };
    let mut watches = Watches::touched(move |_, moment| on_event(moment, "b", behind.clone()));
    watches.watch(0, "a");
    watches.client_got();
    watches.say(&events(0, 11, &["b"]));
    watches.say(&progress(0, 11));
    assert_eq!(
        watches.client_heard(),
        Vec::<String>::new(),
        "progress waits"
    );
    watches.stand.wait(1000);
    assert_eq!(watches.client_heard(), ["0 b@11", "0 up to 11"]);
    // An event makes progress that waits moot.
    watches.say(&events(0, 11, &["b"]));
    watches.say(&progress(0, 11));
    watches.say(&events(0, 12, &["a"]));
    assert_eq!(watches.client_heard(), ["0 a@12"]);
    watches.stand.wait(1000);
    assert_eq!(watches.client_heard(), ["0 b@11"]);
    watches.say(&events(0, 13, &["b"]));
    watches.say(&events(0, 14, &["c"]));
    watches.say(&events(0, 15, &["d"]));
    watches.say(&events(0, 16, &["e"]));
    assert_eq!(
        watches.client_heard(),
        ["0 c@14", "0 d@15", "0 b@13", "0 e@16"]
    );
}

#[test]
fn a_stalled_watch_is_flushed_and_its_neighbour_goes_on() {
    let mut watches = Watches::touched(|id, moment| match moment {
        Moment::Standing { .. } if id == 0 => vec![WatchAct::Stall],
        _ => Vec::new(),
    });
    let now = watches.stand.now;
    watches.stand.bench.lock().unwrap().until = Some(now + Duration::from_secs(30));
    watches.watch(0, "a");
    watches.watch(1, "x");
    watches.client_got();
    watches.say(&events(0, 11, &["a"]));
    watches.say(&events(1, 12, &["x"]));
    watches.say(&progress(0, 12));
    assert_eq!(watches.client_heard(), ["1 x@12"]);
    watches.stand.wait(30_000);
    assert_eq!(watches.client_heard(), ["0 a@11", "0 up to 12"]);
    watches.say(&events(0, 13, &["a"]));
    assert_eq!(watches.client_heard(), ["0 a@13"]);
}

#[test]
fn a_stall_ends_with_its_fault() {
    let mut watches = Watches::touched(|_, moment| match moment {
        Moment::Standing { .. } => vec![WatchAct::Stall],
        _ => Vec::new(),
    });
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a"]));
    assert_eq!(watches.client_heard(), ["0 created"]);
    {
        let mut bench = watches.stand.bench.lock().unwrap();
        bench.lifted = true;
        bench.watches = None;
    }
    watches.stand.change();
    assert_eq!(watches.client_heard(), ["0 a@11"]);
    // It passes by itself again.
    watches.say(&events(0, 12, &["a"]));
    assert_eq!(watches.client_heard(), ["0 a@12"]);
}

#[test]
fn progress_is_dropped_delayed_or_falsified() {
    for (act, heard, later) in [
        (WatchAct::Drop, vec![], vec![]),
        (
            WatchAct::Delay(Duration::from_secs(1)),
            vec![],
            vec!["0 up to 12"],
        ),
        (
            WatchAct::Falsify { ahead: 1000 },
            vec!["0 up to 1012"],
            vec![],
        ),
        (WatchAct::Falsify { ahead: -5 }, vec!["0 up to 7"], vec![]),
    ] {
        for broadcast in [false, true] {
            let said = act.clone();
            let mut watches = Watches::touched(move |_, moment| match moment {
                Moment::Progress => vec![said.clone()],
                _ => Vec::new(),
            });
            watches.watch(0, "a");
            watches.client_got();
            watches.say(&progress(if broadcast { -1 } else { 0 }, 12));
            assert_eq!(watches.client_heard(), heard, "{act:?}");
            watches.stand.wait(1000);
            assert_eq!(watches.client_heard(), later, "{act:?}");
        }
    }
}

#[test]
fn delayed_progress_that_is_overtaken_is_lost() {
    let mut watches = Watches::touched(|_, moment| match moment {
        Moment::Progress => vec![WatchAct::Delay(Duration::from_secs(1))],
        _ => Vec::new(),
    });
    watches.watch(0, "a");
    watches.say(&progress(0, 11));
    watches.say(&events(0, 12, &["a"]));
    assert_eq!(watches.client_heard(), ["0 created", "0 a@12"]);
    watches.stand.wait(2000);
    assert_eq!(watches.client_heard(), Vec::<String>::new());
}

#[test]
fn one_watch_is_cancelled_and_the_others_live_on() {
    for (told, heard, cause) in [
        (CancelAs::Requested, "0 canceled 0", CancelCause::Requested),
        (
            CancelAs::Compacted(Some(9)),
            "0 canceled 9",
            CancelCause::Compacted {
                compact_revision: 9,
            },
        ),
        (
            CancelAs::Compacted(None),
            "0 canceled 11",
            CancelCause::Compacted {
                compact_revision: 11,
            },
        ),
        (
            CancelAs::Server("no".into()),
            "0 canceled 0",
            CancelCause::Server,
        ),
    ] {
        let mut watches = Watches::with(SessionOptions::default());
        watches.open();
        watches.watch(0, "a");
        watches.watch(1, "x");
        watches.say(&events(0, 11, &["a"]));
        let told = told.clone();
        // A fault that is added strikes what stands.
        watches.touch(move |id, moment| match moment {
            Moment::Standing { .. } if id == 0 => vec![WatchAct::Cancel(told.clone())],
            _ => Vec::new(),
        });
        watches.client_got();
        watches.server_got();
        watches.stand.change();
        let got = watches.client_got();
        assert_eq!(in_short(&got[0]), heard);
        assert!(got[0].header.is_some(), "clientv3 reads it unasked");
        assert_eq!(watches.server_got(), [cancel(0)]);
        let note = watches.notes().pop().expect("a note");
        assert!(matches!(&note.watched, Watched::Canceled { cause: seen, .. } if *seen == cause));
        assert_eq!(note.faults.len(), 1);
        // clientv3 sends a cancel of its own; etcd has had ours, and is late.
        watches.ask(&cancel(0));
        assert_eq!(watches.server_got(), []);
        watches.say(&events(0, 12, &["a"]));
        watches.say(&events(1, 12, &["x"]));
        let confirmed = WatchResponse {
            header: header(12),
            canceled: true,
            ..WatchResponse::default()
        };
        watches.say(&confirmed);
        watches.say(&progress(-1, 13));
        assert_eq!(watches.client_heard(), ["1 x@12", "-1 up to 13"]);
        let lost = watches
            .notes()
            .iter()
            .filter(|note| !note.delivered)
            .count();
        assert_eq!(lost, 1);
    }
}

#[test]
fn a_refused_creation_is_answered_in_its_turn() {
    let mut watches = Watches::touched(|_, moment| match moment {
        Moment::Asked => vec![WatchAct::Refuse {
            reason: "no".into(),
        }],
        _ => Vec::new(),
    });
    watches.ask(&create("a"));
    assert_eq!(watches.client_heard(), ["-1 refused no"]);
    assert_eq!(watches.server_got(), []);
    // Behind one that etcd has still to answer.
    let mut asked = 0;
    watches.touch(move |_, moment| {
        asked += usize::from(matches!(moment, Moment::Asked));
        match moment {
            Moment::Asked if asked == 2 => vec![WatchAct::Refuse {
                reason: "no".into(),
            }],
            _ => Vec::new(),
        }
    });
    watches.ask(&create("b"));
    watches.ask(&create("c"));
    watches.ask(&create("d"));
    assert_eq!(watches.server_got(), [create("b"), create("d")]);
    assert_eq!(watches.client_heard(), Vec::<String>::new());
    watches.say(&created(0));
    assert_eq!(watches.client_heard(), ["0 created", "-1 refused no"]);
    watches.say(&created(1));
    assert_eq!(watches.client_heard(), ["1 created"]);
    let keys = watches
        .notes()
        .into_iter()
        .filter_map(|note| match &note.watched {
            Watched::Created { key, .. } => Some(key.to_vec()),
            _ => None,
        });
    assert_eq!(keys.collect::<Vec<_>>(), [b"b".to_vec(), b"d".to_vec()]);
}

#[test]
fn a_stream_is_dropped_on_both_sides() {
    let refusal = Refusal {
        code: Code::UNAVAILABLE,
        message: "etcdserver: no leader".into(),
    };
    for (how, told) in [
        (
            StreamEnding::Reset(ErrorCode::INTERNAL_ERROR),
            "RST 1 INTERNAL_ERROR",
        ),
        (
            StreamEnding::Answer(refusal),
            "HEADERS 1 grpc-status=14 grpc-message=etcdserver: no leader END",
        ),
    ] {
        let mut watches = Watches::with(SessionOptions::default());
        watches.open();
        watches.watch(0, "a");
        watches.touch(move |_, moment| match moment {
            Moment::Standing { .. } => vec![WatchAct::EndStream(how.clone())],
            _ => Vec::new(),
        });
        watches.stand.client_got();
        watches.stand.server_got();
        watches.stand.change();
        assert_eq!(watches.stand.client_got(), [told]);
        assert_eq!(watches.stand.server_got(), ["RST 1 CANCEL"]);
        // What grpc-go does with a stream that ended before it was done.
        watches.stand.frames(Side::Client, |out| {
            frame_encoder::rst_stream(out, id(1), ErrorCode::NO_ERROR);
        });
        assert_eq!(watches.stand.session.open_calls(), 0);
        let calls = watches.stand.calls();
        assert_eq!(&*calls[0].faults[0].name, "told");
    }
}

#[test]
fn bookmarks_are_made_up() {
    let mut watches = Watches::with(SessionOptions::default());
    watches.open();
    watches.watch(3, "a");
    watches.say(&events(3, 20, &["a"]));
    watches.touch(|_, moment| match moment {
        Moment::Standing { .. } => vec![WatchAct::Bookmark { ahead: 1000 }],
        _ => Vec::new(),
    });
    watches.client_got();
    watches.stand.change();
    assert_eq!(watches.client_heard(), ["3 up to 1020"]);
    watches.stand.change();
    assert_eq!(watches.client_heard(), Vec::<String>::new(), "once");
}

#[test]
fn messages_are_cut_into_fragments_and_runs_stay_whole() {
    let mut watches = Watches::touched(|_, moment| match moment {
        Moment::Message { .. } => vec![WatchAct::Fragment { events: 2 }],
        _ => Vec::new(),
    });
    watches.watch(0, "a");
    watches.client_got();
    watches.say(&events(0, 11, &["a", "b", "c", "d", "e"]));
    assert_eq!(watches.client_heard(), ["0 a,b@11…", "0 c,d@11…", "0 e@11"]);

    // A run of etcd's own, of which a part is dropped, beside another watch.
    let mut watches = Watches::touched(|_, moment| on_event(moment, "c", WatchAct::Drop));
    watches.watch(0, "a");
    watches.watch(1, "x");
    watches.client_got();
    for (keys, fragment) in [(["a", "b"], true), (["c", "c"], true), (["d", "c"], false)] {
        let part = WatchResponse {
            fragment,
            ..events(0, 11, &keys)
        };
        watches.say(&part);
    }
    assert_eq!(watches.client_heard(), ["0 a,b@11…", "0 d@11"]);
}

#[test]
fn a_foreign_message_never_stands_inside_a_run() {
    let mut watches = Watches::touched(|_, moment| {
        on_event(moment, "x", WatchAct::Delay(Duration::from_millis(10)))
    });
    watches.watch(0, "a");
    watches.watch(1, "x");
    watches.client_got();
    watches.say(&events(1, 11, &["x"]));
    let part = WatchResponse {
        fragment: true,
        ..events(0, 12, &["a"])
    };
    watches.say(&part);
    watches.stand.wait(10);
    assert_eq!(
        watches.client_heard(),
        ["1 x@11"],
        "before the run, for it has not begun"
    );
    watches.say(&events(0, 12, &["b"]));
    assert_eq!(watches.client_heard(), ["0 a@12…", "0 b@12"]);
}

#[test]
fn what_etcd_ends_comes_behind_what_was_held() {
    let late = WatchAct::Delay(Duration::from_secs(60));
    let mut watches = Watches::touched(move |_, moment| on_event(moment, "a", late.clone()));
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a"]));
    watches.client_got();
    watches.stand.client_got();
    watches
        .stand
        .headers(Side::Server, 1, &[("grpc-status", "0")], true);
    assert_eq!(watches.client_heard(), ["0 a@11"]);
    let frames = watches.stand.client_got();
    assert_eq!(
        frames.last().map(String::as_str),
        Some("HEADERS 1 grpc-status=0 END")
    );
}

#[test]
fn what_is_held_when_the_stream_is_reset_is_lost_and_said_to_be() {
    let late = WatchAct::Delay(Duration::from_secs(60));
    let mut watches = Watches::touched(move |_, moment| on_event(moment, "a", late.clone()));
    watches.watch(0, "a");
    watches.say(&events(0, 11, &["a"]));
    watches.stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::CANCEL);
    });
    let lost: Vec<_> = watches
        .notes()
        .into_iter()
        .filter(|note| !note.delivered)
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].faults[0].did.contains("told"));
}

#[test]
fn what_may_not_be_held_is_let_go() {
    let hold = HoldBudget::new(2500, 1 << 20);
    let mut watches = Watches::with(SessionOptions {
        hold: hold.clone(),
        ..SessionOptions::default()
    });
    let late = WatchAct::Delay(Duration::from_secs(60));
    watches.touch(move |_, moment| on_event(moment, "a", late.clone()));
    watches.open();
    watches.watch(0, "a");
    watches.client_got();
    for revision in 11..15 {
        watches.say(&events(0, revision, &["a"]));
    }
    assert!(hold.held() > 0);
    watches.say(&events(0, 15, &["a", "a", "a", "a", "a", "a"]));
    let heard = watches.client_heard();
    assert_eq!(heard[..4], ["0 a@11", "0 a@12", "0 a@13", "0 a@14"]);
    assert_eq!(watches.stand.bench.lock().unwrap().gave_up.len(), 1);
}

#[test]
fn a_request_for_progress_passes() {
    let mut watches = Watches::touched(|_, _| Vec::new());
    let ask = WatchRequest {
        request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
    };
    watches.ask(&ask);
    assert_eq!(watches.server_got(), [ask]);
}

#[test]
fn what_is_no_watch_response_passes() {
    let mut watches = Watches::touched(|_, moment| on_event(moment, "a", WatchAct::Drop));
    watches.watch(0, "a");
    watches.client_got();
    let odd = prefixed(&[0xff, 0xff, 0x01], false);
    watches.stand.data(Side::Server, 1, &odd, false);
    let content = watches.content(Side::Server);
    assert!(content.ends_with(&odd));
}

/// etcd sends its head with its first answer, and a refusal may come before.
#[test]
fn a_refusal_before_any_answer_has_a_head_of_its_own() {
    for (ends, last) in [
        (false, "HEADERS 1 grpc-status=0 END"),
        (true, "HEADERS 1 grpc-status=14 END"),
    ] {
        let mut watches = Watches::with(SessionOptions::default());
        let mut asked = 0;
        watches.touch(move |_, moment| {
            asked += usize::from(matches!(moment, Moment::Asked));
            match moment {
                Moment::Asked if asked == 1 => vec![WatchAct::Refuse {
                    reason: "no".into(),
                }],
                _ => Vec::new(),
            }
        });
        watches.stand.open(1, WATCH);
        watches.ask(&create("a"));
        let frames = watches.stand.client_got();
        let head = "HEADERS 1 :status=200 content-type=application/grpc";
        assert_eq!(frames[0], head);
        assert_eq!(watches.client_heard(), ["-1 refused no"]);
        let status = [(":status", "200"), ("content-type", "application/grpc")];
        if ends {
            let fields = [status[0], status[1], ("grpc-status", "14")];
            watches.stand.headers(Side::Server, 1, &fields, true);
        } else {
            watches.stand.headers(Side::Server, 1, &status, false);
            watches.watch(0, "b");
            assert_eq!(watches.client_heard(), ["0 created"]);
            let trailers = [("grpc-status", "0")];
            watches.stand.headers(Side::Server, 1, &trailers, true);
        }
        let frames = watches.stand.client_got();
        let heads = frames.iter().filter(|frame| frame.contains(":status"));
        assert_eq!(heads.count(), 0, "{frames:?}");
        assert_eq!(frames.last().map(String::as_str), Some(last));
    }
}

/// The rules want no more of it, and nothing was taken away.
fn expire(watches: &mut Watches) {
    watches.stand.bench.lock().unwrap().watches = None;
    watches.stand.change();
}

#[test]
fn what_a_fault_began_goes_on_when_it_is_used_up() {
    let late = WatchAct::Delay(Duration::from_secs(1));
    let mut watches = Watches::touched(move |id, moment| match moment {
        Moment::Standing { .. } if id == 1 => vec![WatchAct::Cancel(CancelAs::Requested)],
        moment => on_event(moment, "b", late.clone()),
    });
    watches.watch(0, "a");
    watches.watch(1, "x");
    watches.say(&events(0, 11, &["b"]));
    watches.client_got();
    expire(&mut watches);
    // A neighbour's message lets nothing go, and etcd's confirmation is swallowed.
    watches.say(&events(1, 12, &["x"]));
    let confirmed = WatchResponse {
        header: header(12),
        watch_id: 1,
        canceled: true,
        ..WatchResponse::default()
    };
    watches.say(&confirmed);
    watches.say(&events(0, 13, &["a"]));
    assert_eq!(watches.client_heard(), Vec::<String>::new());
    watches.stand.wait(1000);
    assert_eq!(watches.client_heard(), ["0 b@11", "0 a@13"]);
    watches.stand.wait(10);
    watches.say(&events(0, 14, &["a"]));
    assert_eq!(watches.client_heard(), ["0 a@14"]);
}

#[test]
fn a_refusal_that_waits_for_its_turn_is_given_though_its_fault_is_used_up() {
    let mut watches = Watches::with(SessionOptions::default());
    let mut asked = 0;
    watches.touch(move |_, moment| {
        asked += usize::from(matches!(moment, Moment::Asked));
        match moment {
            Moment::Asked if asked == 2 => vec![WatchAct::Refuse {
                reason: "no".into(),
            }],
            _ => Vec::new(),
        }
    });
    watches.open();
    watches.ask(&create("a"));
    watches.ask(&create("b"));
    expire(&mut watches);
    watches.say(&created(0));
    watches.stand.wait(10);
    assert_eq!(watches.client_heard(), ["0 created", "-1 refused no"]);
}

#[test]
fn diversion_ends_between_frames_and_loses_nothing() {
    let said = [
        prefixed(&events(0, 11, &["a"]).encode_to_vec(), false),
        prefixed(&events(0, 12, &["b"]).encode_to_vec(), false),
    ]
    .concat();
    let mut wire = Vec::new();
    frame_encoder::data(&mut wire, id(1), &said, false);
    for cut in 1..wire.len() {
        let mut watches = Watches::touched(|_, _| Vec::new());
        watches.watch(0, "a");
        watches.client_got();
        watches.stand.send(Side::Server, &wire[..cut]);
        expire(&mut watches);
        watches.stand.wait(20);
        watches.stand.send(Side::Server, &wire[cut..]);
        watches.stand.wait(20);
        watches.say(&events(0, 13, &["c"]));
        assert_eq!(
            watches.client_heard(),
            ["0 a@11", "0 b@12", "0 c@13"],
            "{cut}"
        );
    }
}

#[test]
fn what_merely_waited_behind_a_lifted_delay_goes_with_it() {
    let late = WatchAct::Delay(Duration::from_secs(60));
    let mut watches = Watches::touched(move |_, moment| on_event(moment, "b", late.clone()));
    watches.watch(0, "a");
    watches.client_got();
    watches.say(&events(0, 11, &["b"]));
    watches.say(&events(0, 12, &["a"]));
    watches.stand.bench.lock().unwrap().lifted = true;
    expire(&mut watches);
    assert_eq!(watches.client_heard(), ["0 b@11", "0 a@12"]);
}

#[test]
fn events_of_a_run_that_never_ends_are_told_as_lost() {
    let mut watches = Watches::touched(|_, _| Vec::new());
    watches.watch(0, "a");
    let part = WatchResponse {
        fragment: true,
        ..events(0, 12, &["a"])
    };
    watches.say(&part);
    watches.stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::CANCEL);
    });
    let lost = watches
        .notes()
        .iter()
        .filter(|note| !note.delivered)
        .count();
    assert_eq!(lost, 1);
}
