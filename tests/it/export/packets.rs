//! pcapng: tshark decodes it as HTTP/2 and gRPC, and finds no fault with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use etcdtap::http2::Side;

use super::recorded::{Recorded, export};
use crate::pcap;

/// Fields of every packet that a filter passes, with all that they stand for.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    // Nobody has told tshark what etcd's port is.
    for port in [2379, 12379, 13379] {
        command.args(["-d", &format!("tcp.port=={port},http2")]);
    }
    command.args(["-n", "-r"]).arg(file);
    command.args(["-Y", filter, "-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .expect("tshark is there: scripts/tools installs it");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| line.split('|').map(str::to_owned).collect();
    text.lines().map(row).collect()
}

fn exported(recorded: &Recorded, more: &[&str]) -> std::path::PathBuf {
    let out = recorded.folder.path().join("calls.pcapng");
    let recording = recorded.path();
    let mut arguments = vec![recording.to_str().unwrap(), "--to", "pcapng", "-o"];
    arguments.push(out.to_str().unwrap());
    arguments.extend_from_slice(more);
    let ran = export(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    out
}

/// All of a field's values, packet by packet and within a packet.
fn each(rows: &[Vec<String>], field: usize) -> impl Iterator<Item = &str> {
    rows.iter()
        .flat_map(move |row| row[field].split(','))
        .filter(|value| !value.is_empty())
}

fn counted<'a>(values: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    counts
}

fn all_is_decoded(capture: &[pcap::Connection]) {
    let recorded = Recorded::of(capture);
    let (lines, messages) = (recorded.lines(), recorded.messages());
    let file = exported(&recorded, &[]);

    let wrong = tshark(
        &file,
        "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || !http2 && tcp.len > 0",
        &["frame.number", "_ws.expert.message"],
    );
    assert!(wrong.is_empty(), "{} packets: {:?}", wrong.len(), wrong[0]);

    // Every call, by its path, with its status.
    let rows = tshark(&file, "http2.type == 1", &["http2.headers.path"]);
    let calls: Vec<_> = lines
        .iter()
        .filter(|line| {
            line.line.event == "call" && line.line.verb.as_deref() != Some("lease_keepalive")
        })
        .collect();
    let paths = counted(each(&rows, 0));
    let mut logged = BTreeMap::<String, usize>::new();
    for call in &calls {
        let (service, method) = (call.line.service(), call.line.method());
        *logged.entry(format!("/{service}/{method}")).or_default() += 1;
    }
    assert_eq!(paths, logged);

    // Every message, by its length, in both directions.
    let rows = tshark(&file, "grpc", &["grpc.message_length", "http2.streamid"]);
    let lengths = counted(each(&rows, 0));
    let mut recorded_lengths = BTreeMap::<String, usize>::new();
    for message in &messages {
        *recorded_lengths
            .entry(message.meta.size.to_string())
            .or_default() += 1;
    }
    assert_eq!(lengths, recorded_lengths);

    // Names that are no addresses have one.
    let names = tshark_names(&file);
    assert!(names.contains("etcd-0.example"), "{names}");
    assert!(
        messages
            .iter()
            .any(|message| message.from() == Some(Side::Server))
    );
}

fn tshark_names(file: &Path) -> String {
    let output = Command::new("tshark")
        .args(["-r"])
        .arg(file)
        .args(["-q", "-z", "hosts"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tshark_decodes_every_call_of_the_older_capture() {
    all_is_decoded(&pcap::APISERVER_1_20);
}

#[test]
fn tshark_decodes_every_call_of_the_newer_capture() {
    all_is_decoded(&pcap::APISERVER_0_36);
}

#[test]
fn packets_pass_when_the_messages_did() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let file = exported(&recorded, &[]);
    let rows = tshark(&file, "grpc", &["frame.time_epoch"]);
    let told: Vec<f64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(told.windows(2).all(|pair| pair[0] <= pair[1]));
    let messages = recorded.messages();
    let last = messages.iter().map(|message| message.times.whole).max();
    let first = messages.iter().map(|message| message.times.whole).min();
    let near = |told: f64, recorded: Option<u64>| {
        let recorded = recorded.unwrap() as f64 / 1e9;
        assert!((told - recorded).abs() < 0.001, "{told} {recorded}");
    };
    near(told[0], first);
    near(*told.last().unwrap(), last);
}

#[test]
fn chosen_calls_stand_whole_and_alone() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let file = exported(&recorded, &["--resource", "configmaps", "--verb", "create"]);
    let rows = tshark(&file, "http2.type == 1", &["http2.headers.path"]);
    let paths = counted(each(&rows, 0));
    let created = recorded
        .log
        .lines()
        .filter(|line| {
            line.contains("\"event\":\"call\"")
                && line.contains("\"resource\":\"configmaps\"")
                && line.contains("\"verb\":\"create\"")
        })
        .count();
    assert!(created > 2);
    assert_eq!(paths["/etcdserverpb.KV/Txn"], created, "{paths:?}");
    // Of watches that told of one, the whole stream.
    assert!(paths.len() <= 2, "{paths:?}");
}
