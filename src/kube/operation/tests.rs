use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::etcd::{Ending, MethodName, Status, Traffic};
use crate::http2::StreamId;
use crate::relay::{ConnectionId, Peers};

fn call(path: &str, request: Request, response: Response) -> Call {
    let (method, name) = MethodName::parse(path.as_bytes());
    let now = Instant::now();
    let address = "127.0.0.1:1".parse().expect("an address");
    Call {
        peers: Arc::new(Peers {
            id: ConnectionId(1),
            client: address,
            listener: address,
            upstream: "etcd:2379".into(),
            tls: None,
        }),
        stream: StreamId::from_bits(1),
        user_agent: None,
        method,
        name,
        started: now,
        first_byte: None,
        answered: None,
        ended: now,
        sent: Traffic::default(),
        received: Traffic::default(),
        request,
        response,
        header: None,
        status: Status {
            code: Code::OK,
            message: None,
            ending: Ending::Trailers,
        },
        faults: Box::default(),
    }
}

fn verb(call: &Call) -> Option<Verb> {
    Operation::of_call(call, &KeySpace::default()).verb
}

fn range(asked: RangeAsked) -> Call {
    call(
        "/etcdserverpb.KV/Range",
        Request::Range(asked),
        Response::Unread,
    )
}

fn asked(key: &str, range_end: &str) -> RangeAsked {
    RangeAsked {
        key: key.as_bytes().into(),
        range_end: range_end.as_bytes().into(),
        ..RangeAsked::default()
    }
}

const POD: &str = "/registry/pods/lab/web";
const PODS: [&str; 2] = ["/registry/pods/", "/registry/pods0"];

fn put(key: &str) -> Op {
    Op::Put {
        key: key.as_bytes().into(),
        value: Value {
            head: (*b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod").into(),
            len: 20,
        },
        lease: 0,
    }
}

fn delete(key: &str) -> Op {
    Op::DeleteRange {
        key: key.as_bytes().into(),
        range_end: Box::default(),
    }
}

fn guard(key: &str, target: CompareTarget, number: i64) -> Compare {
    Compare {
        target,
        key: key.as_bytes().into(),
        number,
    }
}

fn txn(compares: Vec<Compare>, success: Vec<Op>, succeeded: bool) -> Call {
    let asked = TxnAsked {
        compares,
        success,
        failure: vec![Op::Range(asked(POD, ""))],
        omitted: 0,
    };
    let response = Response::Txn {
        succeeded,
        puts: 0,
        deleted: 0,
        kvs: 0,
        first: None,
    };
    call("/etcdserverpb.KV/Txn", Request::Txn(asked), response)
}

#[test]
fn ranges_get_list_and_count() {
    let page = RangeAsked {
        limit: 500,
        ..asked(PODS[0], PODS[1])
    };
    let count = RangeAsked {
        count_only: true,
        ..asked(PODS[0], PODS[1])
    };
    let next = asked("/registry/pods/lab/web\0", PODS[1]);
    assert_eq!(verb(&range(asked(POD, ""))), Some(Verb::Get));
    assert_eq!(verb(&range(asked(PODS[0], PODS[1]))), Some(Verb::List));
    assert_eq!(verb(&range(page)), Some(Verb::ListPage));
    assert_eq!(verb(&range(next.clone())), Some(Verb::ListPage));
    assert_eq!(verb(&range(count)), Some(Verb::Count));

    let call = range(next);
    let object = Operation::of_call(&call, &KeySpace::default()).object;
    let after = object.and_then(|object| object.continue_after());
    assert_eq!(after, Some("lab/web"));
}

#[test]
fn what_is_not_the_api_servers_keeps_etcds_name() {
    assert_eq!(verb(&range(asked("/other/pods/lab/web", ""))), None);
    assert_eq!(verb(&range(asked("\0", "\0"))), None);
    assert_eq!(verb(&range(asked(PODS[0], "\0"))), None);
    let other = vec![guard("a", CompareTarget::ModRevision, 0)];
    assert_eq!(verb(&txn(other, vec![put("a")], true)), None);
    let elsewhere = KeySpace::new("/other");
    let call = range(asked("/other/pods/lab/web", ""));
    let operation = Operation::of_call(&call, &elsewhere);
    assert_eq!(operation.verb, Some(Verb::Get));
}

#[test]
fn guarded_txns_create_update_delete_and_conflict() {
    let at = |revision| vec![guard(POD, CompareTarget::ModRevision, revision)];
    assert_eq!(verb(&txn(at(0), vec![put(POD)], true)), Some(Verb::Create));
    assert_eq!(verb(&txn(at(9), vec![put(POD)], true)), Some(Verb::Update));
    assert_eq!(
        verb(&txn(at(9), vec![delete(POD)], true)),
        Some(Verb::Delete)
    );
    for op in [put(POD), delete(POD)] {
        let call = txn(at(9), vec![op], false);
        assert_eq!(verb(&call), Some(Verb::Conflict));
    }
    let new = vec![guard(POD, CompareTarget::CreateRevision, 0)];
    assert_eq!(verb(&txn(new, vec![put(POD)], true)), Some(Verb::Create));
}

#[test]
fn a_conflict_is_etcds_answer_and_not_a_failed_call() {
    let guards = vec![guard(POD, CompareTarget::ModRevision, 9)];
    let mut call = txn(guards, vec![put(POD)], false);
    call.status.code = Code::UNAVAILABLE;
    call.response = Response::Unread;
    assert_eq!(verb(&call), Some(Verb::Update));
}

#[test]
fn other_txns_keep_etcds_name() {
    let value = vec![guard(POD, CompareTarget::Value, 0)];
    assert_eq!(verb(&txn(value, vec![put(POD)], true)), None);
    let elsewhere = vec![guard("/registry/x", CompareTarget::ModRevision, 0)];
    assert_eq!(verb(&txn(elsewhere, vec![put(POD)], true)), None);
    let at = || vec![guard(POD, CompareTarget::ModRevision, 0)];
    assert_eq!(verb(&txn(at(), vec![put(POD), put("/b")], true)), None);
    assert_eq!(verb(&txn(vec![], vec![put(POD)], true)), None);
    assert_eq!(verb(&txn(vec![], vec![], true)), None);
    assert_eq!(verb(&txn(at(), vec![Op::Txn], true)), None);
}

#[test]
fn old_api_servers_read_and_delete_without_a_guard() {
    let ops = vec![Op::Range(asked(POD, "")), delete(POD)];
    assert_eq!(verb(&txn(vec![], ops, true)), Some(Verb::Delete));
}

#[test]
fn compaction_is_the_call_and_the_agreement_on_it() {
    let guards = vec![guard(COMPACT_REV_KEY, CompareTarget::Version, 3)];
    let agreed = txn(guards, vec![put(COMPACT_REV_KEY)], false);
    assert_eq!(verb(&agreed), Some(Verb::Compaction));
    let compact = call(
        "/etcdserverpb.KV/Compact",
        Request::Compact { revision: 9 },
        Response::Unread,
    );
    assert_eq!(verb(&compact), Some(Verb::Compaction));
}

#[test]
fn leases_watches_and_the_rest() {
    let unread = |path| call(path, Request::Unread, Response::Unread);
    for (path, wanted) in [
        ("/etcdserverpb.Lease/LeaseGrant", Some(Verb::LeaseGrant)),
        // The end of the stream that carried the keepalives.
        ("/etcdserverpb.Lease/LeaseKeepAlive", None),
        ("/etcdserverpb.Lease/LeaseRevoke", None),
        ("/etcdserverpb.Watch/Watch", Some(Verb::Watch)),
        ("/etcdserverpb.Maintenance/Status", None),
        ("/etcdserverpb.KV/Range", None),
    ] {
        assert_eq!(verb(&unread(path)), wanted, "{path}");
    }
    let keepalive = call(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        Request::Lease { id: 7, ttl: 0 },
        Response::Lease { id: 7, ttl: 60 },
    );
    assert_eq!(verb(&keepalive), Some(Verb::LeaseKeepalive));
}

#[test]
fn plain_writes() {
    let op = |path, op| call(path, Request::Op(op), Response::Unread);
    let plain = op("/etcdserverpb.KV/Put", put(POD));
    let operation = Operation::of_call(&plain, &KeySpace::default());
    assert_eq!(operation.verb, None);
    assert_eq!(operation.kind(), Some("Pod"));
    let plain = op("/etcdserverpb.KV/DeleteRange", delete(POD));
    assert_eq!(verb(&plain), Some(Verb::Delete));
    let all = Op::DeleteRange {
        key: PODS[0].as_bytes().into(),
        range_end: PODS[1].as_bytes().into(),
    };
    assert_eq!(verb(&op("/etcdserverpb.KV/DeleteRange", all)), None);
}

#[test]
fn the_object_and_its_kind_are_named() {
    let mut call = range(asked(POD, ""));
    let Op::Put { value, .. } = put(POD) else {
        unreachable!("put makes puts");
    };
    call.response = Response::Range {
        kvs: 1,
        count: 1,
        more: false,
        first: Some(Box::new(KeyValue {
            key: POD.as_bytes().into(),
            value,
            ..KeyValue::default()
        })),
    };
    let operation = Operation::of_call(&call, &KeySpace::default());
    let object = operation.object.expect("in the key space");
    assert_eq!(
        (object.resource, object.namespace, object.name),
        ("pods", Some("lab"), Some("web"))
    );
    assert_eq!(operation.kind(), Some("Pod"));
    assert_eq!(operation.encryption(), None);

    let guards = vec![guard(POD, CompareTarget::ModRevision, 9)];
    let mut put = put(POD);
    if let Op::Put { value, .. } = &mut put {
        value.head = (*b"k8s:enc:aescbc:v1:key1:\x01\x02").into();
    }
    let call = txn(guards, vec![put], true);
    let operation = Operation::of_call(&call, &KeySpace::default());
    assert_eq!(operation.encryption(), Some("aescbc"));
    assert_eq!(operation.kind(), None);
}

#[test]
fn verbs_are_read_as_they_are_written() {
    for verb in Verb::ALL {
        assert_eq!(verb.as_str().parse(), Ok(verb));
    }
    assert_eq!("List".parse::<Verb>(), Err(UnknownVerb));
    assert!(
        UnknownVerb
            .to_string()
            .starts_with("no such verb; there are get, list,")
    );
}
