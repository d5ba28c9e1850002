//! Watches: several on one stream, for long, cancelled, compacted away.

use etcd_client::{Client, EventType, PutOptions, WatchOptions, WatchResponse, WatchStream};

use super::log::Line;
use super::patience::soon;
use super::stack::{Stack, on_setups};

on_setups! {
    watches_of_one_stream_live_and_end_alone: PLAIN_34, MTLS_35;
    a_long_watch_misses_nothing: PLAIN_35, THREE_MTLS_34;
    a_compacted_watch_is_told_so: PLAIN_34, PLAIN_35;
    progress_is_told: PLAIN_34, MTLS_35;
    etcdctl_watches: PLAIN_34, PLAIN_35;
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    let message = soon("a watch response", stream.message()).await;
    message.unwrap().expect("the stream goes on")
}

/// Opens a watch with a number of one's own on a stream.
async fn open(stream: &mut WatchStream, key: &str, id: i64) {
    let options = WatchOptions::new().with_prefix().with_watch_id(id);
    stream.watch(key, Some(options)).await.unwrap();
    let created = next(stream).await;
    assert!(created.created());
    assert_eq!(created.watch_id(), id);
}

async fn watches_of_one_stream_live_and_end_alone(stack: Stack) {
    let mut client = stack.client().await;
    let first = WatchOptions::new().with_prefix().with_watch_id(7);
    let mut stream = client.watch("/registry/pods/", Some(first)).await.unwrap();
    assert!(next(&mut stream).await.created());
    open(&mut stream, "/registry/secrets/", 8).await;
    open(&mut stream, "/registry/", 9).await;

    let mut writer = stack.client().await;
    let put = writer
        .put("/registry/pods/default/web", "1", None)
        .await
        .unwrap();
    let revision = put.header().unwrap().revision();
    let mut seen = [next(&mut stream).await, next(&mut stream).await].map(|r| r.watch_id());
    seen.sort();
    assert_eq!(seen, [7, 9]);

    stream.cancel(9).await.unwrap();
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled());
    assert_eq!(canceled.watch_id(), 9);

    // Only the one that is left and looks there hears of it.
    let secret = "/registry/secrets/default/token";
    writer.put(secret, "hush", None).await.unwrap();
    let event = next(&mut stream).await;
    assert_eq!((event.watch_id(), event.events().len()), (8, 1));
    writer.delete(secret, None).await.unwrap();
    let event = next(&mut stream).await;
    assert_eq!(event.watch_id(), 8);
    assert_eq!(event.events()[0].event_type(), EventType::Delete);

    let log = &stack.proxy.log;
    let is = |event: &'static str, id: i64| {
        move |line: &Line| line.is(event) && line.number("watch_id") == Some(id)
    };
    let created = log.wait_for("watch 8", is("watch_created", 8)).await;
    assert_eq!(created.text("key"), "/registry/secrets/");
    assert_eq!(created.text("range_end"), "/registry/secrets0");
    assert_eq!(created.text("resource"), "secrets");
    let event = log.wait_for("the pod's event", is("watch_event", 7)).await;
    assert_eq!(event.text("key"), "/registry/pods/default/web");
    assert_eq!(event.text("name"), "web");
    assert_eq!(event.number("revision"), Some(revision));
    assert!(
        event.number("lag_us").is_some(),
        "the tap saw the write too"
    );
    log.wait_for("the end of watch 9", is("watch_canceled", 9))
        .await;
    let events = log
        .wait_for_count("an event of watch 8", 2, is("watch_event", 8))
        .await;
    assert_eq!(events[1].text("key"), secret);
    assert_eq!(log.all(is("watch_event", 9)).len(), 1);

    // When the stream ends, so do its watches and its call.
    drop(stream);
    drop(client);
    let call = log
        .wait_for("the Watch call", |line| line.is_call("Watch"))
        .await;
    assert!(["OK", "CANCELLED", "UNKNOWN"].contains(&call.text("status")));
    log.wait_for("the end of watch 7", is("watch_canceled", 7))
        .await;
}

async fn a_long_watch_misses_nothing(stack: Stack) {
    const WRITES: i64 = 500;
    let start = |mut client: Client| async move {
        let options = WatchOptions::new().with_prefix().with_prev_key();
        let mut stream = client.watch("/long/", Some(options)).await.unwrap();
        assert!(next(&mut stream).await.created());
        stream
    };
    let mut through = start(stack.client().await).await;
    let mut direct = start(stack.client_direct().await).await;

    let mut writer = stack.client_direct().await;
    let writes = tokio::spawn(async move {
        for n in 0..WRITES {
            let key = format!("/long/{}", n % 10);
            writer.put(key, format!("{n}"), None).await.unwrap();
        }
    });
    let mut streams = [Vec::new(), Vec::new()];
    for (seen, stream) in streams.iter_mut().zip([&mut through, &mut direct]) {
        while seen.len() < WRITES as usize {
            for event in next(stream).await.events() {
                let kv = event.kv().unwrap();
                let before = event.prev_kv().map(|kv| kv.value().to_vec());
                seen.push((kv.mod_revision(), kv.value().to_vec(), before));
            }
        }
    }
    writes.await.unwrap();
    let [seen, expected] = streams;
    assert!(seen == expected, "the same events in the same order");

    let log = &stack.proxy.log;
    let events = log
        .wait_for_count("an event", WRITES as usize, |line| line.is("watch_event"))
        .await;
    let revisions: Vec<_> = events
        .iter()
        .filter_map(|line| line.number("revision"))
        .collect();
    let expected: Vec<_> = expected.iter().map(|(revision, _, _)| *revision).collect();
    assert_eq!(revisions, expected);
    // The writes went around the tap, so there is nothing to measure from.
    assert!(events.iter().all(|line| line.number("lag_us").is_none()));
}

async fn a_compacted_watch_is_told_so(stack: Stack) {
    let mut client = stack.client().await;
    for n in 0..10 {
        client.put("/old", format!("{n}"), None).await.unwrap();
    }
    let now = client.get("/old", None).await.unwrap().kvs()[0].mod_revision();
    client.compact(now, None).await.unwrap();
    let options = WatchOptions::new().with_start_revision(2);
    let mut stream = client.watch("/old", Some(options)).await.unwrap();
    let mut response = next(&mut stream).await;
    if response.created() && !response.canceled() {
        response = next(&mut stream).await;
    }
    assert!(response.canceled());
    assert_eq!(response.compact_revision(), now);

    let log = &stack.proxy.log;
    log.wait_for("the compaction", |line| line.is_call("Compact"))
        .await;
    let canceled = log
        .wait_for("the end", |line| line.is("watch_canceled"))
        .await;
    assert_eq!(canceled.text("cause"), "compacted", "{canceled:?}");
    assert_eq!(canceled.number("compact_revision"), Some(now));
}

async fn progress_is_told(stack: Stack) {
    let mut client = stack.client().await;
    client.put("/p", "1", None).await.unwrap();
    let mut stream = client.watch("/p", None).await.unwrap();
    assert!(next(&mut stream).await.created());
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert!(progress.events().is_empty());
    let revision = progress.header().unwrap().revision();
    let line = stack
        .proxy
        .log
        .wait_for("progress", |line| line.is("watch_progress"))
        .await;
    assert_eq!(line.number("revision"), Some(revision));

    // A quiet watch stays open, and works afterwards.
    let options = PutOptions::new().with_prev_key();
    client.put("/p", "2", Some(options)).await.unwrap();
    assert_eq!(next(&mut stream).await.events().len(), 1);
}

async fn etcdctl_watches(stack: Stack) {
    let watching = stack.etcdctl().spawn(["watch", "--prefix", "/w/"]);
    let created = |line: &Line| line.is("watch_created");
    stack.proxy.log.wait_for("the watch", created).await;
    let writer = stack.etcdctl_direct();
    writer.run(["put", "/w/a", "1"]).await.ok();
    writer.run(["del", "/w/a"]).await.ok();
    watching.output.wait_for(|line| line == "DELETE").await;
    let printed = watching.output.wait_for(|line| line == "/w/a").await;
    assert_eq!(printed, "/w/a");
    assert_eq!(watching.output.all()[..3], ["PUT", "/w/a", "1"]);
    watching.kill().await;
    let call = stack
        .proxy
        .log
        .wait_for("the call", |line| line.is_call("Watch"))
        .await;
    assert!(["CANCELLED", "UNKNOWN"].contains(&call.text("status")));
}
