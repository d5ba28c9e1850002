//! Traffic, and a recorder that writes it down.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdtap::etcd::scribe::{Begun, Scribe, Scribes, Told};
use etcdtap::etcd::{Session, SessionOptions};
use etcdtap::http1::Piece;
use etcdtap::http2::{Side, StreamId};
use etcdtap::record::files::Retention;
use etcdtap::record::queue::Overflow;
use etcdtap::record::reader::{Item, Joined, Query, Recordings, Wants};
use etcdtap::record::recorder::{Recorded, Recorder, RecorderOptions};
use etcdtap::record::redact::{Policy, RecordingKey, Values};
use etcdtap::record::scribe::Recording;
use etcdtap::relay::{BlockNumber, ConnectionId, EndOfBytes, Peers};

use crate::pcap::Connection;
use crate::session::script::Script;

/// Which message of a recording or a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Which {
    pub connection: u64,
    pub stream: u32,
    pub from_server: bool,
    pub index: u64,
}

/// A message as the core told it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    pub path: String,
    pub length: u64,
    pub compressed: bool,
    pub bytes: Vec<u8>,
    pub whole: bool,
}

/// All messages that passed, written down without any of the recorder's code.
#[derive(Debug, Default)]
pub struct Hearing(Mutex<BTreeMap<Which, Heard>>);

impl Hearing {
    pub fn messages(&self) -> BTreeMap<Which, Heard> {
        self.0.lock().unwrap().clone()
    }
}

/// Two scribes at once: the recorder's, and the plain one.
#[derive(Debug)]
struct Both {
    recording: Recording,
    hearing: Arc<Hearing>,
}

#[derive(Debug)]
struct BothScribes {
    recorder: Box<dyn Scribe>,
    connection: u64,
    hearing: Arc<Hearing>,
    open: HashMap<(u32, Side), Which>,
}

impl Scribes for Both {
    fn scribe(&self, peers: &Arc<Peers>) -> Box<dyn Scribe> {
        Box::new(BothScribes {
            recorder: self.recording.scribe(peers),
            connection: peers.id.0,
            hearing: Arc::clone(&self.hearing),
            open: HashMap::new(),
        })
    }
}

impl Scribe for BothScribes {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.recorder.field(name, value);
    }

    fn remember(&mut self, from: Side, number: BlockNumber) {
        self.recorder.remember(from, number);
    }

    fn again(&mut self, from: Side, number: BlockNumber) -> bool {
        self.recorder.again(from, number)
    }

    fn head(&mut self, call: &Told<'_>, from: Side, trailers: bool, now: Instant) {
        self.recorder.head(call, from, trailers, now);
    }

    fn forget(&mut self) {
        self.recorder.forget();
    }

    fn begin(&mut self, call: &Told<'_>, from: Side, message: Begun, now: Instant) {
        self.recorder.begin(call, from, message, now);
        let which = Which {
            connection: self.connection,
            stream: call.stream.number(),
            from_server: from == Side::Server,
            index: message.index,
        };
        self.open.insert((which.stream, from), which);
        let heard = Heard {
            path: format!("/{}", call.name),
            length: message.length.into(),
            compressed: message.compressed,
            ..Heard::default()
        };
        assert!(
            self.hearing
                .0
                .lock()
                .unwrap()
                .insert(which, heard)
                .is_none()
        );
    }

    fn body(&mut self, stream: StreamId, from: Side, bytes: &[u8]) {
        self.recorder.body(stream, from, bytes);
        let which = self.open[&(stream.number(), from)];
        let mut heard = self.hearing.0.lock().unwrap();
        heard
            .get_mut(&which)
            .unwrap()
            .bytes
            .extend_from_slice(bytes);
    }

    fn end(&mut self, stream: StreamId, from: Side, now: Instant) {
        self.recorder.end(stream, from, now);
        let which = self.open[&(stream.number(), from)];
        self.hearing
            .0
            .lock()
            .unwrap()
            .get_mut(&which)
            .unwrap()
            .whole = true;
    }

    fn over(&mut self, stream: StreamId, now: Instant) {
        self.recorder.over(stream, now);
    }

    fn content(&mut self, stream: StreamId, piece: &Piece<'_>, now: Instant) {
        self.recorder.content(stream, piece, now);
    }

    fn content_ended(&mut self, stream: StreamId, from: Side, size: u64, now: Instant) {
        self.recorder.content_ended(stream, from, size, now);
    }

    fn settle(&mut self) {
        self.recorder.settle();
    }
}

/// A recording that is being made in a folder of its own.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub hearing: Arc<Hearing>,
    pub options: Arc<SessionOptions>,
    recorder: Recorder,
}

impl Stage {
    pub fn new(values: Values) -> Stage {
        Stage::with(values, |_| {})
    }

    pub fn with(values: Values, change: impl FnOnce(&mut RecorderOptions)) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder.path().join("calls.mcap"));
        change(&mut options);
        let policy = Policy {
            values,
            ..Policy::new(key())
        };
        let recorder = Recorder::start(options, policy).unwrap();
        let hearing = Arc::<Hearing>::default();
        let scribes = Both {
            recording: Recording::new(recorder.queue(), recorder.epoch()),
            hearing: Arc::clone(&hearing),
        };
        Stage {
            folder,
            hearing,
            recorder,
            options: Arc::new(SessionOptions {
                scribes: Some(Arc::new(scribes)),
                ..SessionOptions::default()
            }),
        }
    }

    /// A captured connection passes, cut into pieces of at most `most` bytes, and
    /// comes out as it came in.
    pub fn pass(&self, connection: &Connection, number: u64, most: usize) {
        let start = Instant::now();
        let mut session = self.session(connection, number, start);
        for segment in &connection.segments {
            for chunk in segment.bytes.chunks(most) {
                session.handle_bytes(segment.side, chunk, start + segment.at);
                let mut out = 0;
                while let Some(transmit) = session.poll_transmit(segment.side) {
                    match transmit {
                        etcdtap::relay::Transmit::AsCame(range) => {
                            assert_eq!(range.start, out);
                            out = range.end;
                        }
                        other => panic!("nothing was armed, and yet {other:?}"),
                    }
                }
                assert_eq!(out, chunk.len(), "bytes out equal bytes in");
                while session.poll_event().is_some() {}
            }
        }
        let end = start
            + connection
                .segments
                .last()
                .map_or(Duration::ZERO, |last| last.at);
        session.handle_end(Side::Client, EndOfBytes::Closed, end);
        session.finish("the capture ended", end);
    }

    pub fn session(&self, connection: &Connection, number: u64, now: Instant) -> Session {
        let peers = Arc::new(Peers {
            id: ConnectionId(number),
            client: connection.client,
            listener: connection.server,
            upstream: connection.server.to_string().into(),
            tls: None,
        });
        Session::new(peers, &self.options, now)
    }

    /// A scripted connection whose peers have greeted each other.
    pub fn script(&self) -> Script {
        Script::with((*self.options).clone()).greet()
    }

    /// Ends the recording: its folder, what was told, what passed.
    pub fn finish(self) -> (tempfile::TempDir, Recorded, BTreeMap<Which, Heard>) {
        let recorded = self.recorder.finish();
        (self.folder, recorded, self.hearing.messages())
    }
}

/// The key of a stage's recording.
pub fn key() -> RecordingKey {
    RecordingKey::from_bytes([7; 32])
}

/// A recording's options as the proxy has them by default.
pub fn options(path: &Path) -> RecorderOptions {
    RecorderOptions {
        path: path.to_owned(),
        compression: Some(1),
        flush: Duration::from_millis(100),
        rotate_bytes: None,
        rotate_every: None,
        retention: Retention::default(),
        queue_bytes: 1 << 30,
        overflow: Overflow::Drop,
        patience: None,
    }
}

/// All that stands in the recordings of a folder, great messages joined.
pub fn items(folder: &Path) -> Vec<Item> {
    let files: Vec<PathBuf> = vec![folder.to_owned()];
    let mut reading = Recordings::open(&files)
        .unwrap()
        .read(Query::all(Wants::ALL));
    let items: Vec<Item> = Joined::new(&mut reading, usize::MAX)
        .map(|item| item.unwrap())
        .collect();
    let wholeness = reading.wholeness();
    assert!(wholeness.is_whole(), "{:?}", wholeness.sentence());
    items
}
