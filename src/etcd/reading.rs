//! The messages of calls as they pass: what each says goes to its call.

use std::sync::Arc;
use std::time::Instant;

use super::Event;
use super::call::{Header, Request, Response};
use super::dictionary::Fields;
use super::message::{Aim, Destination, Message};
use super::method::Method;
use super::open_call::{Encoding, Kind, MOST_KEEPALIVES, OpenCall};
use super::read::{Budget, RequestReader, ResponseReader, WatchRequestReader, WatchResponseReader};
use super::tracker::Tracker;
use super::watch_stream::Origin;
use crate::http2::Side;

/// Takes a watch event as it is whole.
type EventTeller<'a> =
    dyn FnMut(&super::read::WatchSeen, super::watch::EventKind, super::call::KeyValue, bool) + 'a;

impl Tracker {
    pub(super) fn begin_message(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        compressed: bool,
        length: u32,
    ) {
        let direction = &call.directions[from];
        let (encoding, before) = (direction.encoding, direction.traffic.messages);
        let capture = self.options.capture_bytes;
        let readable = !compressed || encoding == Encoding::Gzip;
        let (root, aim) = match (from, call.method) {
            _ if !readable => (0, Aim::Nothing),
            (Side::Client, Method::Watch) => (
                WatchRequestReader::ROOT,
                Aim::WatchRequest(WatchRequestReader::new(Budget::new(capture))),
            ),
            (Side::Server, Method::Watch) => (
                WatchResponseReader::ROOT,
                Aim::WatchResponse(WatchResponseReader::new(capture)),
            ),
            // Only the first message of a stream that we know by its
            // descriptor at best: the rest repeats it (a snapshot's parts).
            (_, Method::Other) if before > 0 => (0, Aim::Nothing),
            (_, Method::Other) => (
                0,
                Aim::Capture {
                    bytes: Vec::new(),
                    bound: capture,
                },
            ),
            (Side::Client, method) => match RequestReader::root(method) {
                Some(root) => (root, Aim::Request(RequestReader::new(Budget::new(capture)))),
                None => (0, Aim::Nothing),
            },
            (Side::Server, method) => match ResponseReader::root(method) {
                Some(root) => (
                    root,
                    Aim::Response(ResponseReader::new(Budget::new(capture))),
                ),
                None => (0, Aim::Nothing),
            },
        };
        if readable {
            call.begin_message(from);
        }
        let mut message = self
            .spare
            .take()
            .unwrap_or_else(|| Box::new(Message::new()));
        message.begin(root, aim, length, compressed && readable);
        call.directions[from].message = Some(message);
    }

    pub(super) fn push_message(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        body: &[u8],
        now: Instant,
    ) {
        let direction = &mut call.directions[from];
        direction.traffic.bytes += body.len() as u64;
        let Some(mut message) = direction.message.take() else {
            return;
        };
        self.with_destination(call, u64::from(message.length), now, |destination| {
            message.push(body, destination);
        });
        call.directions[from].message = Some(message);
    }

    pub(super) fn end_message(&mut self, call: &mut OpenCall, from: Side, now: Instant) {
        let direction = &mut call.directions[from];
        direction.traffic.messages += 1;
        let Some(mut message) = direction.message.take() else {
            return;
        };
        let length = u64::from(message.length);
        let mut whole = false;
        self.with_destination(call, length, now, |destination| {
            whole = message.end(destination);
        });
        if from == Side::Server {
            call.answered = Some(now);
        }
        match std::mem::replace(&mut message.aim, Aim::Nothing) {
            Aim::WatchRequest(reader) => {
                if let Kind::Watch(watches) = &mut call.kind {
                    if whole {
                        watches.count_creation(&reader.asked);
                        watches.asked(reader.asked, now);
                    } else {
                        watches.asked_unreadably();
                    }
                }
            }
            // Of a message that is no WatchResponse nothing is made up.
            Aim::WatchResponse(_) if !whole => {}
            Aim::WatchResponse(reader) => {
                call.header = Some(reader.seen.header);
                let origin = self.origin(call);
                if let Kind::Watch(watches) = &mut call.kind {
                    watches.count_answer(&reader.seen);
                    let events = &mut self.events;
                    watches.answered(&reader.seen, length, &origin, now, &mut |event| {
                        events.push_back(event);
                    });
                }
            }
            Aim::Request(_) => {
                if let Kind::KeepAlive(waiting) = &mut call.kind
                    && waiting.len() < MOST_KEEPALIVES
                {
                    waiting.push_back((now, std::mem::take(&mut call.request), length));
                }
            }
            Aim::Response(_) => {
                if let Some(call) = call.answer_keepalive(&self.peers, length, now) {
                    self.events.push_back(Event::Call(call));
                }
            }
            Aim::Capture { bytes, .. } => self.read_by_name(call, from, &bytes),
            Aim::Nothing => {
                if let (Kind::Watch(watches), Side::Client) = (&mut call.kind, from) {
                    watches.asked_unreadably();
                }
            }
        }
        self.spare = Some(message);
    }

    /// Reads a message of a method that has no reader of its own.
    fn read_by_name(&mut self, call: &mut OpenCall, from: Side, bytes: &[u8]) {
        let dictionary = &self.options.dictionary;
        let Some(shape) = dictionary.method(&call.name.service, &call.name.method) else {
            return;
        };
        match from {
            Side::Client => {
                let fields = dictionary.facts(&shape.input, bytes);
                let Fields {
                    key,
                    range_end,
                    revision,
                    name,
                    user,
                    role,
                    ..
                } = fields;
                call.request = Request::Named {
                    key,
                    range_end,
                    revision,
                    name: name.or(user).or(role),
                };
            }
            Side::Server => {
                let fields = dictionary.facts(&shape.output, bytes);
                if let Some(header) = fields.header {
                    call.header = Some(Header {
                        cluster_id: header.cluster_id,
                        member_id: header.member_id,
                        revision: header.revision,
                        raft_term: header.raft_term,
                    });
                }
                call.response = Response::Named {
                    count: fields.count,
                };
                if !fields.client_urls.is_empty() {
                    self.events.push_back(Event::MembersAdvertise {
                        peers: Arc::clone(&self.peers),
                        client_urls: fields.client_urls,
                    });
                }
            }
        }
    }

    /// Runs `read` with the places of `call` that a message's fields go to.
    fn with_destination(
        &mut self,
        call: &mut OpenCall,
        length: u64,
        now: Instant,
        read: impl FnOnce(&mut Destination<'_, &mut EventTeller<'_>>),
    ) {
        let (peers, events) = (&self.peers, &mut self.events);
        let (stream, user_agent) = (call.id, &call.user_agent);
        let mut on_event = |seen: &_, kind, kv, prev_kv| {
            let origin = Origin {
                peers: Arc::clone(peers),
                stream,
                user_agent: user_agent.clone(),
            };
            events.push_back(origin.event(seen, length, now, (kind, kv, prev_kv)));
        };
        read(&mut Destination {
            request: &mut call.request,
            response: &mut call.response,
            header: &mut call.header,
            on_event: &mut on_event,
        });
    }
}
