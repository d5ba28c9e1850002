//! A capture as a recording, made by the recorder itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcdtap::etcd::{Session, SessionOptions};
use etcdtap::http2::Side;
use etcdtap::record::files::Retention;
use etcdtap::record::observer::LineObserver;
use etcdtap::record::queue::{DEFAULT_QUEUE_BYTES, Overflow};
use etcdtap::record::reader::{Item, Joined, Line, Message, Query, Recordings, Wants};
use etcdtap::record::recorder::{Recorder, RecorderOptions};
use etcdtap::record::redact::{Policy, RecordingKey};
use etcdtap::record::scribe::Recording;
use etcdtap::relay::{ConnectionId, EndOfBytes, Peers};
use etcdtap::trace::{Anchor, Format, Options, Pipeline};
use tempfile::TempDir;

use crate::pcap::Connection;

/// A recording of a capture, and what the log said live.
pub struct Recorded {
    pub folder: TempDir,
    pub log: String,
}

impl Recorded {
    /// Records a capture as the proxy does by default.
    pub fn of(capture: &[Connection]) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let options = RecorderOptions {
            path: folder.path().join("calls.mcap"),
            compression: Some(1),
            flush: Duration::from_secs(1),
            rotate_bytes: None,
            rotate_every: None,
            retention: Retention::default(),
            queue_bytes: DEFAULT_QUEUE_BYTES,
            overflow: Overflow::Block,
            patience: None,
        };
        let policy = Policy::new(RecordingKey::from_bytes([7; 32]));
        let recorder = Recorder::start(options, policy).unwrap();
        let start = recorder.epoch();
        let anchor = Anchor {
            at: start,
            ..Anchor::now()
        };
        let mut pipeline = Pipeline::new(Options::new(Format::Json), anchor);
        pipeline.observe(Box::new(LineObserver::new(recorder.queue(), None, anchor)));
        let session = SessionOptions {
            scribes: Some(Arc::new(Recording::new(recorder.queue(), start))),
            ..SessionOptions::default()
        };
        drive(capture, &mut pipeline, &Arc::new(session), start);
        let log = String::from_utf8(std::mem::take(pipeline.output())).unwrap();
        drop(pipeline);
        let recorded = recorder.finish();
        assert_eq!(recorded.trouble, None);
        Recorded { folder, log }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("calls.mcap")
    }

    pub fn items(&self) -> Vec<Item> {
        items(&self.path())
    }

    pub fn lines(&self) -> Vec<Line> {
        let lines = self.items().into_iter().filter_map(|item| match item {
            Item::Line(line) => Some(*line),
            _ => None,
        });
        lines.collect()
    }

    pub fn messages(&self) -> Vec<Message> {
        let messages = self.items().into_iter().filter_map(|item| match item {
            Item::Message(message) => Some(*message),
            Item::Part(part) => panic!("a part stands alone: {part:?}"),
            _ => None,
        });
        messages.collect()
    }
}

/// What a recording holds.
pub fn items(path: &Path) -> Vec<Item> {
    let recordings = Recordings::open(&[path.to_owned()]).unwrap();
    let reading = recordings.read(Query::all(Wants::ALL));
    let joined = Joined::new(reading, usize::MAX / 8);
    joined.collect::<Result<_, _>>().unwrap()
}

/// All segments of a capture in the order of time, through the core and the trace.
fn drive(
    capture: &[Connection],
    pipeline: &mut Pipeline,
    options: &Arc<SessionOptions>,
    start: Instant,
) {
    let mut sessions: Vec<Session> = (1..)
        .zip(capture)
        .map(|(number, connection)| {
            let peers = Arc::new(Peers {
                id: ConnectionId(number),
                client: connection.client,
                listener: connection.server,
                // One has an address, the other a name.
                upstream: match number % 2 {
                    0 => "etcd-0.example:2379".into(),
                    _ => connection.server.to_string().into(),
                },
                tls: None,
            });
            Session::new(peers, options, start)
        })
        .collect();
    let mut segments: Vec<_> = capture
        .iter()
        .enumerate()
        .flat_map(|(number, connection)| {
            let segments = connection.segments.iter();
            segments.map(move |segment| (segment.at, number, segment))
        })
        .collect();
    segments.sort_by_key(|(at, number, _)| (*at, *number));
    let (mut now, mut settled) = (start, start);
    for (at, number, segment) in segments {
        now = start + at;
        pipeline.handle_timeout(now);
        let session = &mut sessions[number];
        session.handle_bytes(segment.side, &segment.bytes, now);
        drain(session, pipeline);
        // As the trace's thread does a few times a second.
        if now.saturating_duration_since(settled) >= Duration::from_millis(10) {
            pipeline.settled(now, 0);
            settled = now;
        }
    }
    for session in &mut sessions {
        session.handle_end(Side::Client, EndOfBytes::Closed, now);
        session.finish("the capture ended", now);
        drain(session, pipeline);
    }
    pipeline.finish();
}

fn drain(session: &mut Session, pipeline: &mut Pipeline) {
    for side in [Side::Client, Side::Server] {
        while session.poll_transmit(side).is_some() {}
    }
    while let Some(event) = session.poll_event() {
        pipeline.handle_event(event);
    }
}

/// What a command printed.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs `etcdtap export`.
pub fn export(arguments: &[&str]) -> Ran {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .arg("export")
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
