//! GOAWAY of our own making, towards the client (RFC 9113, section 6.8).
//!
//! The last stream that it names is the last one that etcd got: what the client
//! opens above it is swallowed, so that it is the truth.

use std::time::{Duration, Instant};

use super::connection::{Connection, Phase};
use super::tap::Tap;
use crate::http2::{Both, ErrorCode, StreamId, frame_encoder};

/// The largest number of a stream: whoever reads it learns that an end is near,
/// and that nothing is lost yet.
const ALL_STREAMS: StreamId = StreamId::from_bits((1 << 31) - 1);

/// Most of the time between the warning and the end; what grpc-go's server
/// allows.
const WARNED_FOR: Duration = Duration::from_secs(5);

/// Payload of the PING whose round trip says that the warning has arrived.
const PAYLOAD: [u8; 8] = *b"etcdtap!";

/// What a GOAWAY of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnGoaway {
    /// Why.
    pub code: ErrorCode,
    /// Its debug data.
    pub debug: Box<[u8]>,
    /// Whether the client is warned first, and told the last stream after a
    /// round trip.
    pub graceful: bool,
}

/// How far the saying is.
#[derive(Debug, Default)]
pub(super) struct Goodbye {
    /// What is to be said yet.
    due: Option<OwnGoaway>,
    /// The warning is out.
    warned: bool,
    /// The rest follows by then.
    warned_until: Option<Instant>,
    /// PINGs of ours that the client has not acknowledged.
    pings: u32,
    /// The last stream that etcd gets, since the client was told.
    last: Option<StreamId>,
}

impl Goodbye {
    /// Whether a stream that the client opens is above the last one.
    pub fn is_above(&self, stream: StreamId) -> bool {
        self.last.is_some_and(|last| stream > last)
    }

    /// What etcd's GOAWAY may say at most: a number may not rise.
    pub fn clamp(&self, last: StreamId) -> Option<StreamId> {
        self.last.filter(|ours| last > *ours)
    }

    /// Whether this acknowledges our PING; that it has come is noted.
    pub fn took_ack(&mut self, payload: [u8; 8], now: Instant) -> bool {
        if payload != PAYLOAD || self.pings == 0 {
            return false;
        }
        self.pings -= 1;
        if let Some(until) = &mut self.warned_until {
            *until = now.min(*until);
        }
        true
    }

    /// When there is something to say though nothing comes.
    pub fn next(&self) -> Option<Instant> {
        self.warned_until
    }
}

impl<T: Tap> Connection<T> {
    /// Tells the client that the connection will take no more streams. Those that
    /// are open go on.
    pub fn goaway(&mut self, what: OwnGoaway, now: Instant) {
        if self.phase != Phase::Following {
            return;
        }
        self.interposed = true;
        if !what.graceful {
            self.goodbye.warned_until = None;
        }
        self.goodbye.due = Some(what);
        self.say_goodbye(now);
    }

    /// Says what is left to say, if its time has come.
    pub(super) fn say_goodbye(&mut self, now: Instant) {
        if self.goodbye.due.is_none()
            || self.phase != Phase::Following
            || self.goodbye.warned_until.is_some_and(|until| until > now)
        {
            return;
        }
        // From here on it waits for no time, but for whole frames: one of the
        // client's could open a stream, one of the server's be a GOAWAY.
        self.goodbye.warned_until = None;
        let Both { client, server } = &self.halves;
        if !client.is_between_frames() || !server.is_between_frames() {
            return;
        }
        let Some(what) = self.goodbye.due.take() else {
            return;
        };
        if what.graceful && !self.goodbye.warned && self.goodbye.last.is_none() {
            let last = self.at_most_etcds(ALL_STREAMS);
            let out = self.halves.server.out.own();
            frame_encoder::goaway(out, last, ErrorCode::NO_ERROR, &what.debug);
            frame_encoder::ping(out, false, PAYLOAD);
            self.goodbye.pings += 1;
            self.goodbye.warned = true;
            self.goodbye.warned_until = now.checked_add(WARNED_FOR);
            self.goodbye.due = Some(what);
            return;
        }
        let last = match self.goodbye.last {
            Some(last) => last,
            None => self.at_most_etcds(self.last_client_stream),
        };
        self.goodbye.last = Some(last);
        let out = self.halves.server.out.own();
        frame_encoder::goaway(out, last, what.code, &what.debug);
    }

    /// What etcd itself has said bounds what we may say.
    fn at_most_etcds(&self, last: StreamId) -> StreamId {
        let theirs = self.halves.server.goaway.as_ref();
        theirs.map_or(last, |goaway| goaway.last_stream.min(last))
    }
}
