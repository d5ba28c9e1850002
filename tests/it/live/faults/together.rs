//! Several faults on one call, and one connection with calls that faults are
//! about and calls that they are not.

use std::time::Duration;

use etcd_client::GetOptions;
use tonic::Code;

use super::arm::{arm, did, refused, struck, struck_once, timed};
use super::documented::documented;
use super::objects::{Truth, create, write_with};
use crate::live::log::Line;
use crate::live::patience::soon;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    delays_add_up_and_the_first_decision_stands: PLAIN_34, MTLS_35;
    a_lost_reply_is_late_too: MTLS_34, PLAIN_35;
    a_neighbour_on_the_same_connection_goes_on: PLAIN_34, MTLS_35;
}

fn names(line: &Line) -> Vec<&str> {
    let faults = line.0["fault"].as_array().unwrap();
    faults
        .iter()
        .filter_map(|fault| fault["name"].as_str())
        .collect()
}

async fn delays_add_up_and_the_first_decision_stands(mut stack: Stack) {
    let plan = documented(&["slow-network", "slow-disk", "refusing", "lost-besides"]);
    arm(&mut stack, &plan).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/events/lab/a";
    let mut client = stack.client().await;
    let (told, took) = timed(client.txn(create(key, "1"))).await;
    let text = "etcdserver: too many requests".to_owned();
    assert_eq!(refused(told), (Code::ResourceExhausted, text));
    // There is no answer to be late.
    assert!(took >= Duration::from_millis(100), "{took:?}");
    assert_eq!(truth.key(key).await, None);
    let line = struck_once(&stack, "refusing").await;
    assert_eq!(names(&line), ["slow-network", "refusing"]);

    // The refusing one has had its one call: the others have the next.
    let (told, took) = timed(client.txn(create(key, "1"))).await;
    assert_eq!(refused(told).0, Code::Unavailable);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_eq!(truth.version(key).await, Some(("1".to_owned(), 1)));
    let line = struck_once(&stack, "lost-besides").await;
    assert_eq!(names(&line), ["slow-network", "slow-disk", "lost-besides"]);
    assert_eq!(
        did(&line, "slow-network"),
        Some("request delayed by 100 ms")
    );
    assert_eq!(did(&line, "slow-disk"), Some("response delayed by 200 ms"));
}

async fn a_lost_reply_is_late_too(mut stack: Stack) {
    let plan = "faults:
      - {name: twice, match: {key_prefix: /registry/}, action: duplicate}
      - {name: late, match: {key_prefix: /registry/}, action: {delay: {response: 200ms}}}
      - {name: torn, match: {key_prefix: /registry/}, action: {reset: {at: head}}}";
    arm(&mut stack, plan).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/pods/lab/a";
    let (put, took) = timed(stack.etcdctl().run(["put", key, "1"])).await;
    let said = put.error();
    assert!(
        said.contains("RST_STREAM with error code: INTERNAL_ERROR"),
        "{said}"
    );
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let line = struck_once(&stack, "torn").await;
    assert_eq!(names(&line), ["twice", "late", "torn"]);
    crate::live::patience::until("both are there", async || {
        let kept = truth.key(key).await?;
        (kept.version == 2).then_some(())
    })
    .await;
}

async fn a_neighbour_on_the_same_connection_goes_on(mut stack: Stack) {
    let plan = documented(&[
        "stuck-secrets",
        "lost-creates",
        "slow-lists",
        "torn-disk",
        "twice-unseen",
    ]);
    arm(&mut stack, &plan).await;
    let mut client = stack.client().await;
    let mut stream = client
        .watch(
            "/quiet/",
            Some(etcd_client::WatchOptions::new().with_prefix()),
        )
        .await
        .unwrap();
    assert!(
        soon("its creation", stream.message())
            .await
            .unwrap()
            .unwrap()
            .created()
    );

    // Calls in trouble, all on this connection, all the time.
    let mut held = client.clone();
    let held = tokio::spawn(async move { held.get("/registry/secrets/other/a", None).await });
    let mut troubled = client.clone();
    let trouble = tokio::spawn(async move {
        for n in 0..20 {
            let key = format!("/registry/configmaps/lab/{n}");
            refused(troubled.txn(create(&key, "1")).await);
            let options = Some(GetOptions::new().with_prefix());
            if n % 10 == 0 {
                troubled.get("/registry/pods/", options).await.unwrap();
            }
        }
    });
    for n in 0..50 {
        let key = format!("/quiet/{n}");
        client
            .put(key.as_str(), vec![b'x'; n * 100], None)
            .await
            .unwrap();
        let got = client.get(key.as_str(), None).await.unwrap();
        assert_eq!(got.kvs()[0].value().len(), n * 100);
        let event = soon("an event", stream.message()).await.unwrap().unwrap();
        assert_eq!(event.events()[0].kv().unwrap().key_str().unwrap(), key);
    }
    trouble.await.unwrap();
    assert!(!held.is_finished());
    held.abort();
    struck(&stack, "lost-creates", 20).await;
    struck(&stack, "stuck-secrets", 1).await;
    let opened = |line: &Line| line.is("connection") && line.text("state") == "opened";
    assert_eq!(
        stack.proxy.log.all(opened).len(),
        1,
        "one connection all along"
    );
    // None of the quiet ones was touched.
    let touched =
        |line: &Line| line.text("key").starts_with("/quiet/") && line.0.get("fault").is_some();
    assert_eq!(stack.proxy.log.all(touched).len(), 0);
    drop((client, stream));
    let closed = |line: &Line| line.is("connection") && line.text("state") == "closed";
    let closed = stack.proxy.log.wait_for("its end", closed).await;
    assert_eq!(closed.0["interposed"], true);
    assert_eq!(closed.text("by"), "client");
    write_with(&stack.etcdctl(), "/quiet/z", 0, "1").await.ok();
}
