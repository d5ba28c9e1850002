//! The scenarios about watches.

use std::time::Duration;

use super::stage::{PODS, Writer, with_admin};
use crate::live::cache::{Cache, Seen, truth_of};
use crate::live::faults::objects::Truth;
use crate::live::patience::until;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_compacted_watch_lists_anew_and_loses_nothing: CACHED_35, CACHED_MTLS_34;
    a_stalled_watch_is_silent_and_then_tells_everything_in_order: CACHED_35, CACHED_MTLS_34;
    of_lost_events_nobody_learns: CACHED_35, CACHED_MTLS_34;
    without_progress_a_cache_does_not_know_that_it_is_up_to_date: CACHED_35;
    who_believes_a_bookmark_from_the_future_misses_what_comes_before: CACHED_35;
}

async fn a_compacted_watch_lists_anew_and_loses_nothing(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    truth.fill(&format!("{PODS}lab/old"), 70, 10).await;
    let cache = Cache::ready(&stack, PODS).await;
    let other = Cache::ready(&stack, "/registry/secrets/").await;
    let writer = Writer::of(&stack).await;
    let incident = desk
        .begin("compacted-watch --set resource=pods --set every=3s --set for=1m")
        .await;
    until("it was compacted away twice", async || {
        (cache.lists() >= 3).then_some(())
    })
    .await;
    let outcome = incident.end().await;
    assert!(outcome.hits("compacted-watch") >= 2);
    assert!(outcome.figure("relists") >= 2);
    assert_eq!(outcome.figure("events_lost"), 0);
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    let compacted = cache.count(|seen| matches!(seen, Seen::Compacted { .. }));
    assert!(compacted >= 2, "{:?}", cache.outline());
    assert_eq!(cache.lists(), compacted + 1);
    assert_eq!((other.lists(), other.watches().len()), (1, 1));
}

async fn a_stalled_watch_is_silent_and_then_tells_everything_in_order(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let incident = desk.begin("watch-stall --set for=1m").await;
    let first = truth.put(&format!("{PODS}lab/a"), "1").await;
    let writer = Writer::of(&stack).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cache.events(), Vec::<i64>::new());
    assert!(cache.revision() < first, "nor does it believe to know");
    incident.end().await;
    let count = writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    let events = cache.events();
    // Deletes of what is not there are no events.
    assert!(events.len() <= count + 1);
    assert_eq!(events[0], first);
    assert!(events.is_sorted());
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
}

async fn of_lost_events_nobody_learns(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let kept = format!("{PODS}lab/kept");
    truth.put(&kept, "1").await;
    let cache = Cache::ready(&stack, PODS).await;
    let incident = desk
        .begin("watch-lost-events --set for=1m --set share=1")
        .await;
    truth.put(&kept, "2").await;
    truth.put(&format!("{PODS}lab/new"), "1").await;
    until("both are lost", async || {
        let faults = desk.faults().await;
        (faults[0]["hits"] == 2).then_some(())
    })
    .await;
    let outcome = incident.end().await;
    assert_eq!(outcome.hits("watch-lost-events"), 2);
    assert_eq!(outcome.figure("events_lost"), 2);

    // Everything goes on, and the cache is wrong without a sign of it.
    let at = truth.put(&format!("{PODS}lab/after"), "1").await;
    let after = |seen: &Seen| matches!(seen, Seen::Event { revision, .. } if *revision == at);
    cache.wait_for("a later event", after).await;
    let told = |seen: &Seen| matches!(seen, Seen::Progress { revision } if *revision >= at);
    cache.wait_for("that it is up to date", told).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
    let (has, is) = (cache.objects(), truth_of(&mut truth, PODS).await);
    assert_eq!(has[&kept].1, b"1");
    assert_eq!(is[&kept].1, b"2");
    assert!(!has.contains_key(&format!("{PODS}lab/new")));
    // Another write heals one object, a list everything.
    truth.put(&kept, "3").await;
    let again = |seen: &Seen| matches!(seen, Seen::Event { key, .. } if *key == kept);
    cache.wait_for("another write", again).await;
    assert_ne!(cache.objects(), truth_of(&mut truth, PODS).await);
    let restarted = Cache::ready(&stack, PODS).await;
    restarted.wait_until_true(&mut truth, PODS).await;
}

async fn without_progress_a_cache_does_not_know_that_it_is_up_to_date(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let progress = |seen: &Seen| matches!(seen, Seen::Progress { .. });
    cache.wait_for("progress", progress).await;
    let incident = desk.begin("progress-starved --set for=1m").await;
    let before = cache.count(progress);
    // Events come, but of what is written elsewhere it hears nothing.
    let at = truth.put(&format!("{PODS}lab/a"), "1").await;
    let event = |seen: &Seen| matches!(seen, Seen::Event { revision, .. } if *revision == at);
    cache.wait_for("the event", event).await;
    let elsewhere = truth.put("/registry/secrets/lab/a", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cache.revision() < elsewhere);
    // One may have been under way.
    assert!(cache.count(progress) <= before + 1);
    let outcome = incident.end().await;
    assert!(outcome.hits("progress-starved") >= 1);
    let caught_up =
        |seen: &Seen| matches!(seen, Seen::Progress { revision } if *revision >= elsewhere);
    cache.wait_for("progress again", caught_up).await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
}

async fn who_believes_a_bookmark_from_the_future_misses_what_comes_before(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let incident = desk
        .begin("bookmark-from-the-future --set ahead=20 --set blind=2s")
        .await;
    let lost = truth.put(&format!("{PODS}lab/lost"), "1").await;
    let ahead = |seen: &Seen| matches!(seen, Seen::Progress { revision } if *revision > lost + 10);
    cache.wait_for("a bookmark from the future", ahead).await;
    let resumed = |seen: &Seen| matches!(seen, Seen::Watching { from, .. } if *from > lost + 10);
    cache.wait_for("a watch from the future", resumed).await;
    incident.over().await;
    // Until etcd has come as far, everything is skipped; then all goes on.
    let skipped = truth.put(&format!("{PODS}lab/skipped"), "1").await;
    let from = *cache.watches().last().unwrap();
    assert!(skipped < from);
    while truth.revision().await < from {
        truth.put("/elsewhere", "1").await;
    }
    let at = truth.put(&format!("{PODS}lab/seen"), "1").await;
    let event = |seen: &Seen| matches!(seen, Seen::Event { revision, .. } if *revision == at);
    cache
        .wait_for("what comes behind the bookmark", event)
        .await;
    assert_eq!(cache.events(), [at]);
    assert_eq!(cache.lists(), 1);
    let has = cache.objects();
    assert!(!has.contains_key(&format!("{PODS}lab/lost")));
    assert!(!has.contains_key(&format!("{PODS}lab/skipped")));
    let restarted = Cache::ready(&stack, PODS).await;
    restarted.wait_until_true(&mut truth, PODS).await;
}
