//! `withhold_trailers` and `cut_short`: answers without their proper end.

use std::time::Duration;

use etcd_client::GetOptions;
use tonic::Code;

use super::arm::{HASTE, arm, client_with_patience, did, hasty, refused, struck, timed};
use super::documented::documented;
use super::objects::Truth;
use crate::live::etcd::Version;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    an_answer_without_trailers_is_waited_for: PLAIN_34, MTLS_35;
    half_a_list_is_an_error: MTLS_34, PLAIN_35;
    nothing_and_an_end_is_an_error: PLAIN_34, PLAIN_35;
}

fn all() -> Option<GetOptions> {
    Some(GetOptions::new().with_prefix())
}

async fn an_answer_without_trailers_is_waited_for(mut stack: Stack) {
    arm(&mut stack, &documented(&["endless-counts"])).await;
    let mut truth = Truth::of(&stack).await;
    truth.fill("/registry/pods/lab/", 3, 10).await;
    let count = [
        "get",
        "--prefix",
        "--count-only",
        "--write-out=fields",
        "/registry/pods/",
    ];
    let mut calls = 1;
    // etcdctl 3.4 cannot count.
    if stack.etcd.version == Version::V3_5 {
        let (run, took) = timed(hasty(&stack).run(count)).await;
        assert_eq!(run.error(), "Error: context deadline exceeded");
        assert!(took >= HASTE, "{took:?}");
        calls += 1;
    }

    // The Rust client's own timeout is about the answer's head, and that came:
    // it waits until its caller gives up.
    let mut client = client_with_patience(&stack, Duration::from_millis(100)).await;
    let counted = client.get("/registry/pods/", all().map(GetOptions::with_count_only));
    let told = tokio::time::timeout(Duration::from_millis(500), counted).await;
    assert!(told.is_err(), "{told:?}");

    for line in struck(&stack, "endless-counts", calls).await {
        let did = did(&line, "endless-counts").unwrap_or_default();
        assert!(did.starts_with("trailers withheld"), "{did}");
        // It was all there but for its end.
        assert_eq!(line.number("count"), Some(3));
        assert_eq!(line.text("verb"), "count");
    }
    let listed = client.get("/registry/pods/", all()).await.unwrap();
    assert_eq!(listed.count(), 3);
}

async fn half_a_list_is_an_error(mut stack: Stack) {
    arm(
        &mut stack,
        &documented(&["half-lists", "half-lists-without-trailers"]),
    )
    .await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    for (name, prefix, status) in [
        ("half-lists", "/registry/secrets/", "OK"),
        (
            "half-lists-without-trailers",
            "/registry/configmaps/",
            "UNKNOWN",
        ),
    ] {
        truth.fill(prefix, 20, 100).await;
        let read = stack.etcdctl().run(["get", "--prefix", prefix]).await;
        let said = "Error: rpc error: code = Internal desc = unexpected EOF";
        assert_eq!(read.error(), said, "{name}");
        assert_eq!(read.stdout, "");
        let told = refused(client.get(prefix, all()).await);
        assert_eq!(told.0, Code::Internal, "{name}: {told:?}");
        for line in struck(&stack, name, 2).await {
            assert_eq!(line.text("status"), status, "{name}");
            assert_eq!(line.text("ending"), "injected");
            assert_eq!(line.number("count"), Some(20));
        }
        let one = client.get(format!("{prefix}000"), None).await.unwrap();
        assert_eq!(one.count(), 1);
    }
}

async fn nothing_and_an_end_is_an_error(mut stack: Stack) {
    let plan = "faults: [{name: nothing, match: {key_prefix: /n/}, \
                action: {cut_short: {after: 0}}}]";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let put = stack.etcdctl().run(["put", "/n/a", "1"]).await;
    assert_eq!(put.error(), "Error: EOF");
    let told = refused(stack.client().await.put("/n/b", "1", None).await);
    assert_eq!(told.0, Code::Internal, "{told:?}");
    struck(&stack, "nothing", 2).await;
    assert_eq!(truth.version("/n/a").await, Some(("1".to_owned(), 1)));
    assert_eq!(truth.version("/n/b").await, Some(("1".to_owned(), 1)));
}
