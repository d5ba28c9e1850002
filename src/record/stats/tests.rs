use std::time::{Duration, Instant};

use prost::Message as _;

use super::*;
use crate::etcd::{Event, WatchNote};
use crate::grpc::Code;
use crate::kube::key::KeySpace;
use crate::record::line::LineWriter;
use crate::record::reader::Line;
use crate::record::recall::Recall;
use crate::record::schema::v1::LogLine;
use crate::trace::fixtures::{Time, a_little_of_everything, create};

/// What the figures are of these events.
fn of(time: Time, events: &[Event], top: usize) -> Stats {
    let anchor = time.anchor();
    let keys = KeySpace::default();
    let mut writer = LineWriter::new(anchor);
    let mut recall = Recall::new(Instant::now());
    let mut stats = Stats::new(top);
    for event in events {
        let mut bytes = Vec::new();
        let out = &mut bytes;
        let told = match event {
            Event::Call(call) => {
                let operation = Operation::of_call(call, &keys);
                writer.call(call, &operation, false, out)
            }
            Event::Watch(note) => {
                let note: &WatchNote = note;
                let operation = Operation::of_note(note, &keys);
                writer.watch(note, &operation, Some(800), out)
            }
            Event::ConnectionOpened { peers, at } => writer.opened(peers, *at, out),
            Event::Fault { peers, at, hits } => writer.fault(peers, *at, hits, out),
            Event::ConnectionEnded(ended) => writer.ended(ended, false, out),
            _ => continue,
        };
        let line = Line {
            at: told.at,
            line: LogLine::decode(&*bytes).unwrap(),
        };
        stats.add(&recall.line(&line).unwrap(), line.at);
    }
    stats
}

#[test]
fn everything_is_counted_where_it_belongs() {
    let time = Time::new();
    let stats = of(time, &a_little_of_everything(time), 10).to_json();
    assert_eq!(stats["all"]["calls"], 8);
    assert_eq!(stats["all"]["errors"], 2);
    assert_eq!(stats["all"]["conflicts"], 1);
    assert_eq!(stats["connections"], 1);
    let find = |list: &str, name: &str, value: &str| {
        let rows = stats[list].as_array().unwrap();
        let row = rows.iter().find(|row| row[name] == value);
        row.unwrap_or_else(|| panic!("{value} in {list}: {rows:?}"))
            .clone()
    };
    assert_eq!(find("by_method", "method", "KV/Txn")["calls"], 3);
    assert_eq!(find("by_verb", "verb", "conflict")["calls"], 1);
    assert_eq!(find("by_resource", "resource", "pods")["calls"], 4);
    assert_eq!(find("by_namespace", "namespace", "lab")["calls"], 1);
    // Its certificate was shown when it connected.
    let client = find(
        "by_client",
        "client",
        "kube-apiserver-etcd-client grpc-go/1.81.0 10.0.0.7",
    );
    assert_eq!(client["calls"], 8);
    let slowest = find("by_verb", "verb", "get");
    assert_eq!(slowest["duration_us"]["max"], 240_000);
    let error = find("errors", "status", "UNAVAILABLE");
    assert_eq!(error["method"], "Maintenance/Status");
    assert_eq!(error["count"], 1);
    assert_eq!(find("faults", "name", "black-hole")["hits"], 1);
    let watched = find("watches", "resource", "configmaps");
    assert_eq!(watched["events"], 1);
    assert_eq!(watched["lag_us"]["p50"], 800);
    assert_eq!(find("watches", "resource", "pods")["failed"], 1);
    assert_eq!(stats["conflicts"], 1);
    let pod = "/registry/pods/kube-system/coredns-7db6d8ff4d-x2x1z";
    assert_eq!(find("keys_by_calls", "key", pod)["calls"], 3);
    assert_eq!(find("keys_by_time", "key", pod)["duration_us"], 242_428);
    assert_eq!(stats["biggest_answers"].as_array().unwrap().len(), 8);
}

#[test]
fn the_tables_have_all_of_it() {
    let time = Time::new();
    let text = of(time, &a_little_of_everything(time), 3).to_string();
    for part in [
        "16 lines from 2026-11-03T08:05:32.000Z to 2026-11-03T08:10:35.000Z",
        "connections: 1",
        "METHOD ",
        "CLIENT ",
        "KEY ",
        "BIGGEST ANSWERS",
        "WATCHED",
        "CONFLICTS ",
        "etcdserver: no leader",
        "black-hole",
        "and 1 more",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    // What acts on a terminal does not reach it.
    assert!(!text.contains('\u{1b}'));
    assert_eq!(Stats::new(3).to_string(), "nothing passes\n");
}

#[test]
fn rows_are_bounded_whatever_is_named() {
    let time = Time::new();
    let events: Vec<Event> = (0..ROWS_MAX + 500)
        .map(|n| {
            let mut call = create(time);
            call.status.code = Code::UNAVAILABLE;
            call.status.message = Some(format!("{n} {}", "x".repeat(4000)).into());
            call.ended = call.started + Duration::from_micros(n as u64);
            Event::Call(call)
        })
        .collect();
    let stats = of(time, &events, 5);
    assert_eq!(stats.errors.0.len(), ROWS_MAX + 1);
    assert_eq!(stats.errors.0[OTHERS], 500);
    assert_eq!(stats.biggest.len(), 5);
    let longest = stats.errors.0.keys().map(|name| name.len()).max();
    assert_eq!(longest, Some(NAME_MAX));
}
