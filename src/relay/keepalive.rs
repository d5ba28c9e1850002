//! PINGs of the client on a connection that we interfere with.
//!
//! etcd (grpc-go's server) ends a connection whose PINGs come too often:
//! `GOAWAY too_many_pings`. It forgives every PING that comes after it sent
//! HEADERS or DATA. When we hold those back and let them go one by one, the
//! client's bandwidth probe answers each with a PING that etcd never asked for,
//! so those that etcd would punish are answered here. It is the one exception to
//! end-to-end PING.

use std::time::{Duration, Instant};

/// etcd's `--grpc-keepalive-min-time`, and something for the road.
const LEAST_INTERVAL: Duration = Duration::from_millis(5_250);

/// What grpc-go wants between PINGs while no stream is open.
const LEAST_INTERVAL_IDLE: Duration = Duration::from_secs(2 * 60 * 60 + 10);

/// PINGs that come too early before grpc-go's server ends the connection.
const STRIKES: u32 = 2;

/// While the server was heard of within this time it is taken to be alive.
const ALIVE_FOR: Duration = Duration::from_secs(20);

/// What grpc-go's server thinks of its client's PINGs, and which of them we
/// answer in its stead.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    /// The server sent HEADERS or DATA since the last PING that it got.
    spoke: bool,
    last: Option<Instant>,
    strikes: u32,
    /// When the server was heard of.
    heard: Option<Instant>,
    /// PINGs that were answered in its stead.
    pub answered: u64,
}

/// What becomes of a client's PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PingFate {
    /// It goes to the server.
    Pass,
    /// We acknowledge it.
    Answer,
    /// Nobody does: the server may be gone, and asking it would end the
    /// connection just as well.
    Swallow,
}

impl Keepalive {
    /// Bytes of the server arrived.
    pub fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// HEADERS or DATA of the server arrived.
    pub fn spoke(&mut self) {
        self.spoke = true;
    }

    /// The server acknowledged a PING: what it sent before that may have been
    /// sent before it got the PING, and then forgives no other.
    pub fn acknowledged(&mut self) {
        self.spoke = false;
    }

    /// A PING of the client passes on a connection that we leave alone.
    pub fn passed(&mut self, now: Instant) {
        self.spoke = false;
        self.strikes = 0;
        self.last = Some(now);
    }

    /// A PING of the client, on a connection that we interfere with. `streams`
    /// says whether the server has any open.
    pub fn judge(&mut self, streams: bool, now: Instant) -> PingFate {
        let alive = self
            .heard
            .is_some_and(|heard| now.saturating_duration_since(heard) < ALIVE_FOR);
        if self.spoke || self.is_due(streams, now) {
            self.passed(now);
            PingFate::Pass
        } else if alive {
            self.answered += 1;
            PingFate::Answer
        } else if self.strikes < STRIKES {
            self.strikes += 1;
            self.last = Some(now);
            PingFate::Pass
        } else {
            PingFate::Swallow
        }
    }

    fn is_due(&self, streams: bool, now: Instant) -> bool {
        let interval = match streams {
            true => LEAST_INTERVAL,
            false => LEAST_INTERVAL_IDLE,
        };
        self.last
            .is_none_or(|last| now.saturating_duration_since(last) >= interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_of_held_events_costs_no_strike() {
        let start = Instant::now();
        let mut keepalive = Keepalive::default();
        keepalive.heard(start);
        keepalive.spoke();
        // Twelve releases, 150 ms apart, each with a probe of the client's.
        let fates: Vec<_> = (1..=12)
            .map(|n| keepalive.judge(true, start + n * Duration::from_millis(150)))
            .collect();
        assert_eq!(fates[0], PingFate::Pass);
        assert!(fates[1..].iter().all(|fate| *fate == PingFate::Answer));
        // The next one in good time is the server's again.
        let later = start + Duration::from_secs(6);
        assert_eq!(keepalive.judge(true, later), PingFate::Pass);
        assert_eq!((keepalive.answered, keepalive.strikes), (11, 0));
    }

    #[test]
    fn a_server_that_is_silent_is_asked_while_that_is_safe() {
        let start = Instant::now();
        let mut keepalive = Keepalive::default();
        keepalive.heard(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(keepalive.judge(false, at(1)), PingFate::Pass);
        assert_eq!(keepalive.judge(false, at(31)), PingFate::Pass);
        assert_eq!(keepalive.judge(false, at(61)), PingFate::Pass);
        assert_eq!(keepalive.judge(false, at(91)), PingFate::Swallow);
        // It answered one of them after all.
        keepalive.heard(at(92));
        assert_eq!(keepalive.judge(false, at(93)), PingFate::Answer);
        assert_eq!(keepalive.judge(false, at(3 * 60 * 60)), PingFate::Pass);
    }
}
