//! The recording that an import writes: the one place where both meet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::recording::{self, Hiding};
use crate::cli::{Failure, io_reason};
use crate::etcd::Event;
use crate::etcd::scribe::Scribes;
use crate::import::Sink;
use crate::kube::key::KeySpace;
use crate::record::files::Retention;
use crate::record::observer::LineObserver;
use crate::record::queue::{DEFAULT_QUEUE_BYTES, Overflow, Queue};
use crate::record::recorder::{Recorder, RecorderOptions};
use crate::record::scribe::Recording;
use crate::trace::{Anchor, Format, Options, Pipeline};

/// Events between two looks at what waits, in the pipeline and for the disk.
const SETTLED_EVERY: u32 = 32;

/// For how long a disk that takes nothing is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// zstd's level: nobody waits, so better than what keeps up with traffic.
const LEVEL: u32 = 3;

/// Writes the recording.
pub(super) struct Output {
    pipeline: Pipeline,
    recorder: Recorder,
    /// The file of the recording's key, if it was not there before.
    fresh_key: Option<PathBuf>,
    since_settled: u32,
    /// The latest moment of the capture.
    now: Instant,
}

/// The recording as it was left.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Where it is, if there is anything in it.
    pub path: Option<PathBuf>,
    /// Its bytes.
    pub bytes: u64,
    /// Why it is not whole, if it is not.
    pub trouble: Option<String>,
}

impl Output {
    /// Creates the recording, and the scribes that write down what passes.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(
        path: &Path,
        hiding: &Hiding,
        key_space: KeySpace,
        anchor: Anchor,
    ) -> Result<(Output, Arc<dyn Scribes>), Failure> {
        let options = RecorderOptions {
            path: path.to_owned(),
            compression: Some(LEVEL),
            flush: Duration::from_secs(1),
            rotate_bytes: None,
            rotate_every: None,
            retention: Retention::default(),
            queue_bytes: DEFAULT_QUEUE_BYTES,
            // A capture can wait for the disk.
            overflow: Overflow::Block,
            // And whoever started this one waits for it.
            patience: Some(PATIENCE),
        };
        let (recorder, key) =
            recording::start("--output", options, hiding, key_space.clone(), Some(anchor))?;
        let scribes = Arc::new(Recording::new(recorder.queue(), recorder.epoch()));
        let mut log = Options::new(Format::Off);
        log.key_space = key_space;
        let mut pipeline = Pipeline::new(log, anchor);
        pipeline.observe(Box::new(LineObserver::new(recorder.queue(), None, anchor)));
        let output = Output {
            pipeline,
            recorder,
            fresh_key: key.fresh.then_some(key.path),
            since_settled: 0,
            now: anchor.at,
        };
        Ok((output, scribes))
    }

    /// The way to the recording, which is closed when it has ended by itself.
    pub fn queue(&self) -> Queue {
        self.recorder.queue()
    }

    /// Ends the recording; one that is not to be kept is removed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn finish(mut self, keep: bool) -> Result<Recorded, Failure> {
        self.pipeline.finish();
        self.pipeline.settled(self.now, 0);
        drop(self.pipeline);
        let recorded = self.recorder.finish();
        let path = recorded.last;
        if !keep {
            for path in path.iter().chain(&self.fresh_key) {
                std::fs::remove_file(path).map_err(|error| {
                    let (place, reason) = (path.display(), io_reason(&error));
                    let what = "is of no use, and cannot be removed";
                    Failure::failed(format!("{place} {what}: {reason}"))
                })?;
            }
        }
        Ok(Recorded {
            path: path.filter(|_| keep),
            bytes: recorded.bytes,
            trouble: recorded.trouble,
        })
    }
}

impl Sink for Output {
    type Error = Failure;

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(at) = moment(&event) {
            self.now = self.now.max(at);
        }
        if self
            .pipeline
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.pipeline.handle_timeout(self.now);
        }
        self.pipeline.handle_event(event);
        self.since_settled += 1;
        if self.since_settled >= SETTLED_EVERY {
            self.since_settled = 0;
            self.pipeline.settled(self.now, 0);
        }
        Ok(())
    }
}

/// When an event was.
fn moment(event: &Event) -> Option<Instant> {
    match event {
        Event::ConnectionOpened { at, .. }
        | Event::TracingStopped { at, .. }
        | Event::Fault { at, .. } => Some(*at),
        Event::Call(call) => Some(call.ended),
        Event::Watch(note) => Some(note.at),
        Event::Http1 { exchange, .. } => Some(exchange.ended),
        Event::ConnectionEnded(ended) => Some(ended.ended),
        // A PING is told long after it passed.
        Event::Ping { .. } | Event::MembersAdvertise { .. } => None,
    }
}
