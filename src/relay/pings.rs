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

    /// The other side's acknowledgement passed. grpc-go's bandwidth PINGs all
    /// look alike, so the oldest of that payload is meant.
    pub fn acknowledged(&mut self, payload: [u8; 8], now: Instant) {
        let Some(at) = self.waiting.iter().position(|(sent, _)| *sent == payload) else {
            return;
        };
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
