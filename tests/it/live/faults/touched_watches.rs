//! Faults on watches: one watch a stream, as API servers have it, and many, as
//! `etcdctl watch -i` and clientv3 programs do. What etcd has open is asked of it
//! directly.

use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};

use super::arm::{arm, arm_with_switch, did};
use super::documented::documented;
use super::objects::Truth;
use super::watch::watchers;
use crate::live::log::Line;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_broken_stream_is_resumed_and_misses_nothing: PLAIN_34, MTLS_35;
    a_stream_that_lost_its_leader_ends: PLAIN_35;
    one_of_many_is_cancelled: PLAIN_34, MTLS_35;
    etcdctl_loses_one_of_two_watches: PLAIN_34, PLAIN_35;
    a_creation_is_refused: PLAIN_34, PLAIN_35;
    only_those_that_stand_are_cancelled: PLAIN_35;
    one_of_many_stalls: PLAIN_34, MTLS_35;
    a_stall_is_let_go: PLAIN_35;
    events_are_late_lost_twice_and_swapped: PLAIN_34, MTLS_35;
    progress_is_lost_or_made_up: PLAIN_35;
    a_transaction_comes_in_fragments: PLAIN_34, PLAIN_35;
}

/// Several watches on one stream.
struct Many {
    stream: WatchStream,
    /// In the order of asking.
    ids: Vec<i64>,
}

impl Many {
    async fn open(stack: &Stack, prefixes: &[&str]) -> Many {
        let mut client = stack.client().await;
        let options = || Some(WatchOptions::new().with_prefix().with_progress_notify());
        let mut stream = client.watch(prefixes[0], options()).await.unwrap();
        let mut ids = vec![created(&mut stream).await];
        for prefix in &prefixes[1..] {
            stream.watch(*prefix, options()).await.unwrap();
            ids.push(created(&mut stream).await);
        }
        Many { stream, ids }
    }

    async fn next(&mut self) -> WatchResponse {
        soon("a message", self.stream.message())
            .await
            .unwrap()
            .expect("the stream goes on")
    }

    /// The next event: of which watch, and its value.
    async fn value(&mut self) -> (i64, String) {
        loop {
            let message = self.next().await;
            if let Some(event) = message.events().first() {
                let value = event.kv().unwrap().value_str().unwrap().to_owned();
                return (message.watch_id(), value);
            }
        }
    }
}

async fn created(stream: &mut WatchStream) -> i64 {
    let message = soon("its creation", stream.message()).await.unwrap();
    let message = message.expect("the stream goes on");
    assert!(message.created() && !message.canceled(), "{message:?}");
    message.watch_id()
}

async fn etcd_has(stack: &Stack, count: u64) {
    until("etcd has so many watches", async || {
        (watchers(stack).await == count).then_some(())
    })
    .await;
}

/// Waits until a line tells that this fault struck.
async fn told(stack: &Stack, fault: &str) -> Line {
    let log = &stack.proxy.log;
    log.wait_for(fault, |line| did(line, fault).is_some()).await
}

async fn a_broken_stream_is_resumed_and_misses_nothing(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/pods/"]);
    let mut truth = Truth::of(&stack).await;
    etcd_has(&stack, 1).await;
    truth.put("/registry/pods/lab/a", "1").await;
    let line = |text: &'static str| move |line: &str| line == text;
    watching.output.wait_for(line("/registry/pods/lab/a")).await;
    // It is open already when the fault is added.
    let added = switch
        .fault("add broken --watch drop_stream --resource pods")
        .await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let call = told(&stack, "broken").await;
    assert_eq!(call.text("ending"), "injected_reset");
    assert_eq!(call.text("reset"), "INTERNAL_ERROR");
    switch.fault("clear").await;
    for n in 0..5 {
        truth.put(&format!("/registry/pods/lab/{n}"), "1").await;
    }
    watching.output.wait_for(line("/registry/pods/lab/4")).await;
    let seen = watching.output.all();
    let keys: Vec<_> = seen.iter().filter(|line| line.starts_with('/')).collect();
    assert_eq!(keys.len(), 6, "{seen:?}");
    watching.kill().await;
    etcd_has(&stack, 0).await;
}

async fn a_stream_that_lost_its_leader_ends(mut stack: Stack) {
    arm(&mut stack, &documented(&["leaderless", "halted-streams"])).await;
    for (prefix, code) in [
        ("/registry/secrets/", tonic::Code::Unavailable),
        ("/registry/configmaps/", tonic::Code::Cancelled),
    ] {
        let mut many = Many::open(&stack, &["/registry/pods/"]).await;
        let options = Some(WatchOptions::new().with_prefix());
        many.stream.watch(prefix, options).await.unwrap();
        let ended = loop {
            match soon("its end", many.stream.message()).await {
                Ok(message) => assert!(message.expect("a message").created()),
                Err(error) => break error,
            }
        };
        let (told, _) = super::arm::refused::<()>(Err(ended));
        assert_eq!(told, code);
    }
    etcd_has(&stack, 0).await;
}

async fn one_of_many_is_cancelled(mut stack: Stack) {
    arm(
        &mut stack,
        &documented(&["compacted-away", "unasked-cancel"]),
    )
    .await;
    let mut many = Many::open(&stack, &["/registry/events/"]).await;
    let mut truth = Truth::of(&stack).await;
    let options = || Some(WatchOptions::new().with_prefix());
    for (prefix, compacts) in [("/registry/pods/", true), ("/registry/secrets/", false)] {
        many.stream.watch(prefix, options()).await.unwrap();
        let id = created(&mut many.stream).await;
        let ended = many.next().await;
        assert!(ended.canceled() && !ended.created());
        assert_eq!(ended.watch_id(), id);
        assert_eq!(ended.compact_revision() > 0, compacts);
        assert!(ended.header().is_some());
    }
    etcd_has(&stack, 1).await;
    truth.put("/registry/pods/lab/a", "lost").await;
    truth.put("/registry/events/lab/a", "1").await;
    assert_eq!(many.value().await, (many.ids[0], "1".to_owned()));
    let line = told(&stack, "compacted-away").await;
    assert_eq!(line.text("event"), "watch_canceled");
    assert_eq!(line.text("cause"), "compacted");
    drop(many);
    etcd_has(&stack, 0).await;
}

/// clientv3 closes the watch that was cancelled, sends a cancel of its own, and
/// goes on with the other.
async fn etcdctl_loses_one_of_two_watches(mut stack: Stack) {
    arm(&mut stack, &documented(&["compacted-away"])).await;
    let mut watching = stack.etcdctl().spawn(["watch", "-i"]);
    watching.type_line("watch --prefix /registry/events/").await;
    let events = |line: &Line| line.is("watch_created") && line.text("key") == "/registry/events/";
    stack.proxy.log.wait_for("the first", events).await;
    watching.type_line("watch --prefix /registry/pods/").await;
    told(&stack, "compacted-away").await;
    etcd_has(&stack, 1).await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/registry/pods/lab/a", "1").await;
    truth.put("/registry/events/lab/a", "1").await;
    let key = |line: &str| line == "/registry/events/lab/a";
    watching.output.wait_for(key).await;
    let seen = watching.output.all();
    assert!(
        !seen.iter().any(|line| line == "/registry/pods/lab/a"),
        "{seen:?}"
    );
    watching.kill().await;
    etcd_has(&stack, 0).await;
}

async fn a_creation_is_refused(mut stack: Stack) {
    arm(&mut stack, &documented(&["no-permission"])).await;
    let mut many = Many::open(&stack, &["/registry/pods/"]).await;
    let options = || Some(WatchOptions::new().with_prefix());
    many.stream
        .watch("/registry/secrets/", options())
        .await
        .unwrap();
    let refused = many.next().await;
    assert!(refused.created() && refused.canceled());
    assert_eq!(refused.watch_id(), -1);
    assert!(refused.cancel_reason().contains("permission denied"));
    etcd_has(&stack, 1).await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/registry/pods/lab/a", "1").await;
    assert_eq!(many.value().await, (many.ids[0], "1".to_owned()));
    let line = told(&stack, "no-permission").await;
    assert_eq!(line.text("cause"), "refused");
    drop(many);

    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/secrets/"]);
    soon("etcdctl's end", watching.output.wait_for_end()).await;
    etcd_has(&stack, 0).await;
}

async fn only_those_that_stand_are_cancelled(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut many = Many::open(&stack, &["/registry/leases/", "/registry/pods/"]).await;
    let plan = r#"{"name":"once","match":{"resource":"leases","created":"before"},"action":{"watch":"cancel"}}"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("once.yaml");
    std::fs::write(&file, plan).unwrap();
    let added = switch
        .fault(&format!("add --file {}", file.display()))
        .await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let ended = many.next().await;
    assert!(ended.canceled());
    assert_eq!(ended.watch_id(), many.ids[0]);
    // One that comes back lives, also when the rules are looked at again.
    let options = Some(WatchOptions::new().with_prefix());
    many.stream
        .watch("/registry/leases/", options)
        .await
        .unwrap();
    let id = created(&mut many.stream).await;
    switch.fault("add other --hang --method Status").await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/registry/leases/a/b", "1").await;
    assert_eq!(many.value().await, (id, "1".to_owned()));
}

async fn one_of_many_stalls(mut stack: Stack) {
    arm(&mut stack, &documented(&["stuck-watch"])).await;
    let mut many = Many::open(&stack, &["/registry/pods/", "/registry/secrets/"]).await;
    let mut truth = Truth::of(&stack).await;
    for n in 0..3 {
        truth.put("/registry/pods/lab/a", &n.to_string()).await;
    }
    truth.put("/registry/secrets/lab/a", "s").await;
    assert_eq!(many.value().await, (many.ids[1], "s".to_owned()));
    for n in 0..3 {
        assert_eq!(many.value().await, (many.ids[0], n.to_string()));
    }
    let line = told(&stack, "stuck-watch").await;
    assert!(line.number("held_us") > Some(0), "{line:?}");
    // It strikes each watch once.
    truth.put("/registry/pods/lab/a", "later").await;
    assert_eq!(many.value().await, (many.ids[0], "later".to_owned()));
}

async fn a_stall_is_let_go(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut many = Many::open(&stack, &["/registry/pods/"]).await;
    switch
        .fault("add stuck --watch stall --resource pods")
        .await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/registry/pods/lab/a", "1").await;
    until("it is held", async || {
        let listed = switch.fault("list --json").await.stdout;
        listed.contains("\"hits\": 1").then_some(())
    })
    .await;
    let waited = tokio::time::timeout(Duration::from_millis(300), many.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    switch.fault("clear").await;
    assert_eq!(many.value().await, (many.ids[0], "1".to_owned()));
    // Nothing is left of it.
    truth.put("/registry/pods/lab/a", "2").await;
    assert_eq!(many.value().await, (many.ids[0], "2".to_owned()));
}

async fn events_are_late_lost_twice_and_swapped(mut stack: Stack) {
    let names = ["stale-cache", "lost-events", "twice-told", "out-of-order"];
    arm(&mut stack, &documented(&names)).await;
    let mut truth = Truth::of(&stack).await;

    let mut late = Many::open(&stack, &["/registry/pods/"]).await;
    for n in 0..5 {
        truth.put("/registry/pods/lab/a", &n.to_string()).await;
    }
    for n in 0..5 {
        assert_eq!(late.value().await.1, n.to_string());
    }
    let line = told(&stack, "stale-cache").await;
    assert!(line.number("held_us") >= Some(150_000), "{line:?}");

    let mut lossy = Many::open(&stack, &["/registry/secrets/"]).await;
    truth.put("/registry/secrets/lab/a", "1").await;
    truth
        .client()
        .delete("/registry/secrets/lab/a", None)
        .await
        .unwrap();
    truth.put("/registry/secrets/lab/b", "2").await;
    for value in ["1", "2"] {
        let message = lossy.next().await;
        let event = &message.events()[0];
        assert_eq!(event.event_type(), EventType::Put);
        assert_eq!(event.kv().unwrap().value_str().unwrap(), value);
    }
    let line = told(&stack, "lost-events").await;
    assert_eq!(line.0["delivered"], false);
    assert_eq!(line.text("type"), "DELETE");

    let mut twice = Many::open(&stack, &["/registry/configmaps/"]).await;
    for n in 0..2 {
        truth
            .put("/registry/configmaps/lab/a", &n.to_string())
            .await;
    }
    for value in ["0", "0", "1", "1"] {
        assert_eq!(twice.value().await.1, value);
    }

    let mut swapped = Many::open(&stack, &["/registry/services/endpoints/"]).await;
    for n in 0..4 {
        truth
            .put("/registry/services/endpoints/lab/a", &n.to_string())
            .await;
    }
    // The second is put behind the third, and the fourth waits in vain.
    for value in ["0", "2", "1", "3"] {
        assert_eq!(swapped.value().await.1, value);
    }
    drop((late, lossy, twice, swapped));
    etcd_has(&stack, 0).await;
}

async fn progress_is_lost_or_made_up(mut stack: Stack) {
    arm(
        &mut stack,
        &documented(&["no-bookmarks", "bookmark-from-the-future"]),
    )
    .await;
    let mut truth = Truth::of(&stack).await;
    let revision = truth.put("/registry/pods/lab/a", "1").await;
    let mut many = Many::open(&stack, &["/registry/pods/", "/registry/secrets/"]).await;
    let bookmark = many.next().await;
    assert_eq!(bookmark.watch_id(), many.ids[1]);
    assert_eq!(bookmark.header().unwrap().revision(), revision + 1000);
    // Asked for, it comes for the one that is allowed to have it. etcd's broadcast
    // is told to each by itself.
    many.stream.request_progress().await.unwrap();
    let progress = many.next().await;
    assert!(progress.events().is_empty() && !progress.created());
    assert_eq!(progress.watch_id(), many.ids[1]);
    let line = told(&stack, "no-bookmarks").await;
    assert_eq!(line.text("event"), "watch_progress");
    assert_eq!(line.0["delivered"], false);
}

async fn a_transaction_comes_in_fragments(mut stack: Stack) {
    arm(&mut stack, &documented(&["in-pieces"])).await;
    let mut many = Many::open(&stack, &["/registry/pods/"]).await;
    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/pods/"]);
    etcd_has(&stack, 2).await;
    let mut truth = Truth::of(&stack).await;
    let puts: Vec<_> = (0..3)
        .map(|n| etcd_client::TxnOp::put(format!("/registry/pods/lab/{n}"), "1", None))
        .collect();
    truth
        .client()
        .txn(etcd_client::Txn::new().and_then(puts))
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(many.next().await.events().len(), 1);
    }
    // clientv3 joins them again.
    watching
        .output
        .wait_for(|line| line == "/registry/pods/lab/2")
        .await;
    watching.kill().await;
    told(&stack, "in-pieces").await;
}
