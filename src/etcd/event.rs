//! What the core tells the world, one event at a time.

use std::sync::Arc;
use std::time::Instant;

use super::verdict::Hit;
use super::{Call, WatchNote};
use crate::http2::{Both, Offence, Side};
use crate::relay::{Peers, SideReport};

/// What the core tells the world.
#[derive(Debug, Clone)]
pub enum Event {
    /// Both ends of a connection stand.
    ConnectionOpened {
        /// Who they are.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
    },
    /// A call ended.
    Call(Box<Call>),
    /// Something happened to a watch.
    Watch(Box<WatchNote>),
    /// An HTTP/1.1 request was answered.
    Http1 {
        /// The connection.
        peers: Arc<Peers>,
        /// The request and its answer.
        exchange: Box<crate::http1::Exchange>,
    },
    /// A peer broke the protocol (or we could not follow): from here on the
    /// connection is relayed without being read. At most one a connection.
    TracingStopped {
        /// The connection.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
        /// Who did what.
        offence: Offence,
    },
    /// A `MemberList` answer told the client addresses other than ours: a
    /// client that syncs its endpoints goes around the proxy.
    MembersAdvertise {
        /// The connection.
        peers: Arc<Peers>,
        /// The members' client URLs.
        client_urls: Vec<Box<str>>,
    },
    /// Faults struck a connection.
    Fault {
        /// The connection.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
        /// Which, in the order of the plan.
        hits: Vec<Hit>,
    },
    /// A PING of the client has not been answered for a second. Told when
    /// something happens on the connection again, or when it ends.
    Ping {
        /// The connection.
        peers: Arc<Peers>,
        /// When the PING passed.
        at: Instant,
    },
    /// A connection ended, or never came to stand.
    ConnectionEnded(Box<ConnectionEnded>),
}

/// The summary of a connection at its end.
#[derive(Debug, Clone)]
pub struct ConnectionEnded {
    /// Who its ends were.
    pub peers: Arc<Peers>,
    /// The client's `user-agent`, of the first call that had one.
    pub user_agent: Option<Arc<str>>,
    /// When it was accepted.
    pub opened: Instant,
    /// When it was over.
    pub ended: Instant,
    /// How it ended, in words: `client closed`, `upstream refused: …`.
    pub how: Box<str>,
    /// Bytes that each side sent.
    pub bytes: Both<u64>,
    /// Streams that the client opened.
    pub streams: u64,
    /// What each side did, where it was HTTP/2: SETTINGS, PINGs and their round
    /// trips, GOAWAY, RST_STREAM, time stopped by flow control.
    pub reports: Both<SideReport>,
    /// Whose end went first, where that is known.
    pub by: Option<Side>,
    /// Faults that struck the connection as a whole, in the order of their doing
    /// so.
    pub faults: Vec<Hit>,
    /// Whether faults held, dropped, added or changed anything on it.
    pub interposed: bool,
    /// The client's PINGs that were answered in etcd's stead, which would have
    /// ended the connection over them.
    pub pings_answered: u64,
}
