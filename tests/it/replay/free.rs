//! Recordings driven as load.

use serde_json::Value;

use super::{Recorded, run};
use crate::live::etcd::{Etcd, Version};
use crate::pcap::{NAME_0_36, NAME_1_20};

async fn driven(name: &str, version: Version, flags: &[&str]) -> Value {
    let recorded = Recorded::of_capture(name).await;
    let etcd = Etcd::of(version, 1).start().await;
    let (report, errors, code) = run(&recorded.path(), &etcd.urls()[0], flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    eprintln!("{report:#}");
    report
}

#[tokio::test]
async fn the_second_capture_at_full_speed_on_3_5() {
    driven(NAME_0_36, Version::V3_5, &["--speed", "max"]).await;
}

#[tokio::test]
async fn the_first_capture_twenty_times_as_fast_on_3_4() {
    driven(NAME_1_20, Version::V3_4, &["--speed", "20"]).await;
}
