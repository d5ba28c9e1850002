//! The core of one relayed connection: bytes in, bytes and events out.

mod plain;
mod plight;
mod sight;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Event;
use super::dictionary::Dictionary;
use super::event::ConnectionEnded;
use super::scribe::Scribes;
use super::tracker::{Stream, Tracker};
use super::verdict::{Errand, FaultId, Judge};
use crate::http2::{Both, ErrorCode, Offence, Opening, Side, StreamId, sniff};
use crate::relay::{self, EndOfBytes, HoldAccount, HoldBudget, Peers, Transmit};
use plain::Plain;
use plight::Plight;

pub use plight::Ends;

/// What the core of every connection shares.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Bytes kept of a message for reading (`--capture-bytes`).
    pub capture_bytes: usize,
    /// What is known of methods that have no reader of their own.
    pub dictionary: Dictionary,
    /// Bytes that faults may hold back.
    pub hold: HoldBudget,
    /// Who writes down what passes, if anybody does.
    pub scribes: Option<Arc<dyn Scribes>>,
}

/// The default of [`SessionOptions::capture_bytes`].
pub const DEFAULT_CAPTURE_BYTES: usize = 64 * 1024;

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            capture_bytes: DEFAULT_CAPTURE_BYTES,
            dictionary: Dictionary::built_in(),
            hold: HoldBudget::default(),
            scribes: None,
        }
    }
}

/// How long a connection that began to speak may take to say what it speaks.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The core of one relayed connection.
///
/// Feed it with `handle_*`; after each call drain `poll_transmit` of both sides,
/// then `poll_errand` and `poll_event`, and arm a timer for `poll_timeout`.
///
/// - `handle_*` take in what happened: bytes, the end of a side, time, a change
///   of the rules.
/// - `poll_transmit` gives what leaves. Until a fault strikes a connection is
///   transparent: what leaves is what came, byte for byte, whether or not it
///   could be read.
/// - `poll_event` gives what was seen.
/// - `poll_errand` gives what is to be done elsewhere.
/// - [`Session::must_close`] says that it is over.
#[derive(Debug)]
pub struct Session {
    peers: Arc<Peers>,
    options: Arc<SessionOptions>,
    opened: Instant,
    protocol: Protocol,
    events: VecDeque<Event>,
    bytes: Both<u64>,
    /// Bytes of each side's last input that have not been given out, where the
    /// protocol does not say how.
    pass: Both<usize>,
    /// Until the protocol is known.
    judge: Option<Box<dyn Judge>>,
    /// What the protocol had to give out when it was given up.
    rescued: Both<VecDeque<Transmit>>,
    /// It was interposed and cannot go on.
    torn: bool,
    deadline: Option<Instant>,
    /// Whose bytes ended first, and how.
    ended: Option<(Side, EndOfBytes)>,
    /// etcd has ended, and what waits for the client's windows is still to be given.
    lingers: bool,
    /// What faults do to it as a whole, if they could.
    plight: Option<Box<Plight>>,
}

#[derive(Debug)]
enum Protocol {
    /// The client's first bytes, as far as they came.
    Undecided {
        first: Vec<u8>,
    },
    Http2(Box<relay::Connection<Tracker>>),
    Http1(Box<Plain>),
    /// Relayed without being read.
    Opaque,
}

impl Session {
    /// Both ends stand: an [`Event::ConnectionOpened`] is the first event.
    pub fn new(peers: Arc<Peers>, options: &Arc<SessionOptions>, now: Instant) -> Session {
        Session::with_judge(peers, options, None, now)
    }

    /// As [`Session::new`], with somebody who may decide to interfere with the
    /// connection's calls.
    pub fn with_judge(
        peers: Arc<Peers>,
        options: &Arc<SessionOptions>,
        judge: Option<Box<dyn Judge>>,
        now: Instant,
    ) -> Session {
        let mut events = VecDeque::new();
        events.push_back(Event::ConnectionOpened {
            peers: Arc::clone(&peers),
            at: now,
        });
        Session {
            peers,
            options: Arc::clone(options),
            opened: now,
            protocol: Protocol::Undecided { first: Vec::new() },
            events,
            bytes: Both::default(),
            pass: Both::default(),
            judge,
            rescued: Both::default(),
            torn: false,
            deadline: None,
            ended: None,
            lingers: false,
            plight: None,
        }
    }

    /// `from` sent `bytes`. What is decoded of them is known, and its events
    /// wait, before any of them is given out by [`Session::poll_transmit`].
    pub fn handle_bytes(&mut self, from: Side, bytes: &[u8], now: Instant) {
        self.bytes[from] += bytes.len() as u64;
        if bytes.is_empty() || self.torn {
            return;
        }
        if !matches!(self.protocol, Protocol::Http2(_)) {
            self.pass[from] = bytes.len();
        }
        self.refresh(now);
        if let Protocol::Undecided { .. } = self.protocol {
            self.open(from, bytes, now);
        } else {
            self.read(from, bytes, now);
        }
        self.hear_silence(now);
        self.linger_no_more(now);
    }

    /// `from` will send no more.
    pub fn handle_end(&mut self, from: Side, how: EndOfBytes, now: Instant) {
        if self.ended.is_none() {
            self.ended = Some((from, how));
        }
        if let Protocol::Http2(connection) = &mut self.protocol {
            connection.handle_end(from);
        }
        self.lingers = how == EndOfBytes::Closed
            && from == Side::Server
            && matches!(&self.protocol, Protocol::Http2(connection) if connection.owes(from));
        if self.lingers {
            return;
        }
        if how == EndOfBytes::Lost || from == Side::Server {
            // Nothing can be answered any more. (A client that only closes its
            // sending half still waits for answers.) The one that went first
            // ended them.
            let by = self.ended.map_or(from, |(side, _)| side);
            self.end_calls(Some(by), now);
        }
    }

    /// Both ends are gone. Ends every open call, and gives the connection's
    /// summary as the last event. `how` says in words how it came.
    pub fn finish(&mut self, how: &str, now: Instant) {
        let by = self.ended.map(|(side, _)| side);
        self.hear_silence(now);
        self.end_calls(
            by.or(self.must_end().is_none().then_some(Side::Client)),
            now,
        );
        let mut interposed = (false, 0);
        let (user_agent, streams, reports) = match &mut self.protocol {
            Protocol::Http2(connection) => {
                interposed = (connection.is_interposed(), connection.pings_answered());
                (
                    connection.tap().user_agent.clone(),
                    connection.opened_streams(),
                    Both {
                        client: connection.report(Side::Client),
                        server: connection.report(Side::Server),
                    },
                )
            }
            _ => (None, 0, Both::default()),
        };
        self.events
            .push_back(Event::ConnectionEnded(Box::new(ConnectionEnded {
                peers: Arc::clone(&self.peers),
                user_agent,
                opened: self.opened,
                ended: now,
                how: how.into(),
                bytes: self.bytes,
                streams,
                reports,
                by,
                faults: self
                    .plight
                    .as_mut()
                    .map(|plight| std::mem::take(&mut plight.hits))
                    .unwrap_or_default(),
                interposed: interposed.0,
                pings_answered: interposed.1,
            })));
        self.rescue();
        self.protocol = Protocol::Opaque;
        self.deadline = None;
    }

    /// The rules may have changed: what is held by one that was taken away is let
    /// go.
    pub fn handle_change(&mut self, now: Instant) {
        self.refresh(now);
        self.look(now);
        self.linger_no_more(now);
    }

    /// The errand that [`Session::poll_errand`] gave for `stream`, because of
    /// `faults`, was done, or could not be, and why.
    pub fn handle_errand(
        &mut self,
        stream: StreamId,
        faults: &[FaultId],
        outcome: &Result<(), String>,
        now: Instant,
    ) {
        if let Protocol::Http2(connection) = &mut self.protocol {
            if let Err(why) = outcome {
                connection.tap().bench.faults_gave_up(faults, why);
            }
            connection.nudge(stream, now, |_, stream| {
                if let Stream::Call(call) = stream {
                    Tracker::doubled(call, outcome);
                }
            });
            self.collect();
        }
    }

    /// The time of [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.refresh(now);
        let plight = self.plight.as_ref().and_then(|plight| plight.next());
        if plight.is_some_and(|due| due <= now) {
            self.look(now);
        }
        if let Protocol::Http2(connection) = &mut self.protocol {
            connection.handle_timeout(now);
            let mut any = false;
            while let Some(stream) = connection.tap().bench.due(now) {
                connection.nudge(stream, now, |_, _| {});
                any = true;
            }
            if any {
                self.collect();
            }
        }
        self.linger_no_more(now);
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        let seconds = OPENING_TIMEOUT.as_secs();
        match &mut self.protocol {
            Protocol::Undecided { first } => {
                let what = format!(
                    "sent {} bytes that could begin HTTP/2 or HTTP/1.1, and no more for {seconds} s",
                    first.len()
                );
                self.stop(unreadable(Side::Client, what), now);
            }
            Protocol::Http2(connection) if !connection.preface_seen() => {
                let what = format!("sent no HTTP/2 preface for {seconds} s");
                connection.stop(unreadable(Side::Client, what), now);
                self.collect();
            }
            Protocol::Http2(_) | Protocol::Http1(_) | Protocol::Opaque => {}
        }
    }

    /// The next bytes to send to the peer of `from`; all of them must leave before
    /// anything more is handed in.
    pub fn poll_transmit(&mut self, from: Side) -> Option<Transmit> {
        if let Some(transmit) = self.rescued[from].pop_front() {
            return Some(transmit);
        }
        if let Protocol::Http2(connection) = &mut self.protocol
            && let Some(transmit) = connection.poll_transmit(from)
        {
            return Some(transmit);
        }
        match std::mem::take(&mut self.pass[from]) {
            0 => None,
            n => Some(Transmit::AsCame(0..n)),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() && self.events.capacity() > EVENTS_KEPT {
            // A burst's room is given back.
            self.events = VecDeque::new();
        }
        event
    }

    /// When to call [`Session::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = match &self.protocol {
            Protocol::Http2(connection) => {
                let bench = &connection.tap_ref().bench;
                let due = bench.next().into_iter().chain(bench.next_edge());
                due.chain(connection.poll_timeout()).min()
            }
            _ => None,
        };
        let look = self.plight.as_ref().and_then(|plight| plight.next());
        due.into_iter().chain(look).chain(self.deadline).min()
    }

    /// A request that is to be executed a second time, over a connection of its
    /// own; [`Session::handle_errand`] takes how that went.
    pub fn poll_errand(&mut self) -> Option<Errand> {
        match &mut self.protocol {
            Protocol::Http2(connection) => connection.tap().bench.errands.pop_front(),
            _ => None,
        }
    }

    /// Whether etcd has ended and the client is still to be given what waits for
    /// its windows: the end must not be told before.
    pub fn lingers(&self) -> bool {
        self.lingers
    }

    /// The client has all that etcd left behind.
    fn linger_no_more(&mut self, now: Instant) {
        if self.lingers
            && !matches!(&self.protocol, Protocol::Http2(connection) if connection.owes(Side::Server))
        {
            self.lingers = false;
            let by = self.ended.map_or(Side::Server, |(side, _)| side);
            self.end_calls(Some(by), now);
        }
    }

    /// Whether the connection has to be closed once what leaves has left: faults
    /// touched it, and what came since cannot be followed.
    pub fn must_close(&self) -> bool {
        self.torn
    }

    /// Whether faults have touched the connection: until then what leaves is what
    /// came.
    pub fn is_interposed(&self) -> bool {
        match &self.protocol {
            Protocol::Http2(connection) => connection.is_interposed(),
            Protocol::Undecided { .. } | Protocol::Http1(_) | Protocol::Opaque => false,
        }
    }

    /// Whether the connection is known to speak HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        matches!(self.protocol, Protocol::Http2(_))
    }

    /// Calls that have begun and not ended: what a drain waits for.
    pub fn open_calls(&self) -> usize {
        match &self.protocol {
            Protocol::Http2(connection) => connection.open_streams(),
            Protocol::Http1(connection) => connection.open_requests(),
            Protocol::Undecided { .. } | Protocol::Opaque => 0,
        }
    }

    /// Whether nothing is under way: what a drain waits for. Where calls cannot
    /// be known, something may be.
    pub fn is_at_rest(&self) -> bool {
        match &self.protocol {
            Protocol::Http2(c) => c.is_following() && c.open_streams() == 0,
            Protocol::Http1(c) => !c.is_tunnel() && c.open_requests() == 0,
            Protocol::Undecided { first } => first.is_empty(),
            Protocol::Opaque => false,
        }
    }

    /// Bytes while it is not known what the connection speaks.
    fn open(&mut self, from: Side, bytes: &[u8], now: Instant) {
        let Protocol::Undecided { first } = &mut self.protocol else {
            return;
        };
        let mut began = Vec::new();
        if from == Side::Client {
            let before = first.len();
            first.extend_from_slice(&bytes[..bytes.len().min(OPENING_KEPT)]);
            let opening = sniff(first);
            match opening {
                Opening::Undecided => {
                    self.deadline.get_or_insert(now + OPENING_TIMEOUT);
                    return;
                }
                // What came before these bytes is read with them.
                Opening::Http2 => began = first[..before].to_vec(),
                Opening::Http1 => {
                    began = first[..before].to_vec();
                    let scribes = self.options.scribes.as_ref();
                    let scribe = scribes.map(|scribes| scribes.scribe(&self.peers));
                    self.protocol = Protocol::Http1(Box::new(Plain::new(scribe)));
                }
                Opening::Tls => {
                    let what = "speaks TLS to a plaintext listener";
                    return self.stop(unreadable(from, what), now);
                }
                Opening::Other => {
                    let what = "sent neither an HTTP/2 preface nor an HTTP/1.1 request first";
                    return self.stop(unreadable(from, what), now);
                }
            }
        } else {
            // A gRPC server may send its SETTINGS before the preface has come.
            began.clone_from(first);
            self.deadline.get_or_insert(now + OPENING_TIMEOUT);
        }
        if let Protocol::Undecided { .. } = self.protocol {
            let (peers, options) = (Arc::clone(&self.peers), Arc::clone(&self.options));
            let held = HoldAccount::new(options.hold.clone());
            let tracker = Tracker::new(peers, options, self.judge.take(), held.clone());
            let connection = relay::Connection::new(tracker, held);
            self.protocol = Protocol::Http2(Box::new(connection));
        }
        if !began.is_empty() {
            self.read(Side::Client, &began, now);
            if let Protocol::Http2(connection) = &mut self.protocol {
                // They have left already.
                while connection.poll_transmit(Side::Client).is_some() {}
            }
        }
        if let Protocol::Http2(_) = self.protocol {
            self.pass[from] = 0;
            self.refresh(now);
            self.do_to_frames(now);
        }
        self.read(from, bytes, now);
    }

    fn read(&mut self, from: Side, bytes: &[u8], now: Instant) {
        match &mut self.protocol {
            Protocol::Http2(connection) => {
                connection.handle_bytes(from, bytes, now);
                if self.deadline.is_some() && connection.preface_seen() {
                    self.deadline = None;
                }
                self.torn |= connection.is_torn();
                self.collect();
            }
            Protocol::Http1(connection) => {
                self.deadline = None;
                let read = connection.handle_bytes(from, bytes, now, &self.peers, &mut self.events);
                if let Err(offence) = read {
                    self.end_calls(Some(offence.by), now);
                    self.stop(offence, now);
                }
            }
            Protocol::Undecided { .. } | Protocol::Opaque => {}
        }
    }

    /// Looks at the rules again.
    fn refresh(&mut self, now: Instant) {
        if let Protocol::Http2(connection) = &self.protocol
            && !connection.tap_ref().bench.is_current(now)
        {
            self.refresh_closely(now);
        }
    }

    #[cold]
    fn refresh_closely(&mut self, now: Instant) {
        let Protocol::Http2(connection) = &mut self.protocol else {
            return;
        };
        let bench = &mut connection.tap().bench;
        let edge = bench.next_edge().is_some_and(|edge| edge <= now);
        let refreshed = bench.refresh(now);
        let involved = refreshed.watches || bench.trials > 0;
        bench.turns += u64::from(refreshed.changed || edge);
        connection.set_armed(refreshed.armed);
        if (refreshed.changed || edge) && involved {
            connection.nudge_all(now, |tracker, stream| {
                if let Stream::Call(call) = stream {
                    tracker.reconsider(call);
                }
            });
            self.collect();
        }
    }

    /// Takes over what the tracker has to tell.
    fn collect(&mut self) {
        if let Protocol::Http2(connection) = &mut self.protocol {
            if connection.tap_ref().bench.next().is_some() {
                connection
                    .with_streams(|tracker, open, is_open| tracker.bench.prune(open, is_open));
            }
            let told = &mut connection.tap().events;
            self.events.append(told);
            if told.capacity() > EVENTS_KEPT {
                *told = VecDeque::new();
            }
            if let Some(scribe) = &mut connection.tap().scribe {
                scribe.settle();
            }
        }
    }

    /// A PING of the client that nobody answers is told of, without a timer of its
    /// own: clients that wait for one end the connection soon.
    fn hear_silence(&mut self, now: Instant) {
        if let Protocol::Http2(connection) = &mut self.protocol
            && let Some(at) = connection.silent_ping(now)
        {
            let peers = Arc::clone(&self.peers);
            self.events.push_back(Event::Ping { peers, at });
        }
    }

    fn end_calls(&mut self, by: Option<Side>, now: Instant) {
        match &mut self.protocol {
            Protocol::Http2(connection) => {
                connection.handle_loss(by, now);
                self.collect();
            }
            Protocol::Http1(connection) => {
                connection.finish(now, &self.peers, &mut self.events);
            }
            Protocol::Undecided { .. } | Protocol::Opaque => {}
        }
    }
}

/// Bytes of one read that are kept to tell what a connection speaks: more than
/// [`sniff`] ever needs.
const OPENING_KEPT: usize = 64;

/// Room for events that stays allocated while a connection is idle.
const EVENTS_KEPT: usize = 16;

fn unreadable(by: Side, what: impl Into<std::borrow::Cow<'static, str>>) -> Offence {
    Offence::new(
        by,
        ErrorCode::PROTOCOL_ERROR,
        StreamId::CONNECTION,
        "RFC 9113 section 3.4",
        what,
    )
}
