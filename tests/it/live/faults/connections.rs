//! Faults on connections: who is struck, what the client sees, what etcd saw.

use std::io::ErrorKind;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, WatchOptions, WatchStream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::arm::{
    Switch, arm_with_switch, client_with_patience, did, hasty, is_struck, refused, timed,
};
use super::documented::documented;
use super::objects::Truth;
use crate::live::etcd::Version;
use crate::live::etcdctl::Etcdctl;
use crate::live::log::Line;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_member_that_refuses: THREE_35;
    a_black_hole_around_one_member: THREE_35;
    a_member_that_is_silent_answers_in_the_end: THREE_35, MTLS_34;
    an_orderly_close_and_a_reset_differ: PLAIN_35;
    a_watch_survives_the_end_of_its_connection: PLAIN_34, MTLS_35;
    after_goaway_open_watches_live_on: PLAIN_34, MTLS_35;
    after_goaway_grpc_go_calls_elsewhere: PLAIN_34, MTLS_35;
    goaway_strikes_each_connection_at_its_age: PLAIN_35;
    grpc_go_leaves_over_unanswered_pings: PLAIN_35;
    half_open_towards_the_client: PLAIN_35, MTLS_34;
    half_open_towards_etcd: PLAIN_34, MTLS_35;
    a_black_hole_gives_back_what_it_held: PLAIN_34, MTLS_35;
    bytes_are_slow_and_late: PLAIN_35, MTLS_34;
    pings_go_unanswered: PLAIN_35, MTLS_34;
    few_streams: PLAIN_34, MTLS_35;
    tls_stalls_and_fails: MTLS_34, MTLS_35;
}

/// How long somebody is waited for who is not to come.
const A_WHILE: Duration = Duration::from_millis(300);

/// Adds a fault to a running etcdtap.
async fn add(switch: &Switch, fault: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fault.yaml");
    std::fs::write(&path, fault).unwrap();
    let added = switch
        .fault(&format!("add --file {}", path.display()))
        .await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
}

async fn clear(switch: &Switch) {
    let cleared = switch.fault("clear").await;
    assert_eq!(cleared.code, Some(0), "{}", cleared.stderr);
}

async fn watch(client: &mut Client, key: &str) -> WatchStream {
    let options = Some(WatchOptions::new().with_prefix());
    let mut stream = client.watch(key, options).await.unwrap();
    let created = soon("its creation", stream.message()).await;
    assert!(created.unwrap().unwrap().created());
    stream
}

/// The revision of the next event.
async fn event(stream: &mut WatchStream) -> i64 {
    loop {
        let message = soon("an event", stream.message()).await.unwrap().unwrap();
        if let Some(event) = message.events().first() {
            return event.kv().unwrap().mod_revision();
        }
    }
}

/// The lines that tell of a connection that the fault struck, once there are so
/// many.
async fn told(stack: &Stack, name: &str, count: usize) -> Vec<Line> {
    let is = |line: &Line| line.is("fault") && is_struck(line, name);
    let what = format!("a connection that {name} struck");
    stack.proxy.log.wait_for_count(&what, count, is).await
}

/// The end of a connection that the fault struck.
async fn ended(stack: &Stack, name: &str) -> Line {
    let is = |line: &Line| {
        line.is("connection") && line.text("state") != "opened" && is_struck(line, name)
    };
    stack
        .proxy
        .log
        .wait_for("the end of a connection", is)
        .await
}

/// etcdctl that knows one member only.
fn etcdctl_at(stack: &Stack, member: usize) -> Etcdctl {
    let url = format!("http://{}", stack.proxy.addresses[member]);
    Etcdctl::of(stack.etcd.version, &[url]).flag("--command-timeout", "700ms")
}

/// What reading gives once there is something.
async fn read(stream: &mut TcpStream) -> std::io::Result<usize> {
    let mut bytes = [0; 64];
    soon("an end", stream.read(&mut bytes)).await
}

async fn a_member_that_refuses(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let member = stack.proxy.addresses[1];
    add(
        &switch,
        &format!(
            "{{name: dead-member, match: {{listener: \"{member}\"}}, action: {{connection: refuse}}}}"
        ),
    )
    .await;
    // The reset may be as fast as the connection.
    let error = match TcpStream::connect(member).await {
        Ok(mut raw) => read(&mut raw).await.expect_err("a reset"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let line = told(&stack, "dead-member", 1).await.remove(0);
    assert_eq!(line.text("listener"), member.to_string());
    assert_eq!(did(&line, "dead-member"), Some("connection refused"));
    let line = ended(&stack, "dead-member").await;
    assert_eq!(line.text("state"), "failed");
    assert_eq!(line.text("message"), "a fault refused the connection");

    let alone = etcdctl_at(&stack, 1).run(["get", "a"]).await;
    assert_eq!(alone.error(), "Error: context deadline exceeded");
    // The other two are as they were, and clients find them.
    etcdctl_at(&stack, 0).run(["put", "a", "1"]).await.ok();
    stack.etcdctl().run(["put", "a", "2"]).await.ok();
    let others = stack.proxy.log.all(|line| line.is("fault"));
    assert!(
        others
            .iter()
            .all(|line| line.text("listener") == member.to_string())
    );
    // A second look, for the line was written before.
    let opened =
        |line: &Line| line.text("state") == "opened" && line.text("listener") == member.to_string();
    assert!(
        stack.proxy.log.all(opened).is_empty(),
        "nothing was dialled"
    );

    clear(&switch).await;
    etcdctl_at(&stack, 1).run(["get", "a"]).await.ok();
}

async fn a_member_that_is_silent_answers_in_the_end(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let listener = stack.proxy.addresses[0];
    add(
        &switch,
        &format!(
            "{{name: stuck, match: {{listener: \"{listener}\"}}, action: {{connection: silent}}}}"
        ),
    )
    .await;
    let url = match &stack.etcd.pki {
        Some(_) => format!("https://{listener}"),
        None => format!("http://{listener}"),
    };
    let mut etcdctl = Etcdctl::of(stack.etcd.version, &[url])
        .flag("--command-timeout", "30s")
        .flag("--dial-timeout", "30s");
    if let Some(pki) = &stack.etcd.pki {
        etcdctl = etcdctl.tls(pki);
    }
    let put = tokio::spawn(async move { etcdctl.run(["put", "a", "1"]).await });
    let line = told(&stack, "stuck", 1).await.remove(0);
    assert_eq!(did(&line, "stuck"), Some("accepted, and nothing said"));
    tokio::time::sleep(A_WHILE).await;
    assert!(!put.is_finished());
    let opened = |line: &Line| line.text("state") == "opened";
    assert!(
        stack.proxy.log.all(opened).is_empty(),
        "nothing was dialled"
    );
    clear(&switch).await;
    assert_eq!(soon("the put", put).await.unwrap().ok(), "OK\n");
    // It was the same connection.
    let conn = line.number("conn");
    let is = |line: &Line| line.is_call("Put") && line.number("conn") == conn;
    stack.proxy.log.wait_for("the put", is).await;
}

/// One member of three is gone without a word: its clients find the others.
async fn a_black_hole_around_one_member(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let member = stack.proxy.addresses[0];
    etcdctl_at(&stack, 0).run(["put", "a", "0"]).await.ok();
    let mut client = stack.client().await;
    client.get("a", None).await.unwrap();
    add(
        &switch,
        &format!(
            "{{name: partition, match: {{listener: \"{member}\"}}, action: {{connection: blackhole}}}}"
        ),
    )
    .await;
    let alone = etcdctl_at(&stack, 0).run(["put", "a", "1"]).await;
    assert_eq!(alone.error(), "Error: context deadline exceeded");
    for other in [1, 2] {
        etcdctl_at(&stack, other).run(["put", "a", "2"]).await.ok();
    }
    let told = told(&stack, "partition", 1).await;
    assert!(
        told.iter()
            .all(|line| line.text("listener") == member.to_string())
    );
    // The write that was held comes late: it was given up, or is executed now.
    clear(&switch).await;
    etcdctl_at(&stack, 0).run(["get", "a"]).await.ok();
}

/// As any client of TCP sees it.
async fn an_orderly_close_and_a_reset_differ(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    for (name, action) in [("closed", "close"), ("reset", "reset")] {
        let mut raw = TcpStream::connect(stack.proxy.address()).await.unwrap();
        add(
            &switch,
            &format!("{{name: {name}, action: {{connection: {action}}}}}"),
        )
        .await;
        // etcd's first SETTINGS may come before.
        let end = loop {
            match read(&mut raw).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error.kind()),
            }
        };
        match action {
            "close" => assert_eq!(end, Ok(())),
            _ => assert_eq!(end, Err(ErrorKind::ConnectionReset)),
        }
        let line = ended(&stack, name).await;
        assert_eq!(line.text("state"), "closed");
        assert_eq!(line.text("by"), "", "neither side's doing");
        clear(&switch).await;
    }
}

async fn a_watch_survives_the_end_of_its_connection(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    for (round, action) in ["close", "reset"].into_iter().enumerate() {
        let name = format!("struck-by-{action}");
        let watching = stack.etcdctl().spawn(["watch", "/w/", "--prefix"]);
        let created = |line: &Line| line.is("watch_created");
        stack
            .proxy
            .log
            .wait_for_count("a watch", 2 * round + 1, created)
            .await;
        let mut client = stack.client().await;
        client.get("/w/a", None).await.unwrap();
        add(
            &switch,
            &format!("{{name: {name}, action: {{connection: {action}}}, at_most: 2}}"),
        )
        .await;
        told(&stack, &name, 2).await;
        // clientv3 watches again by itself, and the Rust client calls again.
        stack
            .proxy
            .log
            .wait_for_count("a watch", 2 * round + 2, created)
            .await;
        until("the client gets through again", async || {
            client.get("/w/a", None).await.ok()
        })
        .await;
        truth.put("/w/a", &format!("seen-{action}")).await;
        let seen = format!("seen-{action}");
        watching.output.wait_for(|line| line == seen).await;
        let line = ended(&stack, &name).await;
        assert_eq!(line.text("state"), "closed");
        clear(&switch).await;
    }
}

async fn after_goaway_open_watches_live_on(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let mut stream = watch(&mut client, "/g/").await;
    let watching = stack.etcdctl().spawn(["watch", "/g/", "--prefix"]);
    let created = |line: &Line| line.is("watch_created");
    let created = stack.proxy.log.wait_for_count("watches", 2, created).await;
    let old: Vec<_> = created.iter().map(|line| line.number("conn")).collect();
    add(&switch, &documented_fault("draining")).await;
    let lines = told(&stack, "draining", 2).await;
    assert_eq!(
        did(&lines[0], "draining"),
        Some("GOAWAY NO_ERROR \"etcd is going down\", after a warning")
    );
    // New calls go elsewhere: that connection is told the same, so it takes
    // the fault's end.
    switch.fault("remove draining").await;
    until("calls go over a new connection", async || {
        client.put("/other", "1", None).await.ok()?;
        let puts = stack.proxy.log.all(|line| line.is_call("Put"));
        puts.iter()
            .any(|put| !old.contains(&put.number("conn")))
            .then_some(())
    })
    .await;
    // The watches are where they were.
    let at = truth.put("/g/a", "lives").await;
    assert_eq!(event(&mut stream).await, at);
    watching.output.wait_for(|line| line == "lives").await;
    let events = |line: &Line| line.is("watch_event") && line.number("revision") == Some(at);
    let events = stack.proxy.log.wait_for_count("the event", 2, events).await;
    assert!(events.iter().all(|line| old.contains(&line.number("conn"))));
}

/// etcdctl holds a lock meanwhile, and gives it back with the same client.
async fn after_goaway_grpc_go_calls_elsewhere(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let etcdctl = stack.etcdctl();
    let lock = tokio::spawn(async move { etcdctl.run(["lock", "/l", "/bin/sleep", "2"]).await });
    let locked = |line: &Line| line.is_call("Txn");
    let locked = stack.proxy.log.wait_for("the lock", locked).await;
    add(&switch, &documented_fault("draining")).await;
    told(&stack, "draining", 1).await;
    switch.fault("remove draining").await;
    soon("the unlock", lock).await.unwrap().ok();
    let unlocked = |line: &Line| line.is_call("DeleteRange");
    let unlocked = stack.proxy.log.wait_for("the unlock", unlocked).await;
    assert_eq!(unlocked.text("status"), "OK");
    assert_ne!(unlocked.number("conn"), locked.number("conn"));
}

/// grpc-go asks every 10 s at most, and waits as long as it was told.
async fn grpc_go_leaves_over_unanswered_pings(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    add(&switch, &documented_fault("unanswered-pings")).await;
    let watching = stack
        .etcdctl()
        .flag("--keepalive-time", "10s")
        .flag("--keepalive-timeout", "2s")
        .spawn(["watch", "/p/", "--prefix"]);
    let left = |line: &Line| line.text("state") == "closed" && is_struck(line, "unanswered-pings");
    let line = stack.proxy.log.wait_for("its leaving", left).await;
    assert_eq!(line.text("by"), "client");
    // It watches again over a new connection.
    clear(&switch).await;
    let created = |line: &Line| line.is("watch_created");
    stack
        .proxy
        .log
        .wait_for_count("a new watch", 2, created)
        .await;
    Truth::of(&stack).await.put("/p/a", "seen").await;
    watching.output.wait_for(|line| line == "seen").await;
}

async fn goaway_strikes_each_connection_at_its_age(mut stack: Stack) {
    let plan = documented(&["too-many-pings"]);
    let _switch = arm_with_switch(&mut stack, &plan).await;
    let mut client = stack.client().await;
    let mut stream = watch(&mut client, "/g/").await;
    let line = told(&stack, "too-many-pings", 1).await.remove(0);
    assert_eq!(
        did(&line, "too-many-pings"),
        Some("GOAWAY ENHANCE_YOUR_CALM \"too_many_pings\"")
    );
    let opened = |other: &Line| {
        other.text("state") == "opened" && other.number("conn") == line.number("conn")
    };
    assert_eq!(stack.proxy.log.all(opened).len(), 1);
    // The watch ends or lives, as the client likes; calls go on.
    let _ = timeout(A_WHILE, stream.message()).await;
    until("the client gets through again", async || {
        client.get("/g/a", None).await.ok()
    })
    .await;
}

/// The page's fault of this name, alone.
fn documented_fault(name: &str) -> String {
    let plan: serde_json::Value = serde_json::from_str(&documented(&[name])).unwrap();
    plan["faults"][0].to_string()
}

async fn half_open_towards_the_client(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    let mut client = client_with_patience(&stack, Duration::from_millis(700)).await;
    client.put("/h/a", "before", None).await.unwrap();
    add(&switch, &documented_fault("half-open")).await;
    told(&stack, "half-open", 1).await;
    refused(client.put("/h/a", "executed", None).await);
    let kept = truth.key("/h/a").await.unwrap();
    assert_eq!(kept.value, "executed", "etcd had it, and answered");
    clear(&switch).await;
    until("the client gets through again", async || {
        client.get("/h/a", None).await.ok()
    })
    .await;
    let other = hasty(&stack).run(["get", "/h/a"]).await;
    assert!(other.ok().contains("executed"));
}

async fn half_open_towards_etcd(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let mut stream = watch(&mut client, "/h/").await;
    add(&switch, &documented_fault("deaf-member")).await;
    told(&stack, "deaf-member", 1).await;
    // Events come, requests do not arrive.
    let at = truth.put("/h/b", "1").await;
    assert_eq!(event(&mut stream).await, at);
    let put = tokio::spawn(async move {
        let mut client = client;
        client.put("/h/a", "late", None).await.map(|_| client)
    });
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(truth.key("/h/a").await, None);
    assert!(!put.is_finished());
    // They come late, as TCP would send them again.
    clear(&switch).await;
    soon("the put", put).await.unwrap().unwrap();
    assert_eq!(truth.key("/h/a").await.unwrap().value, "late");
    event(&mut stream).await;
}

async fn a_black_hole_gives_back_what_it_held(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    let mut client = stack.client().await;
    let mut stream = watch(&mut client, "/b/").await;
    let watching = stack.etcdctl().spawn(["watch", "/b/", "--prefix"]);
    let created = |line: &Line| line.is("watch_created");
    stack.proxy.log.wait_for_count("watches", 2, created).await;
    add(&switch, &documented_fault("black-hole")).await;
    told(&stack, "black-hole", 2).await;
    let at = truth.put("/b/a", "swallowed").await;
    assert!(timeout(A_WHILE, stream.message()).await.is_err());
    let put = hasty(&stack).run(["put", "/b/b", "1"]).await;
    assert_eq!(put.error(), "Error: context deadline exceeded");
    assert_eq!(truth.key("/b/b").await, None);
    clear(&switch).await;
    assert_eq!(event(&mut stream).await, at);
    watching.output.wait_for(|line| line == "swallowed").await;
}

async fn bytes_are_slow_and_late(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    truth.put("/s/a", &"x".repeat(100 * 1024)).await;
    let mut client = stack.client().await;
    client.get("/none", None).await.unwrap();
    add(&switch, &documented_fault("narrow-line")).await;
    told(&stack, "narrow-line", 1).await;
    let (got, took) = timed(client.get("/s/a", None)).await;
    assert_eq!(got.unwrap().kvs()[0].value().len(), 100 * 1024);
    // 64 KiB a second.
    assert!(took >= Duration::from_millis(1_300), "{took:?}");
    let (got, took) = timed(stack.etcdctl().run(["get", "/s/a"])).await;
    assert!(got.ok().len() > 100 * 1024);
    assert!(took >= Duration::from_millis(1_300), "{took:?}");
    clear(&switch).await;

    add(&switch, &documented_fault("far-away")).await;
    told(&stack, "far-away", 1).await;
    let (put, took) = timed(client.put("/s/b", "1", None)).await;
    put.unwrap();
    assert!(took >= Duration::from_millis(290), "{took:?}");
    clear(&switch).await;
    let ended = timed(client.put("/s/b", "2", None)).await;
    ended.0.unwrap();
}

async fn pings_go_unanswered(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut options = ConnectOptions::new()
        .with_keep_alive(Duration::from_millis(400), Duration::from_millis(700))
        .with_keep_alive_while_idle(true);
    let mut scheme = "http";
    if let Some(pki) = &stack.etcd.pki {
        options = options.with_tls(pki.client_options());
        scheme = "https";
    }
    add(&switch, &documented_fault("unanswered-pings")).await;
    let urls = stack.proxy.urls(scheme);
    let mut client = Client::connect(urls, Some(options)).await.unwrap();
    let mut stream = watch(&mut client, "/p/").await;
    let ended = soon("the end of the watch", stream.message()).await;
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    let is = |line: &Line| {
        line.is("connection")
            && line.text("state") == "closed"
            && is_struck(line, "unanswered-pings")
    };
    let line = stack.proxy.log.wait_for("the client's leaving", is).await;
    assert_eq!(line.text("by"), "client");
    assert!(line.number("pings_client") >= Some(1));
    assert_eq!(
        line.0.get("goaway_server"),
        None,
        "etcd has nothing to complain of"
    );
    clear(&switch).await;
    until("the client gets through again", async || {
        client.get("/p/a", None).await.ok()
    })
    .await;
}

async fn few_streams(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut client = stack.client().await;
    let mut stream = watch(&mut client, "/f/").await;
    add(&switch, &documented_fault("one-stream")).await;
    told(&stack, "one-stream", 1).await;
    // By now the client knows, for it gets what is sent in order.
    let mut truth = Truth::of(&stack).await;
    let at = truth.put("/f/a", "1").await;
    assert_eq!(event(&mut stream).await, at);
    let get = tokio::spawn(async move { client.get("/f/a", None).await });
    tokio::time::sleep(A_WHILE).await;
    assert!(!get.is_finished(), "the watch has the only stream");
    clear(&switch).await;
    soon("the get", get).await.unwrap().unwrap();
    let is = |line: &Line| line.is_call("Range");
    stack.proxy.log.wait_for("the get", is).await;
}

async fn tls_stalls_and_fails(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    add(&switch, &documented_fault("broken-certificate")).await;
    let failed = stack
        .etcdctl()
        .flag("--command-timeout", "700ms")
        .run(["get", "a"])
        .await;
    assert_ne!(failed.code, Some(0));
    // etcdctl 3.4 keeps the reason to itself.
    if stack.etcd.version == Version::V3_5 {
        let words = "remote error: tls: internal error";
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
    let line = ended(&stack, "broken-certificate").await;
    assert_eq!(line.text("state"), "failed");
    clear(&switch).await;

    add(&switch, &documented_fault("stalled-handshake")).await;
    let etcdctl = stack
        .etcdctl()
        .flag("--command-timeout", "30s")
        .flag("--dial-timeout", "30s");
    let put = tokio::spawn(async move { etcdctl.run(["put", "a", "1"]).await });
    let line = told(&stack, "stalled-handshake", 1).await.remove(0);
    assert_eq!(
        did(&line, "stalled-handshake"),
        Some("TLS handshake stalled")
    );
    tokio::time::sleep(A_WHILE).await;
    assert!(!put.is_finished());
    clear(&switch).await;
    assert_eq!(soon("the put", put).await.unwrap().ok(), "OK\n");
}
