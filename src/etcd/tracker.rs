//! Turns the streams of a connection into calls and watch notes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::Event;
use super::call::Ending;
use super::heads::{Head, Remembered, Said};
use super::message::Message;
use super::open_call::{Kind, OpenCall, Trial};
use super::plain_request::PlainRequest;
use super::scribe::{Begun, Scribe, Told};
use super::session::SessionOptions;
use super::trial::{Bench, keep_body};
use super::verdict::Judge;
use super::watch_stream::Origin;
use super::watching::Doing;
use crate::grpc::Part;
use crate::http2::{Both, Offence, Side, StreamId};
use crate::relay::{BlockNumber, Data, HeaderField, HoldAccount, Order, Peers, StreamEnd, Tap};

/// Turns the streams of a connection into calls and watch notes.
#[derive(Debug)]
pub(super) struct Tracker {
    pub peers: Arc<Peers>,
    pub(super) options: Arc<SessionOptions>,
    pub events: VecDeque<Event>,
    /// The `user-agent` seen last: nearly always the connection's only one.
    pub user_agent: Option<Arc<str>>,
    /// The request head at hand. Header blocks come whole, so there is one.
    pub(super) head: Head,
    /// What the block of the server at hand says.
    said: Said,
    /// What blocks said that may come again.
    remembered: Remembered,
    /// A message that is of no use at the moment, for the next one.
    pub(super) spare: Option<Box<Message>>,
    /// Who decides about calls, and what comes of that.
    pub bench: Bench,
    /// Who writes down what passes.
    pub scribe: Option<Box<dyn Scribe>>,
}

/// A stream as the tracker knows it.
#[derive(Debug)]
pub(super) enum Stream {
    /// Its header block is at hand.
    Opening(StreamId, Instant),
    /// A gRPC call.
    Call(Box<OpenCall>),
    /// An HTTP request that is no gRPC call (`/health`, `/metrics`).
    Plain(Box<PlainRequest>),
}

/// Longest `user-agent` that is kept.
const MAX_USER_AGENT: usize = 1024;

/// Bytes of header fields that are kept for a request's double.
const MAX_FIELDS: usize = 64 * 1024;

impl Tracker {
    pub fn new(
        peers: Arc<Peers>,
        options: Arc<SessionOptions>,
        judge: Option<Box<dyn Judge>>,
        held: HoldAccount,
    ) -> Tracker {
        let scribes = options.scribes.as_ref();
        Tracker {
            scribe: scribes.map(|scribes| scribes.scribe(&peers)),
            peers,
            options,
            events: VecDeque::new(),
            user_agent: None,
            head: Head::default(),
            said: Said::default(),
            remembered: Remembered::default(),
            spare: None,
            bench: Bench::new(judge, held),
        }
    }

    /// The shared text of a user agent.
    fn intern(&mut self, value: &[u8]) -> Arc<str> {
        let value = &value[..value.len().min(MAX_USER_AGENT)];
        match &self.user_agent {
            Some(known) if known.as_bytes() == value => Arc::clone(known),
            _ => {
                let fresh: Arc<str> = String::from_utf8_lossy(value).into();
                self.user_agent = Some(Arc::clone(&fresh));
                fresh
            }
        }
    }

    pub(super) fn origin(&self, call: &OpenCall) -> Origin {
        Origin {
            peers: Arc::clone(&self.peers),
            stream: call.id,
            user_agent: call.user_agent.clone(),
        }
    }

    pub(super) fn finish(&mut self, call: &mut OpenCall, ending: Ending, now: Instant) {
        if call.over {
            return;
        }
        for side in [Side::Client, Side::Server] {
            // A message that was cut is of no more use.
            call.directions[side].message = None;
        }
        self.end_watching(call, now);
        let origin = self.origin(call);
        if let Kind::Watch(watches) = &mut call.kind {
            let events = &mut self.events;
            watches.ended(&origin, now, &mut |event| events.push_back(event));
        }
        while let Some(keepalive) = call.abandon_keepalive(&self.peers, ending, now) {
            self.events.push_back(Event::Call(keepalive));
        }
        let finished = call.finish(&self.peers, ending, now);
        self.events.push_back(Event::Call(finished));
    }

    fn finish_plain(&mut self, plain: &mut PlainRequest, now: Instant) {
        if let Some(exchange) = plain.finish(now) {
            self.events.push_back(Event::Http1 {
                peers: Arc::clone(&self.peers),
                exchange: Box::new(exchange),
            });
        }
    }
}

impl Tap for Tracker {
    type Stream = Stream;

    fn opened(&mut self, id: StreamId, touchable: bool, now: Instant) -> Stream {
        self.head.begin(touchable);
        Stream::Opening(id, now)
    }

    fn field(&mut self, from: Side, stream: &mut Stream, name: &[u8], value: &[u8]) {
        if let Some(scribe) = &mut self.scribe {
            scribe.field(name, value);
        }
        if self.bench.keeps() && matches!(stream, Stream::Opening(..)) {
            self.head.kept += value.len();
            if self.head.kept <= MAX_FIELDS {
                self.head.fields.push(HeaderField {
                    name: name.into(),
                    value: value.into(),
                    never_indexed: false,
                });
            }
        }
        match (stream, from) {
            (Stream::Opening(..), Side::Client) if name == b"user-agent" => {
                let user_agent = self.intern(value);
                self.head.user_agent = Some(user_agent);
            }
            (Stream::Opening(..), Side::Client) => self.head.field(name, value),
            (Stream::Call(_) | Stream::Plain(_), Side::Server) => self.said.field(name, value),
            _ => {}
        }
    }

    fn remember(&mut self, from: Side, stream: &mut Stream, number: BlockNumber) {
        match (stream, from) {
            (Stream::Opening(..), Side::Client) => self.remembered.ask(number, &mut self.head),
            (Stream::Call(_) | Stream::Plain(_), Side::Server) => {
                self.remembered.say(number, &self.said);
            }
            // What had the number before must not be taken for it.
            (_, from) => return self.remembered.forget(from, number),
        }
        if let Some(scribe) = &mut self.scribe {
            scribe.remember(from, number);
        }
    }

    fn again(&mut self, from: Side, stream: &mut Stream, number: BlockNumber) -> bool {
        let known = match (stream, from) {
            (Stream::Opening(..), Side::Client) => {
                !self.bench.keeps() && self.remembered.asked(number, &mut self.head)
            }
            (Stream::Call(_) | Stream::Plain(_), Side::Server) => {
                let said = self.remembered.said(number);
                said.is_some_and(|said| {
                    self.said.clone_from(said);
                    true
                })
            }
            _ => false,
        };
        // What was filled in from memory the fields fill in once more.
        let known = known
            && self
                .scribe
                .as_mut()
                .is_none_or(|scribe| scribe.again(from, number));
        if let (true, Some(user_agent)) = (known, &self.head.user_agent)
            && from == Side::Client
            && !self
                .user_agent
                .as_ref()
                .is_some_and(|last| Arc::ptr_eq(last, user_agent))
        {
            self.user_agent = Some(Arc::clone(user_agent));
        }
        known
    }

    fn headers(
        &mut self,
        from: Side,
        stream: &mut Stream,
        end_stream: bool,
        orders: &mut Vec<Order>,
        now: Instant,
    ) {
        match stream {
            Stream::Opening(id, started) => {
                let (id, started) = (*id, *started);
                let head = &mut self.head;
                *stream = if head.grpc {
                    let (method, name) = head.called();
                    if let Some(scribe) = &mut self.scribe {
                        let call = Told {
                            stream: id,
                            name: &name,
                        };
                        scribe.head(&call, Side::Client, false, now);
                    }
                    let mut call = Box::new(OpenCall::new(id, method, name, started));
                    call.user_agent = head.user_agent.take();
                    call.directions.client.encoding = head.encoding;
                    if self.bench.is_armed() {
                        self.try_head(&mut call, end_stream, orders, now);
                    }
                    Stream::Call(call)
                } else {
                    if let Some(scribe) = &mut self.scribe {
                        scribe.forget();
                    }
                    Stream::Plain(Box::new(PlainRequest::new(
                        id,
                        &head.method,
                        &head.path,
                        head.user_agent.take(),
                        started,
                    )))
                };
            }
            Stream::Call(call) if from == Side::Server => {
                std::mem::take(&mut self.said).of(call);
                if let Some(scribe) = &mut self.scribe {
                    let trailers = end_stream || call.first_byte.is_some();
                    scribe.head(&call.told(), from, trailers, now);
                }
                call.first_byte.get_or_insert(now);
                if end_stream {
                    self.flush_watching(call, &mut Doing { orders, now });
                }
                if call.trial.is_some() {
                    self.try_response(call, end_stream.then_some(Ending::Trailers), orders, now);
                } else if end_stream {
                    self.finish(call, Ending::Trailers, now);
                }
            }
            Stream::Plain(plain) if from == Side::Server => {
                if let Some(status) = std::mem::take(&mut self.said).status {
                    plain.answered(status);
                }
                if let Some(scribe) = &mut self.scribe {
                    scribe.forget();
                }
                plain.first_byte(now);
                if end_stream {
                    plain.content(from, (&[], true), now, self.scribe.as_deref_mut());
                    self.finish_plain(plain, now);
                }
            }
            Stream::Call(_) | Stream::Plain(_) => {
                if let Some(scribe) = &mut self.scribe {
                    scribe.forget();
                }
            }
        }
    }

    fn data(&mut self, stream: &mut Stream, data: Data<'_>, orders: &mut Vec<Order>) {
        let Data {
            from,
            chunk,
            offset,
            end_stream,
            now,
            ..
        } = data;
        match stream {
            Stream::Opening(..) => {}
            Stream::Call(call) => {
                if call.over && matches!(call.trial, None | Some(Trial::Struck(_))) {
                    return;
                }
                let mut doing = Doing { orders, now };
                let watched = call.is_watched();
                if watched {
                    self.watch_piece(call, &data, &mut doing);
                }
                let mut input = chunk;
                while let Some(part) = call.directions[from].deframer.next(&mut input) {
                    let at = offset + (chunk.len() - input.len()) as u64;
                    match part {
                        Part::Start { compressed, length } => {
                            if let Some(scribe) = &mut self.scribe {
                                let begun = Begun {
                                    compressed,
                                    length,
                                    index: call.directions[from].traffic.messages,
                                };
                                scribe.begin(&call.told(), from, begun, now);
                            }
                            let prefix = (compressed, length);
                            if call.trial.is_some() {
                                self.try_message(call, from, at, prefix, now);
                            }
                            if !(watched && self.take_message(call, from, at, prefix, &mut doing)) {
                                self.begin_message(call, from, compressed, length);
                            }
                        }
                        Part::Body(body) => {
                            if let Some(scribe) = &mut self.scribe {
                                scribe.body(call.id, from, body);
                            }
                            if call.trial.is_some() {
                                keep_body(call, from, body);
                            }
                            if !(watched && self.take_body(call, from, at, body, &mut doing)) {
                                self.push_message(call, from, body, now);
                            }
                        }
                        Part::End => {
                            if let Some(scribe) = &mut self.scribe {
                                scribe.end(call.id, from, now);
                            }
                            if !(watched && self.end_taken(call, from, &mut doing)) {
                                self.end_message(call, from, now);
                            }
                            if from == Side::Client && call.is_suspect() {
                                self.judge(call, doing.orders, now);
                            }
                        }
                    }
                }
                if watched && end_stream && from == Side::Server {
                    self.flush_watching(call, &mut doing);
                }
                if watched {
                    self.settle_watching(call, &mut doing);
                }
                if call.trial.is_some() {
                    let seen = offset + chunk.len() as u64;
                    self.try_data(call, from, seen, end_stream, orders, now);
                } else if end_stream && from == Side::Server {
                    // gRPC ends with trailers; a server that ends with DATA
                    // says nothing of how it went.
                    self.finish(call, Ending::NoTrailers, now);
                }
            }
            Stream::Plain(plain) => {
                plain.content(from, (chunk, end_stream), now, self.scribe.as_deref_mut());
                if end_stream && from == Side::Server {
                    self.finish_plain(plain, now);
                }
            }
        }
    }

    fn may_decide(&self, from: Side, stream: &Stream) -> bool {
        from == Side::Client && matches!(stream, Stream::Call(call) if call.is_suspect())
    }

    #[inline]
    fn passed(&mut self, from: Side, stream: &mut Stream, now: Instant) {
        if let Stream::Call(call) = stream
            && from == Side::Server
            && call.trial.is_some()
        {
            self.told_the_end(call, now);
        }
    }

    fn let_go(&mut self, stream: &mut Stream) {
        if let Stream::Call(call) = stream {
            self.bench.let_go(call);
        }
    }

    fn nudged(
        &mut self,
        stream: &mut Stream,
        clear: Both<bool>,
        orders: &mut Vec<Order>,
        now: Instant,
    ) {
        if let Stream::Call(call) = stream {
            self.step(call, orders, now);
            self.nudge_watching(call, clear, &mut Doing { orders, now });
        }
    }

    fn is_involved(&self) -> bool {
        self.bench.trials > 0
    }

    fn ended(&mut self, stream: Stream, how: StreamEnd, now: Instant) {
        match stream {
            Stream::Opening(..) => {}
            Stream::Call(mut call) => {
                if let Some(scribe) = &mut self.scribe {
                    scribe.over(call.id, now);
                }
                if call.trial.is_some() {
                    self.bench.trials -= 1;
                }
                let left = matches!(
                    how,
                    StreamEnd::Reset {
                        by: Side::Client,
                        ..
                    } | StreamEnd::ConnectionLost {
                        by: Some(Side::Client)
                    }
                );
                if let Some(Trial::Judged(judged)) = call.trial.as_mut()
                    && left
                {
                    judged.course.abandoned();
                }
                if how == StreamEnd::Complete {
                    self.told_the_end(&mut call, now);
                } else if let Some(Trial::Judged(judged)) = call.trial.as_ref()
                    && judged.ending.is_some()
                {
                    // The client never saw how etcd ended it.
                    (call.code, call.message) = (None, None);
                }
                let ending = match how {
                    StreamEnd::Complete => Ending::NoTrailers,
                    StreamEnd::Reset { by, code } => Ending::Reset { by, code },
                    StreamEnd::ConnectionLost { by } => Ending::ConnectionLost { by },
                    StreamEnd::TracingStopped => Ending::TracingStopped,
                };
                self.finish(&mut call, ending, now);
                self.end_watching(&mut call, now);
            }
            Stream::Plain(mut plain) => {
                if let Some(scribe) = &mut self.scribe {
                    scribe.over(plain.id, now);
                }
                self.finish_plain(&mut plain, now);
            }
        }
    }

    fn stopped(&mut self, offence: Offence, now: Instant) {
        self.spare = None;
        self.events.push_back(Event::TracingStopped {
            peers: Arc::clone(&self.peers),
            at: now,
            offence,
        });
    }
}
