//! What the lines of the log know, for whoever filters them. A test holds these
//! against the log itself: a filter sees what a reader of the log sees.

use std::time::Instant;

use super::clock::Anchor;
use super::filter::{WATCH_METHOD, WATCH_SERVICE, is_failed_exchange, is_failure};
use super::json::{count_only, tells_committed};
use super::lines::micros_between;
use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, CancelCause, ConnectionEnded, Ending, EventKind, Response, WatchNote, Watched,
};
use crate::filter::known::{hexadecimal, of_operation, of_peers, of_request, of_tls, unless, yes};
use crate::filter::{Fact, Facts, Made, Name};
use crate::http1::Exchange;
use crate::http2::{Offence, Side};
use crate::kube::operation::{Operation, Verb};
use crate::relay::Peers;

/// A call's line.
#[derive(Debug)]
pub struct CallFacts<'l> {
    /// The call.
    pub call: &'l Call,
    /// What it did.
    pub operation: &'l Operation<'l>,
    /// Whether its line says so.
    pub slow: bool,
    /// How the clocks stand.
    pub anchor: Anchor,
}

/// The line of something that happened to a watch.
#[derive(Debug)]
pub struct NoteFacts<'l> {
    /// What happened.
    pub note: &'l WatchNote,
    /// To what.
    pub operation: &'l Operation<'l>,
    /// In microseconds.
    pub lag: Option<i64>,
    /// How the clocks stand.
    pub anchor: Anchor,
}

/// The line of a plain HTTP request.
#[derive(Debug)]
pub struct HttpFacts<'l> {
    /// The connection.
    pub peers: &'l Peers,
    /// The request and its answer.
    pub exchange: &'l Exchange,
    /// Whether its line says so.
    pub slow: bool,
    /// How the clocks stand.
    pub anchor: Anchor,
}

/// A line about a connection.
#[derive(Debug)]
pub struct ConnectionFacts<'l> {
    peers: &'l Peers,
    at: Instant,
    happening: Happening<'l>,
    /// What stopped the tracing, in words.
    offence: Option<String>,
    anchor: Anchor,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'l> {
    /// Both ends stand.
    Opened,
    /// A PING of the client is not answered.
    Ping,
    /// It is no longer read, because of this.
    Stopped(&'l Offence),
    /// These struck it.
    Fault(&'l [Hit]),
    /// It is over; and whether it never came to stand.
    Ended(&'l ConnectionEnded, bool),
}

impl Facts for CallFacts<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        let CallFacts {
            call, operation, ..
        } = self;
        Some(match name {
            Name::Event => Fact::Text("call"),
            Name::Time => time(self.anchor, call.ended),
            Name::Stream => Fact::Number(call.stream.number().into()),
            Name::UserAgent => Fact::Text(call.user_agent.as_deref()?),
            Name::Service => Fact::Text(&call.name.service),
            Name::Method => Fact::Text(&call.name.method),
            Name::Verb => match operation.verb {
                Some(verb) => Fact::Text(verb.as_str()),
                None => Fact::Text(&call.name.method),
            },
            Name::Failed => Fact::Flag(call.failed()),
            Name::Status => match call.status.code.name() {
                Some(name) => Fact::Text(name),
                None => Fact::Made(Made::of(call.status.code)),
            },
            Name::Message => Fact::Text(call.status.message.as_deref()?),
            Name::Ending | Name::Reset | Name::ResetBy | Name::LostBy => {
                return ending(call.status.ending, name);
            }
            Name::Duration => micros(call.started, call.ended),
            Name::FirstByte => micros(call.started, call.first_byte?),
            Name::Slow => yes(self.slow)?,
            Name::RequestBytes => Fact::count(call.sent.bytes),
            Name::ResponseBytes => Fact::count(call.received.bytes),
            Name::RequestMessages => Fact::count(call.sent.messages),
            Name::ResponseMessages => Fact::count(call.received.messages),
            Name::Revision => Fact::Number(call.header?.revision),
            Name::Committed => yes(tells_committed(operation, call))?,
            Name::Lease => {
                return of_request(&call.request, name).or_else(|| answered(call, operation, name));
            }
            _ => {
                return of_operation(operation, name)
                    .or_else(|| of_request(&call.request, name))
                    .or_else(|| answered(call, operation, name))
                    .or_else(|| of_peers(&call.peers, name));
            }
        })
    }

    fn any_fault(&self, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        self.call.faults.iter().any(|hit| holds(&hit.name))
    }
}

impl Facts for NoteFacts<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        let note = self.note;
        Some(match (name, &note.watched) {
            (Name::Event, watched) => Fact::Text(match watched {
                Watched::Created { .. } => "watch_created",
                Watched::Event { .. } => "watch_event",
                Watched::Progress => "watch_progress",
                Watched::Canceled { .. } => "watch_canceled",
            }),
            (Name::Time, _) => time(self.anchor, note.at),
            (Name::Stream, _) => Fact::Number(note.stream.number().into()),
            (Name::UserAgent, _) => Fact::Text(note.user_agent.as_deref()?),
            (Name::Service, _) => Fact::Text(WATCH_SERVICE),
            (Name::Method, _) => Fact::Text(WATCH_METHOD),
            (Name::Verb, _) => Fact::Text(self.operation.verb.map(Verb::as_str)?),
            (Name::Failed, _) => Fact::Flag(is_failure(note)),
            (Name::ResponseBytes, _) => Fact::count(unless(note.message_bytes, 0)?),
            (Name::Revision, Watched::Event { kv, .. }) => {
                Fact::Number(unless(kv.mod_revision, 0)?)
            }
            (Name::Revision, _) => Fact::Number(unless(note.revision, 0)?),
            (Name::WatchId, _) => Fact::Number(note.watch_id),
            (Name::Held, _) if !note.held.is_zero() => {
                Fact::micros(i64::try_from(note.held.as_micros()).unwrap_or(i64::MAX))
            }
            (Name::Type, Watched::Event { kind, .. }) => Fact::Text(match kind {
                EventKind::Put => "PUT",
                EventKind::Delete => "DELETE",
            }),
            (Name::Lag, Watched::Event { .. }) => Fact::micros(self.lag?),
            (Name::Delivered, _) => Fact::Flag(note.delivered),
            (Name::Duration, Watched::Created { asked, .. }) => micros((*asked)?, note.at),
            (Name::StartRevision, Watched::Created { start_revision, .. }) => {
                Fact::Number(unless(*start_revision, 0)?)
            }
            (
                Name::ProgressNotify,
                Watched::Created {
                    progress_notify, ..
                },
            ) => yes(*progress_notify)?,
            (Name::PrevKv, Watched::Created { prev_kv, .. }) => yes(*prev_kv)?,
            (Name::Cause, Watched::Canceled { cause, .. }) => Fact::Text(cause_word(cause)),
            (Name::Message, Watched::Canceled { reason, .. }) => Fact::Text(reason.as_deref()?),
            (Name::CompactRevision, Watched::Canceled { cause, .. }) => match cause {
                CancelCause::Compacted { compact_revision } => Fact::Number(*compact_revision),
                _ => return None,
            },
            (Name::Events, Watched::Canceled { events, .. }) => Fact::count(*events),
            (name, _) => {
                return of_operation(self.operation, name).or_else(|| of_peers(&note.peers, name));
            }
        })
    }

    fn any_fault(&self, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        self.note.faults.iter().any(|hit| holds(&hit.name))
    }
}

impl Facts for HttpFacts<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        let exchange = self.exchange;
        Some(match name {
            Name::Event => Fact::Text("http1"),
            Name::Time => time(self.anchor, exchange.ended),
            Name::UserAgent => Fact::Text(exchange.user_agent.as_deref()?),
            Name::Protocol => Fact::Text(exchange.protocol),
            Name::Method => Fact::Text(&exchange.method),
            Name::Path => Fact::Text(&exchange.target),
            Name::HttpStatus => Fact::Number(exchange.status?.into()),
            Name::Failed => Fact::Flag(is_failed_exchange(exchange)),
            Name::Duration => micros(exchange.started, exchange.ended),
            Name::FirstByte => micros(exchange.started, exchange.first_byte?),
            Name::Slow => yes(self.slow)?,
            Name::RequestBytes => Fact::count(exchange.request_bytes),
            Name::ResponseBytes => Fact::count(exchange.response_bytes),
            name => return of_peers(self.peers, name),
        })
    }
}

impl<'l> ConnectionFacts<'l> {
    /// What happened to a connection, and when.
    pub fn new(
        peers: &'l Peers,
        at: Instant,
        happening: Happening<'l>,
        anchor: Anchor,
    ) -> ConnectionFacts<'l> {
        ConnectionFacts {
            peers,
            at,
            happening,
            offence: match happening {
                Happening::Stopped(offence) => Some(offence.to_string()),
                _ => None,
            },
            anchor,
        }
    }

    /// Whether the connection failed in some way.
    pub fn failed(&self) -> bool {
        match self.happening {
            Happening::Opened => false,
            Happening::Ping | Happening::Stopped(_) | Happening::Fault(_) => true,
            Happening::Ended(_, failed) => failed,
        }
    }
}

impl Facts for ConnectionFacts<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        Some(match (name, self.happening) {
            (Name::Event, happening) => Fact::Text(match happening {
                Happening::Ping => "ping",
                Happening::Fault(_) => "fault",
                _ => "connection",
            }),
            (Name::Time, _) => time(self.anchor, self.at),
            (Name::Failed, _) => Fact::Flag(self.failed()),
            (Name::State, happening) => Fact::Text(match happening {
                Happening::Opened => "opened",
                Happening::Stopped(_) => "tracing_stopped",
                Happening::Ended(_, true) => "failed",
                Happening::Ended(_, false) => "closed",
                Happening::Ping | Happening::Fault(_) => return None,
            }),
            (Name::Listener, Happening::Opened | Happening::Fault(_) | Happening::Ended(..)) => {
                Fact::Made(Made::of(self.peers.listener))
            }
            (
                Name::TlsVersion | Name::Sni | Name::Alpn | Name::Identity,
                Happening::Opened | Happening::Ended(..),
            ) => return of_tls(self.peers, name),
            (Name::By, Happening::Stopped(offence)) => side(offence.by),
            (Name::Code, Happening::Stopped(offence)) => Fact::Made(Made::of(offence.code)),
            (Name::OffendingStream, Happening::Stopped(offence)) => {
                match offence.stream.is_connection() {
                    true => return None,
                    false => Fact::Number(offence.stream.number().into()),
                }
            }
            (Name::Message, Happening::Stopped(_)) => Fact::Text(self.offence.as_deref()?),
            (name, Happening::Ended(ended, _)) => {
                return of_end(ended, name).or_else(|| of_peers(self.peers, name));
            }
            (name, _) => return of_peers(self.peers, name),
        })
    }

    fn any_fault(&self, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        let hits = match self.happening {
            Happening::Fault(hits) => hits,
            Happening::Ended(ended, _) => &ended.faults,
            _ => return false,
        };
        hits.iter().any(|hit| holds(&hit.name))
    }
}

/// What was answered.
fn answered<'c>(call: &'c Call, operation: &Operation<'c>, name: Name) -> Option<Fact<'c>> {
    Some(match (name, &call.response) {
        (Name::Count | Name::Total, Response::Range { kvs, count, .. }) => {
            let total = u64::try_from(*count).unwrap_or(0);
            let counted = operation.verb == Some(Verb::Count) || count_only(&call.request);
            match name {
                Name::Count if counted => Fact::count(total),
                Name::Count => Fact::count(*kvs),
                _ if !counted && total > *kvs => Fact::count(total),
                _ => return None,
            }
        }
        (Name::More, Response::Range { more, .. }) => yes(*more)?,
        (Name::Continue, Response::Range { .. }) => Fact::Text(
            operation
                .object
                .and_then(|object| object.continue_after())?,
        ),
        (Name::ModRevision, Response::Range { first, .. }) if operation.range_end.is_none() => {
            Fact::Number(first.as_ref()?.mod_revision)
        }
        (Name::Count, Response::Txn { kvs, deleted, .. }) => {
            let first = unless(*kvs, 0);
            Fact::count(first.or_else(|| unless(*deleted, 0))?)
        }
        (Name::Succeeded, Response::Txn { succeeded, .. }) => match operation.verb {
            None => Fact::Flag(*succeeded),
            Some(_) => return None,
        },
        (Name::ModRevision, Response::Txn { first, .. }) => {
            Fact::Number(first.as_ref()?.mod_revision)
        }
        (Name::Count, Response::DeleteRange { deleted }) => Fact::Number(*deleted),
        (Name::Count, Response::Named { count }) => Fact::Number((*count)?),
        (Name::Lease, Response::Lease { id, .. }) => hexadecimal(*id)?,
        (Name::GrantedTtl, Response::Lease { ttl, .. }) => Fact::seconds(unless(*ttl, 0)?),
        _ => return None,
    })
}

fn ending(ending: Ending, name: Name) -> Option<Fact<'static>> {
    Some(match (name, ending) {
        (Name::Ending, ending) => Fact::Text(match ending {
            Ending::Trailers => return None,
            Ending::NoTrailers => "no_trailers",
            Ending::Reset { .. } => "reset",
            Ending::ConnectionLost { .. } => "connection_lost",
            Ending::TracingStopped => "tracing_stopped",
            Ending::Injected => "injected",
            Ending::InjectedReset { .. } => "injected_reset",
        }),
        (Name::Reset, Ending::Reset { code, .. } | Ending::InjectedReset { code }) => {
            Fact::Made(Made::of(code))
        }
        (Name::ResetBy, Ending::Reset { by, .. }) => side(by),
        (Name::LostBy, Ending::ConnectionLost { by }) => side(by?),
        _ => return None,
    })
}

/// What the end of a connection says.
fn of_end(ended: &ConnectionEnded, name: Name) -> Option<Fact<'_>> {
    let (client, server) = (&ended.reports.client, &ended.reports.server);
    let count = |number: u64| Some(Fact::count(unless(number, 0)?));
    Some(match name {
        Name::UserAgent => Fact::Text(ended.user_agent.as_deref()?),
        Name::Message => Fact::Text(&ended.how),
        Name::By => side(ended.by?),
        Name::Duration => micros(ended.opened, ended.ended),
        Name::Streams => Fact::count(ended.streams),
        Name::Interposed => yes(ended.interposed)?,
        Name::PingsAnswered if ended.interposed => count(ended.pings_answered)?,
        Name::BytesClient => Fact::count(ended.bytes.client),
        Name::BytesServer => Fact::count(ended.bytes.server),
        Name::PingsClient => count(client.pings)?,
        Name::PingsServer => count(server.pings)?,
        Name::ResetsClient => count(client.resets.count)?,
        Name::ResetsServer => count(server.resets.count)?,
        Name::StallsClient => count(client.stalls.count)?,
        Name::StallsServer => count(server.stalls.count)?,
        Name::StalledClient if client.stalls.count > 0 => lasted(client.stalls.total),
        Name::StalledServer if server.stalls.count > 0 => lasted(server.stalls.total),
        _ => return None,
    })
}

fn cause_word(cause: &CancelCause) -> &'static str {
    match cause {
        CancelCause::Requested => "requested",
        CancelCause::Refused => "refused",
        CancelCause::Compacted { .. } => "compacted",
        CancelCause::Server => "server",
        CancelCause::StreamEnded => "stream_ended",
    }
}

fn side(side: Side) -> Fact<'static> {
    Fact::Text(match side {
        Side::Client => "client",
        Side::Server => "server",
    })
}

/// In microseconds, as the log has it.
fn micros(from: Instant, to: Instant) -> Fact<'static> {
    Fact::micros(i64::try_from(micros_between(from, to)).unwrap_or(i64::MAX))
}

fn lasted(time: std::time::Duration) -> Fact<'static> {
    Fact::micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn time(anchor: Anchor, at: Instant) -> Fact<'static> {
    Fact::Time(anchor.wall_micros(at).saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
