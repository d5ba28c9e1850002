//! Answers of many messages that end by themselves, users with tokens, and
//! peers that go away while something is held.

use std::time::Duration;

use super::arm::{arm, arm_with_switch, did, failures, struck, struck_once, timed};
use super::objects::Truth;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_snapshot_is_slowed_lost_and_torn: PLAIN_34, MTLS_35;
    a_user_who_is_executed_twice_is_the_same_user: PLAIN_34;
    etcd_dies_while_its_answer_is_held: PLAIN_35;
    a_client_dies_while_its_request_is_held: PLAIN_34, MTLS_35;
}

async fn a_snapshot_is_slowed_lost_and_torn(mut stack: Stack) {
    let mut truth = Truth::of(&stack).await;
    truth.fill("/a/", 20, 50_000).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let save = ["snapshot", "save", path.to_str().unwrap()];
    for (name, action, least) in [
        ("drip", "delay: {each_response_message: 30ms}", 60),
        ("late", "delay: {response: 300ms}", 300),
        ("narrow", "rate: {bytes_per_second: 3MiB}", 300),
    ] {
        let plan = format!(
            "faults: [{{name: {name}, match: {{method: Snapshot}}, action: {{{action}}}}}]"
        );
        arm(&mut stack, &plan).await;
        let (run, took) = timed(stack.etcdctl().run(save)).await;
        // etcdctl checks a sum over all of it.
        run.ok();
        assert!(took >= Duration::from_millis(least), "{name}: {took:?}");
        assert!(path.metadata().unwrap().len() > 1_000_000);
        std::fs::remove_file(&path).unwrap();
        let line = struck_once(&stack, name).await;
        assert!(line.number("response_messages").unwrap() > 10);
    }
    for (name, action, said) in [
        ("lost", "lose_reply: {answer: corrupt}", "corrupt cluster"),
        ("torn", "reset: {at: message}", "unexpected EOF"),
        ("short", "cut_short: {}", "unexpected EOF"),
    ] {
        let plan = format!(
            "faults: [{{name: {name}, match: {{method: Snapshot}}, action: {{{action}}}}}]"
        );
        arm(&mut stack, &plan).await;
        let run = stack.etcdctl().run(save).await;
        assert!(run.stderr.contains(said), "{name}: {}", run.stderr);
        assert!(!path.exists(), "{name}");
        struck_once(&stack, name).await;
    }
}

async fn a_user_who_is_executed_twice_is_the_same_user(mut stack: Stack) {
    let plan = "faults: [{name: twice, match: {method: Put}, \
                action: {duplicate: {client_sees: second}}}]";
    arm(&mut stack, plan).await;
    let direct = stack.etcdctl_direct();
    for command in [
        "user add root:secret",
        "role add root",
        "user grant-role root root",
        "role add writer",
        "role grant-permission writer readwrite /mine/ --prefix=true",
        "user add jane:secret",
        "user grant-role jane writer",
        "auth enable",
    ] {
        direct.run(command.split(' ')).await;
    }
    let jane = stack.etcdctl().user("jane:secret");
    jane.run(["put", "/mine/a", "1"]).await.ok();
    let kept = stack.etcdctl_direct().user("jane:secret");
    let kept = kept.run(["get", "/mine/a", "--write-out=json"]).await.ok();
    assert!(kept.contains(r#""version":2"#), "{kept}");
    let refused = jane.run(["put", "/others/a", "1"]).await;
    assert_eq!(refused.error(), "Error: etcdserver: permission denied");
    let lines = struck(&stack, "twice", 2).await;
    let words = "to be executed twice, the client sees the second answer";
    assert_eq!(did(&lines[0], "twice"), Some(words));
}

async fn etcd_dies_while_its_answer_is_held(mut stack: Stack) {
    let plan = "faults: [{name: late, match: {method: Put}, action: {delay: {response: 1h}}}]";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let put = tokio::spawn(async move { client.put("/l/a", "1", None).await });
    until("etcd has it", async || truth.key("/l/a").await).await;
    stack.etcd.kill(0).await;
    // Nobody waits for what is held any more: the connection ends with etcd's.
    soon("an end of the call", put).await.unwrap().unwrap_err();
    let line = struck_once(&stack, "late").await;
    assert_eq!(line.text("ending"), "connection_lost");
    assert_eq!(line.text("lost_by"), "server");
    stack.etcd.restart(0).await;
    let run = stack.etcdctl().run(["get", "/l/a"]).await;
    assert_eq!(failures(&run), 0);
    assert_eq!(run.ok(), "/l/a\n1\n");
}

async fn a_client_dies_while_its_request_is_held(mut stack: Stack) {
    let mut truth = Truth::of(&stack).await;
    let before = truth.revision().await;
    for (name, action) in [("stuck", "hang: {}"), ("late", "delay: {request: 1h}")] {
        let plan =
            format!("faults: [{{name: {name}, match: {{method: Put}}, action: {{{action}}}}}]");
        let switch = arm_with_switch(&mut stack, &plan).await;
        let run = stack.etcdctl().spawn(["put", "/a", "1"]);
        switch.all_have_struck().await;
        run.kill().await;
        let line = struck_once(&stack, name).await;
        assert_eq!(line.text("lost_by"), "client", "{line:?}");
        assert_eq!(line.text("ending"), "connection_lost");
    }
    assert_eq!(truth.revision().await, before);
}
