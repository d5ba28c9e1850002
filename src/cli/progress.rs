//! How far a long command is: one line on a terminal.

use std::io::{self, IsTerminal, Stderr, Write};
use std::time::{Duration, Instant};

use crate::trace::grouped;

/// How often it is told.
const PERIOD: Duration = Duration::from_millis(250);

/// How wide a bar is.
const WIDTH: u64 = 24;

/// The line that says how far something is, if standard error is a terminal.
#[derive(Debug)]
pub(super) struct Progress<W = Stderr> {
    to: W,
    shown: bool,
    next: Instant,
    /// Something of it stands on the terminal.
    stands: bool,
}

impl Progress {
    /// Something begins. Nobody is told of what is done in less than `patience`.
    pub fn after(patience: Duration) -> Progress {
        Progress::onto(io::stderr(), io::stderr().is_terminal(), patience)
    }
}

impl<W: Write> Progress<W> {
    fn onto(to: W, shown: bool, patience: Duration) -> Progress<W> {
        Progress {
            to,
            shown,
            next: Instant::now() + patience,
            stands: false,
        }
    }

    /// Says it, if it is time to.
    pub fn tell(&mut self, how_far: impl FnOnce() -> String) {
        if !self.shown {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        self.stands = true;
        // A terminal that is gone is no reason to stop.
        let _ = write!(self.to, "\r\x1b[K{}", how_far());
        let _ = self.to.flush();
    }

    /// Says how many of how many things are done, if it is time to.
    pub fn steps(&mut self, done: u64, all: u64, things: &str) {
        self.tell(|| bar(done, all, things));
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.stands) {
            let _ = write!(self.to, "\r\x1b[K");
            let _ = self.to.flush();
        }
    }
}

fn bar(done: u64, all: u64, things: &str) -> String {
    let (part, whole) = (done.min(all), all.max(1));
    let full = (part * WIDTH / whole) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    let percent = part * 100 / whole;
    let (done, all) = (grouped(done), grouped(all));
    format!("[{bar}] {percent} %, {done} of {all} {things}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_it_is_far() {
        assert_eq!(
            bar(0, 0, "steps"),
            "[........................] 0 %, 0 of 0 steps"
        );
        assert_eq!(
            bar(1_250, 2_500, "steps"),
            "[############............] 50 %, 1,250 of 2,500 steps"
        );
        assert_eq!(
            bar(9, 9, "writes"),
            "[########################] 100 %, 9 of 9 writes"
        );
    }

    fn told(shown: bool, patience: Duration) -> String {
        let mut written = Vec::new();
        let mut progress = Progress::onto(&mut written, shown, patience);
        // The second comes before anybody could have read the first.
        for n in 1..=2 {
            progress.tell(|| format!("{n} of 2"));
        }
        progress.clear();
        progress.clear();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_line_is_told_and_taken_away_again() {
        let written = told(true, Duration::ZERO);
        assert!(written.starts_with("\r\x1b[K1 of 2"), "{written:?}");
        assert!(written.ends_with("\r\x1b[K"), "{written:?}");
    }

    #[test]
    fn nobody_is_told_without_a_terminal_or_of_what_is_soon_over() {
        assert_eq!(told(false, Duration::ZERO), "");
        assert_eq!(told(true, Duration::from_secs(3600)), "");
    }
}
