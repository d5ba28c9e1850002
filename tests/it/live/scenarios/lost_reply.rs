//! `lost-reply`: what was committed is told as timed out.

use tonic::Code;

use super::stage::{PODS, with_admin};
use crate::live::cache::Cache;
use crate::live::faults::arm::refused;
use crate::live::faults::objects::{Truth, create, write};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    who_reads_before_writing_again_finds_its_own_write: CACHED_35, CACHED_MTLS_34;
}

async fn who_reads_before_writing_again_finds_its_own_write(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let mut client = stack.client().await;
    let (pod, secret) = (format!("{PODS}lab/a"), "/registry/secrets/lab/a");
    let incident = desk
        .begin("lost-reply --set for=1m --set share=1 --set resource=pods")
        .await;
    let (code, text) = refused(client.txn(create(&pod, "1")).await);
    assert_eq!(code, Code::Unavailable);
    assert_eq!(text, "etcdserver: request timed out");
    let kept = truth.key(&pod).await.unwrap();
    assert_eq!((kept.value.as_str(), kept.version), ("1", 1));
    // The cache shows what the writer was told had failed.
    cache.wait_until_true(&mut truth, PODS).await;

    // Who writes again without looking is refused by the guard: it is no
    // conflict with anybody else. Who looks goes on from there.
    let found = client.get(pod.as_str(), None).await.unwrap();
    assert_eq!(found.kvs()[0].value(), b"1");
    let at = found.kvs()[0].mod_revision();
    assert!(client.txn(write(&pod, at, "2")).await.is_err());
    assert_eq!(truth.version(&pod).await, Some(("2".to_owned(), 2)));

    // Other resources are not meant.
    assert!(client.txn(create(secret, "1")).await.unwrap().succeeded());
    let outcome = incident.end().await;
    assert_eq!(outcome.hits("lost-reply"), 2);
    assert_eq!(outcome.figure("told_otherwise"), 2);
    assert_eq!(outcome.figure("events_lost"), 0);
    let kept = truth.key(&pod).await.unwrap();
    let again = client.txn(write(&pod, kept.mod_revision, "3")).await;
    assert!(again.unwrap().succeeded());
    assert_eq!(truth.version(&pod).await, Some(("3".to_owned(), 3)));
    cache.wait_until_true(&mut truth, PODS).await;
    assert_eq!((cache.lists(), cache.watches().len()), (1, 1));
}
