//! Recordings driven as load.

use std::collections::BTreeMap;
use std::path::Path;

use etcd_client::{Client, GetOptions};
use etcdtap::record::reader::{Query, Recordings, Wants};
use etcdtap::record::traffic::{Book, Traffic};
use rustix::process::Signal;
use serde_json::Value;

use super::{Recorded, etcdtap, interrupted, made, run};
use crate::live::etcd::{Etcd, Version};
use crate::live::patience::until;
use crate::live::proxy::Arguments;
use crate::pcap::{NAME_0_36, NAME_1_20};
use crate::playback::player::Player;

struct Expected {
    txns: u64,
    ranges: u64,
    streams: u64,
    watches: u64,
    events: u64,
}

const FIRST: Expected = Expected {
    txns: 1784,
    ranges: 1741,
    streams: 3597,
    watches: 68,
    events: 1866,
};

const SECOND: Expected = Expected {
    txns: 1612,
    ranges: 883,
    streams: 2514,
    watches: 14,
    events: 1612,
};

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// All of it was driven, and came out as it was recorded.
fn is_whole(report: &Value, expected: &Expected) {
    assert_eq!(report["mode"], "free", "{report:#}");
    assert_eq!(report["ended"], "complete", "{report:#}");
    assert_eq!(report["steps"], report["steps_planned"], "{report:#}");
    assert_eq!(report["new_errors"], 0, "{report:#}");
    assert_eq!(report["connections"], report["connections_planned"]);
    assert_eq!(number(&report["streams"]), expected.streams, "{report:#}");
    let methods = &report["methods"];
    assert_eq!(number(&methods["KV/Txn"]["calls"]), expected.txns);
    assert_eq!(number(&methods["KV/Range"]["calls"]), expected.ranges);
    assert_eq!(methods["KV/Txn"]["errors"], serde_json::json!({}));
    assert!(number(&methods["KV/Txn"]["p50_us"]) > 0);
    assert!(number(&methods["KV/Txn"]["p99_us"]) >= number(&methods["KV/Txn"]["p50_us"]));
    assert!(number(&methods["KV/Txn"]["recorded_p50_us"]) > 0);
    // Every write waits for the one that its guard speaks of.
    assert_eq!(
        number(&report["guards"]["held"]),
        expected.txns,
        "{report:#}"
    );
    assert_eq!(report["guards"]["failed"], 0, "{report:#}");
    let watches = &report["watches"];
    assert_eq!(number(&watches["created"]), expected.watches, "{report:#}");
    assert_eq!(number(&watches["recorded_created"]), expected.watches);
    assert_eq!(number(&watches["recorded_events"]), expected.events);
    // A watch may begin sooner than it did, and see more.
    assert!(number(&watches["events"]) >= expected.events, "{report:#}");
    assert!(report["calls_per_second"].as_f64().unwrap() > 0.0);
    assert!(number(&report["bytes_sent"]) > 4_000_000);
    assert!(number(&report["bytes_received"]) > 4_000_000);
    match report["speed"] == "max" {
        true => assert_eq!(report["lateness"], Value::Null),
        false => {
            let late = &report["lateness"];
            assert!(number(&late["p50_us"]) <= number(&late["p99_us"]));
            assert!(number(&late["p99_us"]) <= number(&late["max_us"]));
            // It cannot have gone faster than it was told to.
            let speed: f64 = report["speed"].as_str().unwrap().parse().unwrap();
            let least = report["recorded_ms"].as_f64().unwrap() / speed;
            assert!(report["took_ms"].as_f64().unwrap() >= 0.95 * least);
        }
    }
}

async fn on_a_fresh_etcd(name: &str, version: Version, speed: &str, expected: &Expected) {
    let recorded = Recorded::of_capture(name).await;
    let etcd = Etcd::of(version, 1).start().await;
    let flags = ["--speed", speed, "--timeout", "60s"];
    let (report, errors, code) = run(&recorded.path(), &etcd.urls()[0], &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    is_whole(&report, expected);
}

#[tokio::test]
async fn the_first_capture_twenty_times_as_fast_on_3_4() {
    on_a_fresh_etcd(NAME_1_20, Version::V3_4, "20", &FIRST).await;
}

#[tokio::test]
async fn the_first_capture_at_full_speed_on_3_5() {
    on_a_fresh_etcd(NAME_1_20, Version::V3_5, "max", &FIRST).await;
}

#[tokio::test]
async fn the_second_capture_at_full_speed_on_3_4() {
    on_a_fresh_etcd(NAME_0_36, Version::V3_4, "max", &SECOND).await;
}

#[tokio::test]
async fn the_second_capture_at_full_speed_on_its_own_playback() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let player = Player::start(&recorded.path(), &["--pace", "none"]).await;
    let flags = ["--speed", "max", "--timeout", "60s"];
    let (report, errors, code) = run(&recorded.path(), &player.url, &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    is_whole(&report, &SECOND);
}

/// How many streams each connection has, the greatest first.
fn streams_by_connection(file: &Path) -> Vec<usize> {
    let recordings = Recordings::open(&[file.to_owned()]).unwrap();
    let query = Query::all(Wants {
        headers: false,
        ..Wants::ALL
    });
    let book = Book::read(&mut Traffic::of(recordings.read(query))).unwrap();
    let calls = book.calls.iter().map(|call| call.lane.connection);
    let streams = book.streams.iter().map(|stream| stream.lane.connection);
    counted(calls.chain(streams))
}

fn counted(connections: impl Iterator<Item = u64>) -> Vec<usize> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for connection in connections {
        *counts.entry(connection).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts
}

#[tokio::test]
async fn the_target_sees_the_recorded_streams_on_the_recorded_connections() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let mut proxy = Arguments::new().pair(&etcd.urls()[0]).start().await;
    let flags = ["--speed", "20", "--timeout", "60s"];
    let (report, errors, code) = run(&recorded.path(), &proxy.urls("http")[0], &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    is_whole(&report, &SECOND);
    assert_eq!(proxy.terminate().await, Some(0));
    let lines = proxy.log.all(|line| line.is("call"));
    let connections = lines.iter().map(|line| line.number("conn").unwrap() as u64);
    // On the first connection is asked whether the target is empty, and what it is.
    let first = connections.clone().min().unwrap();
    let seen = counted(connections.filter(|connection| *connection != first));
    assert_eq!(seen, streams_by_connection(&recorded.path()));
    let failed = lines
        .iter()
        .filter(|line| !matches!(line.text("status"), "OK" | "CANCELLED"));
    assert_eq!(failed.count(), 0);
}

#[tokio::test]
async fn a_recording_of_a_used_etcd_comes_out_as_it_was_recorded() {
    for (version, speed) in [(Version::V3_4, "0.5"), (Version::V3_5, "max")] {
        let mut recording = made::Recording::begin().await;
        made::everything(&mut recording).await;
        let (_etcd, folder) = recording.end().await;
        let fresh = Etcd::of(version, 1).start().await;
        let file = folder.path().join("calls.mcap");
        let flags = ["--speed", speed];
        let (report, errors, code) = run(&file, &fresh.urls()[0], &flags).await;
        assert_eq!(errors, "");
        assert_eq!(report["ended"], "complete");
        assert_eq!(report["steps"], report["steps_planned"], "{report:#}");
        let presupposed = &report["presupposed"];
        assert_eq!(presupposed["keys"], 4, "{report:#}");
        assert_eq!(presupposed["leases"], 1);
        let methods = &report["methods"];
        // The client's library asks once by itself.
        assert_eq!(number(&methods["Lease/LeaseKeepAlive"]["calls"]), 2);
        assert_eq!(number(&methods["Lease/LeaseRevoke"]["calls"]), 1);
        let watches = &report["watches"];
        assert_eq!(watches["asked"], 2, "{report:#}");
        assert_eq!(watches["created"], 2, "{report:#}");
        let guards = &report["guards"];
        assert_eq!(guards["held"], 2, "{report:#}");
        if speed != "max" {
            // By the clock a slow machine lets a compaction overtake a read, which fails.
            continue;
        }
        // The client had one call under way at a time, and so has the replay.
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(guards["failed_in_both"], 1, "{report:#}");
        // What is compacted is so here, too.
        assert_eq!(
            methods["KV/Range"]["errors"]["OUT_OF_RANGE"], 1,
            "{report:#}"
        );
        assert_eq!(
            methods["Lease/LeaseRevoke"]["errors"],
            serde_json::json!({})
        );
    }
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let mut client = Client::connect(etcd.urls(), None).await.unwrap();
    client.put("/mine", "1", None).await.unwrap();
    let (_, errors, code) = run(&recorded.path(), &etcd.urls()[0], &["--speed", "max"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("is not empty, it holds 1 keys"), "{errors}");
    let all = client.get("", Some(GetOptions::new().with_all_keys()));
    assert_eq!(all.await.unwrap().count(), 1, "nothing was written");
    let flags = ["--speed", "max", "--yes", "--timeout", "60s"];
    let (report, errors, code) = run(&recorded.path(), &etcd.urls()[0], &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    is_whole(&report, &SECOND);
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_in_words() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let target = "http://127.0.0.1:1";
    for ordered in ["--compare", "--ordered"] {
        let (_, errors, code) = run(&recorded.path(), target, &[ordered, "--speed", "2"]).await;
        assert_eq!(code, Some(2));
        assert!(errors.contains("--speed 2 is for load"), "{errors}");
    }
    let (_, errors, code) = run(&recorded.path(), target, &["--from-snapshot", "no.db"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("goes with --compare"), "{errors}");
    for speed in ["0", "fast"] {
        let (_, errors, code) = run(&recorded.path(), target, &["--speed", speed]).await;
        assert_eq!(code, Some(2));
        assert!(errors.contains("it is a positive number"), "{errors}");
    }
}

/// Drives a capture in its own pace, and does something when it is under way.
async fn disturbed(
    url: &str,
    flags: &[&str],
    disturb: impl AsyncFnOnce(),
) -> (Value, String, Option<i32>) {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let path = recorded.path();
    let flags: Vec<&str> = ["--speed", "4"].iter().chain(flags).copied().collect();
    let mut client = Client::connect([url], None).await.unwrap();
    let driven = run(&path, url, &flags);
    let disturbed = async {
        until("some of it is driven", async || {
            let got = client.get("compact_rev_key", None).await.ok()?;
            (got.header()?.revision() > 100).then_some(())
        })
        .await;
        disturb().await;
    };
    let (report, ()) = tokio::join!(driven, disturbed);
    report
}

fn is_partial(report: &Value) {
    let steps = number(&report["steps"]);
    assert!(
        steps > 100 && steps < number(&report["steps_planned"]),
        "{report:#}"
    );
    assert!(
        number(&report["methods"]["KV/Txn"]["calls"]) > 50,
        "{report:#}"
    );
}

#[tokio::test]
async fn a_target_that_dies_leaves_the_report_so_far() {
    let mut etcd = Etcd::of(Version::V3_4, 1).start().await;
    let url = etcd.urls()[0].clone();
    let (report, errors, code) = disturbed(&url, &[], async || etcd.kill(0).await).await;
    assert_eq!((errors.as_str(), code), ("", Some(1)));
    assert_eq!(report["ended"], "lost", "{report:#}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("{url} is gone: ")), "{reason}");
    is_partial(&report);
}

#[tokio::test]
async fn a_target_that_falls_silent_is_given_up_in_time() {
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let proxy = Arguments::new().pair(&etcd.urls()[0]).start().await;
    let url = proxy.urls("http")[0].clone();
    let flags = ["--timeout", "2s"];
    let (report, errors, code) = disturbed(&url, &flags, async || proxy.signal(Signal::STOP)).await;
    assert_eq!((errors.as_str(), code), ("", Some(1)));
    assert_eq!(report["ended"], "lost", "{report:#}");
    let reason = report["reason"].as_str().unwrap();
    assert_eq!(reason, format!("{url} answered nothing within 2 s"));
    is_partial(&report);
    proxy.signal(Signal::KILL);
}

#[tokio::test]
async fn ctrl_c_ends_it_with_the_report_so_far() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let output = interrupted(&recorded, &etcd, 20, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.contains("calls") && header.contains("p99"), "{text}");
    assert!(text.contains("KV/Txn "), "{text}");
    assert!(text.contains("interrupted after "), "{text}");
    assert!(text.contains("late by: p50 "), "{text}");
    // A pace of one took as long as it was recorded to take.
    assert!(text.contains("speed 1: "), "{text}");
}

#[tokio::test]
async fn calls_that_take_too_long_are_given_up_one_by_one() {
    let recorded = Recorded::of_capture(NAME_0_36).await;
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.yaml");
    let faults = "faults:\n  - name: slow\n    match: {verb: list_page}\n    action: {delay: {response: 30s}}\n";
    std::fs::write(&plan, faults).unwrap();
    let (_, errors, code) = etcdtap(&["fault", "check", plan.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{errors}");
    let proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--faults", &plan)
        .start()
        .await;
    let flags = ["--speed", "20", "--timeout", "3s", "--yes"];
    let (report, errors, code) = run(&recorded.path(), &proxy.urls("http")[0], &flags).await;
    assert_eq!((errors.as_str(), code), ("", Some(1)), "{report:#}");
    assert_eq!(report["ended"], "complete", "{report:#}");
    let late = number(&report["methods"]["KV/Range"]["errors"]["DEADLINE_EXCEEDED"]);
    assert!(late > 0, "{report:#}");
    assert_eq!(number(&report["new_errors"]), late);
}
