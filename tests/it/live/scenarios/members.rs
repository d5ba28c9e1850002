//! `half-open`, `dead-member`, `flapping-member`, `keepalive-goaway`: connections
//! and members that go away.

use super::stage::{PODS, Writer, with_admin};
use crate::live::cache::{Cache, Seen};
use crate::live::faults::objects::Truth;
use crate::live::patience::until;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_half_open_connection_is_found_by_its_pings: CACHED_35, CACHED_MTLS_34;
    from_a_dead_member_watches_go_on_to_another: CACHED_35, CACHED_MTLS_34;
    a_flapping_member_costs_no_lists: CACHED_35;
    who_is_sent_away_for_its_pings_comes_back_and_misses_nothing: CACHED_35, CACHED_MTLS_34;
}

/// Asserts that each watch resumed just behind what had been seen by then, and
/// that there was no list but the first.
fn resumed_without_lists(cache: &Cache) {
    let mut known = 0;
    for seen in cache.history() {
        match seen {
            Seen::Listed { revision, .. } => {
                assert_eq!(known, 0, "a second list: {:?}", cache.outline());
                known = revision;
            }
            Seen::Watching { from, .. } => assert_eq!(from, known + 1),
            // Keys that one transaction wrote would share a revision.
            Seen::Event { revision, .. } => {
                assert!(revision > known, "{revision} behind {known}");
                known = revision;
            }
            Seen::Progress { revision } => known = known.max(revision),
            _ => {}
        }
    }
}

fn elsewhere(seen: &Seen) -> bool {
    matches!(seen, Seen::Watching { member, .. } if *member != 0)
}

async fn a_half_open_connection_is_found_by_its_pings(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let listener = stack.proxy.address();
    let incident = desk
        .begin(&format!("half-open --set for=1m --set listener={listener}"))
        .await;
    let writer = Writer::of(&stack).await;
    cache.wait_for("a watch on another member", elsewhere).await;
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    resumed_without_lists(&cache);
    let outcome = incident.end().await;
    assert!(outcome.hits("half-open") >= 1);
    // It is its connection that gives the client away.
    assert_eq!(outcome.figure("relists"), 0);
    assert!(outcome.figure("noticed_us") >= 1_000_000);
    // It watched elsewhere before its old connection was seen to end.
    assert_eq!(outcome.figure("watches_missing"), 0);
    assert!(outcome.figure("watches_recreated") >= 1);
    // Of a dead direction nothing shows but its beginning: the failure is told.
    assert_eq!(outcome.0["scorecard"]["failure"]["given"], true);
}

async fn from_a_dead_member_watches_go_on_to_another(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let writer = Writer::of(&stack).await;
    let listener = stack.proxy.address();
    let incident = desk
        .begin(&format!(
            "dead-member --set for=1m --set listener={listener}"
        ))
        .await;
    cache.wait_for("a watch on another member", elsewhere).await;
    // Whoever knows this member only has an outage, until it is back.
    let urls = &stack.proxy.urls(stack.scheme())[..1];
    let options = stack
        .etcd
        .pki
        .as_ref()
        .map(|pki| etcd_client::ConnectOptions::new().with_tls(pki.client_options()));
    let mut alone = etcd_client::Client::connect(urls, options).await.unwrap();
    assert!(alone.get("/a", None).await.is_err());
    let outcome = incident.end().await;
    assert!(outcome.hits("dead-member-resets") >= 1);
    assert!(outcome.hits("dead-member-refuses") >= 1);
    assert_eq!(outcome.figure("relists"), 0);
    assert!(outcome.figure("watches_recreated") >= 1);
    outcome.figure("noticed_us");
    until("the member is back", async || {
        alone.get("/a", None).await.ok()
    })
    .await;
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    resumed_without_lists(&cache);
}

async fn a_flapping_member_costs_no_lists(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let writer = Writer::of(&stack).await;
    let listener = stack.proxy.address();
    let incident = desk
        .begin(&format!(
            "flapping-member --set for=1m --set down=1s --set every=2s --set listener={listener}"
        ))
        .await;
    // Somebody who knows this member only comes and goes with it.
    let urls = &stack.proxy.urls(stack.scheme())[..1];
    let mut alone = etcd_client::Client::connect(urls, None).await.unwrap();
    let (mut flaps, mut up) = (0, true);
    until("it went and came twice", async || {
        let is_up = alone.get("/a", None).await.is_ok();
        flaps += usize::from(up && !is_up);
        up = is_up;
        (flaps >= 2 && up).then_some(())
    })
    .await;
    incident.end().await;
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert!(cache.count(elsewhere) >= 1);
    resumed_without_lists(&cache);
}

async fn who_is_sent_away_for_its_pings_comes_back_and_misses_nothing(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let writer = Writer::of(&stack).await;
    let incident = desk
        .begin("keepalive-goaway --set for=1m --set every=2s")
        .await;
    until("it was sent away twice and came back", async || {
        let broke = cache.count(|seen| matches!(seen, Seen::Broke(_)));
        (broke >= 2 && cache.watches().len() >= 3).then_some(())
    })
    .await;
    let outcome = incident.end().await;
    assert!(outcome.hits("keepalive-goaway") >= 2);
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    resumed_without_lists(&cache);
}
