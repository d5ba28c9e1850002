//! A capture's bytes in, events out.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::capture::{CaptureError, Item, Reader};
use super::context::Context;
use super::flows::{Clock, Flows};
use super::packet::{self, Passed};
use super::report::Report;
use super::sink::Sink;
use crate::etcd::SessionOptions;
use crate::trace::Anchor;

/// What is to be imported.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The servers' ports; none for all connections that speak HTTP/2, and what
    /// else their servers and port 2379 speak.
    pub ports: Vec<u16>,
    /// What the core of every connection shares.
    pub session: Arc<SessionOptions>,
}

/// Why an import does not go on.
#[derive(Debug)]
pub enum ImportError<E> {
    /// The file is no capture.
    Capture(CaptureError),
    /// The sink takes no more.
    Sink(E),
}

/// Makes events of a capture.
///
/// Hand in the file with [`Importer::push`], piece by piece, and call
/// [`Importer::finish`] at its end. Memory is bounded, whatever the file says.
pub struct Importer<S: Sink> {
    reader: Reader,
    flows: Flows,
    context: Context<S>,
    base: Instant,
    clock: Option<Clock>,
    /// The latest time of a packet.
    last: u64,
    /// The capture cannot be read any further.
    damaged: bool,
}

impl<S: Sink> Importer<S> {
    /// An import whose first packet is at `base` on the monotonic clock.
    pub fn new(options: Options, base: Instant, sink: S) -> Importer<S> {
        Importer {
            reader: Reader::default(),
            flows: Flows::default(),
            context: Context::new(options, sink),
            base,
            clock: None,
            last: 0,
            damaged: false,
        }
    }

    /// Takes in a TLS key log, as `SSLKEYLOGFILE` names it; before the capture.
    /// Returns how many of its lines gave a secret.
    pub fn read_keys(&mut self, text: &[u8]) -> u64 {
        let before = self.context.keys.secrets();
        self.context.keys.read(text);
        self.context.keys.secrets() - before
    }

    /// What came of it so far.
    pub fn report(&self) -> &Report {
        &self.context.report
    }

    /// Takes in the next bytes of the file. What is behind damage is passed over.
    ///
    /// # Errors
    /// The file is no capture, or the sink takes no more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ImportError<S::Error>> {
        if self.damaged {
            return Ok(());
        }
        self.reader.push(bytes);
        loop {
            match self.reader.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Item::Secrets(text))) => self.context.keys.read(text),
                Ok(Some(Item::Packet(packet))) => {
                    let at = packet.at;
                    self.context.report.packets += 1;
                    self.last = self.last.max(at);
                    let clock = match self.clock {
                        Some(clock) => clock,
                        None => {
                            let clock = Clock {
                                first: at,
                                base: self.base,
                            };
                            self.clock = Some(clock);
                            begin(&mut self.context, clock);
                            clock
                        }
                    };
                    let report = &mut self.context.report;
                    match packet::segment(&packet) {
                        Ok(segment) => {
                            report.segments += 1;
                            report.cut += u64::from(segment.cut);
                            let wanted = |port: u16| self.context.options.ports.contains(&port);
                            if self.context.options.ports.is_empty()
                                || wanted(segment.from.port())
                                || wanted(segment.to.port())
                            {
                                self.flows.handle(&segment, at, &clock, &mut self.context);
                            }
                        }
                        Err(Passed::Other) => {}
                        Err(Passed::Fragment) => report.fragments += 1,
                        Err(Passed::Broken) => report.broken += 1,
                        Err(Passed::Link(link)) => {
                            *report.unknown_links.entry(link).or_default() += 1;
                        }
                    }
                }
                Err(error) if error.is_no_capture() => return Err(ImportError::Capture(error)),
                Err(error) => {
                    self.damaged = true;
                    self.context.report.damage = Some(error);
                    return Ok(());
                }
            }
            if let Some(error) = self.context.failed.take() {
                return Err(ImportError::Sink(error));
            }
        }
    }

    /// The file ends here. `cut` says why it could not be read to its end, if it
    /// could not.
    ///
    /// # Errors
    /// The file is no capture, or the sink takes no more.
    pub fn finish(mut self) -> Result<(Report, S), ImportError<S::Error>> {
        if !self.damaged
            && let Err(error) = self.reader.end()
        {
            if error.is_no_capture() {
                return Err(ImportError::Capture(error));
            }
            self.context.report.damage = Some(error);
        }
        if let Some(clock) = self.clock {
            let end = clock.moment(self.last);
            self.flows.finish(end, &clock, &mut self.context);
        }
        self.context.judge_unread();
        let mut context = self.context;
        context.report.dropped = self.reader.dropped();
        context.report.broken += self.reader.broken();
        match context.failed {
            Some(error) => Err(ImportError::Sink(error)),
            None => Ok((context.report, context.sink)),
        }
    }
}

fn begin<S: Sink>(context: &mut Context<S>, clock: Clock) {
    let wall = UNIX_EPOCH.checked_add(Duration::from_nanos(clock.first));
    let anchor = Anchor {
        wall: wall.unwrap_or(UNIX_EPOCH),
        at: clock.base,
    };
    if let Err(error) = context.sink.begin(anchor) {
        context.failed = Some(error);
    }
}

impl<E: fmt::Display> fmt::Display for ImportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Capture(error) => error.fmt(f),
            ImportError::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ImportError<E> {}
