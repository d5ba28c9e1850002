//! `duplicate`: etcd executes the call twice.

use super::arm::{arm, did, struck_once};
use super::documented::documented;
use super::objects::{Truth, create, write, write_with};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_create_runs_twice_and_its_client_sees_a_conflict: PLAIN_34, MTLS_35;
    an_update_runs_twice_and_its_client_sees_no_harm: MTLS_34, PLAIN_35;
    a_put_is_two_writes: PLAIN_34, MTLS_35;
    leases_are_granted_twice: MTLS_34, PLAIN_35;
}

async fn a_create_runs_twice_and_its_client_sees_a_conflict(mut stack: Stack) {
    let mut truth = Truth::of(&stack).await;
    for (etcdctl, key) in [
        (true, "/registry/configmaps/lab/a"),
        (false, "/registry/configmaps/lab/b"),
    ] {
        arm(&mut stack, &documented(&["twice", "twice-unseen"])).await;
        let before = truth.revision().await;
        if etcdctl {
            let run = write_with(&stack.etcdctl(), key, 0, "1").await;
            assert_eq!(run.ok(), format!("FAILURE\n\n{key}\n1\n"));
        } else {
            let answer = stack.client().await.txn(create(key, "1")).await.unwrap();
            assert!(!answer.succeeded());
        }
        // The second one found the first one's key, and wrote nothing.
        assert_eq!(truth.version(key).await, Some(("1".to_owned(), 1)));
        assert_eq!(truth.revision().await, before + 1);
        let line = struck_once(&stack, "twice").await;
        let words = "to be executed twice, the client sees the second answer";
        assert_eq!(did(&line, "twice"), Some(words));
        assert_eq!(line.text("verb"), "conflict");
        assert_eq!(line.text("status"), "OK");
    }
}

async fn an_update_runs_twice_and_its_client_sees_no_harm(mut stack: Stack) {
    arm(&mut stack, &documented(&["twice", "twice-unseen"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/configmaps/lab/a";
    let at = truth.put(key, "1").await;
    let answer = stack.client().await.txn(write(key, at, "2")).await.unwrap();
    assert!(answer.succeeded());
    assert_eq!(truth.version(key).await, Some(("2".to_owned(), 2)));
    let line = struck_once(&stack, "twice-unseen").await;
    assert_eq!(line.text("verb"), "update");
    assert_eq!(line.number("revision"), Some(at + 1));
}

async fn a_put_is_two_writes(mut stack: Stack) {
    let plan = "faults:
      - {name: first, match: {key_prefix: /f/}, action: duplicate}
      - {name: second, match: {key_prefix: /s/}, action: {duplicate: {client_sees: second}}}";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    for (name, key, seen) in [("first", "/f/a", 1), ("second", "/s/a", 2)] {
        let before = truth.revision().await;
        let answer = client.put(key, "1", None).await.unwrap();
        assert_eq!(answer.header().unwrap().revision(), before + seen, "{name}");
        struck_once(&stack, name).await;
        // The other one may come after the answer.
        crate::live::patience::until("both are there", async || {
            let kept = truth.key(key).await?;
            (kept.version == 2).then_some(())
        })
        .await;
        assert_eq!(truth.revision().await, before + 2, "{name}");
    }
    let put = stack.etcdctl().run(["put", "--prev-kv", "/s/b", "1"]).await;
    // What the first one wrote.
    assert_eq!(put.ok(), "OK\n/s/b\n1\n");
}

async fn leases_are_granted_twice(mut stack: Stack) {
    let plan = "faults: [{name: doubled, match: {method: LeaseGrant}, \
                action: {duplicate: {client_sees: second}}}]";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let run = stack.etcdctl().run(["lease", "grant", "60"]).await.ok();
    assert!(run.starts_with("lease "), "{run}");
    struck_once(&stack, "doubled").await;
    // etcd chose both names; the client knows of one.
    let leases = truth.client().leases().await.unwrap();
    assert_eq!(leases.leases().len(), 2);
    let known = run.split(' ').nth(1).unwrap();
    let known = i64::from_str_radix(known, 16).unwrap();
    assert!(leases.leases().iter().any(|lease| lease.id() == known));
}
