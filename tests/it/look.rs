//! `show`, `stats` and `scorecard` on a recording, as a user runs them.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::pcap;

/// A recording of the second capture, in a folder of its own.
struct Recorded {
    folder: tempfile::TempDir,
}

impl Recorded {
    fn new() -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let pcap = pcap::unpacked("apiserver-0.36_etcd-3.5_startup-and-workload");
        let pcap_file = folder.path().join("etcd.pcap");
        fs::write(&pcap_file, pcap).unwrap();
        let recorded = Recorded { folder };
        let imported = etcdtap(&[
            "import",
            pcap_file.to_str().unwrap(),
            "-o",
            recorded.path().to_str().unwrap(),
        ]);
        assert!(imported.status.success(), "{}", said(&imported));
        recorded
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("calls.mcap")
    }

    fn run(&self, command: &str, args: &[&str]) -> Output {
        let path = self.path();
        let mut all = vec![command, path.to_str().unwrap()];
        all.extend(args);
        etcdtap(&all)
    }

    /// The lines that `show` prints, as JSON.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let out = self.run("show", args);
        assert!(out.status.success(), "{}", said(&out));
        let text = String::from_utf8(out.stdout).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn etcdtap(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .args(args)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn the_log_is_shown_and_asked_as_the_live_one() {
    let recorded = Recorded::new();
    let all = recorded.lines(&[]);
    assert!(all.len() > 4000, "{}", all.len());
    let events = all.iter().filter(|line| line["event"] == "watch_event");
    assert_eq!(events.count(), 1612);

    let count = |holds: &dyn Fn(&Value) -> bool| all.iter().filter(|line| holds(line)).count();
    for (args, holds) in [
        (
            &["--resource", "pods", "--verb", "update"][..],
            &(|line: &Value| line["resource"] == "pods" && line["verb"] == "update")
                as &dyn Fn(&Value) -> bool,
        ),
        (&["--method", "kv/range"], &|line| line["method"] == "Range"),
        (
            &["--filter", "response_bytes > 1KiB && resource == 'pods'"],
            &|line| line["response_bytes"].as_u64() > Some(1024) && line["resource"] == "pods",
        ),
        (&["--errors-only"], &|line| {
            line["state"] == "failed" || line["status"].is_string() && line["status"] != "OK"
        }),
    ] {
        assert_eq!(recorded.lines(args).len(), count(holds), "{args:?}");
    }

    let key = all
        .iter()
        .find(|line| line["verb"] == "update" && line["resource"] == "deployments")
        .map(|line| line["key"].as_str().unwrap().to_owned())
        .unwrap();
    let of_key = recorded.lines(&["--key", &key]);
    assert_eq!(of_key.len(), count(&|line| line["key"] == key.as_str()));
    assert!(of_key.len() > 3);

    let from = all[1000]["ts"].as_str().unwrap();
    let to = all[1500]["ts"].as_str().unwrap();
    let within = recorded.lines(&["--from", from, "--to", to]);
    assert_eq!(
        within.len(),
        count(&|line| {
            let ts = line["ts"].as_str().unwrap();
            ts >= from && ts <= to
        })
    );
    assert_eq!(recorded.lines(&["--limit", "3"]), all[..3]);
    assert_eq!(recorded.lines(&["--tail", "3"]), all[all.len() - 3..]);
    // Who stops early does not know how it ends, and says nothing of it.
    assert_eq!(said(&recorded.run("show", &["--limit", "3"])), "");
    let last = recorded.lines(&["--from", "-2s"]);
    assert!(!last.is_empty() && last.len() < all.len());

    let pretty = recorded.run("show", &["--log", "pretty", "--limit", "20"]);
    let text = String::from_utf8(pretty.stdout).unwrap();
    assert_eq!(text.lines().count(), 20);
    assert!(!text.contains('\u{1b}'), "a pipe has no colours");
}

#[test]
fn a_part_that_is_missing_is_said_and_the_rest_is_shown() {
    let recorded = Recorded::new();
    let whole = recorded.lines(&[]).len();
    let bytes = fs::read(recorded.path()).unwrap();
    fs::write(recorded.path(), &bytes[..bytes.len() / 2]).unwrap();
    let out = recorded.run("show", &[]);
    assert_eq!(out.status.code(), Some(1));
    let lines = String::from_utf8(out.stdout.clone())
        .unwrap()
        .lines()
        .count();
    assert!(lines > 0 && lines < whole, "{lines} of {whole}");
    assert!(
        said(&out).contains("calls.mcap breaks off"),
        "{}",
        said(&out)
    );
    assert_eq!(said(&out).lines().count(), 1);
    let stats = recorded.run("stats", &["--json"]);
    assert_eq!(stats.status.code(), Some(1));
    let card: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!(card["lines"], lines);

    fs::write(recorded.path(), "nothing of the kind").unwrap();
    for command in ["show", "stats"] {
        let out = recorded.run(command, &[]);
        assert_eq!(out.status.code(), Some(2));
        assert!(
            said(&out).contains("is no recording of etcdtap"),
            "{}",
            said(&out)
        );
        assert_eq!(said(&out).lines().count(), 1);
    }
}

#[test]
fn objects_and_what_changed_in_them_are_found() {
    let recorded = Recorded::new();
    let key = &["--key", "/registry/deployments/lab/web"][..];
    let of_key = |more: &[&str]| recorded.lines(&[key, more].concat());
    let objects = of_key(&["--object", "-o", "json"]);
    assert!(objects.len() > 10);
    for line in &objects {
        assert_eq!(line["object"]["kind"], "Deployment", "{line}");
        assert_eq!(line["object"]["metadata"]["name"], "web");
    }
    let changes = of_key(&["--diff", "-o", "json", "--verb", "update"]);
    for line in &changes {
        assert_eq!(line["before_is_sure"], true, "{line}");
        assert!(line["changes"].is_array(), "{line}");
    }
    let scaled = changes.iter().any(|line| {
        let changes = line["changes"].as_array().unwrap();
        changes.iter().any(|one| one["path"] == ".spec.replicas")
    });
    assert!(scaled, "the workload scales it");
    let yaml = recorded.run("show", &[key, &["--object", "--limit", "1"]].concat());
    let text = String::from_utf8(yaml.stdout).unwrap();
    assert!(text.starts_with("---\n# 06:33:10.069"), "{text}");
    assert!(
        text.contains("kind: Deployment") && !text.contains("managedFields"),
        "{text}"
    );

    // What was hidden when it was recorded stays hidden, and is said to be.
    let secrets = recorded.run("show", &["--resource", "secrets", "--object"]);
    let text = String::from_utf8(secrets.stdout).unwrap();
    for part in ["eyJhbGci", "ZXlKaGJHY2"] {
        assert!(!text.contains(part), "{text}");
    }
}

#[test]
fn who_stops_reading_is_no_failure() {
    let recorded = Recorded::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .args(["show", recorded.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    assert_eq!(said(&out), "");
}

#[test]
fn stats_count_what_the_captures_readme_counts() {
    let recorded = Recorded::new();
    let out = recorded.run("stats", &["--json"]);
    assert!(out.status.success(), "{}", said(&out));
    let card: Value = serde_json::from_slice(&out.stdout).unwrap();
    let calls = |list: &str, name: &str, value: &str| {
        let rows = card[list].as_array().unwrap();
        let row = rows.iter().find(|row| row[name] == value);
        row.map(|row| row["calls"].as_u64().unwrap())
    };
    assert_eq!(calls("by_method", "method", "KV/Txn"), Some(1612));
    assert_eq!(calls("by_method", "method", "KV/Range"), Some(883));
    let events = card["watches"].as_array().unwrap().iter();
    let events: u64 = events.map(|row| row["events"].as_u64().unwrap()).sum();
    assert_eq!(events, 1612);
    assert_eq!(card["biggest_answers"][0]["bytes"], 933_610);
    let table = recorded.run("stats", &["--resource", "pods", "--top", "3"]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains("RESOURCE") && text.contains("pods"), "{text}");
}

#[test]
fn two_recordings_are_shown_one_behind_the_other_and_counted_together() {
    let recorded = Recorded::new();
    let pcap_file = recorded.folder.path().join("etcd.pcap");
    let again = recorded.folder.path().join("again.mcap");
    let (pcap_file, again) = (pcap_file.to_str().unwrap(), again.to_str().unwrap());
    let imported = etcdtap(&["import", pcap_file, "-o", again]);
    assert!(imported.status.success(), "{}", said(&imported));

    let stats = |args: &[&str]| -> Value {
        let out = recorded.run("stats", args);
        assert!(out.status.success(), "{}", said(&out));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let (one, both) = (stats(&["--json"]), stats(&[again, "--json"]));
    for figure in ["lines", "connections"] {
        assert_eq!(
            both[figure].as_u64(),
            one[figure].as_u64().map(|n| 2 * n),
            "{figure}"
        );
    }
    assert_eq!(
        both["all"]["calls"],
        2 * one["all"]["calls"].as_u64().unwrap()
    );

    let asked = &["--resource", "deployments", "--log", "json"][..];
    let once = recorded.lines(asked).len();
    let twice = recorded.lines(&[&[again], asked].concat()).len();
    assert!(once > 0);
    assert_eq!(twice, 2 * once);
}

#[test]
fn a_scorecard_is_made_of_a_recording_as_of_its_log() {
    let recorded = Recorded::new();
    let log = recorded.folder.path().join("calls.ndjson");
    fs::write(&log, recorded.run("show", &["--log", "json"]).stdout).unwrap();
    let of_log = etcdtap(&["scorecard", log.to_str().unwrap(), "--json"]);
    let of_recording = recorded.run("scorecard", &["--json"]);
    assert!(of_log.status.success(), "{}", said(&of_log));
    assert!(!of_log.stdout.is_empty());
    assert_eq!(of_recording.stdout, of_log.stdout);
}
