//! Recordings of an etcd that was not new, by the proxy, driven again.

use etcd_client::{Client, Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};

use super::{alike, replay};
use crate::live::etcd::{Etcd, Version};
use crate::live::patience::soon;
use crate::live::proxy::{Arguments, Proxy};

const OLD: &str = "/registry/configmaps/lab/old";
const SECRET: &str = "/registry/secrets/lab/password";
const LEASED: &str = "/registry/masterleases/10.0.0.1";
const NEW: &str = "/registry/configmaps/lab/new";

pub(super) struct Recording {
    etcd: Etcd,
    direct: Client,
    through: Client,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Recording {
    /// An etcd that has been used, and a proxy in front that records.
    pub(super) async fn begin() -> Recording {
        let etcd = Etcd::of(Version::V3_5, 1).start().await;
        let mut direct = Client::connect(etcd.urls(), None).await.unwrap();
        for value in ["first", "second", "third"] {
            direct.put(OLD, value, None).await.unwrap();
        }
        let password = "a password of so many letters that a hash has room in its place";
        direct.put(SECRET, password, None).await.unwrap();
        let lease = direct.lease_grant(600, None).await.unwrap().id();
        let leased = Some(PutOptions::new().with_lease(lease));
        direct.put(LEASED, "here", leased).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let proxy = Arguments::new()
            .pair(&etcd.urls()[0])
            .flag("--record", folder.path().join("calls.mcap"))
            .start()
            .await;
        let through = Client::connect(proxy.urls("http"), None).await.unwrap();
        Recording {
            etcd,
            direct,
            through,
            proxy,
            folder,
        }
    }

    /// Ends the clients and the proxy; the recorded etcd goes on.
    pub(super) async fn end(mut self) -> (Etcd, tempfile::TempDir) {
        drop((self.through, self.direct));
        assert_eq!(self.proxy.terminate().await, Some(0));
        (self.etcd, self.folder)
    }
}

fn update(key: &str, at: i64, value: &str) -> Txn {
    Txn::new()
        .when([Compare::mod_revision(key, CompareOp::Equal, at)])
        .and_then([TxnOp::put(key, value, None)])
        .or_else([TxnOp::get(key, None)])
}

pub(super) async fn everything(recording: &mut Recording) {
    let client = &mut recording.through;
    let old = client.get(OLD, None).await.unwrap();
    let (at, now) = (
        old.kvs()[0].mod_revision(),
        old.header().unwrap().revision(),
    );
    client.get(SECRET, None).await.unwrap();
    let from = WatchOptions::new()
        .with_prefix()
        .with_prev_key()
        .with_start_revision(now + 1);
    let mut watch = client.watch("/registry/", Some(from)).await.unwrap();
    // Guards on what is older than the recording: one that holds, one that does not.
    assert!(
        client
            .txn(update(OLD, at, "fourth"))
            .await
            .unwrap()
            .succeeded()
    );
    assert!(
        !client
            .txn(update(OLD, at, "fifth"))
            .await
            .unwrap()
            .succeeded()
    );
    assert!(
        client
            .txn(update(NEW, 0, "created"))
            .await
            .unwrap()
            .succeeded()
    );
    // What somebody else writes, the watch tells; what he deletes, a read.
    let direct = &mut recording.direct;
    direct
        .put("/registry/configmaps/lab/foreign", "by another", None)
        .await
        .unwrap();
    direct.put("/other/unseen", "1", None).await.unwrap();
    let all = GetOptions::new().with_prefix();
    client.get("/registry/", Some(all.clone())).await.unwrap();
    client.put("/other/mine", "1", None).await.unwrap();
    direct.delete("/other/mine", None).await.unwrap();
    let gone = client.get("/other/mine", None).await.unwrap();
    assert_eq!(gone.count(), 0);
    // A lease that is granted here, and one that is older.
    let lease = client.lease_grant(300, None).await.unwrap().id();
    let leased = Some(PutOptions::new().with_lease(lease));
    client.put("/other/leased", "1", leased).await.unwrap();
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    soon("a keepalive", kept.message()).await.unwrap();
    client.lease_time_to_live(lease, None).await.unwrap();
    client.get(LEASED, None).await.unwrap();
    client.lease_revoke(lease).await.unwrap();
    let after = client.get("/registry/", Some(all)).await.unwrap();
    // The past, and what is no longer the past.
    let past = GetOptions::new().with_revision(now + 2);
    client.get(OLD, Some(past)).await.unwrap();
    client.delete(OLD, None).await.unwrap();
    client.compact(now + 3, None).await.unwrap();
    let compacted = GetOptions::new().with_revision(now + 1);
    client.get(OLD, Some(compacted)).await.unwrap_err();
    let late = WatchOptions::new().with_start_revision(now + 1);
    let mut late = client.watch(OLD, Some(late)).await.unwrap();
    loop {
        let told = soon("a refusal", late.message()).await.unwrap().unwrap();
        if told.canceled() {
            assert_eq!(told.compact_revision(), now + 3);
            break;
        }
    }
    // update, create, foreign, delete.
    let mut events = 0;
    while events < 4 {
        let came = soon("events", watch.message()).await.unwrap().unwrap();
        events += came.events().len();
    }
    watch.cancel(0).await.unwrap();
    assert!(after.header().unwrap().revision() > now);
}

async fn on_a_fresh(version: Version) {
    let mut recording = Recording::begin().await;
    everything(&mut recording).await;
    let (_etcd, folder) = recording.end().await;
    let fresh = Etcd::of(version, 1).start().await;
    let file = folder.path().join("calls.mcap");
    let (report, errors, code) = replay(&file, &fresh.urls()[0], &[]).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(report["different"], 0, "{report:#}");
    assert_eq!(alike(&report, "watch event"), 5, "{report:#}");
    assert_eq!(alike(&report, "watch created"), 2);
    assert_eq!(alike(&report, "KV/Txn"), 3);
    assert_eq!(alike(&report, "KV/Range"), 8);
    assert_eq!(alike(&report, "KV/Compact"), 1);
    assert_eq!(alike(&report, "Lease/LeaseRevoke"), 1);
    let presupposed = &report["presupposed"];
    // Old, secret, leased, and the other's.
    assert_eq!(presupposed["keys"], 4, "{report:#}");
    assert_eq!(presupposed["leases"], 1);
    assert_eq!(presupposed["deletes"], 1);
    assert_eq!(presupposed["unknown_values"], 0);
}

#[tokio::test]
async fn a_recording_of_a_used_etcd_has_no_difference_on_a_fresh_3_4() {
    on_a_fresh(Version::V3_4).await;
}

#[tokio::test]
async fn a_recording_of_a_used_etcd_has_no_difference_on_a_fresh_3_5() {
    on_a_fresh(Version::V3_5).await;
}

#[tokio::test]
async fn hidden_values_are_compared_by_their_hash_where_the_key_is() {
    let mut recording = Recording::begin().await;
    let client = &mut recording.through;
    client.get(OLD, None).await.unwrap();
    client.get(SECRET, None).await.unwrap();
    let (etcd, folder) = recording.end().await;
    let file = folder.path().join("calls.mcap");
    let flags = ["--as-is", "--yes"];
    let (report, errors, code) = replay(&file, &etcd.urls()[0], &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(alike(&report, "KV/Range"), 2, "{report:#}");

    // Another password of the same length.
    let mut direct = Client::connect(etcd.urls(), None).await.unwrap();
    let held = direct.get(SECRET, None).await.unwrap();
    let other = vec![b'x'; held.kvs()[0].value().len()];
    direct.put(SECRET, other, None).await.unwrap();
    let (report, _, code) = replay(&file, &etcd.urls()[0], &flags).await;
    assert_eq!(
        (report["different"].as_u64(), code),
        (Some(1), Some(1)),
        "{report:#}"
    );

    std::fs::remove_file(folder.path().join("calls.mcap.key")).unwrap();
    let (report, _, _) = replay(&file, &etcd.urls()[0], &flags).await;
    assert_eq!(report["different"], 1, "{report:#}");
    let found = &report["differences"][0];
    assert_eq!(found["about"], SECRET, "{report:#}");
    assert!(!report.to_string().contains("password of so many"));
}
