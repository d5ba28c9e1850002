//! What the core tells the world, one event at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Call, WatchNote};
use crate::http2::{Both, ErrorCode, Offence, Settings, Side, StreamId};
use crate::relay::Peers;

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
    /// What each side announced last, where it was HTTP/2.
    pub settings: Both<Option<Settings>>,
    /// PINGs that each side sent (acknowledgements not counted).
    pub pings: Both<u64>,
    /// Round trips of PINGs as seen at the tap: by the side that sent the PING.
    pub ping_round_trips: Both<PingRoundTrips>,
    /// The last GOAWAY of each side: last stream, code, debug text.
    pub goaway: Both<Option<(StreamId, ErrorCode, Box<str>)>>,
    /// RST_STREAM frames that each side sent.
    pub resets: Both<Resets>,
    /// How long each side, as sender, was stopped by flow control.
    pub stalls: Both<FlowStalls>,
    /// Whose end went first, where that is known.
    pub by: Option<Side>,
}

/// Round trips of PINGs, from the PING's passing to its acknowledgement's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PingRoundTrips {
    /// How many were measured.
    pub count: u64,
    /// Their sum.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

/// RST_STREAM frames of one side: how many, and the last code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resets {
    /// How many.
    pub count: u64,
    /// The code of the last one.
    pub last: Option<ErrorCode>,
}

/// Time that a sender spent with an exhausted window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowStalls {
    /// How often a window was used up.
    pub count: u64,
    /// For how long in all, connection window and stream windows together
    /// (overlapping stalls of several streams count once each).
    pub total: Duration,
}
