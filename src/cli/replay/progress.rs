//! How far it is, for who looks at a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::trace::grouped;

/// How often it is told.
const PERIOD: Duration = Duration::from_millis(250);

/// How wide the bar is.
const WIDTH: u64 = 24;

/// One line that is written over and over, on standard error if that is a terminal. It
/// is wiped away with this value.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    next: Instant,
    stands: bool,
}

impl Progress {
    /// Nothing is told yet.
    pub fn new() -> Progress {
        Progress {
            is_shown: io::stderr().is_terminal(),
            next: Instant::now() + PERIOD,
            stands: false,
        }
    }

    /// So many steps are done.
    pub fn tell(&mut self, done: u64, all: u64) {
        if !self.is_shown || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PERIOD;
        self.stands = true;
        // A terminal that is gone is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{}", line(done, all));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.stands {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(done: u64, all: u64) -> String {
    let (part, whole) = (done.min(all), all.max(1));
    let full = (part * WIDTH / whole) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    let percent = part * 100 / whole;
    format!(
        "[{bar}] {percent} %, {} of {} steps",
        grouped(done),
        grouped(all)
    )
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_bar_is_as_full_as_it_is_far() {
        assert_eq!(line(0, 0), "[........................] 0 %, 0 of 0 steps");
        assert_eq!(
            line(1_250, 2_500),
            "[############............] 50 %, 1,250 of 2,500 steps"
        );
        assert_eq!(line(9, 9), "[########################] 100 %, 9 of 9 steps");
    }
}
