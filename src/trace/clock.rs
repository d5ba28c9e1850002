//! From the monotonic clock, by which the core tells time, to the calendar.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::Offset;

/// One moment on both clocks. A fresh one now and then keeps the log's times
/// true when the wall clock is corrected.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    /// The moment on the wall clock.
    pub wall: SystemTime,
    /// The same moment on the monotonic clock.
    pub at: Instant,
}

impl Anchor {
    /// This moment.
    pub fn now() -> Anchor {
        Anchor {
            wall: SystemTime::now(),
            at: Instant::now(),
        }
    }
}

impl Anchor {
    /// A moment on the wall clock, in microseconds since 1970: the one that the
    /// log writes.
    pub fn wall_micros(&self, at: Instant) -> i64 {
        let since = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(0);
        micros.saturating_add(signed_micros(self.at, at))
    }
}

/// Writes times of day. Keeps the text of the last second, since lines come in
/// swarms.
#[derive(Debug)]
pub(super) struct Clock {
    at: Instant,
    micros: i64,
    second: i64,
    /// `2026-11-03T08:05:32`
    text: Vec<u8>,
}

impl Clock {
    pub fn new(anchor: Anchor) -> Clock {
        let mut clock = Clock {
            at: anchor.at,
            micros: 0,
            second: i64::MIN,
            text: Vec::with_capacity(32),
        };
        clock.anchor(anchor);
        clock
    }

    pub fn anchor(&mut self, anchor: Anchor) {
        let since = anchor.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.micros = i64::try_from(since.as_micros()).unwrap_or(0);
        self.at = anchor.at;
    }

    /// `2026-11-03T08:05:32.123456Z`
    pub fn timestamp(&mut self, at: Instant, out: &mut Vec<u8>) {
        let micros = self.turn_to(at);
        out.extend_from_slice(&self.text);
        let mut fraction = *b".000000Z";
        decimals(micros, &mut fraction[1..7]);
        out.extend_from_slice(&fraction);
    }

    /// `08:05:32.123`
    pub fn time_of_day(&mut self, at: Instant, out: &mut Vec<u8>) {
        let micros = self.turn_to(at);
        let time = self.text.iter().position(|byte| *byte == b'T');
        out.extend_from_slice(time.map_or(&[], |t| &self.text[t + 1..]));
        let mut fraction = *b".000";
        decimals(micros / 1000, &mut fraction[1..]);
        out.extend_from_slice(&fraction);
    }

    /// Makes `text` the second of `at`, and returns the microseconds beyond it.
    fn turn_to(&mut self, at: Instant) -> u32 {
        let micros = self.micros.saturating_add(signed_micros(self.at, at));
        let second = micros.div_euclid(1_000_000);
        if second != self.second {
            self.second = second;
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            self.text.clear();
            // Writing into a Vec cannot fail.
            let _ = write!(self.text, "{}", Offset::UTC.to_datetime(time));
        }
        micros.rem_euclid(1_000_000) as u32
    }
}

/// From `from` to `to`, negative if `to` came first.
pub(super) fn signed_micros(from: Instant, to: Instant) -> i64 {
    let micros = |later: Instant, earlier: Instant| {
        i64::try_from(later.saturating_duration_since(earlier).as_micros()).unwrap_or(i64::MAX)
    };
    if to >= from {
        micros(to, from)
    } else {
        -micros(from, to)
    }
}

fn decimals(mut number: u32, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tells_the_time_before_and_after_the_anchor() {
        let at = Instant::now() + Duration::from_secs(10);
        let mut clock = Clock::new(Anchor {
            wall: UNIX_EPOCH + Duration::from_micros(1_793_693_132_000_042),
            at,
        });
        let mut out = Vec::new();
        for micros in [0, 999_957, 999_958] {
            clock.timestamp(at + Duration::from_micros(micros), &mut out);
            out.push(b' ');
        }
        clock.timestamp(at - Duration::from_micros(43), &mut out);
        out.push(b' ');
        clock.time_of_day(at + Duration::from_millis(7), &mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "2026-11-03T08:05:32.000042Z 2026-11-03T08:05:32.999999Z \
             2026-11-03T08:05:33.000000Z 2026-11-03T08:05:31.999999Z 08:05:32.007"
        );
    }

    #[test]
    fn signed_time_knows_both_directions() {
        let now = Instant::now();
        let later = now + Duration::from_micros(1500);
        assert_eq!(signed_micros(now, later), 1500);
        assert_eq!(signed_micros(later, now), -1500);
        assert_eq!(signed_micros(now, now), 0);
    }
}
