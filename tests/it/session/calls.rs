//! Unary calls and how they end.

use std::time::Duration;

use etcdtap::etcd::schema::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, LeaseKeepAliveRequest,
    LeaseKeepAliveResponse, Member, MemberListRequest, MemberListResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
    compare, request_op, response_op,
};
use etcdtap::etcd::{CompareTarget, Ending, Event, Op, Request, Response, SessionOptions};
use etcdtap::grpc::Code;
use etcdtap::http2::{ErrorCode, Side, frame_encoder};
use etcdtap::relay::EndOfBytes;

use super::script::{PUT, RANGE, Script, TXN, id};

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 7,
        member_id: 8,
        revision,
        raft_term: 2,
    })
}

fn put(key: &str) -> PutRequest {
    PutRequest {
        key: key.to_owned().into(),
        value: vec![b'v'; 1000].into(),
        ..Default::default()
    }
}

#[test]
fn what_a_block_said_is_not_taken_for_another_that_got_its_place() {
    const TRAILERS: u32 = 20;
    let mut script = Script::greeted();
    let end = |script: &mut Script, stream, n: u32| {
        script.headers(Side::Client, stream, &[("a", &n.to_string())], true);
    };
    let mut streams = (1..).step_by(2);
    // The first time they change the table; then heads and trailers take turns in being
    // remembered, more than there is room for.
    for n in (0..2).flat_map(|_| 0..TRAILERS) {
        let stream = streams.next().unwrap();
        script.open(stream, PUT);
        end(&mut script, stream, n);
    }
    // Then trailers come where a request's head should, those first that are remembered.
    let first = streams.next().unwrap();
    end(&mut script, first, TRAILERS - 1);
    for n in (0..TRAILERS - 1).rev() {
        end(&mut script, streams.next().unwrap(), n);
    }
    script.close(Side::Client, EndOfBytes::Lost);
    let calls = script.calls();
    assert_eq!(calls.len(), 2 * TRAILERS as usize);
    assert!(calls.iter().all(|call| call.stream < id(first)));
}

#[test]
fn a_range_is_timed_and_read() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.wait(1);
    let ask = RangeRequest {
        key: "/registry/pods/".into(),
        range_end: "/registry/pods0".into(),
        limit: 500,
        ..Default::default()
    };
    script.message(Side::Client, 1, &ask, true);
    script.wait(10);
    script.accept(1);
    script.wait(5);
    let answer = RangeResponse {
        header: header(41),
        count: 1200,
        more: true,
        kvs: (0..3)
            .map(|n| etcdtap::etcd::schema::mvccpb::KeyValue {
                key: format!("/registry/pods/default/web-{n}").into(),
                value: vec![b'x'; 700].into(),
                mod_revision: 30 + n,
                ..Default::default()
            })
            .collect(),
    };
    script.message(Side::Server, 1, &answer, false);
    script.trailers(1, "0");
    let calls = script.calls();
    let [call] = calls[..] else {
        panic!("one call")
    };
    assert_eq!(call.name.to_string(), "etcdserverpb.KV/Range");
    assert_eq!(call.status.code, Code::OK);
    assert_eq!(call.ended - call.started, Duration::from_millis(16));
    let first = call.first_byte.map(|at| at - call.started);
    assert_eq!(first, Some(Duration::from_millis(11)));
    assert_eq!(call.header.map(|header| header.revision), Some(41));
    assert!(
        call.user_agent
            .as_deref()
            .is_some_and(|ua| ua.contains("kube-apiserver"))
    );
    let Request::Range(range) = &call.request else {
        panic!("{:?}", call.request)
    };
    assert_eq!((&*range.key, range.limit), (&b"/registry/pods/"[..], 500));
    let Response::Range {
        kvs,
        count,
        more,
        first,
    } = &call.response
    else {
        panic!("a range")
    };
    assert_eq!((*kvs, *count, *more), (3, 1200, true));
    let first = first.as_ref().expect("there was one");
    assert_eq!(&*first.key, b"/registry/pods/default/web-0");
    assert_eq!(
        (first.mod_revision, first.value.len, first.value.head.len()),
        (30, 700, 256)
    );
}

#[test]
fn a_txn_keeps_its_guards_and_branches() {
    let mut script = Script::greeted();
    let ask = TxnRequest {
        compare: vec![Compare {
            target: compare::CompareTarget::Mod as i32,
            key: "/registry/pods/default/web".into(),
            target_union: Some(compare::TargetUnion::ModRevision(9)),
            ..Default::default()
        }],
        success: vec![
            RequestOp {
                request: Some(request_op::Request::RequestPut(put(
                    "/registry/pods/default/web",
                ))),
            },
            RequestOp {
                request: Some(request_op::Request::RequestDeleteRange(
                    DeleteRangeRequest {
                        key: "/old".into(),
                        ..Default::default()
                    },
                )),
            },
        ],
        failure: vec![RequestOp {
            request: Some(request_op::Request::RequestRange(RangeRequest {
                key: "/registry/pods/default/web".into(),
                ..Default::default()
            })),
        }],
    };
    let answer = TxnResponse {
        header: header(10),
        succeeded: true,
        responses: vec![ResponseOp {
            response: Some(response_op::Response::ResponsePut(PutResponse {
                header: header(10),
                prev_kv: None,
            })),
        }],
    };
    script.unary(1, TXN, &ask, &answer);
    let calls = script.calls();
    let Request::Txn(txn) = &calls[0].request else {
        panic!("a txn")
    };
    assert_eq!(txn.compares[0].target, CompareTarget::ModRevision);
    assert_eq!(txn.compares[0].number, 9);
    assert!(
        matches!(&txn.success[..], [Op::Put { value, .. }, Op::DeleteRange { key, .. }]
        if value.len == 1000 && **key == *b"/old")
    );
    assert!(
        matches!(&txn.failure[..], [Op::Range(range)] if *range.key == *b"/registry/pods/default/web")
    );
    assert!(matches!(
        calls[0].response,
        Response::Txn {
            succeeded: true,
            puts: 1,
            ..
        }
    ));
    assert_eq!(calls[0].written_revision(), Some(10));
}

#[test]
fn an_error_has_its_code_and_text() {
    let mut script = Script::greeted();
    script.open(1, PUT);
    script.message(Side::Client, 1, &put("/k"), true);
    let fields = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "8"),
        (
            "grpc-message",
            "etcdserver: mvcc: database space exceeded%21",
        ),
    ];
    script.headers(Side::Server, 1, &fields, true);
    let status = &script.calls()[0].status;
    assert_eq!(status.code, Code::RESOURCE_EXHAUSTED);
    assert_eq!(
        status.message.as_deref(),
        Some("etcdserver: mvcc: database space exceeded!")
    );
    assert_eq!(script.calls()[0].written_revision(), None);
}

#[test]
fn resets_and_losses_end_calls_with_what_is_known() {
    let mut script = Script::greeted();
    for stream in [1, 3, 5] {
        script.open(stream, PUT);
        script.message(Side::Client, stream, &put("/k"), true);
    }
    script.reset(Side::Client, 1, ErrorCode::CANCEL);
    script.reset(Side::Server, 3, ErrorCode::REFUSED_STREAM);
    // What crosses a reset is a legal leftover.
    script.accept(1);
    script.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(3), 10)
    });
    script.close(Side::Server, EndOfBytes::Lost);
    assert_eq!(script.offences(), Vec::<String>::new());
    let facts: Vec<_> = script
        .calls()
        .iter()
        .map(|call| (call.stream.number(), call.status.code, call.status.ending))
        .collect();
    assert_eq!(
        facts,
        [
            (
                1,
                Code::CANCELLED,
                Ending::Reset {
                    by: Side::Client,
                    code: ErrorCode::CANCEL
                }
            ),
            (
                3,
                Code::UNAVAILABLE,
                Ending::Reset {
                    by: Side::Server,
                    code: ErrorCode::REFUSED_STREAM
                }
            ),
            (
                5,
                Code::UNKNOWN,
                Ending::ConnectionLost {
                    by: Some(Side::Server)
                }
            ),
        ]
    );
    assert!(
        matches!(&script.calls()[2].request, Request::Op(Op::Put { key, .. }) if **key == *b"/k")
    );
}

#[test]
fn a_client_that_only_closes_its_half_still_gets_answers() {
    let mut script = Script::greeted();
    script.open(1, PUT);
    script.message(Side::Client, 1, &put("/k"), true);
    script
        .session
        .handle_end(Side::Client, EndOfBytes::Closed, script.now);
    script.accept(1);
    script.message(
        Side::Server,
        1,
        &PutResponse {
            header: header(3),
            prev_kv: None,
        },
        false,
    );
    script.trailers(1, "0");
    assert_eq!(script.calls()[0].status.code, Code::OK);
}

#[test]
fn unknown_methods_are_counted_and_known_cold_ones_read_by_name() {
    let mut script = Script::greeted();
    script.unary(1, "/acme.Store/Frob", &put("/k"), &put("/l"));
    let answer = MemberListResponse {
        header: header(5),
        members: vec![Member {
            name: "a".into(),
            client_ur_ls: vec!["https://10.0.0.1:2379".into()],
            ..Default::default()
        }],
    };
    script.unary(
        3,
        "/etcdserverpb.Cluster/MemberList",
        &MemberListRequest::default(),
        &answer,
    );
    let calls = script.calls();
    assert_eq!((calls[0].sent.messages, calls[0].received.messages), (1, 1));
    assert!(calls[0].sent.bytes > 1000);
    assert_eq!(calls[0].request, Request::Unread);
    assert_eq!(calls[1].header.map(|header| header.revision), Some(5));
    assert!(script.events.iter().any(|event| matches!(
        event,
        Event::MembersAdvertise { client_urls, .. } if *client_urls[0] == *"https://10.0.0.1:2379"
    )));
}

#[test]
fn plain_http2_requests_are_no_calls() {
    let mut script = Script::greeted();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/health?serializable=true"),
        (":authority", "e"),
    ];
    script.headers(Side::Client, 1, &fields, true);
    script.headers(Side::Server, 1, &[(":status", "200")], false);
    script.data(Side::Server, 1, b"{\"health\":\"true\"}", true);
    assert!(script.calls().is_empty());
    let exchange = script.events.iter().find_map(|event| match event {
        Event::Http1 { exchange, .. } => Some(exchange),
        _ => None,
    });
    let exchange = exchange.expect("an exchange");
    assert_eq!(
        (&*exchange.method, &*exchange.target, exchange.status),
        ("GET", "/health", Some(200))
    );
    assert_eq!((exchange.response_bytes, exchange.protocol), (17, "HTTP/2"));
}

#[test]
fn each_answered_keepalive_is_a_call_of_its_own() {
    let mut script = Script::greeted();
    script.open(1, "/etcdserverpb.Lease/LeaseKeepAlive");
    script.accept(1);
    for n in 1..=3 {
        let ask = LeaseKeepAliveRequest { id: 42 };
        script.message(Side::Client, 1, &ask, false);
        script.wait(n);
        let answer = LeaseKeepAliveResponse {
            header: header(9),
            id: 42,
            ttl: 60,
        };
        script.message(Side::Server, 1, &answer, false);
    }
    script.message(Side::Client, 1, &LeaseKeepAliveRequest { id: 43 }, false);
    script.wait(5);
    script.reset(Side::Client, 1, ErrorCode::CANCEL);
    let facts: Vec<_> = script
        .calls()
        .iter()
        .map(|call| {
            let took = (call.ended - call.started).as_millis();
            (call.request.clone(), call.status.code, took)
        })
        .collect();
    let asked = |id| Request::Lease { id, ttl: 0 };
    assert_eq!(
        facts,
        [
            (asked(42), Code::OK, 1),
            (asked(42), Code::OK, 2),
            (asked(42), Code::OK, 3),
            (asked(43), Code::CANCELLED, 5),
            // The stream's own end.
            (Request::Unread, Code::CANCELLED, 11),
        ]
    );
}

#[test]
fn the_one_that_goes_first_ends_the_calls() {
    let mut script = Script::greeted();
    script.open(1, RANGE);
    script.close(Side::Client, EndOfBytes::Closed);
    let status = &script.calls()[0].status;
    let by = Some(Side::Client);
    assert_eq!(status.ending, Ending::ConnectionLost { by });
    assert_eq!(status.code, Code::CANCELLED);
}

#[test]
fn numbers_from_the_wire_do_not_overflow() {
    let deletes = |deleted| ResponseOp {
        response: Some(response_op::Response::ResponseDeleteRange(
            DeleteRangeResponse {
                deleted,
                ..Default::default()
            },
        )),
    };
    let answer = TxnResponse {
        responses: vec![deletes(-1), deletes(-1)],
        ..Default::default()
    };
    let mut script = Script::greeted();
    script.unary(1, TXN, &TxnRequest::default(), &answer);
    assert_eq!(script.calls().len(), 1);
}

#[test]
fn a_key_is_kept_whole_or_not_at_all() {
    let mut script = Script::with(SessionOptions {
        capture_bytes: 4096,
        ..Default::default()
    })
    .greet();
    for (stream, len) in [(1, 4096), (3, 4097)] {
        let ask = RangeRequest {
            key: vec![b'k'; len].into(),
            ..Default::default()
        };
        script.unary(stream, RANGE, &ask, &RangeResponse::default());
    }
    let kept: Vec<_> = script
        .calls()
        .iter()
        .map(|call| match &call.request {
            Request::Range(range) => range.key.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kept, [4096, 0]);
}
