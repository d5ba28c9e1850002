//! Plans of recordings that are made by hand: no etcd is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::plan::{Act, Plan, Rank, Step, TooNew};
use super::presupposed::{Foreign, Presupposed};
use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::KeyValue;
use crate::http2::Side;
use crate::record::container::Times;
use crate::record::reader::item::Path;
use crate::record::schema::Channels;
use crate::record::traffic::{Book, Call, CallNumber, Condition, Ended, Ending, Lane, Said};
use crate::snapshot::{Kept, State};
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

fn said(at: u64, message: &impl Message) -> Said {
    let data: Bytes = message.encode_to_vec().into();
    Said {
        times: Times {
            began: at,
            whole: at,
        },
        size: data.len() as u64,
        data,
        hidden: Vec::new(),
        more_hidden: 0,
        condition: Condition::Whole,
    }
}

/// A call that took ten nanoseconds.
fn call(path: (&str, &str), at: u64, request: &impl Message, response: Option<Said>) -> Call {
    let channel = Channels::all().of_method(path.0, path.1, Side::Client);
    let status = if response.is_some() {
        "OK"
    } else {
        "OUT_OF_RANGE"
    };
    Call {
        number: CallNumber(at),
        lane: Lane {
            connection: 1,
            stream: 1,
        },
        path: Path::Known(channel.unwrap()),
        request: Some(said(at, request)),
        response,
        ending: Ending::Ended(Ended {
            times: Times {
                began: at,
                whole: at + 10,
            },
            status: status.into(),
            message: None,
            without_trailers: None,
            struck: false,
            revision: None,
        }),
    }
}

fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader {
        revision,
        ..pb::ResponseHeader::default()
    })
}

fn kv(key: &str, modified: i64, value: &str, lease: i64) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        create_revision: modified,
        mod_revision: modified,
        version: 1,
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease,
    }
}

fn put(at: u64, key: &str, revision: i64) -> Call {
    let asked = pb::PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        ..pb::PutRequest::default()
    };
    let answer = pb::PutResponse {
        header: header(revision),
        prev_kv: None,
    };
    let answer = said(at + 10, &answer);
    call(("etcdserverpb.KV", "Put"), at, &asked, Some(answer))
}

/// A read of a key, or of all from it on up to an end.
fn range(at: u64, key: &str, end: &str, revision: i64, kvs: Vec<KeyValue>, more: bool) -> Call {
    let asked = pb::RangeRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::copy_from_slice(end.as_bytes()),
        ..pb::RangeRequest::default()
    };
    let answer = pb::RangeResponse {
        header: header(revision),
        count: kvs.len() as i64 + i64::from(more),
        kvs,
        more,
    };
    let answer = said(at + 10, &answer);
    call(("etcdserverpb.KV", "Range"), at, &asked, Some(answer))
}

/// An update under a guard on the key's revision; `None` if it did not hold.
fn update(at: u64, key: &str, guard: i64, revision: i64, held: bool) -> Call {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let op = |request| pb::RequestOp {
        request: Some(request),
    };
    let asked = pb::TxnRequest {
        compare: vec![pb::Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(guard)),
            ..pb::Compare::default()
        }],
        success: vec![op(AskedOp::RequestPut(pb::PutRequest {
            key,
            ..pb::PutRequest::default()
        }))],
        failure: Vec::new(),
    };
    let done = pb::ResponseOp {
        response: Some(AnsweredOp::ResponsePut(pb::PutResponse::default())),
    };
    let answer = pb::TxnResponse {
        header: header(revision),
        succeeded: held,
        responses: if held { vec![done] } else { Vec::new() },
    };
    let answer = said(at + 10, &answer);
    call(("etcdserverpb.KV", "Txn"), at, &asked, Some(answer))
}

fn book(calls: Vec<Call>) -> Book {
    Book {
        calls,
        ..Book::default()
    }
}

/// What is done in which order: calls by their place in the book, all else in words.
fn order(plan: &Plan) -> Vec<String> {
    let told = |step: &Step| {
        let revision = step.place.revision;
        match &step.act {
            Act::Call(n) => format!("call {n}"),
            Act::Lease { id, ttl } => format!("lease {id} for {ttl}"),
            Act::Presuppose(foreigns) => {
                let foreigns: Vec<String> = foreigns.iter().map(foreign).collect();
                format!("{} at {revision}", foreigns.join(", "))
            }
            other => format!("{other:?}"),
        }
    };
    plan.steps.iter().map(told).collect()
}

fn foreign(foreign: &Foreign) -> String {
    let key = String::from_utf8_lossy(&foreign.key);
    match &foreign.put {
        Some((value, lease)) => {
            let value = String::from_utf8_lossy(value);
            format!("{key}={value}/{lease}")
        }
        None => format!("-{key}"),
    }
}

fn snapshot(revision: i64, keys: &[(&str, i64)], leases: &[(i64, i64)]) -> State {
    let keys = keys.iter().map(|(key, revision)| {
        let kept = Kept {
            revision: *revision,
            lease: 0,
        };
        (Bytes::copy_from_slice(key.as_bytes()), kept)
    });
    State {
        revision,
        compacted: 0,
        keys: keys.collect(),
        leases: leases.iter().copied().collect(),
        changes: 0,
    }
}

#[test]
fn revisions_give_the_order_and_not_times() {
    let plan = Plan::of(&book(vec![
        put(100, "/c", 4),
        range(110, "/b", "", 3, vec![kv("/b", 3, "", 0)], false),
        put(120, "/b", 3),
        put(130, "/a", 2),
    ]));
    assert_eq!(order(&plan), ["call 3", "call 2", "call 1", "call 0"]);
    assert_eq!(plan.presupposed, Presupposed::default());
    assert_eq!(plan.steps[2].place.rank, Rank::Read);
}

#[test]
fn what_has_no_revision_goes_by_the_clock() {
    let asked = pb::CompactionRequest::default();
    let plan = Plan::of(&book(vec![
        put(100, "/a", 2),
        call(("etcdserverpb.KV", "Compact"), 150, &asked, None),
        put(200, "/a", 3),
    ]));
    assert_eq!(order(&plan), ["call 0", "call 1", "call 2"]);
}

#[test]
fn what_others_wrote_is_written_where_it_was() {
    let plan = Plan::of(&book(vec![
        put(100, "/a", 50),
        range(
            110,
            "/",
            "0",
            52,
            vec![
                kv("/a", 50, "", 0),
                kv("/b", 51, "b", 0),
                kv("/old", 7, "o", 9),
            ],
            false,
        ),
    ]));
    let expected = [
        "lease 9 for 3600",
        "/old=o/9 at 7",
        "call 0",
        "/b=b/0 at 51",
        "call 1",
    ];
    assert_eq!(order(&plan), expected);
    assert_eq!((plan.presupposed.keys, plan.presupposed.leases), (2, 1));
}

#[test]
fn a_guard_that_held_tells_of_a_key_and_one_that_did_not_of_none() {
    let plan = Plan::of(&book(vec![
        update(100, "/held", 5, 20, true),
        update(110, "/failed", 6, 20, false),
    ]));
    assert_eq!(order(&plan), ["/held=/0 at 5", "call 0", "call 1"]);
    assert_eq!(plan.presupposed.unknown_values, 1);
}

#[test]
fn what_a_read_a_list_or_a_guard_does_not_find_was_deleted() {
    let seen = |at, revision| {
        let kvs = vec![
            kv("/a", 5, "1", 0),
            kv("/b", 6, "1", 0),
            kv("/c", 7, "1", 0),
        ];
        range(at, "/", "0", revision, kvs, false)
    };
    let before = ["/a=1/0 at 5", "/b=1/0 at 6", "/c=1/0 at 7", "call 0"];
    let then = |call: Call| {
        let plan = Plan::of(&book(vec![seen(100, 20), call]));
        assert_eq!(order(&plan)[..4], before);
        order(&plan)[4..].to_vec()
    };
    let gone = range(200, "/b", "", 25, Vec::new(), false);
    assert_eq!(then(gone), ["-/b at 25", "call 1"]);
    let kept = vec![kv("/b", 6, "1", 0)];
    let list = range(200, "/", "0", 25, kept.clone(), false);
    assert_eq!(then(list), ["-/a, -/c at 25", "call 1"]);
    // Of what is behind the end of a part nothing is known.
    let part = range(200, "/", "0", 25, kept, true);
    assert_eq!(then(part), ["-/a at 25", "call 1"]);
    // The revision is the write's own, so the deletion was before it.
    let created = update(200, "/b", 0, 25, true);
    assert_eq!(then(created), ["-/b at 24", "call 1"]);
}

#[test]
fn what_is_not_driven_is_counted_with_its_reason() {
    let mut unknown = put(100, "/a", 2);
    unknown.response = None;
    unknown.ending = Ending::NotRecorded;
    let mut cut = put(110, "/a", 2);
    cut.request.as_mut().unwrap().condition = Condition::Cut;
    let status = pb::StatusResponse {
        header: header(2),
        ..pb::StatusResponse::default()
    };
    let maintenance = call(
        ("etcdserverpb.Maintenance", "Status"),
        120,
        &pb::StatusRequest {},
        Some(said(130, &status)),
    );
    let plan = Plan::of(&book(vec![unknown, cut, maintenance]));
    assert_eq!(order(&plan), Vec::<String>::new());
    let expected = BTreeMap::from([
        (
            "nobody knows whether they were done: they have no answer",
            1,
        ),
        ("their request is not whole in the recording", 1),
        ("they are about the members themselves", 1),
    ]);
    assert_eq!(plan.left_out, expected);
}

#[test]
fn a_target_as_it_is_is_given_nothing_and_begins_before_the_first_write() {
    let book = book(vec![
        put(100, "/a", 50),
        range(110, "/old", "", 50, vec![kv("/old", 7, "o", 9)], false),
    ]);
    let plan = Plan::of(&book).as_is();
    assert_eq!(order(&plan), ["call 0", "call 1"]);
    assert_eq!(plan.before, Some(49));
}

#[test]
fn after_a_snapshot_only_what_is_newer_is_presupposed() {
    let book = book(vec![
        range(
            100,
            "/",
            "0",
            52,
            vec![kv("/a", 45, "a", 8), kv("/old", 7, "o", 9)],
            false,
        ),
        put(200, "/a", 53),
    ]);
    // "/gone" was deleted by somebody, after the snapshot and before the list.
    let state = snapshot(40, &[("/gone", 3), ("/old", 7)], &[(9, 60)]);
    let plan = Plan::after(&book, &state).unwrap();
    let expected = [
        "lease 8 for 3600",
        "/a=a/8 at 45",
        "-/gone at 52",
        "call 0",
        "call 1",
    ];
    assert_eq!(order(&plan), expected);
    assert_eq!(plan.held, (1, 1));
    // The old key at another revision: of another etcd.
    let other = snapshot(40, &[("/old", 8)], &[]);
    assert_eq!(Plan::after(&book, &other).unwrap().held, (1, 0));
    // As new as the recording's first answer is old enough, newer is not.
    assert!(Plan::after(&book, &snapshot(52, &[], &[])).is_ok());
    assert_eq!(
        Plan::after(&book, &snapshot(53, &[], &[])).err(),
        Some(TooNew {
            snapshot: 53,
            begins: 52
        })
    );
}
