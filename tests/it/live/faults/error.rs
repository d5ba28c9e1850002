//! `error`: the client is answered, and etcd never has the request.

use tonic::Code;

use super::arm::{HASTE, arm, did, failures, hasty, refused, struck, struck_once, timed};
use super::documented::documented;
use super::objects::{Truth, create, write_with};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    etcds_own_errors_come_before_execution: PLAIN_34, MTLS_35;
    reads_are_tried_again_until_the_deadline: PLAIN_35;
    words_of_ones_own: MTLS_34, PLAIN_35;
    ends_of_one_attempt_are_no_errors_to_clientv3: PLAIN_34, PLAIN_35;
}

/// The fault, and what etcdctl and the Rust client say.
const OWN: [(&str, &str, Code, &str); 4] = [
    (
        "election",
        "leases/kube-system/a",
        Code::Unavailable,
        "no leader",
    ),
    (
        "overload",
        "events/lab/a",
        Code::ResourceExhausted,
        "too many requests",
    ),
    (
        "disk-full",
        "configmaps/lab/a",
        Code::ResourceExhausted,
        "mvcc: database space exceeded",
    ),
    (
        "torn-disk",
        "secrets/lab/a",
        Code::DataLoss,
        "corrupt cluster",
    ),
];

async fn etcds_own_errors_come_before_execution(mut stack: Stack) {
    arm(&mut stack, &documented(&OWN.map(|(name, ..)| name))).await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let before = truth.revision().await;
    for (name, key, code, text) in OWN {
        let key = format!("/registry/{key}");
        let text = format!("etcdserver: {text}");

        let printed = write_with(&stack.etcdctl(), &key, 0, "1").await;
        assert_eq!(printed.code, Some(1), "{name}");
        assert_eq!(printed.error(), format!("Error: {text}"), "{name}");
        // A write is not sent again by anybody.
        assert_eq!(failures(&printed), 1, "{name}");

        let told = refused(client.txn(create(&key, "2")).await);
        assert_eq!(told, (code, text.clone()), "{name}");

        for line in struck(&stack, name, 2).await {
            assert_eq!(line.text("verb"), "create");
            assert_eq!(line.text("ending"), "injected");
            assert_eq!(line.text("message"), text);
            assert!(did(&line, name).unwrap().ends_with("before execution"));
            assert_eq!(line.number("revision"), None);
        }
        assert_eq!(truth.key(&key).await, None, "{name}");
    }
    assert_eq!(truth.revision().await, before);
}

async fn reads_are_tried_again_until_the_deadline(mut stack: Stack) {
    let plan = "faults: [{name: gone, match: {method: Range}, action: {error: no-leader}}]";
    arm(&mut stack, plan).await;
    let (read, took) = timed(hasty(&stack).run(["get", "/registry/pods/lab/a"])).await;
    // clientv3 takes UNAVAILABLE for a reason to ask again, 25 ms later.
    assert_eq!(read.error(), "Error: context deadline exceeded");
    assert!(took >= HASTE, "{took:?}");
    assert!(failures(&read) > 5, "{}", read.stderr);

    let plan = plan.replace("}]", ", at_most: 3}]");
    arm(&mut stack, &plan).await;
    let read = stack.etcdctl().run(["get", "/registry/pods/lab/a"]).await;
    assert_eq!(failures(&read), 3, "{}", read.stderr);
    assert_eq!(read.ok(), "", "the fourth time it is answered");
    struck(&stack, "gone", 3).await;
}

async fn words_of_ones_own(mut stack: Stack) {
    arm(&mut stack, &documented(&["own-words"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/leases/kube-system/b";
    let printed = write_with(&stack.etcdctl(), key, 0, "1").await;
    let text = "50% of nothing; größer";
    let said = format!("Error: rpc error: code = Aborted desc = {text}");
    assert_eq!(printed.error(), said);
    let told = refused(stack.client().await.txn(create(key, "1")).await);
    assert_eq!(told, (Code::Aborted, text.to_owned()));
    assert_eq!(truth.key(key).await, None);
    let lines = struck(&stack, "own-words", 2).await;
    assert_eq!(lines[0].text("status"), "ABORTED");

    // Other kinds of calls are not meant.
    let put = stack.etcdctl().run(["put", key, "1"]).await;
    assert_eq!(put.ok(), "OK\n");
    struck(&stack, "own-words", 2).await;
    let plan = "faults: [{name: wordless, match: {method: Put}, action: {error: {code: ABORTED}}}]";
    arm(&mut stack, plan).await;
    let told = refused(stack.client().await.put(key, "2", None).await);
    assert_eq!(told, (Code::Aborted, String::new()));
    struck_once(&stack, "wordless").await;
}

async fn ends_of_one_attempt_are_no_errors_to_clientv3(mut stack: Stack) {
    let mut truth = Truth::of(&stack).await;
    for (name, code) in [
        ("canceled", Code::Cancelled),
        ("deadline-exceeded", Code::DeadlineExceeded),
    ] {
        let plan = format!(
            "faults: [{{name: {name}, match: {{method: Put}}, action: {{error: {name}}}, at_most: 3}}]"
        );
        arm(&mut stack, &plan).await;
        let told = refused(stack.client().await.put("/a", "1", None).await);
        assert_eq!(told.0, code);
        // A write, and sent again all the same.
        let put = stack.etcdctl().run(["put", "/a", name]).await;
        assert_eq!(failures(&put), 2, "{}", put.stderr);
        assert_eq!(put.ok(), "OK\n");
        assert_eq!(truth.key("/a").await.unwrap().value, name);
        struck(&stack, name, 3).await;
    }
}
