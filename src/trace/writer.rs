//! The thread that turns events into the log.
//!
//! Connections hand their events over through a bounded queue and never wait.
//! The thread lets a few milliseconds' worth gather, so that a busy proxy wakes
//! it seldom and every batch is one `write`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::budget::{Budget, bytes_of};
use super::clock::Anchor;
use super::diagnostics::Diagnostics;
use super::observer::Observer;
use super::output::{Destination, Output};
use super::pipeline::{Format, Options, Pipeline};
use super::sender::{Item, Sender};
use super::summary::Summary;

/// Events that may wait.
const QUEUE: usize = 65_536;

/// How long events gather before they are taken together. Nobody at a terminal
/// notices it, and under load it makes one wake-up of a hundred.
const GATHER: Duration = Duration::from_millis(10);

/// How large a batch grows before it is written.
const CHUNK: usize = 256 * 1024;

/// How many events are taken before the time is looked at again.
const ROUND: usize = 8192;

/// How long [`Handle::finish`] waits for a destination that takes nothing.
const FINISH_PATIENCE: Duration = Duration::from_secs(2);

/// The writer's handle, for whoever owns the process.
#[derive(Debug)]
pub struct Handle {
    sender: Sender,
    queue: SyncSender<Item>,
    shared: Arc<Shared>,
    finished: Receiver<Finished>,
}

/// What the writer and its handle both see.
#[derive(Debug, Default)]
struct Shared {
    finishing: AtomicBool,
    reopen: AtomicBool,
    /// Lines that were written.
    lines: AtomicU64,
    /// Lines that could not be.
    lost: AtomicU64,
    /// Connections whose tracing stopped.
    stopped: AtomicU64,
    /// Events that did not fit into the queue.
    dropped: Arc<AtomicU64>,
}

/// What there was in all.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// The summary, if it was asked for and the writer could come to its end.
    pub summary: Option<Box<Summary>>,
    /// Lines that were written.
    pub lines: u64,
    /// Lines that could not be written, and events that came too fast.
    pub dropped: u64,
    /// Connections whose tracing stopped.
    pub tracing_stopped: u64,
}

/// Starts the writer. `listeners` are the proxy's own addresses, by which it
/// knows whether etcd sends clients elsewhere.
///
/// # Errors
/// If the destination cannot be opened, or a thread not started.
pub fn start(
    options: Options,
    destination: Destination,
    listeners: Vec<SocketAddr>,
) -> io::Result<Handle> {
    start_observed(options, destination, listeners, Vec::new())
}

/// [`start`], with somebody who is shown everything.
///
/// # Errors
/// As of [`start`].
pub fn start_observed(
    options: Options,
    destination: Destination,
    listeners: Vec<SocketAddr>,
    observers: Vec<Box<dyn Observer>>,
) -> io::Result<Handle> {
    let output = match options.format {
        Format::Off => None,
        _ => Some(Output::open(destination)?),
    };
    start_into(output, options, listeners, observers)
}

fn start_into(
    output: Option<Output>,
    options: Options,
    listeners: Vec<SocketAddr>,
    observers: Vec<Box<dyn Observer>>,
) -> io::Result<Handle> {
    let warnings_only = output.is_none() && !options.summary && observers.is_empty();
    let (queue, items) = sync_channel(QUEUE);
    let (done, finished) = sync_channel(1);
    let shared = Arc::<Shared>::default();
    let budget = Budget::default();
    let mut pipeline = Pipeline::new(options, Anchor::now());
    for observer in observers {
        pipeline.observe(observer);
    }
    let writer = Writer {
        items,
        budget: budget.clone(),
        pipeline,
        diagnostics: Diagnostics::new(listeners),
        output,
        shared: Arc::clone(&shared),
    };
    thread::Builder::new()
        .name("etcdtap-trace".to_owned())
        .spawn(move || {
            // Nobody may wait for it any more.
            let _ = done.send(writer.run());
        })?;
    let dropped = Arc::clone(&shared.dropped);
    let sender = Sender::to_writer(queue.clone(), budget, warnings_only, dropped);
    Ok(Handle {
        sender,
        queue,
        shared,
        finished,
    })
}

impl Handle {
    /// A way for events.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Opens the log file anew, as after SIGHUP.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes what has been sent so far, ends the writer, and says in one
    /// warning how much was dropped, if anything was. Waits at most a few
    /// seconds for a destination that takes nothing.
    pub fn finish(self) -> Finished {
        self.shared.finishing.store(true, Ordering::Release);
        self.wake();
        let finished = match self.finished.recv_timeout(FINISH_PATIENCE) {
            Ok(finished) => finished,
            Err(_) => {
                tracing::warn!("the log takes no more lines; what was not written is lost");
                self.shared.finished(None)
            }
        };
        if finished.dropped > 0 {
            tracing::warn!("{} lines of the log were dropped", finished.dropped);
        }
        finished
    }

    fn wake(&self) {
        // A full queue wakes the writer as well.
        let _ = self.queue.try_send(Item::Wake);
    }
}

impl Shared {
    fn finished(&self, summary: Option<Box<Summary>>) -> Finished {
        let lost = self.lost.load(Ordering::Relaxed);
        Finished {
            summary,
            lines: self.lines.load(Ordering::Relaxed),
            dropped: lost.saturating_add(self.dropped.load(Ordering::Relaxed)),
            tracing_stopped: self.stopped.load(Ordering::Relaxed),
        }
    }
}

struct Writer {
    items: Receiver<Item>,
    /// What the waiting items hold.
    budget: Budget,
    pipeline: Pipeline,
    diagnostics: Diagnostics,
    /// `None` where the log is off.
    output: Option<Output>,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self) -> Finished {
        while self.wait() {
            // As long as events keep coming, none of them has to wake this
            // thread: a sender that must costs more than the event itself.
            while !self.is_finishing() {
                thread::sleep(GATHER);
                if self.drain() == 0 {
                    break;
                }
            }
        }
        // What was sent before the end was asked for, and has not been seen.
        self.drain();
        let summary = self.pipeline.finish();
        self.settle(Instant::now());
        self.write();
        self.shared.finished(summary)
    }

    /// Waits for something to do; `false` if there never will be.
    fn wait(&mut self) -> bool {
        if self.is_finishing() {
            return false;
        }
        let first = match self.pipeline.poll_timeout() {
            None => self
                .items
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => {
                let left = time.saturating_duration_since(Instant::now());
                self.items.recv_timeout(left)
            }
        };
        match first {
            Ok(item) => {
                self.pipeline.anchor(Anchor::now());
                self.take(item);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Takes all that waits, and writes it; gives how many events there were.
    fn drain(&mut self) -> usize {
        let mut total = 0;
        loop {
            let anchor = Anchor::now();
            self.pipeline.anchor(anchor);
            let mut taken = 0;
            while taken < ROUND
                && self.pipeline.output().len() < CHUNK
                && let Ok(item) = self.items.try_recv()
            {
                self.take(item);
                taken += 1;
            }
            total += taken;
            self.pipeline.handle_timeout(anchor.at);
            let all = taken < ROUND && self.pipeline.output().len() < CHUNK;
            if all {
                self.settle(anchor.at);
            }
            if self.shared.reopen.swap(false, Ordering::Acquire)
                && let Some(output) = &mut self.output
            {
                output.reopen();
            }
            self.write();
            if all {
                return total;
            }
        }
    }

    fn take(&mut self, item: Item) {
        if let Some(event) = item.into_event() {
            self.budget.give_back(bytes_of(&event));
            self.diagnostics.handle_event(&event);
            self.pipeline.handle_event(event);
        }
    }

    fn settle(&mut self, now: Instant) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        self.pipeline.settled(now, dropped);
    }

    fn write(&mut self) {
        if let Some(output) = &mut self.output {
            let muted = output.is_closed();
            output.write(self.pipeline.output());
            // Once nobody reads, lines are only counted.
            if !muted && output.is_closed() {
                self.pipeline.mute();
            }
            let lost = output.lost + self.pipeline.muted_lines();
            self.shared.lost.store(lost, Ordering::Relaxed);
            let written = self.pipeline.lines().saturating_sub(lost);
            self.shared.lines.store(written, Ordering::Relaxed);
        }
        let stopped = self.diagnostics.stopped;
        self.shared.stopped.store(stopped, Ordering::Relaxed);
    }

    fn is_finishing(&self) -> bool {
        self.shared.finishing.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
