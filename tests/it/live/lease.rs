//! Leases: granted, kept alive, running out, revoked.

use etcd_client::PutOptions;

use super::patience::{soon, until};
use super::stack::{Stack, on_setups};

on_setups! {
    a_lease_lives_as_long_as_it_is_kept: PLAIN_34, MTLS_35;
    etcdctl_leases: PLAIN_35, MTLS_34;
}

async fn a_lease_lives_as_long_as_it_is_kept(stack: Stack) {
    let mut client = stack.client().await;
    let mut direct = stack.client_direct().await;
    let lease = client.lease_grant(60, None).await.unwrap();
    let options = PutOptions::new().with_lease(lease.id());
    client.put("/leased", "1", Some(options)).await.unwrap();

    let (mut keeper, mut answers) = client.lease_keep_alive(lease.id()).await.unwrap();
    for _ in 0..20 {
        keeper.keep_alive().await.unwrap();
        let answer = soon("a keepalive's answer", answers.message()).await;
        assert_eq!(answer.unwrap().unwrap().ttl(), 60);
    }
    let seen = client.lease_time_to_live(lease.id(), None).await.unwrap();
    assert_eq!(seen.granted_ttl(), 60);

    client.lease_revoke(lease.id()).await.unwrap();
    assert!(direct.get("/leased", None).await.unwrap().kvs().is_empty());
    let expected = direct.lease_revoke(lease.id()).await.unwrap_err();
    let again = client.lease_revoke(lease.id()).await.unwrap_err();
    assert_eq!(again.to_string(), expected.to_string());

    // One that nobody keeps.
    let short = client.lease_grant(1, None).await.unwrap();
    let options = PutOptions::new().with_lease(short.id());
    client.put("/short", "1", Some(options)).await.unwrap();
    until("the lease has run out", async || {
        let left = client.get("/short", None).await.unwrap();
        left.kvs().is_empty().then_some(())
    })
    .await;

    drop((keeper, answers));
    let log = &stack.proxy.log;
    log.wait_for_count("a grant", 2, |line| line.is_call("LeaseGrant"))
        .await;
    log.wait_for("a revocation", |line| {
        line.is_call("LeaseRevoke") && line.text("status") == "OK"
    })
    .await;
    log.wait_for("a refused revocation", |line| {
        line.is_call("LeaseRevoke") && line.text("status") == "NOT_FOUND"
    })
    .await;
    log.wait_for("the keepalive call", |line| line.is_call("LeaseKeepAlive"))
        .await;
}

async fn etcdctl_leases(stack: Stack) {
    let etcdctl = stack.etcdctl();
    let granted = etcdctl.run(["lease", "grant", "100"]).await.ok();
    let id = granted.split(' ').nth(1).unwrap();
    etcdctl
        .run(["put", "/leased", "1", "--lease", id])
        .await
        .ok();
    let left = stack
        .same_either_way(&["lease", "timetolive", "--keys", id])
        .await;
    assert!(left.stdout.contains("/leased"), "{}", left.stdout);
    stack
        .same_either_way(&["lease", "keep-alive", "--once", id])
        .await;

    let keeping = etcdctl.spawn(["lease", "keep-alive", id]);
    keeping
        .output
        .wait_for(|line| line.contains("keepalived"))
        .await;
    let revoked = etcdctl.run(["lease", "revoke", id]).await.ok();
    assert!(revoked.contains("revoked"));
    stack.same_either_way(&["lease", "timetolive", id]).await;
    stack.same_either_way(&["get", "/leased"]).await;
    keeping.kill().await;
}
