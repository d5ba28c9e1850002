//! A listener with its upstream, and the life of its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::complaints::Complaints;
use super::dial::UpstreamEnd;
use super::entrance::{Entrance, fail_handshake};
use super::establish::{ClientEnd, Ends, Failure, establish};
use super::pump::{Over, Pump};
use super::socket::tune;
use super::tally::Tally;
use super::tls::TlsContext;
use super::wire::Wire;
use super::{Alarm, Phase, Shutdown, Upstream};
use crate::etcd::verdict::{Hit, Judges};
use crate::etcd::warden::Warden;
use crate::etcd::{ConnectionEnded, Event, Session, SessionOptions};
use crate::http2::{Both, Side};
use crate::relay::{ConnectionId, Peers};
use crate::trace;

/// Who decides about a connection, and what he has done to it.
type Plight = (Box<dyn Warden>, Vec<Hit>);

/// What the connections of one listener share.
pub(super) struct Lane {
    pub(super) upstream: Upstream,
    /// What an `https` upstream's certificate must say.
    pub(super) server_name: Option<Arc<ServerName<'static>>>,
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ArcSwap<TlsContext>>,
    pub(super) session: Arc<SessionOptions>,
    pub(super) judges: Option<Arc<dyn Judges>>,
    pub(super) rules_changed: Alarm,
    pub(super) events: trace::Sender,
    pub(super) last_id: Arc<AtomicU64>,
    pub(super) tally: Arc<Tally>,
    pub(super) shutdown: Shutdown,
    pub(super) about_upstream: Complaints,
    pub(super) about_clients: Complaints,
    pub(super) about_doubles: Complaints,
    /// Second executions that may still begin.
    pub(super) doubles: Semaphore,
}

impl Lane {
    /// Relays one connection from its acceptance to its end.
    pub(super) async fn serve(self: Arc<Lane>, client: TcpStream, from: SocketAddr) {
        let opened = Instant::now();
        let _present = self.tally.enter();
        // Fails on a client that has gone again; that shows in good time.
        let _ = tune(&client);
        let listener = client.local_addr().unwrap_or(self.address);
        let peers = Arc::new(Peers {
            id: ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1),
            client: canonical(from),
            listener: canonical(listener),
            upstream: self.upstream.authority().into(),
            tls: None,
        });
        // Boxed, for it is large and gone long before the connection is.
        let tls = self.tls.load_full();
        let encrypted = tls.listener.is_some();
        let mut plight = self.judges.as_ref().and_then(|judges| {
            let warden = judges.warden(&peers, encrypted, opened)?;
            Some((warden, Vec::new()))
        });
        let standing = Box::pin(async {
            tokio::select! {
                biased;
                ends = self.stand(&tls, client, &peers, &mut plight) => Some(ends),
                () = self.shutdown.reached(Phase::Drain) => None,
            }
        })
        .await;
        drop(tls);
        let ends = match standing {
            Some(Ok(ends)) => ends,
            Some(Err(failure)) => {
                let hits = plight.map_or_else(Vec::new, |(_, hits)| hits);
                return self.never_stood(peers, opened, &failure, hits);
            }
            None => {
                let how = "etcdtap was told to end".to_owned();
                let failure = Failure {
                    how,
                    by: Some(Side::Client),
                    matters: false,
                };
                let hits = plight.map_or_else(Vec::new, |(_, hits)| hits);
                return self.never_stood(peers, opened, &failure, hits);
            }
        };
        let peers = Arc::new(Peers {
            tls: ends.tls.clone(),
            ..Peers::clone(&peers)
        });
        self.relay(ends, peers, plight, opened).await;
    }

    /// Lets the client in, and brings both ends to stand.
    async fn stand(
        &self,
        tls: &TlsContext,
        client: TcpStream,
        peers: &Arc<Peers>,
        plight: &mut Option<Plight>,
    ) -> Result<Ends, Failure> {
        if let Some((warden, hits)) = plight {
            let entrance = self.let_in(&client, peers, &mut **warden, hits).await?;
            if entrance == Entrance::FailsTls {
                return Err(fail_handshake(client).await);
            }
        }
        establish(self, tls, client).await
    }

    async fn relay(
        self: Arc<Lane>,
        ends: Ends,
        peers: Arc<Peers>,
        plight: Option<Plight>,
        opened: Instant,
    ) {
        let judge = self.judges.as_ref().map(|judges| judges.judge(&peers));
        let mut session = Session::with_judge(Arc::clone(&peers), &self.session, judge, opened);
        if let Some((mut warden, hits)) = plight {
            warden.stands(&peers);
            session = session.with_warden(warden, hits);
        }
        let over = match (ends.client, ends.upstream) {
            (ClientEnd::Plain(client), UpstreamEnd::Plain(upstream)) => {
                self.pump(client, upstream, session).await
            }
            (ClientEnd::Plain(client), UpstreamEnd::Tls(upstream)) => {
                self.pump(client, upstream, session).await
            }
            (ClientEnd::Tls(client), UpstreamEnd::Plain(upstream)) => {
                self.pump(client, upstream, session).await
            }
            (ClientEnd::Tls(client), UpstreamEnd::Tls(upstream)) => {
                self.pump(client, upstream, session).await
            }
        };
        if over.cut {
            self.tally.cut();
        }
        if let Some(how) = over.upstream_tls {
            self.complain_of_upstream(&how);
        }
    }

    async fn pump(self: &Arc<Lane>, client: impl Wire, up: impl Wire, session: Session) -> Over {
        let lane = Arc::clone(self);
        // Not before: under TLS 1.3 a refusal of our certificate comes after
        // the handshake.
        let on_upstream_spoke = Box::new(move || {
            if lane.about_upstream.settled() {
                tracing::info!("upstream {} answers again", lane.upstream);
            }
        });
        Pump::new(client, up, session, Arc::clone(self), on_upstream_spoke)
            .run(&self.shutdown)
            .await
    }

    fn never_stood(&self, peers: Arc<Peers>, opened: Instant, failure: &Failure, faults: Vec<Hit>) {
        if failure.matters {
            match failure.by {
                Some(Side::Server) => self.complain_of_upstream(&failure.how),
                Some(Side::Client) => self.complain_of_client(&peers, &failure.how),
                None => {}
            }
        }
        let ended = ConnectionEnded {
            peers,
            user_agent: None,
            opened,
            ended: Instant::now(),
            how: failure.how.as_str().into(),
            bytes: Both::default(),
            streams: 0,
            reports: Both::default(),
            by: failure.by,
            faults,
            interposed: false,
            pings_answered: 0,
        };
        self.events.send(Event::ConnectionEnded(Box::new(ended)));
    }

    fn complain_of_upstream(&self, how: &str) {
        if let Some(more) = self.about_upstream.about(how, Instant::now()) {
            tracing::warn!("upstream {}: {how}{more}", self.upstream);
        }
    }

    fn complain_of_client(&self, peers: &Peers, how: &str) {
        if let Some(more) = self.about_clients.about(how, Instant::now()) {
            tracing::warn!("client {} at {}: {how}{more}", peers.client, peers.listener);
        }
    }
}

/// An IPv4 client of a dual-stack listener, by the address that people know.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
