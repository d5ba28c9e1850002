//! PINGs of the client that a fault holds back, or never lets be answered.
//!
//! What is let go is asked of the server only where that does no harm: it counts
//! PINGs that come in a bunch as any others (`keepalive`).

use std::collections::VecDeque;
use std::time::Instant;

use super::connection::{Connection, Phase};
use super::keepalive::PingFate;
use super::tap::Tap;
use super::weather::Waits;
use crate::http2::{Side, frame_encoder};

/// More are not kept: a client that sends so many waits for none of them.
const MOST_KEPT: usize = 16;

/// What becomes of the client's PINGs.
#[derive(Debug, Default)]
pub enum PingHold {
    /// What always does.
    #[default]
    Pass,
    /// They wait for so long.
    For(Waits),
    /// They wait until this is changed.
    ForGood,
}

/// PINGs that wait.
#[derive(Debug, Default)]
pub(super) struct HeldPings {
    hold: PingHold,
    /// When each may go on; `None` is not before the hold is changed.
    waiting: VecDeque<(Option<Instant>, [u8; 8])>,
}

impl HeldPings {
    /// Whether PINGs wait.
    pub fn holds(&self) -> bool {
        !matches!(self.hold, PingHold::Pass) || !self.waiting.is_empty()
    }

    /// The client sent one.
    pub fn take(&mut self, payload: [u8; 8], now: Instant) {
        let due = match &mut self.hold {
            PingHold::Pass => Some(now),
            PingHold::For(waits) => Some(now.checked_add(waits.draw()).unwrap_or(now)),
            PingHold::ForGood => None,
        };
        // None overtakes another.
        let due = match (due, self.waiting.back()) {
            (Some(due), Some((last, _))) => last.map(|last| last.max(due)),
            (due, _) => due,
        };
        if self.waiting.len() == MOST_KEPT {
            self.waiting.pop_front();
        }
        self.waiting.push_back((due, payload));
    }

    /// When the next one goes on.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.front().and_then(|(due, _)| *due)
    }

    fn due(&mut self, now: Instant) -> Option<[u8; 8]> {
        let is_due = self.next().is_some_and(|due| due <= now);
        let first = if is_due {
            self.waiting.pop_front()
        } else {
            None
        };
        first.map(|(_, payload)| payload)
    }
}

impl<T: Tap> Connection<T> {
    /// What becomes of the client's PINGs from now on. Those that wait go on at
    /// once where nothing holds them any more, and otherwise as long as they
    /// were to.
    pub fn hold_pings(&mut self, hold: PingHold, now: Instant) {
        self.interposed |= !matches!(hold, PingHold::Pass);
        for (due, _) in &mut self.pings.waiting {
            match &hold {
                PingHold::Pass => *due = Some(now),
                PingHold::For(_) => *due = due.or(Some(now)),
                PingHold::ForGood => *due = None,
            }
        }
        self.pings.hold = hold;
        self.release_pings(now);
    }

    /// PINGs whose time has come go on.
    pub(super) fn release_pings(&mut self, now: Instant) {
        while self.phase == Phase::Following
            && let Some(payload) = self.pings.due(now)
        {
            match self.keepalive.judge(self.serves_streams(), now) {
                PingFate::Pass => {
                    frame_encoder::ping(self.halves.client.out.own(), false, payload);
                }
                PingFate::Answer => {
                    frame_encoder::ping(self.halves.server.out.own(), true, payload);
                }
                PingFate::Swallow => {}
            }
        }
    }

    /// Whether the server has a stream open, as far as it knows.
    fn serves_streams(&self) -> bool {
        (self.streams.values()).any(|slot| !slot.is_over_for(Side::Server))
    }
}
