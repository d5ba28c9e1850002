//! `lose_reply`: etcd executes the call and its answer is lost.

use std::time::Duration;

use tonic::Code;

use super::arm::{
    HASTE, arm, client_with_patience, did, failures, hasty, refused, struck, struck_once, timed,
};
use super::documented::documented;
use super::objects::{Truth, create, delete, write, write_with};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_write_happens_and_is_told_as_timed_out: PLAIN_34, MTLS_35;
    a_write_happens_and_its_stream_breaks: MTLS_34, PLAIN_35;
    a_delete_happens_and_nobody_answers: PLAIN_34, MTLS_35;
    cancel_makes_clientv3_write_again: PLAIN_34, PLAIN_35;
    a_lying_server_makes_a_write_happen_twice: MTLS_34, PLAIN_35;
}

async fn a_write_happens_and_is_told_as_timed_out(mut stack: Stack) {
    arm(&mut stack, &documented(&["lost-creates"])).await;
    let mut truth = Truth::of(&stack).await;
    let printed = write_with(&stack.etcdctl(), "/registry/configmaps/lab/a", 0, "1").await;
    assert_eq!(printed.error(), "Error: etcdserver: request timed out");
    assert_eq!(failures(&printed), 1, "a write is not sent again");
    let mut client = stack.client().await;
    let told = refused(client.txn(create("/registry/configmaps/lab/b", "2")).await);
    let text = "etcdserver: request timed out".to_owned();
    assert_eq!(told, (Code::Unavailable, text));

    let a = truth.key("/registry/configmaps/lab/a").await.unwrap();
    let b = truth.key("/registry/configmaps/lab/b").await.unwrap();
    assert_eq!((a.value.as_str(), a.version), ("1", 1));
    assert_eq!((b.value.as_str(), b.version), ("2", 1));

    let lines = struck(&stack, "lost-creates", 2).await;
    for (line, kept) in lines.iter().zip([a, b]) {
        assert_eq!(line.text("status"), "UNAVAILABLE");
        assert_eq!(line.text("ending"), "injected");
        assert!(
            did(line, "lost-creates")
                .unwrap()
                .starts_with("reply lost after execution")
        );
        // The log knows what etcd said.
        assert_eq!(line.number("revision"), Some(kept.mod_revision));
    }

    // Who tries again finds its own write: that is what the fault is for.
    let again = client.txn(create("/registry/configmaps/lab/c", "3")).await;
    refused(again);
    arm(&mut stack, "faults: []").await;
    let mut client = stack.client().await;
    let again = client
        .txn(create("/registry/configmaps/lab/c", "3"))
        .await
        .unwrap();
    assert!(!again.succeeded());
}

async fn a_write_happens_and_its_stream_breaks(mut stack: Stack) {
    arm(&mut stack, &documented(&["crashed-after-commit"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/leases/kube-system/kube-scheduler";
    let at = truth.put(key, "1").await;
    let printed = write_with(&stack.etcdctl(), key, at, "2").await;
    let said = "Error: rpc error: code = Internal desc = \
                stream terminated by RST_STREAM with error code: INTERNAL_ERROR";
    assert_eq!(printed.error(), said);
    assert_eq!(failures(&printed), 1);
    let kept = truth.key(key).await.unwrap();
    assert_eq!((kept.value.as_str(), kept.version), ("2", 2));

    let mut client = stack.client().await;
    let (code, _) = refused(client.txn(write(key, kept.mod_revision, "3")).await);
    assert_eq!(code, Code::Internal);
    assert_eq!(truth.version(key).await, Some(("3".to_owned(), 3)));

    for line in struck(&stack, "crashed-after-commit", 2).await {
        assert_eq!(line.text("ending"), "injected_reset");
        assert_eq!(line.text("reset"), "INTERNAL_ERROR");
        assert_eq!(line.text("verb"), "update");
    }
}

async fn a_delete_happens_and_nobody_answers(mut stack: Stack) {
    arm(&mut stack, &documented(&["never-answered"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/pods/lab/a";
    let at = truth.put(key, "1").await;
    let patience = Duration::from_millis(400);
    let mut client = client_with_patience(&stack, patience).await;
    let (told, took) = timed(client.txn(delete(key, at))).await;
    let (code, text) = refused(told);
    assert_eq!((code, text.as_str()), (Code::Cancelled, "Timeout expired"));
    assert!(took >= patience, "{took:?}");
    assert_eq!(truth.key(key).await, None, "it is gone all the same");

    truth.put(key, "2").await;
    let (printed, took) = timed(hasty(&stack).run(["del", key])).await;
    assert_eq!(printed.error(), "Error: context deadline exceeded");
    assert!(took >= HASTE, "{took:?}");
    assert_eq!(truth.key(key).await, None);

    let lines = struck(&stack, "never-answered", 2).await;
    assert!(lines.iter().all(|line| line.text("verb") == "delete"));
    assert!(lines.iter().all(|line| line.number("revision").is_some()));
    // The connection is as good as before.
    client.put("/x", "1", None).await.unwrap();
}

async fn cancel_makes_clientv3_write_again(mut stack: Stack) {
    let plan = "faults: [{name: cancelled, match: {key_prefix: /c/}, at_most: 3, \
                action: {lose_reply: {reset: CANCEL}}}]";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    // clientv3 takes CANCELLED for the end of one attempt, and no error.
    let printed = stack.etcdctl().run(["put", "/c/a", "1"]).await;
    assert_eq!(failures(&printed), 3);
    assert_eq!(printed.ok(), "OK\n");
    assert_eq!(truth.version("/c/a").await, Some(("1".to_owned(), 4)));
    struck(&stack, "cancelled", 3).await;

    // The Rust client does not.
    arm(&mut stack, plan).await;
    let told = refused(stack.client().await.put("/c/b", "1", None).await);
    assert_eq!(told.0, Code::Cancelled);
    assert_eq!(truth.version("/c/b").await, Some(("1".to_owned(), 1)));
}

async fn a_lying_server_makes_a_write_happen_twice(mut stack: Stack) {
    arm(&mut stack, &documented(&["lying-server"])).await;
    let mut truth = Truth::of(&stack).await;
    // grpc-go is told that it never happened, and sends it again by itself.
    let key = "/registry/masterleases/10.0.0.5";
    let put = stack.etcdctl().run(["put", key, "1"]).await;
    assert_eq!(failures(&put), 0, "nobody above grpc-go notices");
    assert_eq!(put.ok(), "OK\n");
    assert_eq!(truth.version(key).await, Some(("1".to_owned(), 2)));
    let line = struck_once(&stack, "lying-server").await;
    assert_eq!(line.text("reset"), "REFUSED_STREAM");
    assert!(line.number("revision").is_some());
}
