//! A connection that speaks HTTP/1.1: its exchanges become events, and its contents
//! are told to a scribe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::etcd::Event;
use crate::etcd::scribe::Scribe;
use crate::http1::{Connection, Exchange, Piece, Witness};
use crate::http2::{Offence, Side, StreamId};
use crate::relay::Peers;

/// Such a connection.
#[derive(Debug)]
pub(super) struct Plain {
    connection: Connection,
    scribe: Option<Box<dyn Scribe>>,
}

impl Plain {
    pub fn new(scribe: Option<Box<dyn Scribe>>) -> Plain {
        Plain {
            connection: Connection::new(),
            scribe,
        }
    }

    pub fn handle_bytes(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Instant,
        peers: &Arc<Peers>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Offence> {
        self.with(now, peers, events, |connection, telling| {
            connection.handle_bytes(from, bytes, now, telling)
        })
    }

    pub fn finish(&mut self, now: Instant, peers: &Arc<Peers>, events: &mut VecDeque<Event>) {
        self.with(now, peers, events, |connection, telling| {
            connection.finish(now, telling);
        });
    }

    pub fn open_requests(&self) -> usize {
        self.connection.open_requests()
    }

    pub fn is_tunnel(&self) -> bool {
        self.connection.is_tunnel()
    }

    fn with<T>(
        &mut self,
        now: Instant,
        peers: &Arc<Peers>,
        events: &mut VecDeque<Event>,
        act: impl FnOnce(&mut Connection, &mut Telling<'_>) -> T,
    ) -> T {
        let mut telling = Telling {
            peers,
            events,
            scribe: self.scribe.as_deref_mut(),
            now,
        };
        let done = act(&mut self.connection, &mut telling);
        if let Some(scribe) = &mut self.scribe {
            scribe.settle();
        }
        done
    }
}

/// Tells of one input.
struct Telling<'a> {
    peers: &'a Arc<Peers>,
    events: &'a mut VecDeque<Event>,
    scribe: Option<&'a mut (dyn Scribe + 'static)>,
    now: Instant,
}

impl Witness for Telling<'_> {
    fn content(&mut self, piece: &Piece<'_>) {
        if let Some(scribe) = &mut self.scribe {
            scribe.content(StreamId::CONNECTION, piece, self.now);
        }
    }

    fn content_ended(&mut self, from: Side, size: u64) {
        if let Some(scribe) = &mut self.scribe {
            scribe.content_ended(StreamId::CONNECTION, from, size, self.now);
        }
    }

    fn exchange(&mut self, exchange: Exchange) {
        self.events.push_back(Event::Http1 {
            peers: Arc::clone(self.peers),
            exchange: Box::new(exchange),
        });
    }
}
