//! What the meter is told, one fact at a time.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::http2::Side;

/// A moment on the wall clock, in microseconds since 1970, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub i64);

impl Moment {
    /// A time of the wall clock.
    pub fn of(time: SystemTime) -> Moment {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds from `earlier` to this; 0 if it was not earlier.
    pub fn since(self, earlier: Moment) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// So many microseconds before this, but not before 1970.
    pub fn before(self, micros: u64) -> Moment {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        Moment(self.0.saturating_sub(micros).max(0))
    }

    /// Reads a time as the log writes it (RFC 3339).
    pub fn parse(text: &str) -> Option<Moment> {
        let time: Timestamp = text.parse().ok()?;
        Some(Moment(time.as_microsecond()))
    }
}

impl fmt::Display for Moment {
    /// `2026-11-03T08:05:32.001214Z`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        write!(f, "{time:.6}")
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(from)?;
        Moment::parse(&text).ok_or_else(|| serde::de::Error::custom("no time"))
    }
}

/// Something that happened on one connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact<'a> {
    /// When. Of a call: when it ended.
    pub at: Moment,
    /// The connection's number.
    pub conn: u64,
    /// Where its client called from.
    pub ip: IpAddr,
    /// The client's `user-agent`, where the fact has it.
    pub user_agent: Option<Cow<'a, str>>,
    /// The faults that had to do with it.
    pub faults: Vec<Hit<'a>>,
    /// What happened.
    pub what: What<'a>,
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit<'a> {
    /// Its name in the plan.
    pub name: Cow<'a, str>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What<'a> {
    /// A connection stands.
    Opened,
    /// A connection never came to stand.
    Failed,
    /// A connection is over, and whose end went first.
    Closed {
        /// Who went first, where that is known.
        by: Option<Side>,
    },
    /// A connection is no longer read: what is on it is not known any more.
    Unread,
    /// A call ended.
    Call(CallFact<'a>),
    /// A watch was created.
    Created {
        /// Which.
        watch: WatchAt,
        /// What it watches.
        range: Range<'a>,
        /// From which revision on; 0 for now.
        start_revision: i64,
        /// The store's revision.
        revision: i64,
    },
    /// An event of a watch.
    Event {
        /// Which watch.
        watch: WatchAt,
        /// The key that changed.
        key: Cow<'a, [u8]>,
        /// The revision of the change.
        revision: i64,
        /// Microseconds since the answer to its write, where the log knows.
        lag: Option<i64>,
        /// Microseconds for which a fault held it.
        held: u64,
        /// Whether the client was given it.
        delivered: bool,
    },
    /// A watch is said to be up to date.
    Progress {
        /// Which watch; with number -1 all of the stream.
        watch: WatchAt,
        /// With what.
        revision: i64,
        /// Whether the client was told.
        delivered: bool,
    },
    /// A watch ended.
    Canceled {
        /// Which.
        watch: WatchAt,
        /// Why.
        cause: Ended,
    },
    /// A fault struck the connection.
    Fault,
    /// A PING of the client waits for its answer.
    Ping,
}

/// A watch on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchAt {
    /// The stream.
    pub stream: u32,
    /// The watch's number on it; -1 for none, or all.
    pub id: i64,
}

/// Keys from the first on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range<'a> {
    /// The first key.
    pub key: Cow<'a, [u8]>,
    /// The first key after it; empty for a single key, a NUL for no end.
    pub end: Cow<'a, [u8]>,
}

impl Range<'_> {
    /// Whether `key` is in it.
    pub fn holds(&self, key: &[u8]) -> bool {
        match &*self.end {
            [] => *key == *self.key,
            [0] => *key >= *self.key,
            end => *key >= *self.key && key < end,
        }
    }

    /// The same, on its own.
    pub fn into_owned(self) -> Range<'static> {
        Range {
            key: Cow::Owned(self.key.into_owned()),
            end: Cow::Owned(self.end.into_owned()),
        }
    }
}

impl<'a> Range<'a> {
    /// The range with these ends.
    pub fn between(key: &'a [u8], end: &'a [u8]) -> Range<'a> {
        Range {
            key: Cow::Borrowed(key),
            end: Cow::Borrowed(end),
        }
    }
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client asked for it.
    Requested,
    /// It was never created.
    Refused,
    /// What it needed was compacted away.
    Compacted,
    /// etcd's own decision.
    Server,
    /// The stream or the connection ended under it.
    StreamEnded,
}

/// A call that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CallFact<'a> {
    /// Its stream.
    pub stream: u32,
    /// The method, without its service.
    pub method: Cow<'a, str>,
    /// What it does, as the log says it.
    pub verb: Cow<'a, str>,
    /// The key, or the first of a range.
    pub range: Option<Range<'a>>,
    /// When the client asked.
    pub started: Moment,
    /// gRPC's name for the status.
    pub status: Cow<'a, str>,
    /// Whether trailers of the server ended it, as trailers should.
    pub orderly: bool,
    /// Whether a fault made up its end.
    pub injected: bool,
    /// Whether the client reset it.
    pub reset_by_client: bool,
    /// Whether the connection was lost under it, whoever closed that.
    pub connection_lost: bool,
    /// Whether the client closed the connection under it.
    pub lost_by_client: bool,
    /// Whether it is a stream that lives as long as its client wants.
    pub stream_call: bool,
    /// Bytes of the answer.
    pub response_bytes: u64,
    /// The store's revision, where there was an answer.
    pub revision: Option<i64>,
    /// The revision at which its write was committed.
    pub committed: Option<i64>,
    /// Whether it goes on where a page before it ended.
    pub continued: bool,
}

impl CallFact<'_> {
    /// Whether the client was told OK.
    pub fn succeeded(&self) -> bool {
        self.status == "OK" && self.orderly
    }

    /// Whether it is meant to change what is stored.
    pub fn writes(&self) -> bool {
        match &*self.verb {
            "create" | "update" | "delete" | "conflict" | "Put" | "DeleteRange" => true,
            "Txn" | "compaction" => self.committed.is_some(),
            _ => false,
        }
    }
}
