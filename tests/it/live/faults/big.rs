//! Requests and answers of more than a window: what is held, swallowed or sent
//! twice must not stop those beside it.

use std::time::Duration;

use etcd_client::GetOptions;
use tonic::Code;

use super::arm::{arm, arm_with, did, refused, struck_once, timed};
use super::objects::Truth;
use crate::live::patience::{soon, until};
use crate::live::proxy::Arguments;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    big_requests_are_held_swallowed_and_sent_twice: MTLS_34, PLAIN_35;
    big_answers_are_held_lost_and_torn: PLAIN_34, MTLS_35;
    beyond_the_budget_it_is_let_go: MTLS_34, PLAIN_35;
}

/// Nearly as much as etcd takes.
const BIG: usize = 1_400_000;

async fn big_requests_are_held_swallowed_and_sent_twice(mut stack: Stack) {
    let plan = "faults:
      - {name: late, match: {key: /late}, action: {delay: {request: 300ms}}}
      - {name: refused, match: {key: /refused}, action: {error: request-too-large}}
      - {name: unprocessed, match: {key: /reset}, action: {reset: {at: request}}, at_most: 1}
      - {name: twice, match: {key: /twice}, action: {duplicate: {client_sees: second}}}
      - {name: large, match: {request_size: {min: 1MiB}, key: /large}, action: hang}";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let value = vec![b'v'; BIG];

    let mut neighbour = client.clone();
    let small = tokio::spawn(async move {
        for n in 0..50 {
            neighbour
                .put(format!("/small/{n}"), vec![b'x'; 5_000], None)
                .await
                .unwrap();
        }
    });
    let (put, took) = timed(client.put("/late", value.clone(), None)).await;
    put.unwrap();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let told = refused(client.put("/refused", value.clone(), None).await);
    let text = "etcdserver: request is too large".to_owned();
    assert_eq!(told, (Code::InvalidArgument, text));
    let told = refused(client.put("/reset", value.clone(), None).await);
    assert_eq!(told.0, Code::Unavailable);
    client.put("/reset", value.clone(), None).await.unwrap();
    client.put("/twice", value.clone(), None).await.unwrap();
    let hung = client.put("/large", value.clone(), None);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), hung)
            .await
            .is_err()
    );
    client
        .put("/large", vec![b'v'; 100_000], None)
        .await
        .unwrap();
    soon("the small ones", small).await.unwrap();

    for (key, version) in [("/late", 1), ("/reset", 1), ("/twice", 2)] {
        let (kept, written) = truth.version(key).await.unwrap();
        assert_eq!((kept.len(), written), (BIG, version), "{key}");
    }
    assert_eq!(truth.key("/refused").await, None);
    assert_eq!(truth.key("/large").await.unwrap().value.len(), 100_000);
    for name in ["late", "refused", "unprocessed", "twice", "large"] {
        let line = struck_once(&stack, name).await;
        assert_eq!(line.text("method"), "Put");
    }
}

async fn big_answers_are_held_lost_and_torn(mut stack: Stack) {
    let plan = "faults:
      - {name: late, match: {verb: list, resource: pods}, action: {delay: {response: 300ms}}}
      - {name: lost, match: {verb: list, resource: secrets}, action: lose_reply}
      - {name: torn, match: {verb: list, resource: nodes}, \
         action: {reset: {at: message, after: 99%}}}
      - {name: short, match: {verb: list, resource: events}, \
         action: {cut_short: {after: 500KiB}}}
      - {name: endless, match: {verb: list, resource: leases}, action: withhold_trailers}";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    for resource in ["pods", "secrets", "minions", "events", "leases"] {
        truth
            .fill(&format!("/registry/{resource}/lab/"), 20, 50_000)
            .await;
    }
    let mut client = stack.client().await;
    let mut neighbour = client.clone();
    let small = tokio::spawn(async move {
        for _ in 0..50 {
            let got = neighbour.get("/registry/pods/lab/001", None).await.unwrap();
            assert_eq!(got.kvs()[0].value().len(), 50_000);
        }
    });
    let all = || Some(GetOptions::new().with_prefix());
    for _ in 0..2 {
        let (list, took) = timed(client.get("/registry/pods/", all())).await;
        assert_eq!(list.unwrap().kvs().len(), 20);
        assert!(took >= Duration::from_millis(300), "{took:?}");
    }
    assert_eq!(
        refused(client.get("/registry/secrets/", all()).await).0,
        Code::Unavailable
    );
    assert_eq!(
        refused(client.get("/registry/minions/", all()).await).0,
        Code::Internal
    );
    assert_eq!(
        refused(client.get("/registry/events/", all()).await).0,
        Code::Internal
    );
    let list = client.get("/registry/leases/", all());
    assert!(
        tokio::time::timeout(Duration::from_millis(300), list)
            .await
            .is_err()
    );
    soon("the small ones", small).await.unwrap();

    // etcdctl's windows are smaller, and it looks at them otherwise.
    let list = ["get", "--prefix", "--keys-only", "/registry/pods/"];
    let (run, took) = timed(stack.etcdctl().run(list)).await;
    assert_eq!(run.ok().lines().filter(|line| !line.is_empty()).count(), 20);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let run = stack
        .etcdctl()
        .run(["get", "--prefix", "/registry/events/"])
        .await;
    assert_eq!(
        run.error(),
        "Error: rpc error: code = Internal desc = unexpected EOF"
    );
}

async fn beyond_the_budget_it_is_let_go(mut stack: Stack) {
    let plan = "faults: [{name: late, match: {verb: list}, action: {delay: {response: 1h}}}]";
    let arguments = Arguments::new().flag("--fault-hold-bytes", "64KiB");
    arm_with(&mut stack, plan, arguments).await;
    let mut truth = Truth::of(&stack).await;
    truth.fill("/registry/pods/lab/", 20, 50_000).await;
    let mut client = stack.client().await;
    let all = Some(GetOptions::new().with_prefix());
    let list = soon("what was too much", client.get("/registry/pods/", all)).await;
    assert_eq!(list.unwrap().kvs().len(), 20);
    let line = struck_once(&stack, "late").await;
    let words = did(&line, "late").unwrap();
    assert!(
        words.ends_with("more was held than may be: let go"),
        "{words}"
    );

    // A small one waits.
    truth.put("/registry/secrets/a", "1").await;
    let mut waiting = client.clone();
    let small = tokio::spawn(async move {
        let all = Some(GetOptions::new().with_prefix());
        waiting.get("/registry/secrets/", all).await
    });
    until("somebody has asked", async || {
        client.get("/x", None).await.unwrap();
        let asked = stack.proxy.log.all(|line| line.text("key") == "/x");
        (asked.len() > 3).then_some(())
    })
    .await;
    assert!(!small.is_finished());
    small.abort();
}
