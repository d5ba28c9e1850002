//! `reset`: the stream breaks, at each of its stages, with each code that means
//! something else to grpc-go.

use tonic::Code;

use super::arm::{HASTE, arm, failures, hasty, refused, struck, struck_once, timed};
use super::documented::documented;
use super::objects::Truth;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_request_refused_once_is_sent_again_by_grpc_go: PLAIN_34, MTLS_35;
    a_request_refused_always_reaches_the_caller: PLAIN_35;
    other_codes_before_execution: PLAIN_34, PLAIN_35;
    a_handler_that_crashed_had_done_its_work: MTLS_34, PLAIN_35;
    a_message_breaks_in_its_middle: PLAIN_34, MTLS_35;
}

fn terminated(code: &str, by: &str) -> String {
    format!(
        "Error: rpc error: code = {code} desc = \
         stream terminated by RST_STREAM with error code: {by}"
    )
}

async fn a_request_refused_once_is_sent_again_by_grpc_go(mut stack: Stack) {
    arm(&mut stack, &documented(&["refused-once"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/minions/a";
    let put = stack.etcdctl().run(["put", key, "1"]).await;
    assert_eq!(failures(&put), 0, "nobody above grpc-go notices");
    assert_eq!(put.ok(), "OK\n");
    // Once, for etcd never had the first one.
    assert_eq!(truth.version(key).await, Some(("1".to_owned(), 1)));
    let line = struck_once(&stack, "refused-once").await;
    assert_eq!(line.text("status"), "UNAVAILABLE");
    assert_eq!(line.text("ending"), "injected_reset");
    let is_put = |line: &crate::live::log::Line| line.is_call("Put");
    let puts = stack.proxy.log.wait_for_count("a put", 2, is_put).await;
    assert_eq!(puts[1].text("status"), "OK");

    // The Rust client leaves that to its caller.
    arm(&mut stack, &documented(&["refused-once"])).await;
    let mut client = stack.client().await;
    let (code, text) = refused(client.put(key, "2", None).await);
    assert_eq!(code, Code::Unavailable, "{text}");
    client.put(key, "2", None).await.unwrap();
    assert_eq!(truth.version(key).await, Some(("2".to_owned(), 2)));
}

async fn a_request_refused_always_reaches_the_caller(mut stack: Stack) {
    let plan = "faults: [{name: refused, match: {key_prefix: /r/}, \
                action: {reset: {at: request}}}]";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let before = truth.revision().await;
    let put = stack.etcdctl().run(["put", "/r/a", "1"]).await;
    assert_eq!(put.error(), terminated("Unavailable", "REFUSED_STREAM"));
    assert_eq!(failures(&put), 1);
    // grpc-go tries again once, for it may believe what it is told.
    struck(&stack, "refused", 2).await;
    // A read is tried until the deadline, as with any UNAVAILABLE.
    let (read, took) = timed(hasty(&stack).run(["get", "/r/a"])).await;
    assert_eq!(read.error(), "Error: context deadline exceeded");
    assert!(took >= HASTE, "{took:?}");
    assert_eq!(truth.revision().await, before);
    assert_eq!(truth.key("/r/a").await, None);
}

async fn other_codes_before_execution(mut stack: Stack) {
    let plan = "faults:
      - {name: crashed, match: {key_prefix: /i/}, \
         action: {reset: {at: request, code: INTERNAL_ERROR}}}
      - {name: cancelled, match: {key_prefix: /c/}, \
         action: {reset: {at: request, code: CANCEL}}, at_most: 4}";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    for command in [&["put", "/i/a", "1"][..], &["get", "/i/a"]] {
        let run = stack.etcdctl().run(command.iter().copied()).await;
        assert_eq!(run.error(), terminated("Internal", "INTERNAL_ERROR"));
        assert_eq!(failures(&run), 1, "nobody tries again");
    }
    struck(&stack, "crashed", 2).await;
    assert_eq!(truth.key("/i/a").await, None);

    // clientv3 takes CANCELLED for the end of one attempt, and tries again.
    let put = stack.etcdctl().run(["put", "/c/a", "1"]).await;
    assert_eq!(failures(&put), 4);
    put.ok();
    struck(&stack, "cancelled", 4).await;
    assert_eq!(truth.version("/c/a").await, Some(("1".to_owned(), 1)));

    let mut client = stack.client().await;
    let told = refused(client.put("/i/b", "1", None).await);
    assert_eq!(told.0, Code::Internal);
    assert_eq!(truth.key("/i/b").await, None);
}

async fn a_handler_that_crashed_had_done_its_work(mut stack: Stack) {
    let plan = documented(&["crashed-handler"]);
    arm(&mut stack, &plan).await;
    let mut truth = Truth::of(&stack).await;
    let grant = stack.etcdctl().run(["lease", "grant", "60"]).await;
    let said = grant.error();
    assert!(
        said.contains("RST_STREAM with error code: INTERNAL_ERROR"),
        "{said}"
    );
    let told = refused(stack.client().await.lease_grant(60, None).await);
    assert_eq!(told.0, Code::Internal);
    // etcd was told to stop by then, and had granted both.
    let leases = truth.client().leases().await.unwrap();
    assert_eq!(leases.leases().len(), 2);
    for line in struck(&stack, "crashed-handler", 2).await {
        assert_eq!(line.text("reset"), "INTERNAL_ERROR");
        assert_eq!(line.text("status"), "INTERNAL");
    }

    let plan = plan.replace(r#""at":"head""#, r#""at":"head","code":"CANCEL""#);
    assert!(plan.contains("CANCEL"));
    arm(&mut stack, &plan).await;
    let told = refused(stack.client().await.lease_grant(60, None).await);
    assert_eq!(told.0, Code::Cancelled);
    let leases = truth.client().leases().await.unwrap();
    assert_eq!(leases.leases().len(), 3);
}

async fn a_message_breaks_in_its_middle(mut stack: Stack) {
    let plan = documented(&["torn-lists"]);
    arm(&mut stack, &plan).await;
    let mut truth = Truth::of(&stack).await;
    truth.fill("/registry/pods/lab/", 20, 100).await;
    let list = ["get", "--prefix", "/registry/pods/"];
    let read = stack.etcdctl().run(list).await;
    // Half a message is all that grpc-go looks at.
    assert_eq!(
        read.error(),
        "Error: rpc error: code = Internal desc = unexpected EOF"
    );
    assert_eq!(read.stdout, "");
    let mut client = stack.client().await;
    let options = || Some(etcd_client::GetOptions::new().with_prefix());
    let told = refused(client.get("/registry/pods/", options()).await);
    assert_eq!(told.0, Code::Internal, "{told:?}");
    for line in struck(&stack, "torn-lists", 2).await {
        assert_eq!(line.text("reset"), "INTERNAL_ERROR");
        // The log knows what etcd would have said.
        assert_eq!(line.number("count"), Some(20));
    }
    // One object can be read, and a list of others.
    let one = client.get("/registry/pods/lab/000", None).await.unwrap();
    assert_eq!(one.count(), 1);

    let plan = plan.replace(r#""at":"message""#, r#""at":"message","code":"CANCEL""#);
    assert!(plan.contains("CANCEL"));
    arm(&mut stack, &plan).await;
    let read = stack.etcdctl().run(list).await;
    assert_eq!(
        read.error(),
        "Error: rpc error: code = Internal desc = unexpected EOF"
    );
    let told = refused(stack.client().await.get("/registry/pods/", options()).await);
    assert_eq!(told.0, Code::Cancelled, "{told:?}");
}
