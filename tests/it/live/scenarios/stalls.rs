//! `leader-election`, `defrag-stall`: a while in which etcd does not go on.

use std::time::Duration;

use tonic::Code;

use super::stage::{PODS, Writer, with_admin};
use crate::live::cache::{Cache, Seen};
use crate::live::faults::arm::refused;
use crate::live::faults::objects::{Truth, create};
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    without_a_leader_nothing_is_committed_and_watches_end: CACHED_35, CACHED_MTLS_34;
    a_member_that_is_defragmented_stands_still_and_catches_up: CACHED_35;
}

async fn without_a_leader_nothing_is_committed_and_watches_end(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let writer = Writer::of(&stack).await;
    let mut client = stack.client().await;
    let incident = desk
        .begin("leader-election --set for=6s --set moment=3s --set unknown=2 --set patience=4s")
        .await;
    for n in 0..2 {
        let key = format!("{PODS}lab/p{n}");
        let (code, text) = refused(client.txn(create(&key, "1")).await);
        assert_eq!(code, Code::Unavailable);
        assert_eq!(
            text,
            "etcdserver: request timed out, possibly due to previous leader failure"
        );
        assert_eq!(truth.version(&key).await, Some(("1".to_owned(), 1)));
    }
    let (code, text) = refused(client.get("/a", None).await);
    assert_eq!(code, Code::Unavailable);
    assert_eq!(text, "etcdserver: leader changed");
    // The watch ends, and new ones are refused until there is a leader.
    let leaderless = |seen: &Seen| matches!(seen, Seen::Broke(why) if why.contains("no leader"));
    cache.wait_for("no leader", leaderless).await;
    let key = format!("{PODS}lab/late");
    let late = create(&key, "1");
    let mut writing = client.clone();
    let held = tokio::spawn(async move { writing.txn(late).await });
    let outcome = incident.over().await;
    assert_eq!(outcome.hits("leader-election-under-way"), 2);
    assert!(outcome.hits("leader-election-watches") >= 1);
    for (figure, is) in [("told_otherwise", 2), ("relists", 0), ("events_lost", 0)] {
        assert_eq!(outcome.figure(figure), is, "{figure}");
    }
    assert!(outcome.figure("watches_recreated") >= 1);
    outcome.figure("recovery_us");
    // What waited is committed once there is a leader.
    let answer = soon("the write that waited", held).await.unwrap().unwrap();
    assert!(answer.succeeded());
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!(cache.lists(), 1, "{:?}", cache.outline());
    assert!(cache.watches().len() >= 2);
}

async fn a_member_that_is_defragmented_stands_still_and_catches_up(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let urls = stack.proxy.urls("http");
    let mut still = etcd_client::Client::connect(&urls[..1], None)
        .await
        .unwrap();
    let mut other = etcd_client::Client::connect(&urls[1..], None)
        .await
        .unwrap();
    still.get("/a", None).await.unwrap();
    let listener = stack.proxy.address();
    let incident = desk
        .begin(&format!(
            "defrag-stall --set for=4s --set listener={listener}"
        ))
        .await;
    let known = cache.history().len();
    let asked = tokio::spawn(async move { still.get("/a", None).await });
    // The others go on.
    let at = other.put(format!("{PODS}lab/a"), "1", None).await.unwrap();
    let at = at.header().unwrap().revision();
    let writer = Writer::of(&stack).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!asked.is_finished(), "it stands still");
    let event = |seen: &Seen| matches!(seen, Seen::Event { revision, .. } if *revision == at);
    assert_eq!(cache.count(event), 0);
    let outcome = incident.over().await;
    assert!(outcome.hits("defrag-stall-calls") >= 1);
    assert!(outcome.hits("defrag-stall-watches") >= 1);
    // Then it does everything at once, in order.
    soon("the answer", asked).await.unwrap().unwrap();
    cache.wait_for_behind(known, "the first event", event).await;
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert!(cache.events().is_sorted());
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
    until("the faults are gone", async || {
        desk.faults().await.is_empty().then_some(())
    })
    .await;
}
