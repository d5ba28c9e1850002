//! A line of the log again, from its record: what the log's formats take.
//!
//! The calls that come back have what a line prints, and no more: values, guards
//! and the like are in the messages.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustc_hash::FxHashMap;

use super::line::{word, writes_by_its_verb};
use super::reader::Line;
use super::schema::v1::log_line::{Extent, Form};
use super::schema::v1::{self, LogLine};
use crate::etcd::verdict::{FaultId, Hit};
use crate::etcd::{
    Call, CancelCause, Compare, CompareTarget, ConnectionEnded, Ending, EventKind, Header,
    KeyValue, MethodName, Op, RangeAsked, Request, Response, Status, Traffic, TxnAsked, Value,
    WatchNote, Watched,
};
use crate::grpc::Code;
use crate::http1::Exchange;
use crate::http2::{Both, ErrorCode, Offence, Settings, Side, StreamId};
use crate::kube::key::{self, ResourceKey};
use crate::kube::operation::{Operation, Verb};
use crate::kube::value::Stored;
use crate::relay::{
    ConnectionId, FlowStalls, Goaway, Peers, Resets, RoundTrips, SideReport, TlsSeen,
};
use crate::trace::{
    Anchor, CallFacts, ConnectionFacts, Filter, Happening, HttpFacts, NoteFacts, Printer,
};

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

/// What is operated on.
pub fn operation(line: &LogLine) -> Operation<'_> {
    let verb = line.verb.as_deref().unwrap_or_default();
    Operation {
        // etcd's own names stand where there is no verb; a method that is called
        // as one of ours is none.
        verb: match line.method.as_deref() == Some(verb) {
            true => None,
            false => verb.parse().ok(),
        },
        key: line.key.as_deref(),
        range_end: line.range_end.as_deref(),
        object: line.resource.as_deref().map(|resource| ResourceKey {
            group: line.group.as_deref(),
            resource,
            namespace: line.namespace.as_deref(),
            name: line.name.as_deref(),
            internal: line.internal,
            extent: {
                let of = line.extent_of.as_deref().unwrap_or_default();
                match line.extent() {
                    Extent::One => key::Extent::One,
                    Extent::All => key::Extent::All,
                    Extent::After => key::Extent::After(of),
                    Extent::Beginning => key::Extent::Beginning(of),
                    Extent::Onward => key::Extent::Onward,
                    Extent::Between => key::Extent::Between,
                }
            },
        }),
        stored: match (line.encryption.as_deref(), line.kind.as_deref()) {
            (Some(provider), _) => Some(Stored::Encrypted {
                provider: Some(provider),
                version: None,
                key_name: None,
            }),
            (None, Some(kind)) => Some(Stored::Protobuf {
                api_version: None,
                kind: Some(kind),
            }),
            (None, None) => None,
        },
    }
}

fn request(line: &LogLine) -> Request {
    let key = || line.key.as_deref().unwrap_or_default().into();
    let range_end = || line.range_end.as_deref().unwrap_or_default().into();
    // Where the answer named another one, `lease` may be that.
    let lease = match (line.lease, line.granted_lease) {
        (lease, Some(granted)) if lease == Some(granted) => 0,
        (lease, _) => lease.unwrap_or(0),
    };
    let put = || Op::Put {
        key: key(),
        value: Value::default(),
        lease,
    };
    match line.asked() {
        Form::Unread => Request::Unread,
        Form::Range => Request::Range(RangeAsked {
            key: key(),
            range_end: range_end(),
            limit: line.limit.unwrap_or(0),
            revision: line.at_revision.unwrap_or(0),
            count_only: line.count_only,
            keys_only: line.keys_only,
            serializable: line.serializable,
        }),
        Form::Put => Request::Op(put()),
        Form::DeleteRange => Request::Op(Op::DeleteRange {
            key: key(),
            range_end: range_end(),
        }),
        Form::Txn => Request::Txn(TxnAsked {
            compares: line
                .if_revision
                .map(|number| Compare {
                    target: CompareTarget::ModRevision,
                    key: key(),
                    number,
                })
                .into_iter()
                .collect(),
            success: match lease {
                0 => Vec::new(),
                _ => vec![put()],
            },
            failure: Vec::new(),
            omitted: 0,
        }),
        Form::Compact => Request::Compact {
            revision: line.compact_revision.unwrap_or(0),
        },
        Form::Lease => Request::Lease {
            id: lease,
            ttl: line.ttl.unwrap_or(0),
        },
        Form::Named => Request::Named {
            key: line.key.as_deref().map(Into::into),
            range_end: line.range_end.as_deref().map(Into::into),
            revision: line.at_revision,
            name: line.subject.as_deref().map(Into::into),
        },
    }
}

fn response(line: &LogLine, request: &Request, wrote: bool) -> Response {
    let counted = line.count.unwrap_or(0);
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let first = || {
        line.mod_revision.map(|mod_revision| {
            Box::new(KeyValue {
                key: line.key.as_deref().unwrap_or_default().into(),
                mod_revision,
                ..KeyValue::default()
            })
        })
    };
    match line.answered() {
        Form::Range => {
            let is_count = line.count_only || line.verb.as_deref() == Some(Verb::Count.as_str());
            Response::Range {
                kvs: if is_count { 0 } else { counted },
                count: signed(line.total.unwrap_or(counted)),
                more: line.more,
                first: first(),
            }
        }
        Form::Put => Response::Put,
        Form::DeleteRange => Response::DeleteRange {
            deleted: counted as i64,
        },
        Form::Txn => Response::Txn {
            succeeded: line.guards_held.unwrap_or(false),
            puts: u64::from(wrote),
            deleted: 0,
            kvs: counted,
            first: first(),
        },
        Form::Lease => Response::Lease {
            id: match (line.granted_lease, request) {
                (Some(granted), _) => granted,
                (None, Request::Lease { id, .. }) => *id,
                (None, _) => 0,
            },
            ttl: line.granted_ttl.unwrap_or(0),
        },
        Form::Named => Response::Named {
            count: line.count.map(|count| count as i64),
        },
        Form::Unread | Form::Compact => Response::Unread,
    }
}

fn ending(line: &LogLine) -> Ending {
    let code = reset_code(line.reset.as_deref());
    match line.ending.as_deref().unwrap_or_default() {
        word::NO_TRAILERS => Ending::NoTrailers,
        word::RESET => Ending::Reset {
            by: side(line.reset_by).unwrap_or(Side::Server),
            code,
        },
        word::CONNECTION_LOST => Ending::ConnectionLost {
            by: side(line.lost_by),
        },
        word::TRACING_STOPPED => Ending::TracingStopped,
        word::INJECTED => Ending::Injected,
        word::INJECTED_RESET => Ending::InjectedReset { code },
        _ => Ending::Trailers,
    }
}

/// The offence whose sentence is the line's message: `client sent … (CODE, rule)`.
fn offence(line: &LogLine) -> Offence {
    let by = side(line.by).unwrap_or(Side::Client);
    let code = reset_code(line.code.as_deref());
    let message = line.message.as_deref().unwrap_or_default();
    let what = message.strip_prefix(by.to_string().as_str());
    let what = what.map_or(message, str::trim_start);
    let opens = format!(" ({code}, ");
    let (what, rule) = what
        .strip_suffix(')')
        .and_then(|what| what.rsplit_once(&opens))
        .unwrap_or((what, ""));
    Offence {
        by,
        code,
        stream: StreamId::from_bits(line.offending_stream.unwrap_or(0)),
        what: Cow::Owned(what.to_owned()),
        rule: Cow::Owned(rule.to_owned()),
    }
}

fn report(report: Option<&v1::SideReport>) -> SideReport {
    let Some(report) = report else {
        return SideReport::default();
    };
    SideReport {
        settings: report.settings.map(|settings| Settings {
            header_table_size: settings.header_table_size,
            enable_push: settings.enable_push,
            max_concurrent_streams: settings.max_concurrent_streams,
            initial_window_size: settings.initial_window_size,
            max_frame_size: settings.max_frame_size,
            max_header_list_size: settings.max_header_list_size,
        }),
        pings: report.pings,
        round_trips: report
            .ping_rtt_mean_us
            .map_or_else(RoundTrips::default, |mean| RoundTrips {
                count: 1,
                total: micros(mean),
                longest: micros(report.ping_rtt_max_us.unwrap_or(mean)),
            }),
        goaway: report.goaway.as_ref().map(|goaway| Goaway {
            last_stream: StreamId::from_bits(goaway.last_stream),
            code: reset_code(Some(&goaway.code)),
            debug: goaway.debug.as_str().into(),
        }),
        resets: Resets {
            count: report.resets,
            last: report.last_reset.as_deref().and_then(ErrorCode::parse),
        },
        stalls: FlowStalls {
            count: report.stalls,
            total: micros(report.stalled_us),
        },
    }
}

fn hits(line: &LogLine) -> Vec<Hit> {
    let faults = line.fault.iter();
    faults
        .map(|fault| Hit {
            // A number of that run; nothing asks for it.
            fault: FaultId(0),
            name: fault.name.as_str().into(),
            did: fault.did.as_str().into(),
        })
        .collect()
}

/// gRPC's name for a code, or `CODE_n`.
fn code(text: &str) -> Code {
    let number = || text.strip_prefix("CODE_")?.parse().ok().map(Code);
    Code::from_name(text)
        .or_else(number)
        .unwrap_or(Code::UNKNOWN)
}

fn reset_code(text: Option<&str>) -> ErrorCode {
    text.and_then(ErrorCode::parse)
        .unwrap_or(ErrorCode::NO_ERROR)
}

fn side(side: Option<i32>) -> Option<Side> {
    v1::Side::try_from(side?).ok()?.side()
}

fn unknown(field: &'static str, says: &str) -> Unknown {
    Unknown {
        field,
        says: says.into(),
    }
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// No recorder writes times that reach so far; where one does, they stop.
fn later(at: Instant, after: Duration) -> Instant {
    at.checked_add(after).unwrap_or(at)
}

fn earlier(at: Instant, before: Duration) -> Instant {
    at.checked_sub(before).unwrap_or(at)
}

#[cfg(test)]
mod tests;
