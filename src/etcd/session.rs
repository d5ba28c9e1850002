//! The core of one relayed connection: bytes in, bytes and events out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::Event;
use crate::http2::Side;
use crate::relay::{EndOfBytes, Peers, Transmit};

/// What the core of every connection shares.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Bytes kept of a message for reading (`--capture-bytes`).
    pub capture_bytes: usize,
}

/// The core of one relayed connection.
///
/// Feed it with `handle_*`; after each call drain `poll_transmit` of the side
/// that was heard, then `poll_event`, and arm a timer for `poll_timeout`.
#[derive(Debug)]
pub struct Session {
    events: VecDeque<Event>,
    pass: usize,
}

impl Session {
    /// Both ends stand: a [`Event::ConnectionOpened`] is the first event.
    pub fn new(peers: Arc<Peers>, _options: &Arc<SessionOptions>, now: Instant) -> Session {
        let mut events = VecDeque::new();
        events.push_back(Event::ConnectionOpened { peers, at: now });
        Session { events, pass: 0 }
    }

    /// `from` sent `bytes`. What is decoded of them is known, and its events
    /// wait, before any of them is given out by [`Session::poll_transmit`].
    pub fn handle_bytes(&mut self, _from: Side, bytes: &[u8], _now: Instant) {
        self.pass = bytes.len();
    }

    /// `from` will send no more.
    pub fn handle_end(&mut self, _from: Side, _how: EndOfBytes, _now: Instant) {}

    /// Both ends are gone. Ends every open call, and gives the connection's
    /// summary as the last event. `how` says in words how it came.
    pub fn finish(&mut self, _how: &str, _now: Instant) {}

    /// The time of [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next bytes to send to the peer of `from`, all of which must leave
    /// before the next bytes of `from` are handed in.
    pub fn poll_transmit(&mut self, _from: Side) -> Option<Transmit> {
        match std::mem::take(&mut self.pass) {
            0 => None,
            n => Some(Transmit::AsCame(0..n)),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Session::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Calls that have begun and not ended: what a drain waits for.
    pub fn open_calls(&self) -> usize {
        0
    }
}
