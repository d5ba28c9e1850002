//! The whole proxy, from its listeners to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::accept::accept;
use super::complaints::Complaints;
use super::dial::server_name;
use super::double::MOST_AT_ONCE;
use super::lane::Lane;
use super::listen::listen;
use super::tally::Tally;
use super::tls::{Pems, TlsSource, reload};
use super::workers::Workers;
use super::{BindError, Phase, ProxyConfig, Shutdown, limits};
use crate::trace;

/// Beyond the bound that every connection keeps for itself when it closes.
const CLOSE_ALL_WITHIN: Duration = Duration::from_secs(1);

/// A proxy whose listeners are open.
pub struct Proxy {
    listening: Vec<(TcpListener, SocketAddr)>,
    workers: Workers,
    config: ProxyConfig,
    server_names: Vec<Option<Arc<rustls::pki_types::ServerName<'static>>>>,
    source: TlsSource,
    pems: Pems,
    tls: Arc<ArcSwap<super::tls::TlsContext>>,
}

/// What a proxy had done when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Connections that were accepted.
    pub connections: u64,
    /// Of these, how many were closed at the end over open calls, or where none
    /// can be known of.
    pub cut: u64,
    /// Connections that were still there when we left.
    pub left: usize,
}

impl Proxy {
    /// Reads the certificates and opens the listeners; from here on the kernel
    /// takes connections in, and [`Proxy::run`] serves them.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When `config` makes no sense, an address cannot be had, or a certificate
    /// cannot be read or used.
    pub fn bind(config: ProxyConfig) -> Result<Proxy, BindError> {
        if config.routes.is_empty() {
            return Err(BindError::Configuration(
                "there is no address to listen on".to_owned(),
            ));
        }
        let instead = config.upstream_tls.server_name.as_deref();
        let server_names = config
            .routes
            .iter()
            .map(|route| server_name(&route.upstream, instead))
            .collect::<Result<_, _>>()
            .map_err(BindError::Configuration)?;
        let source = TlsSource::of(&config)?;
        let pems = source.read()?;
        let tls = Arc::new(ArcSwap::from_pointee(source.build(&pems)?));
        limits::raise_open_files();
        let workers = Workers::start(config.workers).map_err(BindError::Threads)?;
        let mut listening = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let (listener, address) = listen(&route.listen)?;
            tracing::info!("listening on {address} for {}", route.upstream);
            listening.push((listener, address));
        }
        Ok(Proxy {
            listening,
            workers,
            config,
            server_names,
            source,
            pems,
            tls,
        })
    }

    /// The listeners' addresses, in the order of the routes.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.listening.iter().map(|(_, address)| *address).collect()
    }

    /// Serves until `shutdown` drains and the open calls are over, or
    /// [`ProxyConfig::drain`] is, or a second signal comes. What is seen goes to
    /// `events`.
    pub async fn run(self, shutdown: Shutdown, events: trace::Sender) -> Served {
        if !self.source.is_empty() {
            let tls = Arc::clone(&self.tls);
            let every = self.config.reload_every;
            tokio::spawn(reload(self.source, self.pems, tls, every, shutdown.clone()));
        }
        let tally = Arc::new(Tally::default());
        let last_id = Arc::new(AtomicU64::new(0));
        let workers = Arc::new(self.workers);
        let mut accepting = Vec::new();
        let routes = self.config.routes.into_iter().zip(self.server_names);
        for ((route, server_name), (listener, address)) in routes.zip(self.listening) {
            let lane = Lane {
                upstream: route.upstream,
                server_name,
                address,
                tls: Arc::clone(&self.tls),
                session: Arc::clone(&self.config.session),
                judges: self.config.judges.clone(),
                rules_changed: self.config.rules_changed.clone(),
                events: events.clone(),
                last_id: Arc::clone(&last_id),
                tally: Arc::clone(&tally),
                shutdown: shutdown.clone(),
                about_upstream: Complaints::default(),
                about_clients: Complaints::default(),
                about_doubles: Complaints::default(),
                doubles: Semaphore::new(MOST_AT_ONCE),
            };
            accepting.push(tokio::spawn(accept(
                listener,
                Arc::new(lane),
                Arc::clone(&workers),
            )));
        }
        // The lanes' clones are enough to keep the trace open, and no more.
        drop(events);
        shutdown.reached(Phase::Drain).await;
        for task in accepting {
            // Ends by itself; an error would be a panic that was shown already.
            let _ = task.await;
        }
        end(&tally, &shutdown, self.config.drain).await;
        Served {
            connections: tally.served(),
            cut: tally.were_cut(),
            left: tally.present(),
        }
    }
}

/// Gives the connections `drain` to end by themselves, then closes them.
async fn end(tally: &Tally, shutdown: &Shutdown, drain: Duration) {
    for (phase, within) in [(Phase::Close, drain), (Phase::Now, CLOSE_ALL_WITHIN)] {
        let emptied = tokio::select! {
            emptied = timeout(within, tally.empty()) => emptied.is_ok(),
            () = shutdown.reached(Phase::Now) => false,
        };
        if emptied {
            return;
        }
        shutdown.advance_to(phase);
    }
    // Nothing holds them up now but their turn to run.
    let _ = timeout(CLOSE_ALL_WITHIN, tally.empty()).await;
}
