//! A capture's bytes in, events out.

use std::fmt;
use std::sync::Arc;

use super::capture::{CaptureError, Item, Reader};
use super::context::Context;
use super::flows::{Clock, Flows};
use super::packet::{self, Passed};
use super::report::Report;
use super::sink::Sink;
use super::tls::KeyLog;
use crate::etcd::SessionOptions;
use crate::trace::Anchor;

/// Whether `first` begins a capture; as far as that can be told from the first bytes
/// of a file, or from all of them.
///
/// # Errors
/// It does not, and why.
pub fn recognise(first: &[u8]) -> Result<(), CaptureError> {
    let mut reader = Reader::default();
    reader.push(first);
    let error = match reader.next() {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => reader.end().err(),
        Err(error) => Some(error),
    };
    match error.filter(CaptureError::is_no_capture) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

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
    clock: Clock,
    /// The latest time of a packet.
    last: u64,
    /// The capture cannot be read any further.
    damaged: bool,
}

impl<S: Sink> Importer<S> {
    /// An import whose events tell the packets' times by the monotonic clock, as it
    /// goes with the wall clock by `anchor`.
    pub fn new(options: Options, anchor: Anchor, sink: S) -> Importer<S> {
        Importer {
            reader: Reader::default(),
            flows: Flows::default(),
            context: Context::new(options, sink),
            clock: Clock::new(anchor),
            last: 0,
            damaged: false,
        }
    }

    /// Opens TLS with these secrets, besides those that the capture brings along.
    /// To be called before the capture is handed in.
    pub fn use_keys(&mut self, keys: KeyLog) {
        self.context.keys = keys;
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
                    let report = &mut self.context.report;
                    report.first.get_or_insert(at);
                    report.last = self.last;
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
                                self.flows
                                    .handle(&segment, at, &self.clock, &mut self.context);
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

    /// The file ends here.
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
        let end = self.clock.moment(self.last);
        self.flows.finish(end, &self.clock, &mut self.context);
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

impl<E: fmt::Display> fmt::Display for ImportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Capture(error) => error.fmt(f),
            ImportError::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ImportError<E> {}
