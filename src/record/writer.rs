//! The thread that writes a recording.
//!
//! It takes what waits a few times a second and writes it in whole chunks, so that
//! nothing that was recorded gets older than the flush interval before it is in
//! the file: that survives the process. A disk that takes nothing stops this
//! thread and nobody else: what comes meanwhile waits, and beyond the queue's
//! bound is left out and counted.

mod losses;
mod spares;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::assembly::{Assembly, Sink};
use super::container::{Container, ContainerOptions, Times};
use super::files::{Family, Written};
use super::queue::{Lost, Outlet, Overflow, Parcel};
use super::recorder::{Recorded, RecorderOptions};
use super::redact::Policy;
use super::schema::ChannelId;
use crate::trace::Anchor;
use spares::Spares;

/// How long parcels gather before they are taken together.
const GATHER: Duration = Duration::from_millis(10);

/// How much sooner than it must a chunk is ended: its parcels gathered, and it has
/// to be packed and written.
const HASTE: Duration = Duration::from_millis(20);

/// How much is taken before it is written, and before it is asked whether another
/// file is to begin.
const PIECE: usize = 256 * 1024;

/// How long a disk that took nothing is left alone.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// How long the end of a recording waits for a disk that takes nothing.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(5);

/// Why something is left out, where the disk only was slow.
const SLOW: &str = "the disk could not keep up";

/// What writes a recording, before it has a thread and on it.
pub(super) struct Writer {
    outlet: Outlet,
    spares: Spares,
    assembly: Assembly,
    family: Family,
    values: String,
    /// When this run of the recorder began, in nanoseconds since 1970: all its
    /// files say so, and no other's.
    run: u128,
    epoch: Instant,
    /// How the clocks go, where they are not those of now.
    clock: Option<Anchor>,
    /// There always is one, but while the next cannot be created.
    file: Option<Current>,
    /// Bytes that the disk has not taken yet, from `sent` on.
    owed: Vec<u8>,
    sent: usize,
    flushed: Instant,
    /// When the first record came that is in no file yet.
    oldest: Option<Instant>,
    /// The losses that stand in the recording.
    told: Lost,
    behind: Option<losses::Behind>,
    /// Records that were added, those that are owed included.
    added: u64,
    recorded: Recorded,
    /// Since when the disk takes nothing.
    stuck: Option<Instant>,
    /// What the disk said, of losses that are not told yet.
    reason: Option<String>,
    finishing: Arc<AtomicBool>,
    options: RecorderOptions,
}

struct Current {
    written: Written,
    container: Container,
    begun: Instant,
    /// It got its last record: what the disk is owed is its end.
    ended: bool,
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

impl Writer {
    pub(super) fn new(
        outlet: Outlet,
        family: Family,
        policy: Policy,
        options: RecorderOptions,
        clock: Option<Anchor>,
        anchor: Anchor,
    ) -> Writer {
        Writer {
            outlet,
            spares: Spares::default(),
            values: policy.values.as_str().to_owned(),
            run: since_1970(SystemTime::now()),
            assembly: Assembly::new(Arc::new(policy), nanos(&anchor, anchor.at)),
            family,
            epoch: anchor.at,
            clock,
            file: None,
            owed: Vec::new(),
            sent: 0,
            flushed: Instant::now(),
            oldest: None,
            told: Lost::default(),
            behind: None,
            added: 0,
            recorded: Recorded::default(),
            stuck: None,
            reason: None,
            finishing: Arc::default(),
            options,
        }
    }

    /// Says that the recording is to end.
    pub(super) fn finishing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.finishing)
    }

    /// Begins the first file: its head stands in it from the beginning, if the disk
    /// takes anything.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.retain();
        self.file = Some(self.begin_file()?);
        self.write();
        Ok(())
    }

    /// Writes until it is told to end.
    pub(super) fn run(mut self) -> Recorded {
        while !self.is_finishing() && !self.gives_up() {
            if self.takes_nothing() {
                // What comes stays in the queue, which knows its bound.
                self.look(Instant::now());
                continue;
            }
            match self.outlet.parcels.recv_timeout(self.patience()) {
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
        self.end();
        self.recorded
    }

    /// How long nothing may come before there is something to do.
    fn patience(&self) -> Duration {
        let usual = self.options.flush.min(Duration::from_secs(1));
        match self.oldest {
            Some(oldest) => {
                let due = oldest + self.options.flush;
                let left = due.saturating_duration_since(Instant::now());
                left.saturating_sub(HASTE).min(usual)
            }
            None => usual,
        }
    }

    /// Takes what waits, and looks at the disk after each piece that is worth it.
    fn drain(&mut self) {
        let mut came = 0;
        while !self.takes_nothing()
            && let Ok(parcel) = self.outlet.parcels.try_recv()
        {
            came += self.take(parcel);
            // What packs well fills no piece for long. A disk that takes nothing is
            // left alone until all has been taken that can be.
            if self.stuck.is_none() && (self.owes() >= PIECE || came >= 16 * PIECE) {
                came = 0;
                self.look(Instant::now());
            }
        }
    }

    /// Bytes that the disk is owed.
    fn owes(&self) -> usize {
        self.owed.len() - self.sent
    }

    /// Whether no parcel can be taken: there is no file that records could go to, or
    /// the disk takes nothing and is owed much.
    fn takes_nothing(&self) -> bool {
        self.file.as_ref().is_none_or(|current| current.ended)
            || self.stuck.is_some() && self.owes() > self.options.queue_bytes / 4
    }

    /// Puts a parcel into the file at hand, which there must be; gives how many bytes
    /// it took.
    fn take(&mut self, parcel: Parcel) -> usize {
        self.outlet.taken(&parcel);
        let mut came = parcel.cost();
        let Some(current) = &mut self.file else {
            return came;
        };
        let mut sink = Into {
            container: &mut current.container,
            records: 0,
            failed: None,
        };
        match &parcel {
            Parcel::Tray(tray) => {
                let mut spare = self.spares.next();
                let bytes = tray.take(&mut spare);
                self.outlet.freed(bytes.len());
                came += bytes.len();
                self.assembly.take(tray.connection, &bytes, &mut sink);
                self.spares.lent(tray);
                self.spares.keep(spare);
                self.spares.keep(bytes);
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
        if sink.records > 0 {
            self.added += sink.records;
            self.oldest.get_or_insert_with(Instant::now);
        }
        if let Some(failed) = sink.failed {
            self.recorded.trouble.get_or_insert(failed);
        }
        current.container.take(&mut self.owed);
        came
    }

    /// Writes what is due, and begins another file when one is full.
    fn look(&mut self, now: Instant) {
        // A disk that takes nothing needs no chunks.
        if self.stuck.is_none() && self.is_due(now) {
            self.flush(now);
        }
        if !(self.write() && self.follow(now)) {
            thread::sleep(RETRY.min(self.options.flush));
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let flush = self.options.flush;
        now.saturating_duration_since(self.flushed) >= flush
            || self
                .oldest
                .is_some_and(|oldest| now.saturating_duration_since(oldest) + HASTE >= flush)
    }

    /// Ends the chunk at hand: what it holds can be written.
    fn flush(&mut self, now: Instant) {
        self.flushed = now;
        self.spares.settle();
        let anchor = self.anchor();
        self.assembly.set_epoch(nanos(&anchor, self.epoch));
        self.tell_losses(now);
        if let Some(current) = &mut self.file
            && !current.ended
        {
            if let Err(error) = current.container.end_chunk() {
                self.recorded.trouble.get_or_insert(error.to_string());
            }
            current.container.take(&mut self.owed);
        }
    }

    /// Has a file that is full followed by another; whether there is one that takes
    /// records.
    fn follow(&mut self, now: Instant) -> bool {
        let Some(current) = &mut self.file else {
            return self.next_file();
        };
        if !current.ended {
            let bytes = self.options.rotate_bytes;
            let every = self.options.rotate_every;
            let old =
                every.is_some_and(|most| now.saturating_duration_since(current.begun) >= most);
            if old && !current.container.has_records() {
                // Nothing passes: there need not be a file that says so.
                current.begun = now;
                return true;
            }
            let full = bytes.is_some_and(|most| current.container.len() >= most);
            if !old && !full {
                return true;
            }
            self.end_file();
            if !self.write() {
                return false;
            }
        }
        self.name_file(Written::finish_behind);
        self.next_file()
    }

    /// The file at hand gets its last bytes, as soon as the disk takes them.
    fn end_file(&mut self) {
        let Some(current) = &mut self.file else {
            return;
        };
        if current.ended {
            return;
        }
        current.ended = true;
        if let Err(error) = current.container.finish() {
            self.recorded.trouble.get_or_insert(error.to_string());
        }
        current.container.take(&mut self.owed);
    }

    /// The file at hand is whole: it gets its name.
    fn name_file(&mut self, finish: impl FnOnce(Written) -> io::Result<PathBuf>) {
        let Some(current) = self.file.take() else {
            return;
        };
        let partial = current.written.partial.clone();
        match finish(current.written) {
            Ok(path) => self.recorded.last = Some(path),
            Err(error) => {
                let partial = partial.display();
                let why = format!("{partial} cannot get its finished name: {error}");
                tracing::warn!("{why}; it is whole, and can be read as it is");
                self.recorded.trouble.get_or_insert(why);
            }
        }
        self.retain();
    }

    /// Begins the next file; whether it could be created, which is tried until it
    /// can.
    fn next_file(&mut self) -> bool {
        match self.begin_file() {
            Ok(current) => {
                self.file = Some(current);
                self.write()
            }
            Err(error) => {
                self.stick(|| format!("the recording's next file cannot be created: {error}"));
                false
            }
        }
    }

    fn retain(&mut self) {
        let kept = self
            .family
            .retain(&self.options.retention, SystemTime::now());
        if let Err(error) = kept {
            tracing::warn!("files of the recording that are old cannot be removed: {error}");
        }
    }

    /// Gives the disk what it is owed; whether it took all.
    fn write(&mut self) -> bool {
        let Some(current) = &mut self.file else {
            return true;
        };
        while self.sent < self.owed.len() {
            let error = match current.written.file.write(&self.owed[self.sent..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    self.sent += n;
                    self.recorded.bytes += n as u64;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.owed.drain(..self.sent);
            self.sent = 0;
            let place = current.written.partial.display().to_string();
            self.stick(|| format!("the recording {place} cannot be written: {error}"));
            return false;
        }
        self.owed.clear();
        self.sent = 0;
        if !current.container.is_open() {
            self.oldest = None;
            self.recorded.records = self.added;
        }
        if let Some(since) = self.stuck.take() {
            tracing::warn!(
                "the recording goes on: the disk took nothing for {:.1} s",
                since.elapsed().as_secs_f32()
            );
        }
        true
    }

    /// The disk took nothing, which is said once.
    fn stick(&mut self, why: impl FnOnce() -> String) {
        if self.stuck.is_some() {
            return;
        }
        self.stuck = Some(Instant::now());
        let why = why();
        match (self.options.patience, self.options.overflow) {
            (Some(patience), _) => {
                let patience = patience.as_secs_f32();
                tracing::warn!("{why}; it is tried again for {patience} s");
            }
            (None, Overflow::Drop) => tracing::warn!(
                "{why}; it is tried again, and what finds no room meanwhile is left out and counted"
            ),
            (None, Overflow::Block) => tracing::warn!(
                "{why}; it is tried again, and traffic waits where there is no room meanwhile"
            ),
        }
        self.reason = Some(why);
    }

    fn begin_file(&mut self) -> io::Result<Current> {
        let written = self.family.begin()?;
        let began = since_1970(SystemTime::now());
        let mut options = ContainerOptions {
            compression: self.options.compression,
            about: Default::default(),
        };
        let about = &mut options.about;
        about.insert("values".to_owned(), self.values.clone());
        about.insert("run".to_owned(), self.run.to_string());
        about.insert("file".to_owned(), written.number.to_string());
        about.insert("began_ns".to_owned(), began.to_string());
        let mut container = Container::new(&options).map_err(io::Error::other)?;
        container.take(&mut self.owed);
        self.assembly.begin_file();
        self.recorded.files += 1;
        Ok(Current {
            written,
            container,
            begun: Instant::now(),
            ended: false,
        })
    }

    /// Whether the disk took nothing for longer than it is tried.
    fn gives_up(&self) -> bool {
        match (self.stuck, self.options.patience) {
            (Some(since), Some(patience)) => since.elapsed() >= patience,
            _ => false,
        }
    }

    /// Writes what has been handed over, as far as the disk takes it within some
    /// seconds, and what became of the rest.
    fn end(&mut self) {
        let patience = match self.gives_up() {
            true => Instant::now(),
            false => Instant::now() + END_PATIENCE,
        };
        loop {
            self.drain();
            let now = Instant::now();
            if self.stuck.is_none() && !self.takes_nothing() {
                // All was taken.
                self.flush(now);
                if self.write() {
                    break;
                }
            } else if now >= patience {
                break;
            } else {
                self.look(now);
            }
        }
        let refused = self.reason.clone();
        self.outlet.abandon();
        if self.outlet.lost() != self.told {
            self.reason.get_or_insert_with(|| SLOW.to_owned());
            self.tell_losses(Instant::now());
        }
        if self.file.is_none() {
            self.recorded.trouble = self.reason.take();
        }
        self.end_file();
        let whole = loop {
            match self.write() {
                false if Instant::now() < patience => thread::sleep(RETRY),
                whole => break whole,
            }
        };
        if !whole {
            let lost = self.added - self.recorded.records;
            let why = refused.unwrap_or_else(|| "the disk took nothing".to_owned());
            self.recorded
                .trouble
                .get_or_insert(format!("{why}; its last {lost} records found no room"));
        }
        // Cut or whole, nothing more will come of it.
        self.name_file(Written::finish);
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
