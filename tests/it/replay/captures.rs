//! The shared captures, driven again.

use etcd_client::Client;
use serde_json::Value;

use super::{Recorded, alike};
use crate::live::etcd::{Etcd, Version};
use crate::live::patience::until;
use crate::live::ports;
use crate::pcap::{NAME_0_36, NAME_1_20};
use crate::playback::player::Player;

async fn on_a_fresh_etcd(name: &str, version: Version) -> Value {
    let recorded = Recorded::of_capture(name).await;
    let etcd = Etcd::of(version, 1).start().await;
    let (report, errors, code) = recorded
        .replay(&etcd.urls()[0], &["--timeout", "60s"])
        .await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(report["different"], 0, "{report:#}");
    assert_eq!(report["ended"], "complete");
    assert_eq!(report["steps"], report["steps_planned"]);
    report
}

fn first_capture(report: &Value) {
    assert_eq!(alike(report, "KV/Txn"), 1784);
    assert_eq!(alike(report, "KV/Range"), 1741);
    assert_eq!(alike(report, "Lease/LeaseGrant"), 1);
    assert_eq!(alike(report, "watch created"), 68);
    assert_eq!(alike(report, "watch event"), 1866);
}

fn second_capture(report: &Value) {
    assert_eq!(alike(report, "KV/Txn"), 1612);
    assert_eq!(alike(report, "KV/Range"), 883);
    assert_eq!(alike(report, "Lease/LeaseGrant"), 1);
    assert_eq!(alike(report, "watch created"), 14);
    assert_eq!(alike(report, "watch event"), 1612);
}

#[tokio::test]
async fn the_first_capture_has_no_difference_on_a_fresh_3_4() {
    first_capture(&on_a_fresh_etcd(NAME_1_20, Version::V3_4).await);
}

#[tokio::test]
async fn the_first_capture_has_no_difference_on_a_fresh_3_5() {
    first_capture(&on_a_fresh_etcd(NAME_1_20, Version::V3_5).await);
}

#[tokio::test]
async fn the_second_capture_has_no_difference_on_a_fresh_3_4() {
    second_capture(&on_a_fresh_etcd(NAME_0_36, Version::V3_4).await);
}

#[tokio::test]
async fn the_second_capture_has_no_difference_on_a_fresh_3_5() {
    second_capture(&on_a_fresh_etcd(NAME_0_36, Version::V3_5).await);
}

/// Without pace the playback stands where the recording begins, and becomes by what
/// is written to it what the recorded etcd became.
async fn on_its_own_playback(name: &str) -> Value {
    let recorded = Recorded::of_capture(name).await;
    let player = Player::start(&recorded.path(), &["--pace", "none"]).await;
    let (report, errors, code) = recorded.replay(&player.url, &["--timeout", "60s"]).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(report["different"], 0, "{report:#}");
    assert_eq!(report["steps"], report["steps_planned"]);
    let said = player.end().await;
    assert!(
        said.contains("nothing was asked for that the recording does not know"),
        "{said}"
    );
    report
}

#[tokio::test]
async fn the_first_capture_has_no_difference_on_its_own_playback() {
    first_capture(&on_its_own_playback(NAME_1_20).await);
}

#[tokio::test]
async fn the_second_capture_has_no_difference_on_its_own_playback() {
    second_capture(&on_its_own_playback(NAME_0_36).await);
}

#[tokio::test]
async fn a_target_with_one_key_changed_differs_in_exactly_the_calls_that_read_it() {
    // The API server asks for it eight times, and never writes it.
    const KEY: &str = "/registry/pods";
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let mut client = Client::connect(etcd.urls(), None).await.unwrap();
    client.put(KEY, "changed", None).await.unwrap();

    let (_, errors, code) = recorded.replay(&etcd.urls()[0], &[]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("is not empty, it holds 1 keys"), "{errors}");
    assert!(errors.contains("--yes"), "{errors}");
    let keys = client.get("", Some(etcd_client::GetOptions::new().with_all_keys()));
    assert_eq!(keys.await.unwrap().count(), 1, "nothing was written");

    let (report, errors, code) = recorded.replay(&etcd.urls()[0], &["--yes"]).await;
    assert_eq!((errors.as_str(), code), ("", Some(1)));
    assert_eq!(report["different"], 8, "{report:#}");
    let listed = report["differences"].as_array().unwrap();
    assert_eq!(listed.len(), 8);
    for found in listed {
        assert_eq!(found["what"], "KV/Range", "{found}");
        assert_eq!(found["about"], KEY, "{found}");
        assert_eq!(found["field"], "kvs");
    }
    // Every revision is one more than it was recorded to be.
    assert_eq!(report["base_revision"], 2);
    assert_eq!(report["compared"]["KV/Txn"]["up_to_numbering"], 1612);
    assert_eq!(report["compared"]["watch event"]["up_to_numbering"], 1612);
}

#[tokio::test]
async fn nobody_at_the_target_is_a_sentence() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let target = format!("http://{}", ports::free());
    let (_, errors, code) = recorded.replay(&target, &[]).await;
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with(&format!("etcdtap: --target: {target} cannot be reached: ")),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

#[tokio::test]
async fn a_target_that_dies_leaves_the_report_so_far() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let mut etcd = Etcd::of(Version::V3_4, 1).start().await;
    let mut client = Client::connect(etcd.urls(), None).await.unwrap();
    let url = etcd.urls()[0].clone();
    let replay = recorded.replay(&url, &["--timeout", "20s"]);
    let killed = async {
        until("some of it is driven", async || {
            let got = client.get("compact_rev_key", None).await.ok()?;
            (got.header()?.revision() > 100).then_some(())
        })
        .await;
        etcd.kill(0).await;
    };
    let ((report, errors, code), ()) = tokio::join!(replay, killed);
    assert_eq!((errors.as_str(), code), ("", Some(1)));
    assert_eq!(report["ended"], "lost", "{report:#}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains(&url), "{reason}");
    let steps = report["steps"].as_u64().unwrap();
    assert!(steps > 100 && steps < report["steps_planned"].as_u64().unwrap());
    assert_eq!(report["different"], 0, "{report:#}");
    assert!(alike(&report, "KV/Txn") >= 90, "{report:#}");
}
