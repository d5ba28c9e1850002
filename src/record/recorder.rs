//! A recording that is being made: how, since when, and what became of it. The
//! thread that makes it is in [`super::writer`].

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::files::{Family, Retention};
use super::queue::{Lost, Overflow, Parcel, Queue, queue};
use super::redact::Policy;
use super::writer::{END_PATIENCE, RETRY, Writer};
use crate::trace::Anchor;

/// How a recording is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderOptions {
    /// Its name.
    pub path: PathBuf,
    /// zstd's level; `None` does not compress.
    pub compression: Option<u32>,
    /// How old what was recorded may get before it is written.
    pub flush: Duration,
    /// From how many bytes on another file is begun.
    pub rotate_bytes: Option<u64>,
    /// After how long another file is begun.
    pub rotate_every: Option<Duration>,
    /// Which files are kept.
    pub retention: Retention,
    /// Bytes that may wait for the disk.
    pub queue_bytes: usize,
    /// What happens beyond that.
    pub overflow: Overflow,
    /// For how long a disk that takes nothing is tried before the recording ends;
    /// `None` tries for ever.
    pub patience: Option<Duration>,
}

/// A recording that is being made.
#[derive(Debug)]
pub struct Recorder {
    queue: Queue,
    epoch: Instant,
    finishing: Arc<AtomicBool>,
    ended: mpsc::Receiver<Recorded>,
}

/// What was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The files, those that were removed included.
    pub files: u64,
    /// The last of them.
    pub last: Option<PathBuf>,
    /// Records that stand in them.
    pub records: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// What could not be recorded.
    pub lost: Lost,
    /// How long traffic waited for the disk.
    pub waited: Duration,
    /// Why it is not whole, if it is not.
    pub trouble: Option<String>,
}

impl Recorder {
    /// Begins a recording that hides what `policy` says.
    ///
    /// # Errors
    /// If its first file cannot be created, or a thread not be started.
    pub fn start(options: RecorderOptions, policy: Policy) -> io::Result<Recorder> {
        Recorder::begin(options, policy, None)
    }

    /// As [`Recorder::start`], of what passed at another time: the clocks go as
    /// `anchor` says.
    ///
    /// # Errors
    /// As there.
    pub fn start_at(
        options: RecorderOptions,
        policy: Policy,
        anchor: Anchor,
    ) -> io::Result<Recorder> {
        Recorder::begin(options, policy, Some(anchor))
    }

    fn begin(
        options: RecorderOptions,
        policy: Policy,
        clock: Option<Anchor>,
    ) -> io::Result<Recorder> {
        let family = Family::of(&options.path)?;
        let left = family.adopt()?;
        for adopted in &left.adopted {
            tracing::info!(
                "{} was left by a proxy that did not come to its end; it keeps what it has",
                adopted.display()
            );
        }
        for written in &left.in_use {
            tracing::warn!(
                "{} is being written by another process; this one goes on with the next number",
                written.display()
            );
        }
        let (way, outlet) = queue(options.queue_bytes, options.overflow);
        let anchor = clock.unwrap_or_else(Anchor::now);
        let mut writer = Writer::new(outlet, family, policy, options, clock, anchor);
        writer.begin()?;
        let finishing = writer.finishing();
        let (tell, ended) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("etcdtap-record".to_owned())
            .spawn(move || {
                // Nobody may wait for it any more.
                let _ = tell.send(writer.run());
            })?;
        Ok(Recorder {
            queue: way,
            epoch: anchor.at,
            finishing,
            ended,
        })
    }

    /// The way to it.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// The moment from which [`super::batch`] counts.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Writes what has been handed over, and ends the recording.
    pub fn finish(self) -> Recorded {
        self.finishing.store(true, Ordering::Release);
        self.queue.send_small(Parcel::Wake);
        let patience = END_PATIENCE + RETRY + END_PATIENCE;
        self.ended
            .recv_timeout(patience)
            .unwrap_or_else(|_| Recorded {
                trouble: Some(
                    "the disk took nothing; what had not been written is lost".to_owned(),
                ),
                ..Recorded::default()
            })
    }
}
