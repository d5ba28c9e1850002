//! A connection that goes on unread: what it sent cannot be followed, or nobody
//! looks any more.

use std::sync::Arc;
use std::time::Instant;

use super::{Protocol, Session};
use crate::etcd::Event;
use crate::http2::{ErrorCode, Offence, Side, StreamId};

impl Session {
    /// What `from` sends from here on cannot be read, through no fault of its own:
    /// a capture lacks a part of it, say. The connection goes on unread, and its
    /// open calls are told of as far as they were seen. `what` goes on after
    /// "client" or "server", `rule` says where that comes from.
    pub fn lose_sight(
        &mut self,
        from: Side,
        rule: &'static str,
        what: impl Into<std::borrow::Cow<'static, str>>,
        now: Instant,
    ) {
        let offence = Offence::new(from, ErrorCode::NO_ERROR, StreamId::CONNECTION, rule, what);
        match &mut self.protocol {
            Protocol::Http2(connection) => {
                connection.stop(offence, now);
                self.collect();
            }
            Protocol::Http1(_) => {
                self.end_calls(Some(from), now);
                self.stop(offence, now);
            }
            Protocol::Undecided { .. } => self.stop(offence, now),
            Protocol::Opaque => {}
        }
    }

    /// Whether the connection is not read any more.
    pub fn is_out_of_sight(&self) -> bool {
        match &self.protocol {
            Protocol::Http2(connection) => !connection.is_following(),
            Protocol::Opaque => true,
            Protocol::Http1(_) | Protocol::Undecided { .. } => false,
        }
    }

    /// `from` sent so many bytes that nobody has: they are counted.
    pub fn handle_unseen(&mut self, from: Side, bytes: u64) {
        self.bytes[from] += bytes;
    }

    /// As [`Session::finish`], for a connection that went on when nobody looked any
    /// more: of its open calls it is not said that they ended.
    pub fn leave(&mut self, how: &str, now: Instant) {
        if let Protocol::Http2(connection) = &mut self.protocol {
            connection.halt(now);
            self.collect();
        }
        self.finish(how, now);
    }

    /// A `handle_*` panicked over what `by` did: that is a bug of ours, and the
    /// connection goes on without being read. The bytes that were handed in
    /// last still leave, once; the calls that were open are not told of.
    pub fn give_up(&mut self, by: Side, input: usize, now: Instant) {
        if let Protocol::Http2(connection) = &mut self.protocol {
            connection.abandon(by, input);
            self.torn |= connection.is_torn();
            // What leaves is asked of the connection no more.
            self.rescue();
        }
        if let Protocol::Opaque = self.protocol {
            return;
        }
        // What was told before the fault is whole.
        self.collect();
        let told = |event: &Event| matches!(event, Event::TracingStopped { .. });
        if self.events.iter().any(told) {
            self.rescue();
            self.protocol = Protocol::Opaque;
            self.deadline = None;
            return;
        }
        let what = "sent bytes that etcdtap could not read because of a bug of its own";
        let rule = "a fault of etcdtap";
        let offence = Offence::new(
            by,
            ErrorCode::INTERNAL_ERROR,
            StreamId::CONNECTION,
            rule,
            what,
        );
        self.stop(offence, now);
    }

    /// Keeps what is still to leave when the protocol is given up.
    pub(super) fn rescue(&mut self) {
        if let Protocol::Http2(connection) = &mut self.protocol {
            for side in [Side::Client, Side::Server] {
                while let Some(transmit) = connection.poll_transmit(side) {
                    self.rescued[side].push_back(transmit);
                }
            }
        }
    }

    /// From here on the connection is relayed without being read.
    pub(super) fn stop(&mut self, offence: Offence, now: Instant) {
        self.rescue();
        self.protocol = Protocol::Opaque;
        self.deadline = None;
        self.events.push_back(Event::TracingStopped {
            peers: Arc::clone(&self.peers),
            at: now,
            offence,
        });
    }
}
