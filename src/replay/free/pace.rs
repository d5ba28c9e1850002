//! How fast a recording is driven.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How fast a recording is driven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many times as fast as it was recorded: 1 is its own pace. Positive.
    Times(f64),
    /// As fast as the target answers: each connection keeps under way what it had
    /// under way at most.
    Max,
}

impl Pace {
    /// When something is due that is recorded so many nanoseconds behind the
    /// beginning; at once, if nothing is by the clock.
    pub fn due(self, behind: u64) -> Duration {
        match self {
            Pace::Times(times) => {
                let nanos = behind as f64 / times;
                Duration::from_nanos(nanos as u64)
            }
            Pace::Max => Duration::ZERO,
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        if text == "max" {
            return Ok(Pace::Max);
        }
        match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
            Ok(times) if times.is_finite() && (1e-6..=1e9).contains(&times) => {
                Ok(Pace::Times(times))
            }
            _ => Err("it is a positive number, 10 for ten times as fast, or `max`".to_owned()),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Times(times) => write!(f, "{times}"),
            Pace::Max => f.write_str("max"),
        }
    }
}
