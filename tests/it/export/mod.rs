//! `etcdtap export`: recordings of the real captures, in every format, read by
//! whoever reads that format.

mod lived;
mod packets;
mod part;
mod recorded;
mod report;
mod tables;

use std::fs;
use std::process::{Command, Stdio};

use aho_corasick::AhoCorasick;

use crate::pcap;
use crate::redaction::beginnings;
use recorded::{Recorded, export};

const FORMATS: [&str; 6] = ["ndjson", "csv", "parquet", "mcap", "pcapng", "robustness"];

/// Whether a token begins in it, in any encoding.
fn holds_a_token(bytes: &[u8]) -> bool {
    let beginnings = AhoCorasick::new(beginnings()).unwrap();
    beginnings.is_match(bytes)
}

/// All files below a folder, or the file.
fn bytes_of(path: &std::path::Path) -> Vec<u8> {
    if path.is_file() {
        return fs::read(path).unwrap();
    }
    let mut entries: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.iter().flat_map(|path| bytes_of(path)).collect()
}

#[test]
fn no_export_of_a_default_recording_holds_a_token() {
    assert!(holds_a_token(b"..eyJhbGciOi"));
    assert!(holds_a_token(
        data_encoding::BASE64.encode(b"x eyJhbGciOi").as_bytes()
    ));
    for capture in [&pcap::APISERVER_1_20, &pcap::APISERVER_0_36] {
        let came: Vec<u8> = capture
            .iter()
            .flat_map(|connection| connection.stream_of(etcdtap::http2::Side::Server))
            .collect();
        assert!(holds_a_token(&came), "there is something to hide");
        let recorded = Recorded::of(capture);
        let recording = recorded.path();
        for format in FORMATS {
            let out = recorded.folder.path().join(format);
            let ran = export(&[
                recording.to_str().unwrap(),
                "--to",
                format,
                "-o",
                out.to_str().unwrap(),
            ]);
            assert_eq!(ran.code, Some(0), "{format}: {}", ran.stderr);
            let bytes = bytes_of(&out);
            assert!(bytes.len() > 100_000, "{format}: {}", bytes.len());
            assert!(!holds_a_token(&bytes), "{format} holds a token");
            // Parquet is packed; DuckDB unpacks it in a test of its own.
        }
    }
}

#[test]
fn ndjson_is_the_live_log_byte_for_byte() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let path = recorded.path();
    let ran = export(&[path.to_str().unwrap(), "--to", "ndjson"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let text = String::from_utf8(ran.stdout).unwrap();
    for (told, live) in text.lines().zip(recorded.log.lines()) {
        assert_eq!(told, live);
    }
    assert!(text == recorded.log);
}

#[test]
fn filters_choose_the_lines_that_the_live_log_would() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let path = recorded.path();
    let path = path.to_str().unwrap();
    let lines = |arguments: &[&str]| {
        let ran = export(&[&[path, "--to", "ndjson"], arguments].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        String::from_utf8(ran.stdout).unwrap()
    };
    let pods = lines(&["--resource", "pods", "--verb", "create"]);
    let live: Vec<&str> = recorded
        .log
        .lines()
        .filter(|line| {
            line.contains("\"resource\":\"pods\"") && line.contains("\"verb\":\"create\"")
        })
        .collect();
    assert!(live.len() > 5, "{}", live.len());
    assert_eq!(pods.lines().collect::<Vec<_>>(), live);

    let all: Vec<&str> = recorded.log.lines().collect();
    let ts = |line: &str| line["{\"ts\":\"".len()..][..27].to_owned();
    let (from, until) = (ts(all[100]), ts(all[200]));
    let some = lines(&["--from", &from, "--until", &until]);
    let expected = all
        .iter()
        // What the log cuts off below a microsecond, a bound does not.
        .filter(|line| ts(line) >= from && ts(line) < until)
        .count();
    let told = some.lines().count();
    assert!(
        (expected..=expected + 2).contains(&told),
        "{told} {expected}"
    );
}

#[test]
fn who_stops_reading_is_told_nothing() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    for format in ["ndjson", "csv"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
            .arg("export")
            .arg(recorded.path())
            .args(["--to", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{format}");
    }
}

#[test]
fn what_is_asked_wrongly_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "this is no recording at all, but a text of some length",
    )
    .unwrap();
    let text = text.to_str().unwrap();
    for (arguments, says) in [
        (&[text, "--to", "csv"][..], "notes.txt"),
        (&["/nonexistent.mcap", "--to", "csv"], "/nonexistent.mcap"),
        (&[text], "--to is missing"),
        (&[text, "--to", "xls"], "\"xls\" is not known"),
        (&[text, "--to", "csv", "--from", "now"], "is no time"),
    ] {
        let ran = export(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    let recorded = Recorded::of(&pcap::APISERVER_0_36[..1]);
    let path = recorded.path();
    let path = path.to_str().unwrap();
    for (format, says) in [
        ("mcap", "no text"),
        ("pcapng", "no text"),
        ("robustness", "a folder"),
    ] {
        let ran = export(&[path, "--to", format]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let out = folder.path().join("out.csv");
    let out = out.to_str().unwrap();
    assert_eq!(export(&[path, "--to", "csv", "-o", out]).code, Some(0));
    let ran = export(&[path, "--to", "csv", "-o", out]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    let ran = export(&[path, "--to", "csv", "-o", out, "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn of_a_cut_recording_what_is_whole_is_exported_and_the_rest_is_said() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let bytes = fs::read(recorded.path()).unwrap();
    let cut = recorded.folder.path().join("cut.mcap");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    for format in FORMATS {
        let out = recorded.folder.path().join(format!("out.{format}"));
        let ran = export(&[
            cut.to_str().unwrap(),
            "--to",
            format,
            "-o",
            out.to_str().unwrap(),
        ]);
        assert_eq!(ran.code, Some(1), "{format}: {}", ran.stderr);
        assert!(ran.stderr.contains("breaks off"), "{}", ran.stderr);
        assert!(bytes_of(&out).len() > 50_000, "{format}");
    }
}
