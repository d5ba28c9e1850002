//! Recordings that go on from a snapshot.

use std::path::{Path, PathBuf};

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp, WatchOptions,
};

use super::{alike, replay};
use crate::live::etcd::{Etcd, Version};
use crate::live::etcdctl::Etcdctl;
use crate::live::patience::soon;
use crate::live::proxy::Arguments;

const SECRET: &str = "/registry/secrets/lab/password";

fn pod(n: usize) -> String {
    format!("/registry/pods/lab/web-{n:02}")
}

struct Told {
    folder: tempfile::TempDir,
    /// From before the recording, and from its end.
    before: PathBuf,
    after: PathBuf,
}

impl Told {
    fn recording(&self) -> PathBuf {
        self.folder.path().join("calls.mcap")
    }

    async fn replay(
        &self,
        version: Version,
        flags: &[&str],
    ) -> (serde_json::Value, String, Option<i32>) {
        let fresh = Etcd::of(version, 1).start().await;
        replay(&self.recording(), &fresh.urls()[0], flags).await
    }
}

/// An etcd with a past of its own, a snapshot of it, what happens unseen after that,
/// and a recording.
async fn recorded(version: Version) -> Told {
    let etcd = Etcd::of(version, 1).start().await;
    let etcdctl = Etcdctl::of(version, &etcd.urls());
    let mut direct = Client::connect(etcd.urls(), None).await.unwrap();
    // A lease that is over by then, whose key was deleted with it.
    let over = direct.lease_grant(600, None).await.unwrap().id();
    let lease = direct.lease_grant(600, None).await.unwrap().id();
    let leased = |id| Some(PutOptions::new().with_lease(id));
    for n in 0..40 {
        direct
            .put(pod(n), format!("first {n}"), None)
            .await
            .unwrap();
    }
    for n in 0..20 {
        direct
            .put(pod(n), format!("second {n}"), None)
            .await
            .unwrap();
    }
    direct.delete(pod(3), None).await.unwrap();
    let at = direct.get(pod(0), None).await.unwrap();
    let compacted = at.header().unwrap().revision();
    direct.compact(compacted, None).await.unwrap();
    direct
        .put("/registry/events/lab/a", "over", leased(over))
        .await
        .unwrap();
    let events = direct
        .put("/registry/events/lab/b", "here", leased(lease))
        .await
        .unwrap();
    let history = events.header().unwrap().revision();
    direct.lease_revoke(over).await.unwrap();
    direct.put(pod(0), "third 0", None).await.unwrap();
    direct.put(pod(1), vec![b'v'; 20_000], None).await.unwrap();
    let both = Txn::new().and_then([
        TxnOp::put(pod(5), "together", None),
        TxnOp::put(pod(6), "together", None),
        TxnOp::delete(pod(7), None),
    ]);
    direct.txn(both).await.unwrap();
    let password = "a password of so many letters that a hash has room in its place";
    direct.put(SECRET, password, None).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let save = async |name: &str| {
        let file = folder.path().join(name);
        let command = ["snapshot", "save", file.to_str().unwrap()];
        etcdctl.run(command).await.ok();
        file
    };
    let before = save("before.db").await;
    // Nobody sees this.
    direct.put(pod(50), "between", None).await.unwrap();
    direct.delete(pod(8), None).await.unwrap();

    let mut proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--record", folder.path().join("calls.mcap"))
        .start()
        .await;
    let mut client = Client::connect(proxy.urls("http"), None).await.unwrap();
    let all = GetOptions::new().with_prefix();
    let list = client
        .get("/registry/pods/", Some(all.clone()))
        .await
        .unwrap();
    assert_eq!(list.count(), 38);
    // A part of a list knows how many there are behind it.
    let part = all.clone().with_limit(5);
    let part = client.get("/registry/pods/", Some(part)).await.unwrap();
    assert!(part.more());
    let one = client.get(pod(12), None).await.unwrap();
    let at = one.kvs()[0].mod_revision();
    let update = |at, value: &str| {
        Txn::new()
            .when([Compare::mod_revision(pod(12), CompareOp::Equal, at)])
            .and_then([TxnOp::put(pod(12), value, None)])
            .or_else([TxnOp::get(pod(12), None)])
    };
    assert!(client.txn(update(at, "updated")).await.unwrap().succeeded());
    assert!(!client.txn(update(at, "again")).await.unwrap().succeeded());
    client.get(SECRET, None).await.unwrap();
    client.get("/registry/events/lab/b", None).await.unwrap();
    client.lease_time_to_live(lease, None).await.unwrap();
    client.lease_time_to_live(over, None).await.unwrap();
    // The past that the snapshot has, and what it has forgotten.
    let past = all.clone().with_revision(history);
    client.get("/registry/", Some(past)).await.unwrap();
    let forgotten = GetOptions::new().with_revision(compacted - 1);
    client.get(pod(0), Some(forgotten)).await.unwrap_err();
    // Some that never were seen go with those that were.
    let prefix = DeleteOptions::new().with_prefix().with_prev_key();
    client
        .delete("/registry/pods/lab/web-3", Some(prefix))
        .await
        .unwrap();
    client.put(pod(0), "fourth 0", None).await.unwrap();
    let from = WatchOptions::new()
        .with_prefix()
        .with_prev_key()
        .with_start_revision(history);
    let mut watch = client.watch("/registry/", Some(from)).await.unwrap();
    // b, the end of a, two pods, three in one, the secret, one between and one
    // deletion, an update, ten deletions, a put.
    let mut events = 0;
    while events < 22 {
        let came = soon("events", watch.message()).await.unwrap().unwrap();
        events += came.events().len();
    }
    watch.cancel(0).await.unwrap();
    client.get("/registry/", Some(all)).await.unwrap();
    drop((client, watch));
    assert_eq!(proxy.terminate().await, Some(0));
    let after = save("after.db").await;
    Told {
        folder,
        before,
        after,
    }
}

async fn from_a_snapshot_of(version: Version) {
    let told = recorded(version).await;
    let before = told.before.to_str().unwrap();
    let flags = ["--from-snapshot", before];
    // Written by one version, it is driven against both.
    for target in [Version::V3_4, Version::V3_5] {
        let (report, errors, code) = told.replay(target, &flags).await;
        assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
        assert_eq!(report["different"], 0, "{report:#}");
        assert_eq!(report["steps"], report["steps_planned"]);
        assert_eq!(alike(&report, "KV/Range"), 8, "{report:#}");
        assert_eq!(alike(&report, "KV/Txn"), 2, "{report:#}");
        assert_eq!(alike(&report, "watch event"), 22, "{report:#}");
        assert_eq!(alike(&report, "Lease/LeaseTimeToLive"), 2, "{report:#}");
        assert_eq!(report["presupposed"]["keys"], 1, "{report:#}");
        assert_eq!(report["presupposed"]["deletes"], 1, "{report:#}");
        assert_eq!(report["from_snapshot"]["leases"], 1, "{report:#}");
    }
    // Without it, what the recording tells is not all that there was.
    let (report, _, code) = told.replay(version, &[]).await;
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["different"].as_u64().unwrap() > 0, "{report:#}");
    refused(&told).await;
}

/// Snapshots that are none, broken, or of later: a sentence each, and nothing written.
async fn refused(told: &Told) {
    let fresh = Etcd::of(Version::V3_5, 1).start().await;
    let whole = std::fs::read(&told.before).unwrap();
    let place = told.folder.path().join("bent.db");
    let refused = async |file: &Path, words: &str| {
        let flags = ["--from-snapshot", file.to_str().unwrap()];
        let (_, errors, code) = replay(&told.recording(), &fresh.urls()[0], &flags).await;
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(words), "{words}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    refused(&told.after, "is newer than the recording").await;
    refused(&told.recording(), "is no snapshot of etcd's").await;
    refused(Path::new("nowhere.db"), "cannot be read").await;
    let mut bent = whole.clone();
    bent[5000] ^= 1;
    std::fs::write(&place, &bent).unwrap();
    refused(&place, "the hash at its end").await;
    // Cut where a page ends, it seems to be one without a hash.
    std::fs::write(&place, &whole[..whole.len() - 32 - 4096]).unwrap();
    refused(&place, "is not whole").await;
    let mut client = Client::connect(fresh.urls(), None).await.unwrap();
    let keys = client.get("", Some(GetOptions::new().with_all_keys()));
    assert_eq!(keys.await.unwrap().header().unwrap().revision(), 1);
}

#[tokio::test]
async fn a_snapshot_of_3_4_is_what_the_recording_presupposes() {
    from_a_snapshot_of(Version::V3_4).await;
}

#[tokio::test]
async fn a_snapshot_of_3_5_is_what_the_recording_presupposes() {
    from_a_snapshot_of(Version::V3_5).await;
}
