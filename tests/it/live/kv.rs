//! Keys and values: etcdctl and the Rust client, Put, Range, Delete, Txn.

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};

use super::stack::{Stack, on_setups};

on_setups! {
    etcdctl_sees_no_difference: PLAIN_34, PLAIN_35, MTLS_34, MTLS_35, THREE_MTLS_34, THREE_35;
    the_rust_client_sees_no_difference: PLAIN_34, MTLS_35, THREE_35;
    writes_are_told_in_kubernetes_terms: PLAIN_35, MTLS_34;
    a_value_near_the_limit_goes_there_and_back: PLAIN_34, MTLS_35;
}

async fn etcdctl_sees_no_difference(stack: Stack) {
    let key = "/registry/configmaps/default/{}";
    stack.same_either_way(&["put", key, "first"]).await;
    stack
        .same_either_way(&["put", "--prev-kv", key, "second"])
        .await;
    let got = stack.same_either_way(&["get", key]).await;
    assert_eq!(got.stdout, format!("{key}\nsecond\n"));
    stack
        .same_either_way(&["get", "--keys-only", "--prefix", "/registry"])
        .await;
    let refused = stack
        .same_either_way(&["put", "--lease=1234", key, "third"])
        .await;
    assert!(refused.error().contains("requested lease not found"));

    let branches = |key: &str| {
        format!("mod(\"{key}\") > \"0\"\n\nput {key} third\nget {key}\n\nget {key}\n\n")
    };
    for (etcdctl, name) in [
        (stack.etcdctl_direct(), "straight"),
        (stack.etcdctl(), "tapped"),
    ] {
        let key = key.replace("{}", name);
        let txn = etcdctl
            .run_with_input(["txn"], branches(&key).as_bytes())
            .await;
        let expected = format!("SUCCESS\n\nOK\n\n{key}\nthird\n");
        assert_eq!(txn.ok(), expected);
    }

    stack.same_either_way(&["del", "--prev-kv", key]).await;
    stack.same_either_way(&["del", key]).await;
    stack.same_either_way(&["get", key]).await;

    let tapped = "/registry/configmaps/default/tapped";
    let log = &stack.proxy.log;
    let put = log
        .wait_for("the first put", |line| {
            line.is_call("Put") && line.text("status") == "OK"
        })
        .await;
    assert_eq!(put.text("key"), tapped);
    assert_eq!(put.text("service"), "etcdserverpb.KV");
    assert_eq!(put.text("resource"), "configmaps");
    assert_eq!(put.text("namespace"), "default");
    assert_eq!(put.text("name"), "tapped");
    assert!(put.text("user_agent").contains("grpc-go"));
    assert!(put.number("duration_us").unwrap() >= put.number("first_byte_us").unwrap());
    assert!(put.number("revision").unwrap() > 1);
    assert!(put.number("request_bytes").unwrap() > 30);
    let refused =
        |line: &super::log::Line| line.is_call("Put") && line.text("status") == "NOT_FOUND";
    let refused = log.wait_for("the refused put", refused).await;
    assert!(
        refused
            .text("message")
            .contains("requested lease not found")
    );
    log.wait_for("the Txn", |line| line.is_call("Txn")).await;
    log.wait_for_count("a delete", 2, |line| line.is_call("DeleteRange"))
        .await;

    // What went straight to etcd cannot be in the log, and values never are.
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains("straight") && !text.contains("third"));
}

async fn the_rust_client_sees_no_difference(stack: Stack) {
    let mut direct = stack.client_direct().await;
    let mut through = stack.client().await;

    for n in 0..50 {
        let (key, value) = (format!("/a/{n:02}"), format!("value {n}"));
        match n % 2 {
            0 => through.put(key, value, None).await.unwrap(),
            _ => direct.put(key, value, None).await.unwrap(),
        };
    }
    let range = || Some(etcd_client::GetOptions::new().with_prefix());
    let expected = direct.get("/a/", range()).await.unwrap();
    let seen = through.get("/a/", range()).await.unwrap();
    assert_eq!(seen.kvs().len(), 50);
    assert_eq!(seen.count(), expected.count());
    for (seen, expected) in seen.kvs().iter().zip(expected.kvs()) {
        assert_eq!(
            (seen.key(), seen.value()),
            (expected.key(), expected.value())
        );
        assert_eq!(seen.mod_revision(), expected.mod_revision());
    }

    let txn = || {
        Txn::new()
            .when([Compare::value("/a/00", CompareOp::Equal, "value 0")])
            .and_then([TxnOp::get("/a/01", None)])
            .or_else([TxnOp::get("/a/02", None)])
    };
    let value = |txn: etcd_client::TxnResponse| match txn.op_responses().remove(0) {
        TxnOpResponse::Get(get) => get.kvs()[0].value().to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(value(through.txn(txn()).await.unwrap()), b"value 1");
    assert_eq!(value(direct.txn(txn()).await.unwrap()), b"value 1");

    // Refusals read the same.
    let expected = direct.put("", "no key", None).await.unwrap_err();
    let seen = through.put("", "no key", None).await.unwrap_err();
    assert_eq!(seen.to_string(), expected.to_string());

    // Many at once, on one connection.
    let mut puts = tokio::task::JoinSet::new();
    for n in 0..200 {
        let mut client = through.clone();
        puts.spawn(async move {
            client
                .put(format!("/many/{n}"), vec![b'x'; n * 50], None)
                .await
        });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    let all = direct.get("/many/", range()).await.unwrap();
    assert_eq!(all.count(), 200);
    let log = &stack.proxy.log;
    let many =
        |line: &super::log::Line| line.is_call("Put") && line.text("key").starts_with("/many/");
    log.wait_for_count("a put of many", 200, many).await;
}

async fn writes_are_told_in_kubernetes_terms(stack: Stack) {
    let mut client = stack.client().await;
    let key = "/registry/configmaps/kube-system/settings";
    // As the API server writes: only if the key stands where it was read.
    let write = |at: i64, value: &str| {
        Txn::new()
            .when([Compare::mod_revision(key, CompareOp::Equal, at)])
            .and_then([TxnOp::put(key, value, None)])
            .or_else([TxnOp::get(key, None)])
    };
    let created = client.txn(write(0, "one")).await.unwrap();
    let revision = created.header().unwrap().revision();
    client.txn(write(revision, "two")).await.unwrap();
    let refused = client.txn(write(revision, "three")).await.unwrap();
    assert!(!refused.succeeded());
    let now = client.get(key, None).await.unwrap().kvs()[0].mod_revision();
    let delete = Txn::new()
        .when([Compare::mod_revision(key, CompareOp::Equal, now)])
        .and_then([TxnOp::delete(key, None)])
        .or_else([TxnOp::get(key, None)]);
    client.txn(delete).await.unwrap();

    let calls = stack
        .proxy
        .log
        .wait_for_count("a call", 5, |line| {
            line.is("call") && line.text("key") == key
        })
        .await;
    let verbs: Vec<_> = calls.iter().map(|line| line.text("verb")).collect();
    assert_eq!(verbs, ["create", "update", "conflict", "get", "delete"]);
    for call in &calls {
        assert_eq!(call.text("resource"), "configmaps");
        assert_eq!(call.text("namespace"), "kube-system");
        assert_eq!(call.text("name"), "settings");
        assert_eq!(call.text("status"), "OK");
    }
    assert_eq!(calls[0].number("revision"), Some(revision));
}

async fn a_value_near_the_limit_goes_there_and_back(stack: Stack) {
    let value: Vec<u8> = (0..1_400_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let mut through = stack.client().await;
    through.put("/big", value.clone(), None).await.unwrap();
    let mut direct = stack.client_direct().await;
    let there = direct.get("/big", None).await.unwrap();
    assert!(there.kvs()[0].value() == value);
    let back = through.get("/big", None).await.unwrap();
    assert!(back.kvs()[0].value() == value);

    // etcd refuses what is over its limit, in the same words.
    let over = vec![0; 1_700_000];
    let expected = direct.put("/over", over.clone(), None).await.unwrap_err();
    let seen = through.put("/over", over, None).await.unwrap_err();
    assert_eq!(seen.to_string(), expected.to_string());

    let log = &stack.proxy.log;
    let put = log.wait_for("the put", |line| line.is_call("Put")).await;
    assert!(put.number("request_bytes").unwrap() > 1_400_000);
    let get = log.wait_for("the get", |line| line.is_call("Range")).await;
    assert!(get.number("response_bytes").unwrap() > 1_400_000);
    assert_eq!(get.number("count"), Some(1));
}
