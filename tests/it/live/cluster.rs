//! What an administrator asks of the cluster itself, and snapshots of it.

use serde_json::Value;

use super::stack::{Setup, Stack, on_setups};

on_setups! {
    members_and_their_state_read_the_same: PLAIN_34, MTLS_35, THREE_MTLS_34, THREE_35;
    a_snapshot_is_the_same_snapshot: PLAIN_34, MTLS_35;
}

async fn members_and_their_state_read_the_same(stack: Stack) {
    let members = stack.same_either_way(&["member", "list"]).await;
    assert_eq!(members.stdout.lines().count(), stack.etcd.addresses().len());
    stack.same_either_way(&["alarm", "list"]).await;

    // These print the endpoint and times; the rest must agree.
    let mut columns = Vec::new();
    for etcdctl in [stack.etcdctl_direct(), stack.etcdctl()] {
        let health = etcdctl.run(["endpoint", "health"]).await;
        assert_eq!(health.code, Some(0), "{}", health.stderr);
        // etcdctl 3.4 prints it on standard error.
        let printed = health.stdout + &health.stderr;
        assert_eq!(
            printed.matches(" is healthy").count(),
            members.stdout.lines().count()
        );

        let status = etcdctl.run(["endpoint", "status"]).await.ok();
        let ids: Vec<Vec<_>> = status
            .lines()
            .map(|line| {
                line.split(", ")
                    .skip(1)
                    .take(2)
                    .map(str::to_owned)
                    .collect()
            })
            .collect();
        columns.push(ids);
    }
    assert_eq!(
        columns[0], columns[1],
        "id and version of each member, in order"
    );

    let log = &stack.proxy.log;
    log.wait_for("the list", |line| line.is_call("MemberList"))
        .await;
    log.wait_for_count("a status", columns[0].len(), |line| line.is_call("Status"))
        .await;
    // The members told the client their own addresses, which lead around us.
    stack
        .proxy
        .errors
        .wait_for(|line| line.contains("WARN"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_advertise_the_proxy_are_reached_through_it() {
    let stack = Setup::THREE_35.start_advertising_the_proxy().await;
    // Only the first is named; the others are found by asking it.
    let first = &stack.proxy.urls("http")[..1];
    let etcdctl = super::etcdctl::Etcdctl::of(stack.etcd.version, first);
    let health = etcdctl.run(["endpoint", "health", "--cluster"]).await;
    assert_eq!(health.code, Some(0), "{}", health.stderr);
    let upstreams = stack
        .proxy
        .log
        .wait_for_count("a health check", 3, |line| line.is_call("Range"))
        .await;
    let mut upstreams: Vec<_> = upstreams.iter().map(|line| line.text("upstream")).collect();
    upstreams.sort();
    upstreams.dedup();
    assert_eq!(upstreams.len(), 3);
    let warned = stack.proxy.errors.count(|line| line.contains("WARN"));
    assert_eq!(warned, 0, "{}", stack.proxy.errors.text());
}

async fn a_snapshot_is_the_same_snapshot(stack: Stack) {
    let mut client = stack.client_direct().await;
    for n in 0..200 {
        let key = format!("/registry/secrets/default/s{n}");
        client.put(key, vec![n as u8; 20_000], None).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    let mut states = Vec::new();
    for (etcdctl, name) in [
        (stack.etcdctl_direct(), "direct"),
        (stack.etcdctl(), "through"),
    ] {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        etcdctl.run(["snapshot", "save", path]).await.ok();
        sizes.push(std::fs::metadata(path).unwrap().len());
        let status = etcdctl
            .run(["snapshot", "status", "-w=json", path])
            .await
            .ok();
        states.push(serde_json::from_str::<Value>(&status).unwrap());
    }
    assert_eq!(sizes[0], sizes[1]);
    assert_eq!(states[0], states[1]);
    assert!(sizes[0] > 4_000_000);

    let call = stack
        .proxy
        .log
        .wait_for("the snapshot", |line| line.is_call("Snapshot"))
        .await;
    assert_eq!(call.text("status"), "OK");
    assert!(call.number("response_bytes").unwrap() as u64 >= sizes[1]);
}
