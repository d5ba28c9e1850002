//! A call that has begun and not ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::call::{Call, Ending, Header, Request, Response, Status, Traffic};
use super::course::Course;
use super::message::Message;
use super::method::{Method, MethodName};
use super::read::{RequestReader, ResponseReader};
use super::scribe::Told;
use super::verdict::{Errand, Hit};
use super::watch_stream::WatchStream;
use crate::grpc::{Code, Deframer};
use crate::http2::{Both, Side, StreamId};
use crate::relay::Peers;

/// A call that has begun and not ended.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub id: StreamId,
    pub method: Method,
    pub name: MethodName,
    pub user_agent: Option<Arc<str>>,
    pub started: Instant,
    pub first_byte: Option<Instant>,
    pub answered: Option<Instant>,
    pub directions: Both<Direction>,
    pub request: Request,
    pub response: Response,
    pub header: Option<Header>,
    /// `:status`, until it turns out to be 200.
    pub http_status: Option<u16>,
    pub code: Option<Code>,
    pub message: Option<Box<str>>,
    pub kind: Kind,
    /// Its end was told; what still comes is ignored.
    pub over: bool,
    /// What faults do to it.
    pub trial: Option<Trial>,
}

/// A call that faults may strike.
#[derive(Debug)]
pub(super) enum Trial {
    /// It is to be judged.
    Suspect {
        /// What its double would be made of.
        kept: Option<Box<Errand>>,
        /// Where the first message ends, once it has begun.
        request_end: u64,
    },
    /// It was.
    Judged(Box<Judged>),
    /// It was never judged, but struck as a stream of watches.
    Struck(Vec<Hit>),
}

/// A call that was judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub course: Course,
    /// What its double is made of.
    pub kept: Option<Box<Errand>>,
    /// etcd has ended it, and the client has not been told yet.
    pub ending: Option<Ending>,
}

/// One direction of a call.
#[derive(Debug, Default)]
pub(super) struct Direction {
    pub deframer: Deframer,
    pub traffic: Traffic,
    /// The message at hand.
    pub message: Option<Box<Message>>,
    pub encoding: Encoding,
}

/// `grpc-encoding` of a direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Identity,
    Gzip,
    /// One that we cannot unpack: such messages are counted, not read.
    Other,
}

impl Encoding {
    /// What `grpc-encoding` says.
    pub fn of(value: &[u8]) -> Encoding {
        match value {
            b"identity" => Encoding::Identity,
            b"gzip" => Encoding::Gzip,
            _ => Encoding::Other,
        }
    }
}

/// What streams need besides.
#[derive(Debug)]
pub(super) enum Kind {
    Plain,
    Watch(Box<WatchStream>),
    /// Keepalives that wait for their answer: when they were asked.
    KeepAlive(VecDeque<(Instant, Request, u64)>),
}

/// Keepalives that wait for their answer, at most.
pub(super) const MOST_KEEPALIVES: usize = 1024;

impl OpenCall {
    pub fn new(id: StreamId, method: Method, name: MethodName, now: Instant) -> OpenCall {
        OpenCall {
            id,
            method,
            name,
            user_agent: None,
            started: now,
            first_byte: None,
            answered: None,
            directions: Both::default(),
            request: Request::Unread,
            response: Response::Unread,
            header: None,
            http_status: None,
            code: None,
            message: None,
            kind: match method {
                Method::Watch => Kind::Watch(Box::default()),
                Method::LeaseKeepAlive => Kind::KeepAlive(VecDeque::new()),
                _ => Kind::Plain,
            },
            over: false,
            trial: None,
        }
    }

    /// The call, for who writes it down.
    pub fn told(&self) -> Told<'_> {
        Told {
            stream: self.id,
            name: &self.name,
        }
    }

    /// Whether faults touch its watches.
    pub fn is_watched(&self) -> bool {
        matches!(&self.kind, Kind::Watch(stream) if stream.watching.is_some())
    }

    /// A message of `from` begins: what an empty one would say is said, unless
    /// an earlier message of the same answer said something already.
    pub fn begin_message(&mut self, from: Side) {
        match from {
            Side::Client => {
                if RequestReader::root(self.method).is_some() {
                    self.request = RequestReader::empty(self.method);
                }
            }
            Side::Server => {
                if ResponseReader::root(self.method).is_some()
                    && (self.response == Response::Unread || self.method != Method::RangeStream)
                {
                    self.response = ResponseReader::empty(self.method);
                }
            }
        }
    }

    /// How the call ended, seen from `ending`.
    fn status(&mut self, ending: Ending) -> Status {
        let code = match (self.code, ending) {
            (Some(code), _) => code,
            (
                None,
                Ending::Reset {
                    by: Side::Client, ..
                },
            ) => Code::CANCELLED,
            (None, Ending::Reset { code, .. }) => Code::from_reset(code),
            (
                None,
                Ending::ConnectionLost {
                    by: Some(Side::Client),
                },
            ) => Code::CANCELLED,
            (None, Ending::Trailers | Ending::NoTrailers) => {
                self.http_status.map_or(Code::UNKNOWN, Code::from_http)
            }
            (None, Ending::InjectedReset { code }) => Code::from_reset(code),
            (None, Ending::ConnectionLost { .. } | Ending::TracingStopped | Ending::Injected) => {
                Code::UNKNOWN
            }
        };
        Status {
            code,
            message: self.message.take(),
            ending,
        }
    }

    /// The finished call.
    pub fn finish(&mut self, peers: &Arc<Peers>, ending: Ending, now: Instant) -> Box<Call> {
        self.over = true;
        let status = self.status(ending);
        Box::new(Call {
            peers: Arc::clone(peers),
            stream: self.id,
            user_agent: self.user_agent.take(),
            method: self.method,
            name: self.name.clone(),
            started: self.started,
            first_byte: self.first_byte,
            answered: self.answered,
            ended: now,
            sent: self.directions.client.traffic,
            received: self.directions.server.traffic,
            request: std::mem::take(&mut self.request),
            response: std::mem::take(&mut self.response),
            header: self.header,
            status,
            faults: self.hits(),
        })
    }

    /// The faults that struck.
    fn hits(&self) -> Box<[Hit]> {
        match self.trial.as_ref() {
            Some(Trial::Judged(judged)) => judged.course.hits().into(),
            Some(Trial::Struck(hits)) => hits.as_slice().into(),
            Some(Trial::Suspect { .. }) | None => Box::default(),
        }
    }

    /// The oldest keepalive, answered just now, as a call of its own: the stream
    /// that carries them may stay open for days.
    pub fn answer_keepalive(
        &mut self,
        peers: &Arc<Peers>,
        response_bytes: u64,
        now: Instant,
    ) -> Option<Box<Call>> {
        let received = Traffic {
            messages: 1,
            bytes: response_bytes,
        };
        let status = Status {
            code: Code::OK,
            message: None,
            ending: Ending::Trailers,
        };
        self.finish_keepalive(peers, received, status, now)
    }

    /// The oldest keepalive that was not answered when the stream ended.
    pub fn abandon_keepalive(
        &mut self,
        peers: &Arc<Peers>,
        ending: Ending,
        now: Instant,
    ) -> Option<Box<Call>> {
        let message = self.message.clone();
        let status = self.status(ending);
        self.message = message;
        self.finish_keepalive(peers, Traffic::default(), status, now)
    }

    fn finish_keepalive(
        &mut self,
        peers: &Arc<Peers>,
        received: Traffic,
        status: Status,
        now: Instant,
    ) -> Option<Box<Call>> {
        let faults = self.hits();
        let Kind::KeepAlive(waiting) = &mut self.kind else {
            return None;
        };
        let (asked, request, request_bytes) = waiting.pop_front()?;
        let answered = (received.messages > 0).then_some(now);
        Some(Box::new(Call {
            peers: Arc::clone(peers),
            stream: self.id,
            user_agent: self.user_agent.clone(),
            method: self.method,
            name: self.name.clone(),
            started: asked,
            first_byte: answered,
            answered,
            ended: now,
            sent: Traffic {
                messages: 1,
                bytes: request_bytes,
            },
            received,
            request,
            response: std::mem::take(&mut self.response),
            header: answered.and(self.header),
            status,
            faults,
        }))
    }
}
