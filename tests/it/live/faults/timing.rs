//! How often and when: `probability`, `first`, `every`, `at_most`, `start`,
//! `duration`, and the kill switch.

use std::time::Duration;

use etcd_client::Client;

use super::arm::{arm, arm_with_switch, refused, struck, timed};
use super::documented::documented;
use super::objects::Truth;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    counts_choose_calls: PLAIN_34, MTLS_35;
    chance_is_the_same_each_time: MTLS_34, PLAIN_35;
    a_window_opens_and_closes: PLAIN_35;
    the_kill_switch_lets_go: PLAIN_34, MTLS_35;
}

/// Which of so many gets of a key fail.
async fn failing(client: &mut Client, key: &str, of: usize) -> Vec<usize> {
    let mut failed = Vec::new();
    for n in 1..=of {
        if client.get(key, None).await.is_err() {
            failed.push(n);
        }
    }
    failed
}

async fn counts_choose_calls(mut stack: Stack) {
    arm(
        &mut stack,
        &documented(&["the-first-two", "every-third", "three-in-all", "combined"]),
    )
    .await;
    let mut client = stack.client().await;
    for (name, key, expected) in [
        ("the-first-two", "/registry/pods/lab/a", &[1, 2][..]),
        ("every-third", "/registry/secrets/lab/a", &[3, 6, 9]),
        ("three-in-all", "/registry/configmaps/lab/a", &[1, 2, 3]),
        ("combined", "/registry/endpoints/lab/a", &[2, 4]),
    ] {
        assert_eq!(failing(&mut client, key, 10).await, expected, "{name}");
        struck(&stack, name, expected.len()).await;
    }
    // The counts are of the fault, not of the connection.
    let mut another = stack.client().await;
    let key = "/registry/secrets/lab/b";
    assert_eq!(failing(&mut another, key, 2).await, [2], "the twelfth");
}

async fn chance_is_the_same_each_time(mut stack: Stack) {
    let plan =
        |seed: u64| documented(&["one-in-three"]).replacen('{', &format!("{{\"seed\":{seed},"), 1);
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        arm(&mut stack, &plan(seed)).await;
        let mut client = stack.client().await;
        let failed = failing(&mut client, "/registry/pods/lab/a", 60).await;
        struck(&stack, "one-in-three", failed.len()).await;
        runs.push(failed);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!((8..=35).contains(&runs[0].len()), "{runs:?}");
}

async fn a_window_opens_and_closes(mut stack: Stack) {
    let plan = "faults: [{name: window, match: {key_prefix: /w/}, action: {error: no-leader}, \
                start: 2s, duration: 500ms}]";
    arm(&mut stack, plan).await;
    let mut client = stack.client().await;
    let (get, took) = timed(client.get("/w/a", None)).await;
    // A machine that is too slow for the start of it sees the rest all the same.
    assert!(get.is_ok() || took > Duration::from_secs(1));
    let mut get = async || client.get("/w/a", None).await;
    until("it opens", async || get().await.err()).await;
    until("it closes", async || get().await.ok()).await;
}

async fn the_kill_switch_lets_go(mut stack: Stack) {
    let plan = "faults:
      - {name: stuck, match: {key_prefix: /k/}, action: hang}
      - {name: slow, match: {key_prefix: /s/}, action: {delay: {response: 1h}}}
      - {name: silent, match: {key_prefix: /q/}, action: {lose_reply: {silence: true}}}
      - {name: endless, match: {key_prefix: /e/}, action: withhold_trailers}";
    let switch = arm_with_switch(&mut stack, plan).await;
    let client = stack.client().await;
    let put = |key: &'static str| {
        let mut client = client.clone();
        tokio::spawn(async move { client.put(key, "1", None).await })
    };
    let puts = ["/k/a", "/s/a", "/q/a", "/e/a"].map(put);
    switch.all_have_struck().await;
    assert!(puts.iter().all(|put| !put.is_finished()));
    let cleared = switch.fault("clear").await;
    assert_eq!(
        (cleared.code, cleared.stdout.as_str()),
        (Some(0), "4 faults removed\n")
    );

    let [stuck, slow, silent, endless] = puts;
    for put in [stuck, slow, endless] {
        soon("what was held", put).await.unwrap().unwrap();
    }
    // Its answer was thrown away: it cannot be had any more.
    let (code, _) = refused(soon("what was lost", silent).await.unwrap());
    assert_eq!(code, tonic::Code::Cancelled);
    let mut truth = Truth::of(&stack).await;
    for key in ["/k/a", "/s/a", "/q/a", "/e/a"] {
        assert_eq!(truth.version(key).await, Some(("1".to_owned(), 1)), "{key}");
    }
    let mut client = client;
    for key in ["/k/b", "/s/b", "/q/b", "/e/b"] {
        client.put(key, "1", None).await.unwrap();
    }
}
