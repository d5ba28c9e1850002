//! A log of any length, read line by line into a meter.

use std::fmt;
use std::io::{self, BufRead, Read};

use super::line::{self, NoFact};
use super::{Meter, Source};
use crate::notation::io_reason;

/// Longer lines are none of ours, and are not kept.
const LONGEST_LINE: usize = 1 << 20;

/// Why a log cannot be read on.
#[derive(Debug)]
pub struct ReadError(io::Error);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&io_reason(&self.0))
    }
}

impl std::error::Error for ReadError {}

/// Reads lines into a meter, and counts those that it cannot read.
#[derive(Debug, Default)]
pub struct Reader {
    source: Source,
    line: Vec<u8>,
}

impl Reader {
    /// Reads `log` to its end; gives what the lines were.
    ///
    /// # Errors
    /// When the log cannot be read on.
    pub fn read(mut self, mut log: impl BufRead, meter: &mut Meter) -> Result<Source, ReadError> {
        loop {
            self.line.clear();
            let mut bounded = (&mut log).take(LONGEST_LINE as u64 + 1);
            let n = bounded
                .read_until(b'\n', &mut self.line)
                .map_err(ReadError)?;
            if n == 0 {
                return Ok(self.source);
            }
            self.source.lines += 1;
            if self.line.last() != Some(&b'\n') && n > LONGEST_LINE {
                skip_line(&mut log).map_err(ReadError)?;
                self.source.broken += 1;
                continue;
            }
            let line = self.line.trim_ascii();
            match line::read(line) {
                Ok(fact) => meter.handle(&fact),
                Err(NoFact::Other) => {}
                Err(NoFact::Broken) => self.source.broken += 1,
            }
        }
    }
}

/// Passes over the rest of a line.
fn skip_line(log: &mut impl BufRead) -> io::Result<()> {
    loop {
        let waiting = log.fill_buf()?;
        if waiting.is_empty() {
            return Ok(());
        }
        match waiting.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                log.consume(at + 1);
                return Ok(());
            }
            None => {
                let n = waiting.len();
                log.consume(n);
            }
        }
    }
}
