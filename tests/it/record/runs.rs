//! Recordings that are followed while they grow, and recordings of several runs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use etcdtap::record::index::About;
use etcdtap::record::queue::{Lines, Mark};
use etcdtap::record::reader::{Item, Query, Recordings, STRIDE, Wants};
use etcdtap::record::recorder::Recorder;
use etcdtap::record::redact::Policy;
use etcdtap::record::schema::v1::LogLine;
use prost::Message;
use serde_json::Value;

use super::stage;

fn recorder(path: &Path, every: Option<Duration>) -> Recorder {
    let mut options = stage::options(path);
    options.rotate_every = every;
    options.flush = Duration::from_millis(20);
    Recorder::start(options, Policy::new(stage::key())).unwrap()
}

/// A line about a call, the `n`-th.
fn tell(recorder: &Recorder, n: u64) {
    let line = LogLine {
        event: "call".to_owned(),
        conn: 1,
        stream: Some(n as u32 * 2 + 1),
        client: "10.0.0.1:40000".to_owned(),
        upstream: "10.0.0.2:2379".to_owned(),
        service: Some("etcdserverpb.KV".to_owned()),
        method: Some("Range".to_owned()),
        key: Some(format!("/registry/pods/lab/web-{n}").into()),
        status: Some("OK".to_owned()),
        duration_us: Some(n),
        ..LogLine::default()
    };
    let bytes = line.encode_to_vec();
    let marks = vec![Mark {
        end: bytes.len(),
        at: 1_700_000_000_000_000_000 + n * 1_000_000,
        about: About::line(&line),
    }];
    let sent = recorder.queue().send_lines(Lines { bytes, marks });
    assert!(sent.is_ok());
}

/// `etcdtap show --follow`, which is ended with it.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn show_follows_a_recording_through_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.mcap");
    let recorder = recorder(&path, Some(Duration::from_millis(300)));
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let patience = Instant::now() + Duration::from_secs(120);
    let patient = || assert!(Instant::now() < patience, "it takes too long");
    tell(&recorder, 0);
    // A file that has no bytes yet is refused.
    let is_written = |path: &Path| path.metadata().is_ok_and(|about| about.len() > 0);
    while !is_written(&path) && !is_written(&path.with_extension("mcap.partial")) {
        std::thread::sleep(Duration::from_millis(5));
        patient();
    }
    let mut following = Following(
        Command::new(env!("CARGO_BIN_EXE_etcdtap"))
            .args(["show", "--follow", "--log", "json"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let (send, told) = mpsc::channel();
    let out = BufReader::new(following.0.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if send.send(line).is_err() {
                return;
            }
        }
    });
    // Each line is shown before the next is told, however many files that takes.
    let mut n = 0;
    while n < 20 || files() < 4 {
        if n > 0 {
            tell(&recorder, n);
        }
        let line = told.recv_timeout(Duration::from_secs(60)).expect("a line");
        assert_eq!(line["key"], format!("/registry/pods/lab/web-{n}"));
        assert_eq!(
            (&line["conn"], &line["duration_us"]),
            (&1.into(), &n.into())
        );
        n += 1;
        std::thread::sleep(Duration::from_millis(20));
        patient();
    }
    assert!(told.try_recv().is_err(), "each line is shown once");
    drop(following);
    assert_eq!(recorder.finish().trouble, None);
}

#[test]
fn connections_of_two_runs_are_two_and_those_of_a_run_are_one_in_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.mcap");
    for run in 0..2 {
        let recorder = recorder(&path, Some(Duration::from_millis(100)));
        for n in 0..3 {
            tell(&recorder, run * 100 + n);
            std::thread::sleep(Duration::from_millis(150));
        }
        assert_eq!(recorder.finish().trouble, None);
    }
    for named in [folder.path().to_owned(), path] {
        let recordings = Recordings::open(&[named]).unwrap();
        assert!(recordings.files().len() >= 4, "{:?}", recordings.files());
        let mut seen = Vec::new();
        for item in recordings.read(Query::all(Wants::LINES)) {
            if let Item::Line(line) = item.unwrap() {
                seen.push((line.line.conn, line.line.duration_us.unwrap()));
            }
        }
        let second = STRIDE + 1;
        assert_eq!(
            seen,
            [
                (1, 0),
                (1, 1),
                (1, 2),
                (second, 100),
                (second, 101),
                (second, 102)
            ]
        );
    }
}

#[test]
fn header_blocks_of_two_runs_are_told_apart() {
    use crate::session::script::RANGE;
    use etcdtap::http2::Side;
    use etcdtap::record::redact::Values;
    use etcdtap::relay::EndOfBytes;

    let folders = ["first", "second"].map(|agent| {
        let stage = stage::Stage::new(Values::Redacted);
        let mut script = stage.script();
        script.open_with(1, RANGE, &[("traceparent", agent)]);
        script.data(Side::Client, 1, b"\0\0\0\0\0", true);
        script.close(Side::Client, EndOfBytes::Closed);
        drop(script);
        stage.finish().0
    });
    let paths = folders.each_ref().map(|folder| folder.path().to_owned());
    let recordings = Recordings::open(&paths).unwrap();
    let (mut blocks, mut refers) = (std::collections::BTreeMap::new(), Vec::new());
    for item in recordings.read(Query::all(Wants::ALL)) {
        match item.unwrap() {
            Item::Headers { headers, .. } => {
                let field = |field: &&etcdtap::record::schema::v1::headers::Field| {
                    field.name == "traceparent"
                };
                let value = headers.fields.iter().find(field).unwrap().value.clone();
                assert_eq!(blocks.insert(headers.id, value), None);
            }
            Item::Message(message) => {
                refers.push((
                    message.meta.connection,
                    blocks[&message.meta.headers].clone(),
                ));
            }
            _ => {}
        }
    }
    let expected = [(1, "first".to_owned()), (STRIDE + 1, "second".to_owned())];
    assert_eq!(refers, expected);
}
