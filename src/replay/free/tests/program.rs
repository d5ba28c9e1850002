//! From a recording to what is driven.

use bytes::Bytes;

use crate::etcd::schema::etcdserverpb as pb;
use crate::http2::Side;
use crate::record::container::Times;
use crate::record::reader::item::Path;
use crate::record::schema::Channels;
use crate::record::traffic::{Book, Call, CallNumber, Condition, Ending, Lane, Lifetime, Said};
use crate::replay::free::program::{Cue, Program};
use crate::replay::plan::Plan;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request as AskedOp;
use pb::response_op::Response as AnsweredOp;

const MS: u64 = 1_000_000;
const START: u64 = 1_700_000_000_000 * MS;

fn said(from: u64, to: u64, message: &impl prost::Message) -> Option<Said> {
    let data: Bytes = message.encode_to_vec().into();
    Some(Said {
        times: Times {
            began: START + from * MS,
            whole: START + to * MS,
        },
        size: data.len() as u64,
        data,
        hidden: Vec::new(),
        more_hidden: 0,
        condition: Condition::Whole,
    })
}

/// A Txn that writes `key` at `wrote` if it is at `at`, on a connection, from and to.
fn txn(connection: u64, (from, to): (u64, u64), key: &str, at: i64, wrote: i64) -> Call {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let asked = pb::TxnRequest {
        compare: vec![pb::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(at)),
            ..pb::Compare::default()
        }],
        success: vec![pb::RequestOp {
            request: Some(AskedOp::RequestPut(pb::PutRequest {
                key,
                ..pb::PutRequest::default()
            })),
        }],
        failure: Vec::new(),
    };
    let answer = pb::TxnResponse {
        header: Some(pb::ResponseHeader {
            revision: wrote,
            ..pb::ResponseHeader::default()
        }),
        succeeded: true,
        responses: vec![pb::ResponseOp {
            response: Some(AnsweredOp::ResponsePut(pb::PutResponse::default())),
        }],
    };
    call(
        connection,
        "etcdserverpb.KV",
        "Txn",
        said(from, from, &asked),
        said(to, to, &answer),
    )
}

fn call(
    connection: u64,
    service: &str,
    method: &str,
    request: Option<Said>,
    response: Option<Said>,
) -> Call {
    let id = Channels::all().of_method(service, method, Side::Client);
    let path = match id {
        Some(id) => Path::Known(id),
        None => Path::Other(format!("/{service}/{method}").into()),
    };
    let began = request.as_ref().map_or(0, |said| said.times.began);
    Call {
        number: CallNumber(began),
        lane: Lane {
            connection,
            stream: 1,
        },
        path,
        request,
        response,
        ending: Ending::NotRecorded,
    }
}

fn book(calls: Vec<Call>) -> Book {
    Book {
        calls,
        ..Book::default()
    }
}

fn of(book: &Book) -> Program {
    Program::of(book, &Plan::of(book))
}

#[test]
fn a_guarded_write_comes_after_the_write_that_its_guard_speaks_of() {
    let book = book(vec![
        txn(1, (0, 2), "/a", 0, 2),
        txn(1, (1, 3), "/b", 0, 3),
        txn(2, (5, 6), "/a", 2, 4),
        txn(1, (7, 8), "/a", 4, 5),
    ]);
    let program = of(&book);
    let causes: Vec<&[u32]> = program.calls.iter().map(|call| &*call.causes).collect();
    assert_eq!(causes, [&[][..], &[], &[0], &[2]]);
    let wrote: Vec<i64> = program.calls.iter().map(|call| call.wrote).collect();
    assert_eq!(wrote, [2, 3, 4, 5]);
    assert!(
        program
            .calls
            .iter()
            .all(|call| call.guard == Some(true) && call.teaches)
    );
    // Two under way at once, and then one.
    let concurrency: Vec<usize> = program
        .connections
        .iter()
        .map(|one| one.concurrency)
        .collect();
    assert_eq!(concurrency, [2, 1]);
    assert_eq!(program.connections[0].calls, [0, 1, 3]);
}

#[test]
fn connections_live_as_the_recording_says_and_around_their_calls() {
    let mut book = book(vec![
        txn(1, (10, 12), "/a", 0, 2),
        txn(2, (20, 22), "/b", 0, 3),
    ]);
    let lifetime = Lifetime {
        opened: Some(START + 4 * MS),
        closed: Some(START + 15 * MS),
    };
    book.connections.insert(1, lifetime);
    let program = of(&book);
    let line: Vec<(u64, Cue)> = program
        .line
        .iter()
        .map(|(at, cue)| ((at - START) / MS, *cue))
        .collect();
    assert_eq!(
        line,
        [
            (4, Cue::Connect(0)),
            (10, Cue::Call(0)),
            (15, Cue::Close(0)),
            (18, Cue::Connect(1)),
            (20, Cue::Call(1)),
            (22, Cue::Close(1)),
        ]
    );
    assert_eq!(program.steps(), 2);
}

#[test]
fn what_would_change_the_target_itself_is_left_out() {
    let asked = || said(1, 1, &pb::StatusRequest {});
    let book = book(vec![
        call(1, "etcdserverpb.Maintenance", "Status", asked(), None),
        call(1, "etcdserverpb.Maintenance", "Defragment", asked(), None),
        call(1, "etcdserverpb.Cluster", "MemberRemove", asked(), None),
        call(1, "etcdserverpb.Auth", "AuthEnable", asked(), None),
        call(1, "v3lockpb.Lock", "Lock", asked(), None),
        call(1, "other.Service", "Method", asked(), None),
        call(1, "etcdserverpb.KV", "Range", None, None),
    ]);
    let program = of(&book);
    assert_eq!(program.calls.len(), 1);
    assert_eq!(&*program.paths[0], "/etcdserverpb.Maintenance/Status");
    let left_out: Vec<(&str, u64)> = program.left_out.into_iter().collect();
    assert_eq!(
        left_out,
        [
            ("their method is not driven", 1),
            ("their request is not whole in the recording", 1),
            ("they are about users", 1),
            ("they change the members themselves", 2),
            ("they wait for others", 1),
        ]
    );
}
