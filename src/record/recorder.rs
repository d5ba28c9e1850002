//! The thread that writes a recording.
//!
//! It takes what waits a few times a second and writes it in whole chunks, and at
//! least once a flush interval: what is older than that survives the process. A
//! disk that takes nothing stops this thread and nobody else: what comes
//! meanwhile waits, and beyond the queue's bound is left out and counted.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use prost::Message;

use super::assembly::{Assembly, Sink};
use super::container::{Container, ContainerOptions, Times};
use super::files::{Family, Retention, Written};
use super::queue::{Lost, Outlet, Overflow, Parcel, Queue, queue};
use super::redact::Policy;
use super::schema::ChannelId;
use super::schema::v1::Loss;
use crate::trace::Anchor;

/// How long parcels gather before they are taken together.
const GATHER: Duration = Duration::from_millis(10);

/// How much is taken before it is written, and before it is asked whether another
/// file is to begin.
const PIECE: usize = 256 * 1024;

/// How long a disk that took nothing is left alone.
const RETRY: Duration = Duration::from_millis(500);

/// How long the end of a recording waits for a disk that takes nothing.
const END_PATIENCE: Duration = Duration::from_secs(5);

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
    /// Records.
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
        for adopted in family.adopt()? {
            tracing::info!(
                "{} was left by a proxy that did not come to its end; it keeps what it has",
                adopted.display()
            );
        }
        let (way, outlet) = queue(options.queue_bytes, options.overflow);
        let anchor = clock.unwrap_or_else(Anchor::now);
        let values = policy.values.as_str().to_owned();
        let mut writer = Writer {
            outlet,
            assembly: Assembly::new(Arc::new(policy), nanos(&anchor, anchor.at)),
            family,
            values,
            run: since_1970(SystemTime::now()),
            epoch: anchor.at,
            clock,
            file: None,
            owed: Vec::new(),
            sent: 0,
            flushed: Instant::now(),
            told: Lost::default(),
            recorded: Recorded::default(),
            stuck: None,
            finishing: Arc::default(),
            options,
        };
        let file = writer.begin_file()?;
        writer.file = Some(file);
        let finishing = Arc::clone(&writer.finishing);
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

/// A moment on the wall clock, in nanoseconds since 1970.
fn nanos(anchor: &Anchor, at: Instant) -> u64 {
    let wall = anchor.wall.duration_since(SystemTime::UNIX_EPOCH);
    let wall = wall.unwrap_or_default();
    let moment = if at >= anchor.at {
        wall + (at - anchor.at)
    } else {
        wall.saturating_sub(anchor.at - at)
    };
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

struct Writer {
    outlet: Outlet,
    assembly: Assembly,
    family: Family,
    values: String,
    /// When this run of the recorder began: all its files say so, and no other's.
    run: u128,
    epoch: Instant,
    /// How the clocks go, where they are not those of now.
    clock: Option<Anchor>,
    /// There always is one, but while one follows another.
    file: Option<Current>,
    /// Bytes that the disk has not taken yet, from `sent` on.
    owed: Vec<u8>,
    sent: usize,
    flushed: Instant,
    /// The losses that stand in the recording.
    told: Lost,
    recorded: Recorded,
    /// Since when the disk takes nothing.
    stuck: Option<Instant>,
    finishing: Arc<AtomicBool>,
    options: RecorderOptions,
}

struct Current {
    written: Written,
    container: Container,
    begun: Instant,
}

/// Records go into the container; a failure is kept until the batch is through.
struct Into<'c> {
    container: &'c mut Container,
    records: u64,
    failed: Option<String>,
}

impl Sink for Into<'_> {
    fn record(&mut self, channel: ChannelId, times: Times, data: &[u8]) {
        match self.container.add(channel, times, data) {
            Ok(()) => self.records += 1,
            Err(error) => self.failed = Some(error.to_string()),
        }
    }
}

impl Writer {
    fn run(mut self) -> Recorded {
        while !self.is_finishing() {
            if self.is_clogged() {
                // What comes stays in the queue, which knows its bound.
                self.look(Instant::now());
                continue;
            }
            let wait = self.options.flush.min(Duration::from_secs(1));
            match self.outlet.parcels.recv_timeout(wait) {
                Ok(parcel) => {
                    self.take(parcel);
                    // What comes next need not wake this thread.
                    thread::sleep(GATHER);
                    self.drain();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look(Instant::now());
        }
        self.drain();
        self.end();
        self.recorded
    }

    /// Takes what waits, and looks at the disk after each piece that is worth it.
    fn drain(&mut self) {
        while !self.is_clogged()
            && let Ok(parcel) = self.outlet.parcels.try_recv()
        {
            self.take(parcel);
            if self.owes() >= PIECE {
                self.look(Instant::now());
            }
        }
    }

    /// Bytes that the disk is owed.
    fn owes(&self) -> usize {
        self.owed.len() - self.sent
    }

    /// Whether the disk takes nothing, and is owed so much that no more is taken.
    fn is_clogged(&self) -> bool {
        self.stuck.is_some() && self.owes() > self.options.queue_bytes / 4
    }

    fn take(&mut self, parcel: Parcel) {
        self.outlet.taken(&parcel);
        let Some(current) = &mut self.file else {
            return;
        };
        let mut sink = Into {
            container: &mut current.container,
            records: 0,
            failed: None,
        };
        match &parcel {
            Parcel::Batch { connection, bytes } => {
                self.assembly.take(*connection, bytes, &mut sink);
            }
            Parcel::Gone { connection } => self.assembly.gone(*connection, &mut sink),
            Parcel::Lines(lines) => {
                let mut start = 0;
                for mark in &lines.marks {
                    let line = &lines.bytes[start..mark.end];
                    start = mark.end;
                    match sink.container.add_line(mark.at, &mark.about, line) {
                        Ok(()) => sink.records += 1,
                        Err(error) => sink.failed = Some(error.to_string()),
                    }
                }
            }
            Parcel::Wake => {}
        }
        self.recorded.records += sink.records;
        if let Some(failed) = sink.failed {
            self.recorded.trouble.get_or_insert(failed);
        }
        current.container.take(&mut self.owed);
    }

    /// Writes what is due, and begins another file when one is full.
    fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.flushed) >= self.options.flush {
            self.flushed = now;
            let anchor = self.anchor();
            self.assembly.set_epoch(nanos(&anchor, self.epoch));
            self.tell_losses(nanos(&anchor, now));
            self.end_chunk();
        }
        if !self.write() {
            thread::sleep(RETRY.min(self.options.flush));
            return;
        }
        let full = self.file.as_ref().is_some_and(|current| {
            let bytes = self.options.rotate_bytes;
            let every = self.options.rotate_every;
            bytes.is_some_and(|most| current.container.len() >= most)
                || every.is_some_and(|most| now.saturating_duration_since(current.begun) >= most)
        });
        if full {
            self.rotate();
        }
    }

    fn end_chunk(&mut self) {
        if let Some(current) = &mut self.file {
            if let Err(error) = current.container.end_chunk() {
                self.recorded.trouble.get_or_insert(error.to_string());
            }
            current.container.take(&mut self.owed);
        }
    }

    /// What was left out since it was told last stands in the recording, too.
    fn tell_losses(&mut self, at: u64) {
        let lost = self.outlet.lost();
        if lost == self.told {
            return;
        }
        let since = Lost {
            calls: lost.calls - self.told.calls,
            messages: lost.messages - self.told.messages,
            bytes: lost.bytes - self.told.bytes,
            lines: lost.lines - self.told.lines,
        };
        self.told = lost;
        tracing::warn!(
            "the recording cannot keep up with the traffic: {} calls and {} lines of the log were left out",
            since.calls,
            since.lines
        );
        let loss = Loss {
            calls: since.calls,
            messages: since.messages,
            bytes: since.bytes,
            lines: since.lines,
            reason: "the disk could not keep up".to_owned(),
        };
        if let Some(current) = &mut self.file {
            let times = Times {
                whole: at,
                began: at,
            };
            let _ = current
                .container
                .add(ChannelId::LOSSES, times, &loss.encode_to_vec());
        }
    }

    /// Gives the disk what it is owed; whether it took all.
    fn write(&mut self) -> bool {
        let Some(current) = &mut self.file else {
            return true;
        };
        while self.sent < self.owed.len() {
            match current.written.file.write(&self.owed[self.sent..]) {
                Ok(0) => return self.stick(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent += n;
                    self.recorded.bytes += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.stick(error),
            }
        }
        self.owed.clear();
        self.sent = 0;
        if let Some(since) = self.stuck.take() {
            tracing::warn!(
                "the recording goes on: the disk took nothing for {:.1} s",
                since.elapsed().as_secs_f32()
            );
        }
        true
    }

    /// The disk took nothing, which is said once; `false`, for [`Writer::write`].
    fn stick(&mut self, error: io::Error) -> bool {
        self.owed.drain(..self.sent);
        self.sent = 0;
        if self.stuck.is_none() {
            self.stuck = Some(Instant::now());
            let place = self.file.as_ref().map(|current| &current.written.partial);
            tracing::warn!(
                "the recording {} cannot be written: {error}; it is tried again, and what finds no room meanwhile is left out",
                place.map_or(String::new(), |place| place.display().to_string()),
            );
        }
        false
    }

    fn begin_file(&mut self) -> io::Result<Current> {
        let written = self.family.begin()?;
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut options = ContainerOptions {
            compression: self.options.compression,
            about: Default::default(),
        };
        let about = &mut options.about;
        about.insert("values".to_owned(), self.values.clone());
        about.insert("run".to_owned(), self.run.to_string());
        about.insert("file".to_owned(), written.number.to_string());
        about.insert(
            "began_ns".to_owned(),
            began.unwrap_or_default().as_nanos().to_string(),
        );
        let mut container = Container::new(&options).map_err(io::Error::other)?;
        container.take(&mut self.owed);
        self.assembly.begin_file();
        self.recorded.files += 1;
        Ok(Current {
            written,
            container,
            begun: Instant::now(),
        })
    }

    /// Ends the file at hand, and begins the next.
    fn rotate(&mut self) {
        self.close();
        match self.begin_file() {
            Ok(current) => self.file = Some(current),
            Err(error) => {
                let why = format!("its next file cannot be created: {error}");
                tracing::error!("the recording ends: {why}");
                self.recorded.trouble.get_or_insert(why);
            }
        }
        if let Err(error) = self
            .family
            .retain(&self.options.retention, SystemTime::now())
        {
            tracing::warn!("files of the recording that are old cannot be removed: {error}");
        }
    }

    fn close(&mut self) {
        if let Some(current) = &mut self.file {
            if let Err(error) = current.container.finish() {
                self.recorded.trouble.get_or_insert(error.to_string());
            }
            current.container.take(&mut self.owed);
        }
        let whole = self.write();
        let Some(current) = self.file.take() else {
            return;
        };
        if !whole {
            self.owed.clear();
            self.recorded
                .trouble
                .get_or_insert("the disk did not take its end".to_owned());
        }
        match current.written.finish() {
            Ok(path) => self.recorded.last = Some(path),
            Err(error) => {
                self.recorded
                    .trouble
                    .get_or_insert(format!("it cannot get its name: {error}"));
            }
        }
    }

    fn end(&mut self) {
        self.tell_losses(nanos(&self.anchor(), Instant::now()));
        self.end_chunk();
        let patience = Instant::now() + END_PATIENCE;
        while !self.write() && Instant::now() < patience {
            thread::sleep(RETRY);
        }
        self.close();
        self.recorded.lost = self.outlet.lost();
        self.recorded.waited = self.outlet.waited();
    }

    fn anchor(&self) -> Anchor {
        self.clock.unwrap_or_else(Anchor::now)
    }

    fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }
}
/// In nanoseconds.
fn since_1970(at: SystemTime) -> u128 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}
