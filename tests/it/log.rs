//! The log of the real captures: every line parses, counts are the captures'
//! README's, and nothing that was stored shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use etcdtap::etcd::{Session, SessionOptions};
use etcdtap::http2::Side;
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers};
use etcdtap::score::{Answer, Measurement, Meter, Order, Probe, Reader, Scorecard};
use etcdtap::trace::{Anchor, Colour, Format, Options, Pipeline, Summary};
use serde_json::Value;

use crate::pcap::{self, Connection};

/// Runs a capture as it was, all connections side by side.
fn log_of(connections: &[Connection], options: Options) -> (String, Box<Summary>) {
    observed(connections, options, |_, _| {})
}

/// [`log_of`], with something done to the pipeline before the first event.
fn observed(
    connections: &[Connection],
    options: Options,
    first: impl FnOnce(&mut Pipeline, Anchor),
) -> (String, Box<Summary>) {
    let start = Instant::now();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_693_132);
    let anchor = Anchor { wall, at: start };
    let mut pipeline = Pipeline::new(options, anchor);
    first(&mut pipeline, anchor);
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
    pipeline.settled(Instant::now() + LATER, 0);
    let text = String::from_utf8(std::mem::take(pipeline.output())).expect("the log is text");
    assert_eq!(text.lines().count() as u64, pipeline.lines());
    (text, summary)
}

/// Later than anything that was just done.
const LATER: Duration = Duration::from_secs(1);

/// The card of a capture, as it was measured and as its log gives it.
fn cards_of(connections: &[Connection]) -> [Scorecard; 2] {
    let measurement = Measurement::default();
    let (tell, told) = std::sync::mpsc::channel();
    let (text, _) = observed(connections, options(Format::Json), |pipeline, anchor| {
        pipeline.observe(Box::new(Probe::new(measurement.clone(), anchor)));
        measurement.order(Order::Begin(Default::default()), |answer| {
            assert!(matches!(answer, Answer::Card(_)), "{answer:?}");
        });
        pipeline.settled(Instant::now() + LATER, 0);
        // Carried out when all has been seen.
        measurement.order(Order::End { failure: None }, move |answer| {
            tell.send(answer).unwrap()
        });
    });
    let Answer::Card(live) = told.recv().unwrap() else {
        panic!("there is a measurement");
    };
    let mut meter = Meter::new(Default::default());
    let source = Reader::default().read(text.as_bytes(), &mut meter).unwrap();
    assert_eq!(source.broken, 0);
    let read = meter.card(None, source);
    [*live, read].map(|card| Scorecard {
        source: Default::default(),
        ..card
    })
}

#[test]
fn a_measurement_and_its_log_give_the_same_card() {
    for connections in [&*pcap::APISERVER_1_20, &*pcap::APISERVER_0_36] {
        let [live, read] = cards_of(connections);
        assert_eq!(live, read);
        if std::env::var_os("ETCDTAP_TEST_SHOW_CARD").is_some() {
            println!("{read}");
        }
    }
}

#[test]
fn a_real_start_and_workload_are_clean() {
    let [card, _] = cards_of(&pcap::APISERVER_1_20);
    assert!(card.is_clean(), "{card}");
    assert_eq!((card.total.events, card.total.watches), (1866, 68));
    let [card, _] = cards_of(&pcap::APISERVER_0_36);
    assert!(card.is_clean(), "{card}");
    assert_eq!((card.total.events, card.total.watches), (1612, 14));
}

#[test]
fn an_event_that_is_taken_out_of_a_real_log_is_lost() {
    let (text, _) = log_of(&pcap::APISERVER_0_36, options(Format::Json));
    let lines: Vec<Value> = parsed(&text);
    let watch = |line: &Value| (line["conn"].clone(), line["stream"].clone());
    let is_event = |line: &&Value| line["event"] == "watch_event" && !line["lag_us"].is_null();
    let events: Vec<usize> = (0..lines.len()).filter(|i| is_event(&&lines[*i])).collect();
    let mut lost = 0;
    for taken in events.iter().copied().step_by(101) {
        // What comes after it on its watch shows that it will not come any more.
        let after = lines[taken + 1..].iter().filter(is_event);
        let goes_on = after
            .filter(|line| line["revision"].as_i64() > lines[taken]["revision"].as_i64())
            .any(|line| watch(line) == watch(&lines[taken]));
        let rest = text.lines().enumerate().filter(|(i, _)| *i != taken);
        let rest: String = rest.map(|(_, line)| format!("{line}\n")).collect();
        let mut meter = Meter::new(Default::default());
        let source = Reader::default().read(rest.as_bytes(), &mut meter).unwrap();
        let card = meter.card(None, source);
        assert_eq!(
            card.total.events_lost,
            u64::from(goes_on),
            "{taken}: {card}"
        );
        lost += card.total.events_lost;
    }
    assert!(lost >= 5, "{lost}");
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
