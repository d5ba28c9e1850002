//! `hang`: nobody answers, and etcd never has the request.

use std::time::Duration;

use tonic::Code;

use super::arm::{HASTE, arm, client_with_patience, did, hasty, refused, struck, timed};
use super::documented::documented;
use super::objects::{Truth, create};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    the_clients_deadline_ends_it: PLAIN_34, MTLS_35;
    it_ends_when_the_fault_does: MTLS_34;
}

async fn the_clients_deadline_ends_it(mut stack: Stack) {
    arm(&mut stack, &documented(&["stuck-secrets"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/secrets/lab/token";
    let before = truth.revision().await;
    let (printed, took) = timed(hasty(&stack).run(["put", key, "1"])).await;
    assert_eq!(printed.error(), "Error: context deadline exceeded");
    assert!(took >= HASTE, "{took:?}");

    let patience = Duration::from_millis(300);
    let mut client = client_with_patience(&stack, patience).await;
    let (told, took) = timed(client.txn(create(key, "1"))).await;
    let expected = (Code::Cancelled, "Timeout expired".to_owned());
    assert_eq!(refused(told), expected);
    assert!(took >= patience, "{took:?}");

    let lines = struck(&stack, "stuck-secrets", 2).await;
    for line in &lines {
        // Whether the client's patience or etcd's own deadline ends it is a race.
        let did = did(line, "stuck-secrets").unwrap_or_default();
        assert!(did.starts_with("request held"), "{did}");
        assert!(line.number("duration_us").unwrap() >= 290_000);
    }
    assert_eq!(truth.key(key).await, None);
    assert_eq!(truth.revision().await, before);

    // What is not about secrets is answered, on the same connection too.
    client.put("/registry/pods/lab/a", "1", None).await.unwrap();
}

async fn it_ends_when_the_fault_does(mut stack: Stack) {
    let plan = "faults: [{name: outage, match: {key_prefix: /h/}, action: hang, duration: 1500ms}]";
    arm(&mut stack, plan).await;
    let mut client = stack.client().await;
    let (put, took) = timed(client.put("/h/a", "1", None)).await;
    put.unwrap();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    struck(&stack, "outage", 1).await;
    let mut truth = Truth::of(&stack).await;
    assert_eq!(truth.version("/h/a").await, Some(("1".to_owned(), 1)));
}
