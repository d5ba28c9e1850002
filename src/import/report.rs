//! What an import read, and what is missing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use super::capture::CaptureError;
use crate::etcd::{Event, MethodName, Watched};
use crate::http2::{Both, Side};

/// Notes that are kept one by one; of others there are numbers only.
const MAX_NOTES: usize = 1000;

/// Methods that are counted one by one.
const MAX_METHODS: usize = 1000;

/// What an import read, and what is missing.
#[derive(Debug, Default)]
pub struct Report {
    /// Packets in the capture.
    pub packets: u64,
    /// When the first of them was captured, in nanoseconds since 1970.
    pub first: Option<u64>,
    /// When the latest was.
    pub last: u64,
    /// Of them, segments of TCP.
    pub segments: u64,
    /// Fragments of IP packets, which are not put together.
    pub fragments: u64,
    /// Packets of TCP of which less was kept than was sent.
    pub cut: u64,
    /// Packets that are damaged, or cut within their headers.
    pub broken: u64,
    /// Packets of link types that are not known, by type.
    pub unknown_links: BTreeMap<u16, u64>,
    /// Packets that whoever captured says were dropped.
    pub dropped: u64,
    /// Connections that were captured twice, before and after their addresses were
    /// translated; they count once.
    pub mirrored: u64,
    /// Connections that speak something else.
    pub other: u64,
    /// Connections over TLS that could not be opened, of servers that are not known
    /// to be etcd.
    pub other_encrypted: u64,
    /// Connections in TLS without secrets, of servers that were asked for.
    pub encrypted: u64,
    /// Connections that were open before the capture began.
    pub begun_before: u64,
    /// Connections that were not read to their end, for another reason.
    pub given_up: u64,
    /// Bytes that were received and are not in the capture.
    pub missing_bytes: u64,
    /// What was read.
    pub counts: Counts,
    /// Connections of which something is missing, the first thousand.
    pub notes: Vec<Note>,
    /// Why the file could not be read to its end.
    pub damage: Option<CaptureError>,
}

/// What was read.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Connections that were read.
    pub connections: u64,
    /// Of them, those in TLS.
    pub opened_tls: u64,
    /// Streams that clients opened.
    pub streams: u64,
    /// gRPC calls, by method.
    pub calls: FxHashMap<MethodName, u64>,
    /// Calls of methods beyond those that are counted one by one.
    pub other_calls: u64,
    /// HTTP/1.1 requests.
    pub requests: u64,
    /// Watches that were created.
    pub watches: u64,
    /// Events that they gave.
    pub watch_events: u64,
    /// Bytes that each side sent, decrypted where that was needed.
    pub bytes: Both<u64>,
}

/// A connection of which something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who called.
    pub client: SocketAddr,
    /// Who was called.
    pub server: SocketAddr,
    /// What happened to it.
    pub lost: Lost,
}

/// Why a connection was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// It was open before the capture began.
    BegunBefore,
    /// Its TLS could not be opened.
    Encrypted(String),
    /// Bytes are missing.
    Gap {
        /// Whose.
        from: Side,
        /// How many, where it stopped.
        bytes: u64,
        /// How many bytes of theirs had come.
        behind: u64,
        /// Whether packets of the connection were cut short.
        cut: bool,
    },
    /// There were too many connections at once.
    TooMany,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note {
            client,
            server,
            lost,
        } = self;
        write!(f, "{client} to {server}: {lost}")
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::BegunBefore => f.write_str(
                "was open before the capture began, and HTTP/2 cannot be followed without its \
                 beginning",
            ),
            Lost::Encrypted(why) => f.write_str(why),
            Lost::Gap {
                from,
                bytes,
                behind,
                cut,
            } => {
                write!(
                    f,
                    "{bytes} bytes of the {from}'s are missing behind its first {behind}: what \
                     follows them is left out"
                )?;
                match cut {
                    true => f.write_str("; packets were cut short (snap length)"),
                    false => Ok(()),
                }
            }
            Lost::TooMany => f.write_str("was given up: there are too many connections at once"),
        }
    }
}

impl Report {
    /// Whether all that there was of etcd's traffic was read.
    pub fn is_whole(&self) -> bool {
        self.damage.is_none()
            && self.encrypted + self.begun_before + self.given_up + self.missing_bytes == 0
    }

    /// gRPC calls in all.
    pub fn calls(&self) -> u64 {
        self.counts.calls.values().sum::<u64>() + self.counts.other_calls
    }

    pub(super) fn note(&mut self, note: Note) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    pub(super) fn count(&mut self, event: &Event) {
        let counts = &mut self.counts;
        match event {
            Event::ConnectionOpened { peers, .. } => {
                counts.connections += 1;
                counts.opened_tls += u64::from(peers.tls.is_some());
            }
            Event::Call(call) => {
                let room = counts.calls.len() < MAX_METHODS;
                if let Some(calls) = counts.calls.get_mut(&call.name) {
                    *calls += 1;
                } else if room {
                    counts.calls.insert(call.name.clone(), 1);
                } else {
                    counts.other_calls += 1;
                }
            }
            Event::Watch(note) => match note.watched {
                Watched::Created { .. } => counts.watches += 1,
                Watched::Event { .. } => counts.watch_events += 1,
                Watched::Progress | Watched::Canceled { .. } => {}
            },
            Event::Http1 { .. } => counts.requests += 1,
            Event::ConnectionEnded(ended) => {
                counts.streams += ended.streams;
                counts.bytes.client += ended.bytes.client;
                counts.bytes.server += ended.bytes.server;
            }
            Event::TracingStopped { .. }
            | Event::MembersAdvertise { .. }
            | Event::Fault { .. }
            | Event::Ping { .. } => {}
        }
    }
}
