//! The log of the real captures: every line parses, counts are the captures'
//! README's, and nothing that was stored shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use etcdtap::etcd::{Session, SessionOptions};
use etcdtap::http2::Side;
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers};
use etcdtap::trace::{Anchor, Colour, Format, Options, Pipeline, Summary};
use serde_json::Value;

use crate::pcap::{self, Connection};

/// Runs a capture as it was, all connections side by side.
fn log_of(connections: &[Connection], options: Options) -> (String, Box<Summary>) {
    let start = Instant::now();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_693_132);
    let mut pipeline = Pipeline::new(options, Anchor { wall, at: start });
    let core = Arc::new(SessionOptions::default());
    let mut sessions: Vec<_> = (1..)
        .zip(connections)
        .map(|(number, connection)| {
            let peers = Arc::new(Peers {
                id: ConnectionId(number),
                client: connection.client,
                listener: connection.server,
                upstream: "etcd:2379".into(),
                tls: None,
            });
            let opened = connection.segments.first().map(|segment| segment.at);
            Session::new(peers, &core, start + opened.unwrap_or_default())
        })
        .collect();
    let mut segments: Vec<_> = connections
        .iter()
        .enumerate()
        .flat_map(|(i, connection)| connection.segments.iter().map(move |s| (s.at, i, s)))
        .collect();
    segments.sort_by_key(|(at, ..)| *at);
    let mut end = start;
    for (at, i, segment) in segments {
        let now = start + at;
        end = now;
        pipeline.handle_timeout(now);
        sessions[i].handle_bytes(segment.side, &segment.bytes, now);
        while sessions[i].poll_transmit(segment.side).is_some() {}
        while let Some(event) = sessions[i].poll_event() {
            pipeline.handle_event(event);
        }
    }
    for session in &mut sessions {
        session.handle_end(Side::Client, EndOfBytes::Closed, end);
        session.finish("client closed", end);
        while let Some(event) = session.poll_event() {
            pipeline.handle_event(event);
        }
    }
    let summary = pipeline.finish().expect("it was asked for");
    let text = String::from_utf8(std::mem::take(pipeline.output())).expect("the log is text");
    assert_eq!(text.lines().count() as u64, pipeline.lines());
    (text, summary)
}

fn options(format: Format) -> Options {
    Options {
        summary: true,
        ..Options::new(format)
    }
}

/// How often each value of a field occurs; `-` where it is absent.
fn counts(lines: &[Value], field: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let value = match &line[field] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn nothing_stored_shows(text: &str) {
    // Service account tokens, and words that stand in objects only.
    for word in ["eyJhbGci", "resourceVersion", "managedFields", "k8s\\u0000"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn json_of_the_older_api_server() {
    let (text, summary) = log_of(&pcap::APISERVER_1_20, options(Format::Json));
    nothing_stored_shows(&text);
    let lines = parsed(&text);
    let events = counts(&lines, "event");
    assert_eq!(events["watch_event"], 1866);
    assert_eq!(events["watch_created"], 68);
    assert_eq!(events["connection"], 2 * 77);
    let calls: Vec<_> = lines
        .into_iter()
        .filter(|line| line["event"] == "call")
        .collect();
    let verbs = counts(&calls, "verb");
    let txns = ["create", "update", "delete", "conflict", "compaction"];
    let txns: u64 = txns.iter().filter_map(|verb| verbs.get(*verb)).sum();
    assert_eq!(txns, 1784, "{verbs:?}");
    let ranges = ["get", "list", "list_page", "count"];
    let ranges: u64 = ranges.iter().filter_map(|verb| verbs.get(*verb)).sum();
    assert_eq!(ranges, 1741, "{verbs:?}");
    assert_eq!(verbs["count"], 111);
    assert_eq!(verbs["watch"], 68);
    assert_eq!(verbs["lease_grant"], 1);
    assert_eq!(verbs["Status"], 3);
    assert_eq!(
        summary.calls().iter().map(|row| row.calls).sum::<u64>(),
        3597
    );
}

#[test]
fn events_lag_behind_their_writes_by_little() {
    for connections in [&*pcap::APISERVER_1_20, &*pcap::APISERVER_0_36] {
        let (text, summary) = log_of(connections, options(Format::Json));
        nothing_stored_shows(&text);
        let lines = parsed(&text);
        let events: Vec<_> = lines
            .iter()
            .filter(|line| line["event"] == "watch_event")
            .collect();
        let lags: Vec<_> = events.iter().filter_map(|e| e["lag_us"].as_i64()).collect();
        // Nearly all: a few revisions were written before a watch began.
        assert!(lags.len() * 100 >= events.len() * 99, "{}", lags.len());
        assert!(lags.iter().all(|lag| lag.abs() < 100_000), "{lags:?}");
        let told: u64 = summary.watches().iter().map(|row| row.with_lag).sum();
        assert_eq!(told, lags.len() as u64);
    }
}

#[test]
fn pretty_lines_stay_in_their_columns() {
    let pretty = Format::Pretty {
        colour: Colour::Never,
        width: None,
    };
    let (text, summary) = log_of(&pcap::APISERVER_0_36, options(pretty));
    if let Ok(path) = std::env::var("ETCDTAP_TEST_KEEP_LOG") {
        std::fs::write(path, format!("{text}\n{summary}")).unwrap();
    }
    nothing_stored_shows(&text);
    for line in text.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        if let Some(sizes) = line.chars().position(|c| c == '↓') {
            assert_eq!(sizes, 36 + 46 + 8 + 10, "{line}");
        }
    }
}
