//! How far a long export is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::trace::{grouped, size};

/// Nobody is told of what is done in less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is told.
const PERIOD: Duration = Duration::from_millis(250);

/// The clock is looked at once in so many steps.
const STEPS: u32 = 256;

/// Tells how far it is.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    next: Instant,
    steps: u32,
    lines: u64,
    /// Something of it stands on the terminal.
    stands: bool,
}

impl Progress {
    /// It begins.
    pub fn new() -> Progress {
        Progress {
            shown: io::stderr().is_terminal(),
            next: Instant::now() + PATIENCE,
            steps: 0,
            lines: 0,
            stands: false,
        }
    }

    /// A line more.
    pub fn line(&mut self) {
        self.lines += 1;
    }

    /// A record more.
    pub fn step(&mut self, bytes: u64) {
        self.steps += 1;
        if !self.shown || !self.steps.is_multiple_of(STEPS) {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        self.stands = true;
        let lines = grouped(self.lines);
        // A terminal that is gone is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{lines} lines, {}", size(bytes));
    }

    /// It is over.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.stands) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
