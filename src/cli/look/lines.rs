//! A recording as the log that was written of it.

use std::io::{self, Read};

use super::Asked;
use crate::record::reader::{Item, Line, Reading, Recordings, Refusal, Wholeness};
use crate::record::recall::Recall;
use crate::trace::{Format, Printer};

/// How much is printed at a time.
const PIECE: usize = 64 * 1024;

/// Prints the lines that are asked for, one after the other.
#[derive(Debug)]
pub(in crate::cli) struct Log {
    asked: Asked,
    reading: Reading,
    recall: Recall,
    printer: Printer,
    /// Lines that say what is not known here.
    pub unknown: u64,
    /// All there is was read.
    pub ended: bool,
}

impl Log {
    /// The log of what was asked for.
    pub fn new(asked: Asked, format: Format) -> Log {
        let recall = Recall::new(std::time::Instant::now());
        Log {
            reading: asked.recordings.read(asked.query.clone()),
            printer: Printer::new(format, None, recall.anchor()),
            recall,
            asked,
            unknown: 0,
            ended: false,
        }
    }

    /// From here on what comes later is read as well.
    pub fn follow(&mut self) {
        self.reading.follow();
    }

    /// The next line; where there is none there may be one later.
    ///
    /// # Errors
    /// If the recording cannot be read any more.
    pub fn next(&mut self) -> Result<Option<&mut Vec<u8>>, Refusal> {
        self.printer.output().clear();
        let added = self.add_next()?;
        Ok(added.then(|| self.printer.output()))
    }

    /// The next line that passes, unprinted.
    ///
    /// # Errors
    /// If the recording cannot be read any more.
    pub fn next_record(&mut self) -> Result<Option<Box<Line>>, Refusal> {
        for item in &mut self.reading {
            let Item::Line(line) = item? else { continue };
            match self.recall.line(&line) {
                Ok(told) if self.asked.passes(&told, self.recall.anchor()) => {
                    return Ok(Some(line));
                }
                Ok(_) => {}
                Err(_) => self.unknown += 1,
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// A line, printed.
    pub fn print(&mut self, line: &Line) -> &mut Vec<u8> {
        self.printer.output().clear();
        // It passed, so it is known.
        if let Ok(told) = self.recall.line(line) {
            told.print(&mut self.printer);
        }
        self.printer.output()
    }

    /// The recording.
    pub fn recordings(&self) -> &Recordings {
        &self.asked.recordings
    }

    /// Prints the next line behind those that have not been taken.
    fn add_next(&mut self) -> Result<bool, Refusal> {
        for item in &mut self.reading {
            let Item::Line(line) = item? else { continue };
            match self.recall.line(&line) {
                Ok(line) => {
                    if self.asked.passes(&line, self.recall.anchor()) {
                        line.print(&mut self.printer);
                        return Ok(true);
                    }
                }
                Err(_) => self.unknown += 1,
            }
        }
        self.ended = true;
        Ok(false)
    }

    /// What is missing.
    pub fn wholeness(&self) -> Wholeness {
        self.reading.wholeness()
    }
}

/// The log's bytes, for whoever reads logs.
impl Read for Log {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.printer.output().len() < PIECE {
            if !self.add_next().map_err(io::Error::other)? {
                break;
            }
        }
        let out = self.printer.output();
        let count = out.len().min(into.len());
        into[..count].copy_from_slice(&out[..count]);
        out.drain(..count);
        Ok(count)
    }
}
