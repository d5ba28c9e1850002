//! What the connections of an import share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashSet;

use super::importer::Options;
use super::report::{Lost, Note, Report};
use super::sink::Sink;
use super::tls::KeyLog;
use crate::etcd::{Session, SessionOptions};
use crate::http2::{Both, Side};
use crate::relay::{ConnectionId, Peers, TlsSeen};

/// etcd's port for clients.
const ETCD_PORT: u16 = 2379;

/// Connections that wait to be judged by what their server turns out to be.
const MAX_UNREAD: usize = 16_384;

/// Servers that are known to speak HTTP/2.
const MAX_SERVERS: usize = 16_384;

/// The rule that a gap is told by.
pub(super) const GAP: &str = "a gap in the capture";

/// What the connections of an import share.
pub(super) struct Context<S: Sink> {
    pub options: Options,
    pub keys: KeyLog,
    pub report: Report,
    pub sink: S,
    /// Why the sink takes no more.
    pub failed: Option<S::Error>,
    session: Arc<SessionOptions>,
    next: u64,
    /// Who has spoken HTTP/2.
    servers: FxHashSet<SocketAddr>,
    unread: Vec<Unread>,
}

/// A connection that could not be read. Whether that is a loss depends on its
/// server: what is known of it at the end decides.
#[derive(Debug)]
pub(super) struct Unread {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub opened: Instant,
    pub ended: Instant,
    pub bytes: Both<u64>,
    pub lost: Lost,
    pub how: &'static str,
}

impl<S: Sink> Context<S> {
    pub fn new(options: Options, sink: S) -> Context<S> {
        Context {
            session: Arc::clone(&options.session),
            options,
            keys: KeyLog::default(),
            report: Report::default(),
            sink,
            failed: None,
            next: 1,
            servers: FxHashSet::default(),
            unread: Vec::new(),
        }
    }

    /// Whether this is a server that was asked for, or is known to be of the kind.
    pub fn serves(&self, address: SocketAddr) -> bool {
        match self.options.ports.is_empty() {
            true => address.port() == ETCD_PORT || self.servers.contains(&address),
            false => self.options.ports.contains(&address.port()),
        }
    }

    /// The server speaks HTTP/2.
    pub fn speaks_http2(&mut self, server: SocketAddr) {
        if self.servers.len() < MAX_SERVERS {
            self.servers.insert(server);
        }
    }

    /// A core for a connection that can be read.
    pub fn session(
        &mut self,
        client: SocketAddr,
        server: SocketAddr,
        tls: Option<TlsSeen>,
        opened: Instant,
    ) -> Session {
        let peers = Arc::new(Peers {
            id: ConnectionId(self.next),
            client,
            listener: server,
            upstream: server.to_string().into(),
            tls,
        });
        self.next += 1;
        Session::new(peers, &self.session, opened)
    }

    /// Takes over what a core has to tell.
    pub fn drain(&mut self, session: &mut Session) {
        for side in [Side::Client, Side::Server] {
            while session.poll_transmit(side).is_some() {}
        }
        while let Some(event) = session.poll_event() {
            self.report.count(&event);
            if self.failed.is_none()
                && let Err(error) = self.sink.event(event)
            {
                self.failed = Some(error);
            }
        }
    }

    /// A connection could not be read.
    pub fn leave_unread(&mut self, unread: Unread) {
        if self.unread.len() == MAX_UNREAD {
            // Judged by what is known by now.
            self.judge_unread();
        }
        self.unread.push(unread);
    }

    /// Says of connections that could not be read whether that is a loss.
    pub fn judge_unread(&mut self) {
        for mut unread in std::mem::take(&mut self.unread) {
            // Who called whom was a guess where the beginning is not known.
            if self.serves(unread.client) && !self.serves(unread.server) {
                std::mem::swap(&mut unread.client, &mut unread.server);
                std::mem::swap(&mut unread.bytes.client, &mut unread.bytes.server);
            }
            let ours = self.serves(unread.server);
            match (&unread.lost, ours) {
                (Lost::Encrypted(_), true) => self.report.encrypted += 1,
                (Lost::Encrypted(_), false) => {
                    self.report.other_encrypted += 1;
                    continue;
                }
                (_, false) => {
                    self.report.other += 1;
                    continue;
                }
                (Lost::BegunBefore, true) => self.report.begun_before += 1,
                (Lost::Gap { .. } | Lost::TooMany, true) => self.report.given_up += 1,
            }
            self.tell_unread(&unread);
            self.report.note(Note {
                client: unread.client,
                server: unread.server,
                lost: unread.lost,
            });
        }
    }

    /// That there was a connection, and how many bytes passed on it, is known even
    /// of one that could not be read.
    fn tell_unread(&mut self, unread: &Unread) {
        let (from, rule, what) = match &unread.lost {
            Lost::Encrypted(_) => return,
            Lost::BegunBefore => (
                Side::Client,
                "RFC 7541 section 2.2",
                "spoke before the capture began, and HTTP/2 cannot be followed without its \
                 beginning"
                    .to_owned(),
            ),
            Lost::Gap { from, bytes, .. } => (*from, GAP, gap(*bytes)),
            Lost::TooMany => (
                Side::Client,
                "a bound of etcdtap",
                "was one of too many at once".to_owned(),
            ),
        };
        let mut session = self.session(unread.client, unread.server, None, unread.opened);
        session.lose_sight(from, rule, what, unread.opened);
        for side in [Side::Client, Side::Server] {
            session.handle_unseen(side, unread.bytes[side]);
        }
        session.finish(unread.how, unread.ended);
        self.drain(&mut session);
    }
}

/// What a side did of whose bytes so many are missing.
pub(super) fn gap(bytes: u64) -> String {
    let plural = if bytes == 1 { "" } else { "s" };
    format!("sent {bytes} byte{plural} that the capture does not have")
}
