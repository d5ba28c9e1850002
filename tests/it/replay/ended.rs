//! Replays that do not come to their end.

use serde_json::Value;

use super::{Recorded, alike, interrupted};
use crate::live::etcd::{Etcd, Version};
use crate::live::proxy::Arguments;
use crate::pcap::NAME_0_36;

#[tokio::test]
async fn an_interrupt_ends_with_the_report_so_far() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_4, 1).start().await;
    let output = interrupted(&recorded, &etcd, 100, &["--compare", "--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ended"], "interrupted", "{report:#}");
    let steps = report["steps"].as_u64().unwrap();
    assert!(steps > 100 && steps < report["steps_planned"].as_u64().unwrap());
    assert_eq!(report["different"], 0, "{report:#}");
    assert!(alike(&report, "KV/Txn") >= 90, "{report:#}");
}

#[tokio::test]
async fn a_target_that_is_too_slow_ends_with_the_report_so_far() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.yaml");
    let late =
        "{name: late, match: {verb: create, resource: pods}, action: {delay: {response: 1h}}}";
    std::fs::write(&plan, format!("faults: [{late}]")).unwrap();
    let proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--faults", &plan)
        .start()
        .await;
    let url = proxy.urls("http")[0].clone();
    let (report, errors, code) = recorded.replay(&url, &["--timeout", "2s"]).await;
    assert_eq!((errors.as_str(), code), ("", Some(1)), "{report:#}");
    assert_eq!(report["ended"], "lost", "{report:#}");
    let reason = report["reason"].as_str().unwrap();
    assert_eq!(reason, format!("{url} did not answer KV/Txn within 2 s"));
    let done = alike(&report, "KV/Txn");
    assert!((1..1612).contains(&done), "{report:#}");
    assert_eq!(report["different"], 0, "{report:#}");
}
