//! `slow-disk`, `no-space`, `too-many-requests`: etcd's own troubles with writes.

use std::time::Duration;

use tonic::Code;

use super::stage::{PODS, Writer, put, with_admin};
use crate::live::cache::Cache;
use crate::live::faults::arm::{refused, timed};
use crate::live::faults::objects::{Truth, create, delete};
use crate::live::patience::{soon, until};
use crate::live::proxy::Arguments;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    a_slow_disk_makes_writes_late_and_some_outlive_etcds_patience: CACHED_35, CACHED_MTLS_34;
    without_space_all_but_growing_goes_on: CACHED_35, CACHED_MTLS_34;
    too_many_requests_come_in_waves: CACHED_35;
}

async fn a_slow_disk_makes_writes_late_and_some_outlive_etcds_patience(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let mut client = stack.client().await;
    let incident = desk
        .begin("slow-disk --set for=1m --set fsync=50ms --set worst=300ms --set timeouts=0.3")
        .await;
    let (mut done, mut unknown) = (0, 0);
    for n in 0..12 {
        let key = format!("{PODS}lab/p{n:02}");
        let (outcome, took) = timed(client.txn(create(&key, "1"))).await;
        match outcome {
            Ok(answer) => {
                assert!(answer.succeeded());
                assert!(took >= Duration::from_millis(50), "{took:?}");
                done += 1;
            }
            failed => {
                let (code, text) = refused(failed);
                assert_eq!(code, Code::Unavailable);
                assert_eq!(text, "etcdserver: request timed out");
                unknown += 1;
            }
        }
        // Either way it is committed, once.
        assert_eq!(truth.version(&key).await, Some(("1".to_owned(), 1)));
    }
    assert!(done > 0 && unknown > 0, "{done} {unknown}");
    // A read that is current waits as well, and is right.
    let (read, _) = timed(client.get(format!("{PODS}lab/p00"), None)).await;
    assert_eq!(read.unwrap().kvs().len(), 1);
    let outcome = incident.end().await;
    assert_eq!(outcome.hits("slow-disk-timeouts"), unknown);
    assert_eq!(outcome.hits("slow-disk-writes"), 12);
    assert!(outcome.hits("slow-disk-reads") >= 1);

    // The cache missed nothing, and never had to begin anew.
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
    assert_eq!(desk.faults().await, Vec::<serde_json::Value>::new());
}

async fn without_space_all_but_growing_goes_on(mut stack: Stack) {
    let mut truth = Truth::of(&stack).await;
    let key = format!("{PODS}lab/old");
    let at = truth.put(&key, "1").await;
    let lease = truth.client().lease_grant(600, None).await.unwrap().id();
    let arguments = Arguments::new()
        .flag("--scenario", "no-space")
        .flag("--set", "for=8s");
    put(&mut stack, arguments).await;
    let begins = |line: &str| line.contains("no-space begins: 2 faults, for 8s");
    stack.proxy.errors.wait_for(begins).await;

    let cache = Cache::ready(&stack, PODS).await;
    let writer = Writer::of(&stack).await;
    let mut client = stack.client().await;
    let revision = truth.revision().await;
    let full = |outcome| {
        let (code, text) = refused(outcome);
        assert_eq!(code, Code::ResourceExhausted);
        assert_eq!(text, "etcdserver: mvcc: database space exceeded");
    };
    full(
        client
            .txn(create(&format!("{PODS}lab/new"), "1"))
            .await
            .map(drop),
    );
    full(client.put("/elsewhere", "1", None).await.map(drop));
    full(client.lease_grant(600, None).await.map(drop));
    assert_eq!(truth.key(&format!("{PODS}lab/new")).await, None);
    assert_eq!(truth.key("/elsewhere").await, None);

    // What does not grow goes on.
    let deleted = client.txn(delete(&key, at)).await.unwrap();
    assert!(deleted.succeeded());
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    let answer = soon("a keepalive", kept.message()).await.unwrap().unwrap();
    assert!(answer.ttl() > 0);
    client.compact(revision, None).await.unwrap();
    cache
        .wait_for("what is written elsewhere", |seen| {
            matches!(seen, crate::live::cache::Seen::Event { revision: r, .. } if *r > revision)
        })
        .await;

    // And when there is room again, writes are taken without more ado.
    let over = |line: &str| line.contains("no-space is over after 8s");
    stack.proxy.errors.wait_for(over).await;
    until("a write is taken", async || {
        let created = client.txn(create(&format!("{PODS}lab/new"), "1")).await;
        created.ok().filter(|answer| answer.succeeded())
    })
    .await;
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));

    // It was measured, and is told at the end.
    drop((client, cache));
    stack.proxy.terminate().await;
    let told = stack.proxy.errors.text();
    for said in ["the failure lasted", "no-space-objects", "never delivered"] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

async fn too_many_requests_come_in_waves(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let incident = desk
        .begin("too-many-requests --set for=1m --set burst=1s --set every=2s --set share=1")
        .await;
    let mut client = stack.client().await;
    let (mut waves, mut taken, mut number) = (0, true, 0);
    while waves < 2 {
        let key = format!("{PODS}lab/p{number}");
        match client.txn(create(&key, "1")).await {
            Ok(answer) => {
                assert!(answer.succeeded(), "nobody else wrote it");
                number += 1;
                taken = true;
            }
            failed => {
                let (code, text) = refused(failed);
                assert_eq!(code, Code::ResourceExhausted);
                assert_eq!(text, "etcdserver: too many requests");
                assert_eq!(truth.key(&key).await, None);
                waves += usize::from(std::mem::take(&mut taken));
            }
        }
        // Reads are no proposals.
        client.get("/elsewhere", None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outcome = incident.end().await;
    assert!(outcome.hits("too-many-requests") >= 2);
    until("a write is taken", async || {
        let created = client.txn(create(&format!("{PODS}lab/last"), "1")).await;
        created.ok()
    })
    .await;
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
}
