//! PING round trips as seen at the tap (RFC 9113, section 6.7).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// PINGs of one side that wait for their acknowledgement.
#[derive(Debug, Default)]
pub struct Pings {
    waiting: VecDeque<([u8; 8], Instant)>,
    /// PINGs that this side sent.
    pub sent: u64,
    /// What their round trips were.
    pub round_trips: RoundTrips,
    /// It was told that one of them is not answered, and none has been since.
    silence_told: bool,
}

/// Round trips of PINGs, from the PING's passing to its acknowledgement's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many were measured.
    pub count: u64,
    /// Their sum.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

/// A PING that waits so long for its answer is worth a word.
const SILENCE: Duration = Duration::from_secs(1);

/// By this grpc-go measures bandwidth; it waits for no answer.
const BANDWIDTH_PROBE: [u8; 8] = [2, 4, 16, 16, 9, 14, 7, 7];

/// More are not followed: a peer that sends so many waits for none of them.
const MOST_WAITING: usize = 16;

impl Pings {
    /// A PING passed.
    pub fn sent(&mut self, payload: [u8; 8], now: Instant) {
        self.sent += 1;
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((payload, now));
    }

    /// The PING that was sent last did not pass.
    pub fn forget(&mut self, payload: [u8; 8]) {
        if self
            .waiting
            .back()
            .is_some_and(|(sent, _)| *sent == payload)
        {
            self.waiting.pop_back();
        }
    }

    /// When a PING passed that has waited for a second by `now`. Told once until
    /// one is answered again.
    pub fn silent_since(&mut self, now: Instant) -> Option<Instant> {
        if self.silence_told {
            return None;
        }
        let is_late = |at: Instant| now.saturating_duration_since(at) >= SILENCE;
        // The first has waited longest.
        self.waiting.front().filter(|(_, at)| is_late(*at))?;
        let mut asking = self.waiting.iter();
        let (_, at) = asking.find(|(payload, _)| *payload != BANDWIDTH_PROBE)?;
        self.silence_told = is_late(*at);
        self.silence_told.then_some(*at)
    }

    /// The other side's acknowledgement passed. grpc-go's bandwidth PINGs all
    /// look alike, so the oldest of that payload is meant.
    pub fn acknowledged(&mut self, payload: [u8; 8], now: Instant) {
        let Some(at) = self.waiting.iter().position(|(sent, _)| *sent == payload) else {
            return;
        };
        self.silence_told = false;
        if let Some((_, sent)) = self.waiting.remove(at) {
            let trip = now.saturating_duration_since(sent);
            self.round_trips.count += 1;
            self.round_trips.total += trip;
            self.round_trips.longest = self.round_trips.longest.max(trip);
        }
        if self.waiting.is_empty() {
            // An idle connection holds nothing.
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_until_it_ends() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pings = Pings::default();
        assert_eq!(pings.silent_since(at(0)), None);
        pings.sent(BANDWIDTH_PROBE, at(0));
        assert_eq!(pings.silent_since(at(5000)), None);
        pings.sent([0; 8], at(5000));
        assert_eq!(pings.silent_since(at(5999)), None);
        assert_eq!(pings.silent_since(at(6000)), Some(at(5000)));
        assert_eq!(pings.silent_since(at(9000)), None);
        pings.acknowledged([0; 8], at(9000));
        pings.sent([0; 8], at(9000));
        assert_eq!(pings.silent_since(at(9500)), None);
        assert_eq!(pings.silent_since(at(10_000)), Some(at(9000)));
    }
}
