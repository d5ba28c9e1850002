//! `delay` and `rate`: what takes longer, and what does not.

use std::time::{Duration, Instant};

use etcd_client::GetOptions;

use super::arm::{arm, did, struck, struck_once, timed};
use super::documented::documented;
use super::objects::{Truth, create, write, write_with};
use crate::live::patience::until;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_request_is_late_at_etcd: PLAIN_34, MTLS_35;
    an_answer_is_late_at_the_client: MTLS_34, PLAIN_35;
    writes_wait_for_their_turn: PLAIN_34, MTLS_35;
    a_list_passes_slowly: MTLS_34;
}

fn milliseconds(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn a_request_is_late_at_etcd(mut stack: Stack) {
    arm(&mut stack, &documented(&["slow-lease-updates"])).await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/leases/kube-system/kube-scheduler";
    let at = truth.put(key, "1").await;
    let mut client = stack.client().await;
    let update = tokio::spawn(async move { timed(client.txn(write(key, at, "2"))).await });
    // Meanwhile somebody who goes around etcdtap is first.
    stack
        .proxy
        .log
        .wait_for("a connection", |line| line.is("connection"))
        .await;
    let won = truth.put(key, "3").await;
    let (answer, took) = update.await.unwrap();
    let answer = answer.unwrap();
    assert!(took >= milliseconds(300), "{took:?}");
    assert!(!answer.succeeded(), "etcd had it last");
    assert_eq!(truth.key(key).await.unwrap().mod_revision, won);
    let line = struck_once(&stack, "slow-lease-updates").await;
    let words = "request delayed by 300 ms";
    assert_eq!(did(&line, "slow-lease-updates"), Some(words));
    assert!(line.number("duration_us").unwrap() >= 300_000);
    assert_eq!(line.text("verb"), "conflict");

    let (run, took) = timed(write_with(&stack.etcdctl(), key, won, "4")).await;
    assert_eq!(run.ok(), "SUCCESS\n\nOK\n");
    assert!(took >= milliseconds(300), "{took:?}");
    // Another namespace's lease is not meant.
    let other = "/registry/leases/lab/a";
    write_with(&stack.etcdctl(), other, 0, "1").await.ok();
    struck(&stack, "slow-lease-updates", 2).await;
}

async fn an_answer_is_late_at_the_client(mut stack: Stack) {
    arm(
        &mut stack,
        "faults: [{name: late, match: {verb: create}, \
                     action: {delay: {response: 400ms}}}]",
    )
    .await;
    let mut truth = Truth::of(&stack).await;
    let key = "/registry/pods/lab/a";
    let mut client = stack.client().await;
    let began = Instant::now();
    let create = tokio::spawn(async move { client.txn(create(key, "1")).await });
    until("etcd has it", async || truth.key(key).await).await;
    let committed = began.elapsed();
    assert!(create.await.unwrap().unwrap().succeeded());
    let answered = began.elapsed();
    assert!(answered >= milliseconds(400), "{answered:?}");
    assert!(committed < answered, "{committed:?}");
    struck_once(&stack, "late").await;

    arm(&mut stack, &documented(&["slow-lists"])).await;
    let (run, took) = timed(stack.etcdctl().run(["get", "--prefix", "/registry/pods/"])).await;
    assert_eq!(run.ok(), format!("{key}\n1\n"));
    assert!(took >= milliseconds(200), "{took:?}");
    let line = struck_once(&stack, "slow-lists").await;
    let waited = line.number("duration_us").unwrap();
    assert!(waited >= 200_000, "{line:?}");
    // The same draw for the same call: chance is the plan's, not the run's.
    let first = did(&line, "slow-lists").unwrap().to_owned();
    arm(&mut stack, &documented(&["slow-lists"])).await;
    let options = GetOptions::new().with_prefix();
    stack
        .client()
        .await
        .get("/registry/pods/", Some(options))
        .await
        .unwrap();
    let line = struck_once(&stack, "slow-lists").await;
    assert_eq!(did(&line, "slow-lists").unwrap(), first);
}

async fn writes_wait_for_their_turn(mut stack: Stack) {
    arm(&mut stack, &documented(&["few-writes"])).await;
    let mut truth = Truth::of(&stack).await;
    let client = stack.client().await;
    // Six at once, from two clients' connections: five tenths of a second.
    let mut puts = tokio::task::JoinSet::new();
    let began = Instant::now();
    for n in 0..4 {
        let mut client = client.clone();
        puts.spawn(async move {
            let key = format!("/registry/pods/lab/{n}");
            assert!(client.txn(create(&key, "1")).await.unwrap().succeeded());
        });
    }
    let other = stack.client().await;
    for n in 4..6 {
        let mut client = other.clone();
        puts.spawn(async move {
            let key = format!("/registry/pods/lab/{n}");
            assert!(client.txn(create(&key, "1")).await.unwrap().succeeded());
        });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap();
    }
    let took = began.elapsed();
    assert!(took >= milliseconds(500), "{took:?}");
    // The first one found its turn free, and was not touched.
    let lines = struck(&stack, "few-writes", 5).await;
    let longest = lines
        .iter()
        .filter_map(|line| line.number("duration_us"))
        .max();
    assert!(longest.unwrap() >= 300_000, "{longest:?}");
    assert!(
        did(&lines[4], "few-writes")
            .unwrap()
            .ends_with("for its turn")
    );
    // Reads take no turn.
    let mut client = client;
    client.get("/registry/pods/lab/0", None).await.unwrap();
    assert_eq!(
        truth.version("/registry/pods/lab/5").await,
        Some(("1".to_owned(), 1))
    );
    struck(&stack, "few-writes", 5).await;
}

async fn a_list_passes_slowly(mut stack: Stack) {
    arm(&mut stack, &documented(&["narrow-lists"])).await;
    let mut truth = Truth::of(&stack).await;
    // 60 KiB at 100 KiB a second.
    truth.fill("/registry/secrets/lab/", 15, 4096).await;
    let mut client = stack.client().await;
    let mut neighbour = client.clone();
    let list = tokio::spawn(async move {
        let options = GetOptions::new().with_prefix();
        timed(client.get("/registry/secrets/", Some(options))).await
    });
    // A neighbour on the same connection is quick, as long as the list lasts.
    let mut answered = 0;
    while !list.is_finished() {
        neighbour
            .get("/registry/secrets/lab/000", None)
            .await
            .unwrap();
        answered += 1;
    }
    assert!(answered > 10, "{answered}");
    let (answer, took) = list.await.unwrap();
    assert_eq!(answer.unwrap().kvs().len(), 15);
    assert!(took >= milliseconds(450), "{took:?}");
    let (run, took) = timed(
        stack
            .etcdctl()
            .run(["get", "--prefix", "/registry/secrets/"]),
    )
    .await;
    assert_eq!(run.ok().lines().count(), 30);
    assert!(took >= milliseconds(450), "{took:?}");
    let lines = struck(&stack, "narrow-lists", 2).await;
    let words = "response slowed to 100KiB a second";
    assert_eq!(did(&lines[0], "narrow-lists"), Some(words));
}
