//! Faults on watches: late messages, streams that break, and what clients make
//! of that.

use std::time::Duration;

use etcd_client::{WatchOptions, WatchStream};

use super::arm::{arm, struck, timed};
use super::documented::documented;
use super::objects::Truth;
use crate::live::http;
use crate::live::log::Line;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    events_come_late_and_in_order: PLAIN_34, MTLS_35;
    etcdctl_survives_a_drip_of_late_events: PLAIN_34, MTLS_35;
    requests_for_watches_come_late: MTLS_34, PLAIN_35;
    a_watch_that_crashed_is_resumed: PLAIN_34, PLAIN_35;
    a_watch_that_was_cancelled_is_not: PLAIN_34, PLAIN_35;
    a_watch_that_is_refused_says_why: MTLS_34, PLAIN_35;
    keepalives_that_hang_let_the_lease_expire: MTLS_35;
}

const LATE: Duration = Duration::from_millis(150);

/// Opens a watch, and says how long its creation took.
async fn open(stack: &Stack, key: &str) -> (WatchStream, Duration) {
    let mut client = stack.client().await;
    let options = Some(WatchOptions::new().with_prefix());
    let created = async {
        let mut stream = client.watch(key, options).await.unwrap();
        let created = soon("its creation", stream.message()).await;
        assert!(created.unwrap().unwrap().created());
        stream
    };
    timed(created).await
}

async fn value(stream: &mut WatchStream) -> String {
    loop {
        let message = soon("an event", stream.message()).await.unwrap().unwrap();
        if let Some(event) = message.events().first() {
            return event.kv().unwrap().value_str().unwrap().to_owned();
        }
    }
}

async fn events_come_late_and_in_order(mut stack: Stack) {
    arm(&mut stack, &documented(&["late-events"])).await;
    let mut truth = Truth::of(&stack).await;
    let (mut late, took) = open(&stack, "/registry/pods/").await;
    assert!(took >= LATE, "its creation is a message as well: {took:?}");
    let (mut punctual, _) = open(&stack, "/registry/secrets/").await;
    for n in 0..5 {
        let sent = async {
            truth.put("/registry/pods/lab/a", &n.to_string()).await;
            truth.put("/registry/secrets/lab/a", &n.to_string()).await;
        };
        let received = async {
            // The one that is not meant overtakes.
            let first = value(&mut punctual).await;
            assert_eq!(first, n.to_string());
            value(&mut late).await
        };
        let ((_, came), took) = timed(async { tokio::join!(sent, received) }).await;
        assert_eq!(came, n.to_string());
        assert!(took >= LATE, "{took:?}");
    }
    // A burst: each has a wait of its own, and none overtakes another.
    for n in 10..30 {
        truth.put("/registry/pods/lab/a", &n.to_string()).await;
    }
    for n in 10..30 {
        assert_eq!(value(&mut late).await, n.to_string());
    }
    drop((late, punctual));
    let line = struck(&stack, "late-events", 1).await.remove(0);
    assert_eq!(line.text("method"), "Watch");
}

async fn etcdctl_survives_a_drip_of_late_events(mut stack: Stack) {
    let plan = "faults: [{name: drip, match: {verb: watch}, \
                action: {delay: {each_response_message: {exponential: {mean: 100ms}}}}}]";
    arm(&mut stack, plan).await;
    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/pods/"]);
    let created = |line: &Line| line.is("watch_created");
    stack.proxy.log.wait_for("the watch", created).await;
    let mut truth = Truth::of(&stack).await;
    // What is let go one by one makes grpc-go send PINGs that etcd never asked
    // for: passed on, the fourth would end the connection.
    for burst in 0..2 {
        for n in 0..16 {
            truth.put(&format!("/registry/pods/{burst}/{n}"), "1").await;
        }
        let last = format!("/registry/pods/{burst}/15");
        watching.output.wait_for(|line| line == last).await;
    }
    let seen = watching.output.all();
    let keys: Vec<_> = seen.iter().filter(|line| line.starts_with('/')).collect();
    let written = (0..2).flat_map(|burst| (0..16).map(move |n| (burst, n)));
    let written: Vec<_> = written
        .map(|(burst, n)| format!("/registry/pods/{burst}/{n}"))
        .collect();
    assert!(keys.iter().copied().eq(&written), "{keys:?}");
    watching.kill().await;
    let closed = |line: &Line| line.is("connection") && line.text("state") == "closed";
    let closed = stack.proxy.log.wait_for("the end", closed).await;
    assert_eq!(closed.text("by"), "client");
    assert_eq!(closed.0.get("goaway_server"), None);
    assert_eq!(closed.0["interposed"], true);
    assert!(closed.number("pings_answered") > Some(0), "{closed:?}");
}

async fn requests_for_watches_come_late(mut stack: Stack) {
    let plan = "faults: [{name: slow-asking, match: {verb: watch}, \
                action: {delay: {request: 200ms, each_request_message: 300ms}}}]";
    arm(&mut stack, plan).await;
    let (mut stream, took) = open(&stack, "/a/").await;
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let (second, took) = timed(async {
        stream.watch("/b/", None).await.unwrap();
        soon("an answer", stream.message()).await.unwrap().unwrap()
    })
    .await;
    assert!(second.created());
    assert!(took >= Duration::from_millis(300), "{took:?}");
    // Events are as punctual as ever.
    let mut truth = Truth::of(&stack).await;
    truth.put("/a/x", "1").await;
    assert_eq!(value(&mut stream).await, "1");
    drop(stream);
    struck(&stack, "slow-asking", 1).await;
}

/// How many watches etcd has open.
pub async fn watchers(stack: &Stack) -> u64 {
    let metrics = http::once(stack.etcd.metrics_address(), "GET", "/metrics", "").await;
    let body = metrics.unwrap().body;
    let line = body
        .lines()
        .find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    line.unwrap().parse().unwrap()
}

async fn a_watch_that_crashed_is_resumed(mut stack: Stack) {
    let plan = documented(&["broken-watches"]);
    arm(&mut stack, &plan).await;
    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/pods/"]);
    struck(&stack, "broken-watches", 1).await;
    until("etcd has one watch", async || {
        (watchers(&stack).await == 1).then_some(())
    })
    .await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/registry/pods/lab/a", "1").await;
    watching
        .output
        .wait_for(|line| line == "/registry/pods/lab/a")
        .await;
    watching.kill().await;
    until("it is gone", async || {
        (watchers(&stack).await == 0).then_some(())
    })
    .await;
}

async fn a_watch_that_was_cancelled_is_not(mut stack: Stack) {
    let plan = documented(&["halted-watches"]);
    arm(&mut stack, &plan).await;
    let watching = stack
        .etcdctl()
        .spawn(["watch", "--prefix", "/registry/pods/"]);
    let line = struck(&stack, "halted-watches", 1).await.remove(0);
    assert_eq!(line.text("reset"), "CANCEL");
    // clientv3 closes the watch's channel, and etcdctl ends.
    soon("etcdctl's end", watching.output.wait_for_end()).await;
    assert_eq!(watching.output.text(), "");
    until("etcd has no watch", async || {
        (watchers(&stack).await == 0).then_some(())
    })
    .await;
    struck(&stack, "halted-watches", 1).await;
}

async fn a_watch_that_is_refused_says_why(mut stack: Stack) {
    let plan = "faults:
      - {name: refused, match: {verb: watch, key_prefix: /a/}, action: {error: permission-denied}}
      - {name: election, match: {verb: watch, key_prefix: /b/}, \
         action: {error: leader-changed}, at_most: 1}
      - {name: leaderless, match: {verb: watch, key_prefix: /d/}, action: {error: no-leader}}
      - {name: stuck, match: {verb: watch, key_prefix: /c/}, action: hang}";
    arm(&mut stack, plan).await;
    let options = || Some(WatchOptions::new().with_prefix());
    let mut client = stack.client().await;
    let outcome = match client.watch("/a/", options()).await {
        Ok(mut stream) => stream.message().await.map(|_| ()),
        Err(error) => Err(error),
    };
    let told = super::arm::refused(outcome);
    let text = "etcdserver: permission denied".to_owned();
    assert_eq!(told, (tonic::Code::PermissionDenied, text));

    // clientv3 takes UNAVAILABLE for a reason to open it anew.
    let watching = stack.etcdctl().spawn(["watch", "--prefix", "/b/"]);
    struck(&stack, "election", 1).await;
    let created = |line: &Line| line.is("watch_created") && line.text("key") == "/b/";
    stack.proxy.log.wait_for("the watch", created).await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/b/a", "1").await;
    watching.output.wait_for(|line| line == "/b/a").await;
    watching.kill().await;

    // But for this one.
    let watching = stack.etcdctl().spawn(["watch", "--prefix", "/d/"]);
    soon("etcdctl's end", watching.output.wait_for_end()).await;
    struck(&stack, "leaderless", 1).await;

    let watch = client.watch("/c/", options());
    assert!(
        tokio::time::timeout(Duration::from_millis(200), watch)
            .await
            .is_err()
    );
    struck(&stack, "stuck", 1).await;
}

async fn keepalives_that_hang_let_the_lease_expire(mut stack: Stack) {
    arm(&mut stack, &documented(&["lost-heartbeats"])).await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let lease = client.lease_grant(2, None).await.unwrap().id();
    let mut other = stack.client_direct().await;
    let kept = client.lease_grant(2, None).await.unwrap().id();
    let keep = async {
        let (mut keeper, mut answers) = other.lease_keep_alive(kept).await.unwrap();
        loop {
            keeper.keep_alive().await.unwrap();
            answers.message().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let stuck = async {
        let opened = client.lease_keep_alive(lease);
        opened.await.map(|_| ())
    };
    let expired = until("it has expired", async || {
        let leases = truth.client().leases().await.unwrap();
        let has = |id| leases.leases().iter().any(|lease| lease.id() == id);
        assert!(has(kept));
        (!has(lease)).then_some(())
    });
    tokio::select! {
        () = keep => unreachable!(),
        () = async { let _ = stuck.await; std::future::pending().await } => unreachable!(),
        () = expired => {}
    }
    // The keepalive, and the stream that it came on.
    let lines = struck(&stack, "lost-heartbeats", 2).await;
    let verbs: Vec<_> = lines.iter().map(|line| line.text("verb")).collect();
    assert_eq!(verbs, ["lease_keepalive", "LeaseKeepAlive"]);
}
