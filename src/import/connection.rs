//! One connection: what it speaks, and its core.

use std::net::SocketAddr;
use std::time::Instant;

use super::context::{Context, GAP, Unread, gap};
use super::report::{Lost, Note};
use super::sink::Sink;
use super::tcp::Told;
use super::tls::{Problem, Wiretap};
use crate::etcd::Session;
use crate::http2::{Both, Opening, Side, sniff};
use crate::relay::EndOfBytes;

/// Bytes that may come before it is known what a connection speaks: a server may
/// greet first.
const MAX_UNDECIDED: usize = 64 << 10;

/// How the ends of connections are told, as the proxy tells them.
const CAPTURE_ENDED: &str = "capture ended";

/// One connection of a capture, whose bytes are in order.
#[derive(Debug)]
pub(super) struct Connection {
    client: SocketAddr,
    server: SocketAddr,
    opened: Instant,
    /// The time of its last packet.
    now: Instant,
    /// Whether its beginning is in the capture.
    begun: bool,
    /// Whether a packet of it was cut short.
    cut: bool,
    /// Bytes of each side so far, missing ones included.
    bytes: Both<u64>,
    tls: Option<Box<Wiretap>>,
    stage: Stage,
    ended_first: Option<Side>,
}

#[derive(Debug)]
enum Stage {
    /// Until the client has said what it speaks.
    Undecided {
        first: Vec<u8>,
        waiting: Vec<(Side, Box<[u8]>, Instant)>,
        bytes: usize,
    },
    Read(Box<Session>),
    /// It cannot be read.
    Unread(Lost),
    /// It is nothing of ours.
    Other,
    Over,
}

impl Stage {
    fn undecided() -> Stage {
        Stage::Undecided {
            first: Vec::new(),
            waiting: Vec::new(),
            bytes: 0,
        }
    }
}

impl Connection {
    pub fn new(client: SocketAddr, server: SocketAddr, begun: bool, opened: Instant) -> Connection {
        Connection {
            client,
            server,
            opened,
            now: opened,
            begun,
            cut: false,
            bytes: Both::default(),
            tls: None,
            stage: Stage::undecided(),
            ended_first: None,
        }
    }

    /// The next packet of it was captured then; one was cut short.
    pub fn turn(&mut self, now: Instant, cut: bool) {
        // Clocks are set back now and then; the order of the file stands.
        self.now = self.now.max(now);
        self.cut |= cut;
    }

    /// What is known next.
    pub fn handle<S: Sink>(&mut self, told: Told<'_>, context: &mut Context<S>) {
        match told {
            Told::Bytes { from, bytes } => {
                self.bytes[from] += bytes.len() as u64;
                self.sealed(from, bytes, context);
            }
            Told::Missing { from, bytes } => {
                self.miss(from, bytes, context);
                self.bytes[from] += bytes;
            }
            Told::End { from, how } => self.end(from, how, context),
        }
    }

    /// Bytes as they were on the wire.
    fn sealed<S: Sink>(&mut self, from: Side, bytes: &[u8], context: &mut Context<S>) {
        let Some(tls) = &mut self.tls else {
            return self.plain(from, bytes, context);
        };
        let mut opened = Vec::new();
        let problem = tls.handle_bytes(from, bytes, &context.keys, &mut opened);
        if !opened.is_empty() {
            self.plain(from, &opened, context);
        }
        if let Err(problem) = problem {
            self.cannot_open(from, problem, context);
        }
    }

    fn cannot_open<S: Sink>(&mut self, from: Side, problem: Problem, context: &mut Context<S>) {
        self.tls = None;
        let lost = Lost::Encrypted(format!("the {from} {problem}"));
        if let Stage::Read(session) = &mut self.stage {
            session.lose_sight(from, "TLS", problem.to_string(), self.now);
            context.drain(session);
            context.report.given_up += 1;
            self.note(lost, context);
        } else if let Stage::Undecided { .. } = self.stage {
            self.stage = match problem {
                Problem::NotTls => Stage::Other,
                _ => Stage::Unread(lost),
            };
        }
    }

    fn note<S: Sink>(&self, lost: Lost, context: &mut Context<S>) {
        context.report.note(Note {
            client: self.client,
            server: self.server,
            lost,
        });
    }

    /// Bytes as their sender meant them.
    fn plain<S: Sink>(&mut self, from: Side, bytes: &[u8], context: &mut Context<S>) {
        match &mut self.stage {
            Stage::Read(session) => feed(session, from, bytes, self.now, context),
            Stage::Undecided {
                first,
                waiting,
                bytes: so_far,
            } => {
                if from == Side::Client {
                    let room = OPENING_KEPT.saturating_sub(first.len());
                    first.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                waiting.push((from, bytes.into(), self.now));
                *so_far += bytes.len();
                let full = *so_far > MAX_UNDECIDED || waiting.len() > MAX_WAITING;
                let opening = sniff(first);
                self.decide(opening, full, context);
            }
            Stage::Unread(_) | Stage::Other | Stage::Over => {}
        }
    }

    fn decide<S: Sink>(&mut self, opening: Opening, full: bool, context: &mut Context<S>) {
        let Stage::Undecided { first, .. } = &self.stage else {
            return;
        };
        match opening {
            Opening::Http2 => {
                context.speaks_http2(self.server);
                self.read(context);
            }
            Opening::Http1 if !self.begun && !is_request(first) => self.cannot_begin(),
            Opening::Http1 if context.serves(self.server) => self.read(context),
            Opening::Http1 => self.stage = Stage::Other,
            Opening::Tls if self.tls.is_none() => {
                let stage = std::mem::replace(&mut self.stage, Stage::undecided());
                self.tls = Some(Box::default());
                if let Stage::Undecided { waiting, .. } = stage {
                    for (from, bytes, _) in waiting {
                        self.sealed(from, &bytes, context);
                    }
                }
            }
            Opening::Undecided if !full => {}
            Opening::Tls | Opening::Other | Opening::Undecided => self.cannot_begin(),
        }
    }

    /// It does not begin as anything that is read here does.
    fn cannot_begin(&mut self) {
        self.stage = match self.begun {
            true => Stage::Other,
            false => Stage::Unread(Lost::BegunBefore),
        };
    }

    /// It can be read: what waited goes first.
    fn read<S: Sink>(&mut self, context: &mut Context<S>) {
        let tls = self.tls.as_ref().map(|tls| tls.seen().clone());
        let session = context.session(self.client, self.server, tls, self.opened);
        let mut session = Box::new(session);
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let Stage::Undecided { waiting, .. } = stage {
            for (from, bytes, at) in waiting {
                feed(&mut session, from, &bytes, at, context);
            }
        }
        self.stage = Stage::Read(session);
    }

    fn miss<S: Sink>(&mut self, from: Side, bytes: u64, context: &mut Context<S>) {
        self.tls = None;
        let lost = Lost::Gap {
            from,
            bytes,
            behind: self.bytes[from],
            cut: self.cut,
        };
        match &mut self.stage {
            Stage::Read(session) => {
                let told_before = session.is_out_of_sight();
                context.report.missing_bytes += bytes;
                session.lose_sight(from, GAP, gap(bytes), self.now);
                session.handle_unseen(from, bytes);
                context.drain(session);
                if !told_before {
                    context.report.given_up += 1;
                    self.note(lost, context);
                }
            }
            // Where HTTP/2's beginning is not in the capture that is the reason.
            Stage::Undecided { .. } => {
                self.stage = Stage::Unread(match self.begun {
                    true => lost,
                    false => Lost::BegunBefore,
                });
            }
            Stage::Unread(_) | Stage::Other | Stage::Over => {}
        }
    }

    fn end<S: Sink>(&mut self, from: Side, how: EndOfBytes, context: &mut Context<S>) {
        let first = *self.ended_first.get_or_insert(from);
        let both = first != from;
        if let Stage::Read(session) = &mut self.stage {
            session.handle_end(from, how, self.now);
            context.drain(session);
        }
        let how = match (how, first) {
            (EndOfBytes::Lost, _) if from == Side::Client => "client reset the connection",
            (EndOfBytes::Lost, _) => "upstream reset the connection",
            (EndOfBytes::Closed, _) if !both => return,
            (EndOfBytes::Closed, Side::Client) => "client closed",
            (EndOfBytes::Closed, Side::Server) => "upstream closed",
        };
        self.over(how, context);
    }

    fn over<S: Sink>(&mut self, how: &'static str, context: &mut Context<S>) {
        if let (Stage::Undecided { .. }, Some(tls)) = (&self.stage, &self.tls)
            && tls.has_unopened()
        {
            self.cannot_open(Side::Server, Problem::WrongSecrets, context);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Read(mut session) => {
                match how == CAPTURE_ENDED {
                    true => session.leave(how, self.now),
                    false => session.finish(how, self.now),
                }
                context.drain(&mut session);
            }
            Stage::Unread(lost) => context.leave_unread(Unread {
                client: self.client,
                server: self.server,
                opened: self.opened,
                ended: self.now,
                bytes: self.bytes,
                lost,
                how,
            }),
            Stage::Other => context.report.other += 1,
            // It was opened and closed, as some health checks do.
            Stage::Undecided { bytes: 0, .. } | Stage::Over => {}
            Stage::Undecided { .. } => context.report.other += 1,
        }
    }

    /// No packet of it follows: the capture ended then, if `now` says so.
    pub fn leave<S: Sink>(&mut self, now: Option<Instant>, context: &mut Context<S>) {
        if let Some(now) = now {
            self.now = self.now.max(now);
        }
        self.over(CAPTURE_ENDED, context);
    }

    /// There are too many connections at once.
    pub fn give_up<S: Sink>(&mut self, context: &mut Context<S>) {
        if let Stage::Read(session) = &mut self.stage {
            session.lose_sight(
                Side::Client,
                "a bound of etcdtap",
                "was one of too many at once",
                self.now,
            );
            context.drain(session);
            context.report.given_up += 1;
            self.note(Lost::TooMany, context);
        }
        self.over("given up", context);
    }
}

/// Bytes that say what a connection speaks.
const OPENING_KEPT: usize = 64;

/// Pieces that may come before it is known what a connection speaks.
const MAX_WAITING: usize = 1024;

/// Hands bytes to a core, with the timers that are due by then.
fn feed<S: Sink>(
    session: &mut Session,
    from: Side,
    bytes: &[u8],
    now: Instant,
    context: &mut Context<S>,
) {
    if session.poll_timeout().is_some_and(|due| due <= now) {
        session.handle_timeout(now);
        context.drain(session);
    }
    session.handle_bytes(from, bytes, now);
    context.drain(session);
}

/// Whether bytes from the middle of a connection surely begin an HTTP/1.1 request:
/// a word and a space may stand anywhere.
fn is_request(bytes: &[u8]) -> bool {
    let methods: [&[u8]; 7] = [
        b"GET /",
        b"PUT /",
        b"POST /",
        b"HEAD /",
        b"DELETE /",
        b"PATCH /",
        b"OPTIONS ",
    ];
    methods.iter().any(|method| bytes.starts_with(method))
}
