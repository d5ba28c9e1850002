//! The report of what no capture has: leases that end, deletions, compactions,
//! reads and watches of all keys, against a real etcd from its first revision on.

use std::path::Path;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, WatchOptions, WatchStream,
};
use serde_json::Value;

use super::report::{assumptions_hold, report_of, the_model_agrees, types_hold, watches_agree};
use crate::live::etcd::{Etcd, Version};
use crate::live::patience::soon;
use crate::live::proxy::Arguments;

/// Reads a watch until this key is put, or deleted.
async fn told(watch: &mut WatchStream, key: &str, value: Option<&str>) {
    loop {
        let message = soon("an event", watch.message()).await.unwrap().unwrap();
        let is = message.events().iter().any(|event| {
            let kv = event.kv().unwrap();
            let put = event.event_type() == etcd_client::EventType::Put;
            let same = value.is_none_or(|value| kv.value() == value.as_bytes());
            kv.key() == key.as_bytes() && same && put == value.is_some()
        });
        if is {
            return;
        }
    }
}

/// What one of several clients does at once.
async fn client_of_several(mut client: Client, number: usize) {
    for round in 0..20 {
        let key = format!("k/{}", (round * 3 + number) % 5);
        let value = format!("{number}-{round}");
        client
            .put(key.as_str(), value.as_str(), None)
            .await
            .unwrap();
        let read = client.get(key.as_str(), None).await.unwrap();
        let at = read.kvs().first().map_or(0, |kv| kv.mod_revision());
        let update = Txn::new()
            .when([Compare::mod_revision(key.as_str(), CompareOp::Equal, at)])
            .and_then([TxnOp::put(key.as_str(), format!("{value}'"), None)])
            .or_else([TxnOp::get(key.as_str(), None)]);
        client.txn(update).await.unwrap();
        if round % 4 == 0 {
            client.delete(key.as_str(), None).await.unwrap();
        }
        let endless = GetOptions::new().with_from_key();
        client.get("k/3", Some(endless)).await.unwrap();
    }
}

async fn everything(url: &str) {
    let mut client = Client::connect([url], None).await.unwrap();
    let all = Some(GetOptions::new().with_all_keys());
    assert_eq!(client.get("", all.clone()).await.unwrap().count(), 0);
    let mut from_all = client
        .watch("", Some(WatchOptions::new().with_all_keys()))
        .await
        .unwrap();

    // A lease that nobody keeps alive, and one that is revoked.
    let short = client.lease_grant(5, None).await.unwrap().id();
    let leased = |lease| Some(PutOptions::new().with_lease(lease));
    client.put("l/1", "a", leased(short)).await.unwrap();
    client.put("l/2", "b", leased(short)).await.unwrap();
    let long = client.lease_grant(600, None).await.unwrap().id();
    client.put("l/3", "c", leased(long)).await.unwrap();
    client.lease_revoke(long).await.unwrap();

    let mut several = tokio::task::JoinSet::new();
    for number in 0..4 {
        // Two on one connection, two on their own.
        let client = match number {
            0 | 1 => client.clone(),
            _ => Client::connect([url], None).await.unwrap(),
        };
        several.spawn(client_of_several(client, number));
    }
    soon("all clients", several.join_all()).await;
    told(&mut from_all, "l/1", None).await;

    // The keys of the lease are gone for whoever reads and writes now.
    client.get("", all).await.unwrap();
    let put = client.put("l/1", "again", None).await.unwrap();
    let now = put.header().unwrap().revision();
    client.compact(now - 2, None).await.unwrap();
    assert!(client.compact(now - 2, None).await.is_err());
    assert!(client.compact(now + 100, None).await.is_err());
    assert!(client.put("l/4", "d", leased(4711)).await.is_err());
    client.put("last", "1", None).await.unwrap();
    told(&mut from_all, "last", Some("1")).await;
}

async fn what_no_capture_has(version: Version) {
    let etcd = Etcd::of(version, 1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("calls.mcap");
    let mut proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--record", &recording)
        .flag("--record-values", "all")
        .start()
        .await;
    everything(&proxy.urls("http")[0]).await;
    assert_eq!(proxy.terminate().await, Some(0));
    judged(folder.path(), &recording);
}

fn judged(folder: &Path, recording: &Path) {
    let (mut clients, left_out) = report_of(folder, recording);
    assert_eq!(left_out, "", "everything has words");
    types_hold(&clients);
    assumptions_hold(&clients);

    let operations = clients.iter().flat_map(|client| &client.operations);
    let operations: Vec<&Value> = operations.collect();
    let of = |kind: &'static str| {
        operations
            .iter()
            .filter(move |op| op["Input"]["Type"] == kind)
    };
    // Nobody asked for one of them.
    assert_eq!(of("leaseRevoke").count(), 2);
    let mut refused: Vec<&str> = of("compact")
        .map(|op| op["Output"]["ClientError"].as_str().unwrap())
        .collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            "",
            "mvcc: required revision has been compacted",
            "mvcc: required revision is a future revision"
        ]
    );

    // etcd refused one write, which the model is not asked for.
    let done = |operation: &Value| operation["Output"]["Error"] == "";
    assert_eq!(operations.iter().filter(|op| !done(op)).count(), 1);
    for client in &mut clients {
        client.operations.retain(done);
    }
    let model = the_model_agrees(&clients);
    let watches: Vec<&Value> = clients.iter().flat_map(|client| &client.watches).collect();
    assert_eq!(watches.len(), 1);
    assert_eq!(watches[0]["Request"]["Key"], "");
    assert_eq!(watches[0]["Request"]["WithPrefix"], true);
    // From its first event to its last: none is missing, those of the leases neither.
    assert!(watches_agree(&clients, &model) > 100);
}

#[tokio::test]
async fn what_no_capture_has_is_told_of_a_3_4() {
    soon_enough(what_no_capture_has(Version::V3_4)).await;
}

#[tokio::test]
async fn what_no_capture_has_is_told_of_a_3_5() {
    soon_enough(what_no_capture_has(Version::V3_5)).await;
}

/// A lease takes its time, and a slow machine too.
async fn soon_enough(test: impl Future<Output = ()>) {
    let most = Duration::from_secs(150);
    tokio::time::timeout(most, test).await.unwrap();
}
