//! A line of the log again, from its record: what the log's formats take.
//!
//! The calls that come back have what a line prints, and no more: values, guards
//! and the like are in the messages.

mod facts;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustc_hash::FxHashMap;

use super::line::{word, writes_by_its_verb};
use super::reader::Line;
use super::schema::v1::{self, LogLine};
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, ConnectionEnded, EventKind, Header, KeyValue, MethodName, Response, Status,
    Traffic, WatchNote, Watched,
};
use crate::http1::Exchange;
use crate::http2::{Both, Offence, StreamId};
use crate::kube::operation::Operation;
use crate::relay::{ConnectionId, Peers, TlsSeen};
use crate::trace::{
    Anchor, CallFacts, ConnectionFacts, Filter, Happening, HttpFacts, NoteFacts, Printer,
};
use facts::{
    code, earlier, ending, hits, later, micros, offence, report, request, response, side, unknown,
};

pub use facts::operation;

/// Connections whose ends are kept. Beyond it they are forgotten all at once.
const PEERS_MAX: usize = 65_536;

/// Brings lines back.
#[derive(Debug)]
pub struct Recall {
    /// What stands for 1970 on the monotonic clock.
    origin: Instant,
    peers: FxHashMap<u64, Arc<Peers>>,
    agents: FxHashMap<Box<str>, Arc<str>>,
}

/// A line as the trace told it.
#[derive(Debug)]
pub enum Recalled<'l> {
    /// A call ended.
    Call {
        /// It, as far as a line tells of it.
        call: Box<Call>,
        /// What it did.
        operation: Operation<'l>,
        /// Whether it was marked as slow.
        slow: bool,
    },
    /// Something happened to a watch.
    Watch {
        /// What.
        note: Box<WatchNote>,
        /// What that means.
        operation: Operation<'l>,
        /// How late it was, in microseconds.
        lag: Option<i64>,
    },
    /// A plain HTTP request was answered, or never.
    Http1 {
        /// The connection.
        peers: Arc<Peers>,
        /// The request and its answer.
        exchange: Box<Exchange>,
        /// Whether it was marked as slow.
        slow: bool,
    },
    /// A connection stands.
    Opened {
        /// The connection.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
    },
    /// A PING of the client is not answered.
    Ping {
        /// The connection.
        peers: Arc<Peers>,
        /// When it passed.
        at: Instant,
    },
    /// A connection is no longer read.
    Stopped {
        /// The connection.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
        /// Why.
        offence: Offence,
    },
    /// Faults struck a connection.
    Fault {
        /// The connection.
        peers: Arc<Peers>,
        /// When.
        at: Instant,
        /// Which.
        hits: Vec<Hit>,
    },
    /// A connection is over.
    Ended {
        /// How.
        ended: Box<ConnectionEnded>,
        /// It never came to stand.
        failed: bool,
    },
}

/// A line that says something this program does not know: a later one wrote it,
/// or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Which of its fields.
    pub field: &'static str,
    /// What it says.
    pub says: Box<str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says: String = self.says.chars().take(64).collect();
        write!(f, "a line whose `{}` is {says:?}", self.field)
    }
}

impl std::error::Error for Unknown {}

impl Recalled<'_> {
    /// Prints the line.
    pub fn print(&self, printer: &mut Printer) {
        match self {
            Recalled::Call {
                call,
                operation,
                slow,
            } => printer.call(call, operation, *slow),
            Recalled::Watch {
                note,
                operation,
                lag,
            } => printer.watch(note, operation, *lag),
            Recalled::Http1 {
                peers,
                exchange,
                slow,
            } => printer.http1(peers, exchange, *slow),
            Recalled::Opened { peers, at } => printer.opened(peers, *at),
            Recalled::Ping { peers, at } => printer.ping(peers, *at),
            Recalled::Stopped { peers, at, offence } => printer.stopped(peers, *at, offence),
            Recalled::Fault { peers, at, hits } => printer.fault(peers, *at, hits),
            Recalled::Ended { ended, failed } => printer.ended(ended, *failed),
        }
    }

    /// Whether the live log's filter lets it pass.
    pub fn passes(&self, filter: &Filter, anchor: Anchor) -> bool {
        let of = |peers: &Arc<Peers>, at: Instant, what: Happening<'_>| {
            filter.passes_connection(&ConnectionFacts::new(peers, at, what, anchor))
        };
        match self {
            Recalled::Call {
                call,
                operation,
                slow,
            } => filter.passes_call(&CallFacts {
                call,
                operation,
                slow: *slow,
                anchor,
            }),
            Recalled::Watch {
                note,
                operation,
                lag,
            } => filter.passes_note(&NoteFacts {
                note,
                operation,
                lag: *lag,
                anchor,
            }),
            Recalled::Http1 {
                peers,
                exchange,
                slow,
            } => filter.passes_http1(&HttpFacts {
                peers,
                exchange,
                slow: *slow,
                anchor,
            }),
            Recalled::Opened { peers, at } => of(peers, *at, Happening::Opened),
            Recalled::Ping { peers, at } => of(peers, *at, Happening::Ping),
            Recalled::Stopped { peers, at, offence } => of(peers, *at, Happening::Stopped(offence)),
            Recalled::Fault { peers, at, hits } => of(peers, *at, Happening::Fault(hits)),
            Recalled::Ended { ended, failed } => {
                of(&ended.peers, ended.ended, Happening::Ended(ended, *failed))
            }
        }
    }

    /// The connection.
    pub fn peers(&self) -> &Arc<Peers> {
        match self {
            Recalled::Call { call, .. } => &call.peers,
            Recalled::Watch { note, .. } => &note.peers,
            Recalled::Ended { ended, .. } => &ended.peers,
            Recalled::Http1 { peers, .. }
            | Recalled::Opened { peers, .. }
            | Recalled::Ping { peers, .. }
            | Recalled::Stopped { peers, .. }
            | Recalled::Fault { peers, .. } => peers,
        }
    }
}

impl Recall {
    /// A recall whose monotonic clock has 1970 at `origin`, whichever moment that
    /// is.
    pub fn new(origin: Instant) -> Recall {
        Recall {
            origin,
            peers: FxHashMap::default(),
            agents: FxHashMap::default(),
        }
    }

    /// How the recalled moments stand to the calendar.
    pub fn anchor(&self) -> Anchor {
        Anchor {
            wall: UNIX_EPOCH,
            at: self.origin,
        }
    }

    /// Brings a line back.
    ///
    /// # Errors
    /// If it says something that is not known here.
    pub fn line<'l>(&mut self, line: &'l Line) -> Result<Recalled<'l>, Unknown> {
        let at = later(self.origin, Duration::from_nanos(line.at));
        let line = &line.line;
        let peers = self.peers(line);
        Ok(match line.event.as_str() {
            word::CALL => {
                let call = Box::new(self.call(line, peers, at));
                Recalled::Call {
                    operation: operation(line),
                    slow: line.slow,
                    call,
                }
            }
            word::WATCH_CREATED
            | word::WATCH_EVENT
            | word::WATCH_PROGRESS
            | word::WATCH_CANCELED => Recalled::Watch {
                note: Box::new(self.note(line, peers, at)?),
                operation: operation(line),
                lag: line.lag_us,
            },
            word::HTTP1 => Recalled::Http1 {
                exchange: Box::new(self.exchange(line, at)?),
                slow: line.slow,
                peers,
            },
            word::PING => Recalled::Ping { peers, at },
            word::FAULT => Recalled::Fault {
                peers,
                at,
                hits: hits(line),
            },
            word::CONNECTION => match line.state.as_deref().unwrap_or_default() {
                word::OPENED => Recalled::Opened { peers, at },
                word::TRACING_STOPPED => Recalled::Stopped {
                    peers,
                    at,
                    offence: offence(line),
                },
                state @ (word::CLOSED | word::FAILED) => Recalled::Ended {
                    failed: state == word::FAILED,
                    ended: Box::new(self.ended(line, peers, at)),
                },
                other => return Err(unknown("state", other)),
            },
            other => return Err(unknown("event", other)),
        })
    }

    /// The connection's ends. Lines of one connection share them, unless a later
    /// run has given its number away again.
    fn peers(&mut self, line: &LogLine) -> Arc<Peers> {
        // A recorder writes nothing else; if it did, the line is worth more than
        // its address.
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let address = |text: &str| text.parse().unwrap_or(nowhere);
        let client = address(&line.client);
        let listener = line.listener.as_deref().map(address);
        let tls = line.tls_version.as_ref().map(|version| TlsSeen {
            version: version.as_str().into(),
            sni: line.sni.as_deref().map(Into::into),
            alpn: line.alpn.as_deref().map(Into::into),
            identity: line.identity.as_deref().map(Into::into),
        });
        if let Some(known) = self.peers.get(&line.conn)
            && known.client == client
            && *known.upstream == *line.upstream
            && listener.is_none_or(|listener| known.listener == listener && known.tls == tls)
        {
            return Arc::clone(known);
        }
        let peers = Arc::new(Peers {
            id: ConnectionId(line.conn),
            client,
            listener: listener.unwrap_or(nowhere),
            upstream: line.upstream.as_str().into(),
            tls,
        });
        if self.peers.len() >= PEERS_MAX {
            self.peers.clear();
        }
        self.peers.insert(line.conn, Arc::clone(&peers));
        peers
    }

    fn agent(&mut self, line: &LogLine) -> Option<Arc<str>> {
        let agent = line.user_agent.as_deref()?;
        if let Some(known) = self.agents.get(agent) {
            return Some(Arc::clone(known));
        }
        if self.agents.len() >= PEERS_MAX {
            self.agents.clear();
        }
        let shared: Arc<str> = agent.into();
        self.agents.insert(agent.into(), Arc::clone(&shared));
        Some(shared)
    }

    fn call(&mut self, line: &LogLine, peers: Arc<Peers>, ended: Instant) -> Call {
        let started = earlier(ended, micros(line.duration_us.unwrap_or(0)));
        let after = |us: Option<u64>| us.map(|us| later(started, micros(us)));
        let service = line.service.as_deref().unwrap_or_default();
        let method = line.method.as_deref().unwrap_or_default();
        let (kind, name) = MethodName::parse(format!("/{service}/{method}").as_bytes());
        let mut call = Call {
            peers,
            stream: StreamId::from_bits(line.stream.unwrap_or(0)),
            user_agent: self.agent(line),
            method: kind,
            name,
            started,
            first_byte: after(line.first_byte_us),
            answered: after(line.answered_us),
            ended,
            sent: Traffic {
                messages: line.request_messages.unwrap_or(1),
                bytes: line.request_bytes.unwrap_or(0),
            },
            received: Traffic {
                messages: line.response_messages.unwrap_or(1),
                bytes: line.response_bytes.unwrap_or(0),
            },
            request: request(line),
            response: Response::Unread,
            header: line.revision.map(|revision| Header {
                cluster_id: line.cluster_id.unwrap_or(0),
                member_id: line.member_id.unwrap_or(0),
                revision,
                raft_term: line.raft_term.unwrap_or(0),
            }),
            status: Status {
                code: code(line.status.as_deref().unwrap_or_default()),
                message: line.message.as_deref().map(Into::into),
                ending: ending(line),
            },
            faults: hits(line).into(),
        };
        let wrote = line.committed || writes_by_its_verb(&call, &operation(line));
        call.response = response(line, &call.request, wrote);
        call
    }

    fn note(
        &mut self,
        line: &LogLine,
        peers: Arc<Peers>,
        at: Instant,
    ) -> Result<WatchNote, Unknown> {
        let key = || line.key.as_deref().unwrap_or_default().into();
        let range_end = || line.range_end.as_deref().unwrap_or_default().into();
        let revision = line.revision.unwrap_or(0);
        let watched = match line.event.as_str() {
            word::WATCH_CREATED => Watched::Created {
                asked: line.duration_us.map(|took| earlier(at, micros(took))),
                key: key(),
                range_end: range_end(),
                start_revision: line.start_revision.unwrap_or(0),
                progress_notify: line.progress_notify,
                prev_kv: line.prev_kv,
            },
            word::WATCH_EVENT => Watched::Event {
                kind: match line.r#type.as_deref().unwrap_or_default() {
                    word::PUT => EventKind::Put,
                    word::DELETE => EventKind::Delete,
                    other => return Err(unknown("type", other)),
                },
                kv: KeyValue {
                    key: key(),
                    mod_revision: revision,
                    // All that a line knows of it.
                    create_revision: match line.verb.as_deref() {
                        Some("create") => revision,
                        _ => 0,
                    },
                    ..KeyValue::default()
                },
                prev_kv: false,
            },
            word::WATCH_PROGRESS => Watched::Progress,
            _ => Watched::Canceled {
                cause: match line.cause.as_deref().unwrap_or_default() {
                    word::REQUESTED => CancelCause::Requested,
                    word::REFUSED => CancelCause::Refused,
                    word::COMPACTED => CancelCause::Compacted {
                        compact_revision: line.compact_revision.unwrap_or(0),
                    },
                    word::SERVER => CancelCause::Server,
                    word::STREAM_ENDED => CancelCause::StreamEnded,
                    other => return Err(unknown("cause", other)),
                },
                reason: line.message.as_deref().map(Into::into),
                key: key(),
                range_end: range_end(),
                events: line.events.unwrap_or(0),
            },
        };
        Ok(WatchNote {
            peers,
            stream: StreamId::from_bits(line.stream.unwrap_or(0)),
            user_agent: self.agent(line),
            at,
            watch_id: line.watch_id.unwrap_or(0),
            cluster_id: line.cluster_id.unwrap_or(0),
            revision,
            message_bytes: line.response_bytes.unwrap_or(0),
            watched,
            faults: hits(line).into(),
            held: match line.held_us {
                None => Duration::ZERO,
                // It was held, for less than that.
                Some(0) => Duration::from_nanos(1),
                Some(held) => micros(held),
            },
            delivered: line.delivered.unwrap_or(true),
        })
    }

    fn exchange(&mut self, line: &LogLine, ended: Instant) -> Result<Exchange, Unknown> {
        let started = earlier(ended, micros(line.duration_us.unwrap_or(0)));
        Ok(Exchange {
            protocol: match line.protocol.as_deref().unwrap_or_default() {
                "HTTP/1.1" => "HTTP/1.1",
                "HTTP/1.0" => "HTTP/1.0",
                "HTTP/2" => "HTTP/2",
                other => return Err(unknown("protocol", other)),
            },
            started,
            first_byte: line.first_byte_us.map(|us| later(started, micros(us))),
            ended,
            method: line.method.as_deref().unwrap_or_default().into(),
            target: line.path.as_deref().unwrap_or_default().into(),
            user_agent: self.agent(line),
            status: line
                .http_status
                .and_then(|status| u16::try_from(status).ok()),
            request_bytes: line.request_bytes.unwrap_or(0),
            response_bytes: line.response_bytes.unwrap_or(0),
        })
    }

    fn ended(&mut self, line: &LogLine, peers: Arc<Peers>, ended: Instant) -> ConnectionEnded {
        let bytes = |report: &Option<v1::SideReport>| report.as_ref().map_or(0, |one| one.bytes);
        ConnectionEnded {
            peers,
            user_agent: self.agent(line),
            opened: earlier(ended, micros(line.duration_us.unwrap_or(0))),
            ended,
            how: line.message.as_deref().unwrap_or_default().into(),
            bytes: Both {
                client: bytes(&line.of_client),
                server: bytes(&line.of_server),
            },
            streams: line.streams.unwrap_or(0),
            reports: Both {
                client: report(line.of_client.as_ref()),
                server: report(line.of_server.as_ref()),
            },
            by: side(line.by),
            faults: hits(line),
            interposed: line.interposed,
            pings_answered: line.pings_answered,
        }
    }
}

#[cfg(test)]
mod tests;
