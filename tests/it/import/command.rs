//! `etcdtap import` as a whole: what it says, what it leaves, how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use super::packets::{Talk, plain_pcap, small};
use crate::pcap::NAME_0_36;

fn etcdtap(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .arg("import")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("etcdtap runs")
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

/// The number of a row of the summary.
fn row<'t>(summary: &'t str, name: &str) -> &'t str {
    let line = summary.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {summary}"));
    line[name.len()..]
        .split_whitespace()
        .next()
        .expect("a number")
}

#[test]
fn a_rule_that_asks_about_more_than_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "resource == \"configmaps\" && duration > 1s";
    let output = etcdtap(folder.path(), &["any.pcap", "--redact", rule]);
    let (_, errors, code) = told(&output);
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.contains("--redact: column 29: \"duration\" is not known of a value"),
        "{errors}"
    );
}

#[test]
fn a_capture_becomes_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/captures")
        .join(format!("{NAME_0_36}.pcap.zst"));
    let output = etcdtap(folder.path(), &[capture.to_str().unwrap()]);
    let (summary, errors, code) = told(&output);
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{summary}");
    for (name, number) in [
        ("connections", "20"),
        ("streams", "2,514"),
        ("calls", "2,514"),
        ("watches", "14"),
        ("watch events", "1,612"),
    ] {
        assert_eq!(row(&summary, name), number, "{summary}");
    }
    assert!(summary.contains("KV/Txn 1,612, KV/Range 883"), "{summary}");
    assert!(!summary.contains("missing"), "{summary}");

    let recording = folder.path().join(format!("{NAME_0_36}.mcap"));
    let mode = recording.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&recording).unwrap();
    let (mut messages, mut lines) = (0, 0);
    let (mut first, mut last) = (u64::MAX, 0);
    for message in mcap::MessageStream::new(&bytes).unwrap() {
        let message = message.unwrap();
        first = first.min(message.log_time);
        last = last.max(message.log_time);
        match message.channel.topic.contains("log") {
            true => lines += 1,
            false => messages += 1,
        }
        let token = memchr::memmem::find(&message.data, b"eyJhbGci");
        assert_eq!(token, None, "a token in {}", message.channel.topic);
    }
    // A line a call, a watch event, a beginning and an end; every message.
    assert!(lines > 2514 + 1612 + 40, "{lines} lines");
    assert!(messages > 2 * 2514, "{messages} messages");
    // The capture's times, not today's: its 92 seconds.
    assert!((85_000_000_000..100_000_000_000).contains(&(last - first)));
}

#[test]
fn a_capture_with_a_hole_becomes_the_part_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = Talk::default().packets(&small().segments);
    let middle = packets.len() / 2;
    let gone = middle
        + packets[middle..]
            .iter()
            .position(|p| !p.payload.is_empty())
            .unwrap();
    packets.remove(gone);
    let mut file = plain_pcap(&packets);
    file.pop();
    std::fs::write(folder.path().join("hole.pcap"), file).unwrap();
    let (summary, errors, code) = told(&etcdtap(folder.path(), &["hole.pcap", "-o", "a.mcap"]));
    assert_eq!((errors.as_str(), code), ("", Some(1)), "{summary}");
    assert!(
        summary.contains("hole.pcap ends within the record that begins at byte "),
        "{summary}"
    );
    assert!(
        summary.contains("1 connection was not read to the end"),
        "{summary}"
    );
    assert!(
        summary.contains("10.0.0.7:40312 to 10.0.0.5:2379: "),
        "{summary}"
    );
    assert!(folder.path().join("a.mcap").exists());
}

#[test]
fn what_is_no_capture_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("text", b"hello, world");
    write("empty", b"");
    write("none.pcap", &plain_pcap(&[]));
    let talk = Talk::default().packets(&small().segments);
    write("talk.pcap", &plain_pcap(&talk));
    write("half.pcap.zst", &{
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/captures/apiserver-0.36_etcd-3.5_startup-and-workload.pcap.zst");
        let mut packed = std::fs::read(path).unwrap();
        packed.truncate(300_000);
        packed
    });
    for (args, sentence, expected) in [
        (
            &["text"][..],
            "etcdtap: text is no pcap or pcapng file: it begins with 68 65 6c 6c\n",
            2,
        ),
        (&["empty"], "etcdtap: empty is empty\n", 2),
        (
            &["absent"],
            "etcdtap: absent cannot be read: No such file or directory\n",
            2,
        ),
        (&["none.pcap"], "etcdtap: none.pcap has no packets\n", 1),
        (
            &["talk.pcap", "--keylog", "text"],
            "etcdtap: --keylog: text has no secrets in it; name the file that SSLKEYLOGFILE named\n",
            2,
        ),
    ] {
        let (summary, errors, code) = told(&etcdtap(folder.path(), args));
        assert_eq!(
            (errors.as_str(), code),
            (sentence, Some(expected)),
            "{summary}"
        );
    }
    let (_, errors, code) = told(&etcdtap(folder.path(), &["talk.pcap", "--port", "4001"]));
    assert!(
        errors.contains("no connection to port 4001 that can be followed"),
        "{errors}"
    );
    assert_eq!(code, Some(1));
    let (_, errors, code) = told(&etcdtap(folder.path(), &["talk.pcap", "--port", "0"]));
    assert!(
        errors.contains("--port <PORT>") && errors.contains("0 is not in"),
        "{errors}"
    );
    assert_eq!(code, Some(2));
    // Nothing is left behind.
    let left = std::fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_str().unwrap().contains("mcap")),
        "{left:?}"
    );

    let (summary, _, code) = told(&etcdtap(folder.path(), &["half.pcap.zst"]));
    assert!(
        summary.contains("half.pcap.zst cannot be read to its end"),
        "{summary}"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_disk_that_is_full_ends_it_with_the_part_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/captures")
        .join(format!("{NAME_0_36}.pcap.zst"));
    // No file may get longer than 200 blocks: a signal that ends programs, and an
    // error where it does not.
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -f 200; exec \"$0\" import \"$1\" -o calls.mcap",
        ])
        .arg(env!("CARGO_BIN_EXE_etcdtap"))
        .arg(&capture)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (summary, errors, code) = told(&output);
    assert_eq!(code, Some(1), "{summary}{errors}");
    let trouble = "the recording is not whole: the recording calls.mcap.partial cannot be written: File too large";
    let said = summary
        .lines()
        .find(|line| line.trim().starts_with(trouble));
    assert!(
        said.is_some_and(|line| line.contains("records found no room")),
        "{summary}"
    );

    let shown = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .args(["show", "calls.mcap"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (lines, errors, code) = told(&shown);
    assert_eq!(code, Some(1));
    assert!(lines.lines().count() > 100, "{}", lines.len());
    assert!(errors.contains("missing"), "{errors}");
}
