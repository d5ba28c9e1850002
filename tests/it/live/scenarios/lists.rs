//! `big-list-slow`: a narrow road for lists, and for nothing else.

use std::time::Duration;

use super::stage::{PODS, with_admin};
use crate::live::cache::{Cache, Seen};
use crate::live::faults::arm::timed;
use crate::live::faults::objects::Truth;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    lists_crawl_while_watches_keep_up: CACHED_35, CACHED_MTLS_34;
}

async fn lists_crawl_while_watches_keep_up(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    truth.fill(&format!("{PODS}lab/"), 120, 4000).await;
    let first = Cache::ready(&stack, PODS).await;
    let incident = desk
        .begin("big-list-slow --set for=1m --set speed=128KiB")
        .await;
    // Somebody who starts now lists for long: three pages, half a megabyte.
    let (second, took) = timed(async {
        let second = Cache::of(&stack, PODS).await;
        // Meanwhile single keys and watches are as quick as ever.
        let at = truth.put(&format!("{PODS}lab/new"), "1").await;
        let seen = |seen: &Seen| matches!(seen, Seen::Event { revision, .. } if *revision == at);
        first.wait_for("the event", seen).await;
        let mut client = stack.client().await;
        client.get(format!("{PODS}lab/new"), None).await.unwrap();
        assert_eq!(second.lists(), 0, "its list is still under way");
        second
            .wait_for("its list", |seen| matches!(seen, Seen::Listed { .. }))
            .await;
        second
    })
    .await;
    assert!(took >= Duration::from_secs(3), "{took:?}");
    let Seen::Listed { pages, .. } = second.history()[0].clone() else {
        panic!("{:?}", second.history());
    };
    assert_eq!(pages, 3);
    second.wait_until_true(&mut truth, PODS).await;
    assert_eq!((first.lists(), first.watches().len()), (1, 1));
    let outcome = incident.end().await;
    assert!(outcome.hits("big-list-slow") >= 1);
}
