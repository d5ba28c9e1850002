//! What a proxy is told before it starts.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Alarm, Upstream};
use crate::etcd::SessionOptions;
use crate::etcd::verdict::Judges;

/// One listener and the etcd member behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `host:port` to listen on; port 0 takes a free one, an empty host all
    /// addresses.
    pub listen: String,
    /// Where its connections go.
    pub upstream: Upstream,
}

/// Everything that a proxy is told before it starts.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The listeners, each with its upstream.
    pub routes: Vec<Route>,
    /// TLS towards clients, on every listener; `None` listens in plaintext.
    pub listener_tls: Option<ListenerTls>,
    /// TLS towards the upstreams that are `https`.
    pub upstream_tls: UpstreamTls,
    /// How many threads of their own serve the connections, each connection on
    /// one of them; `None` serves them all on the runtime that accepts.
    pub workers: Option<NonZeroUsize>,
    /// How long open calls may go on once the proxy is told to end.
    pub drain: Duration,
    /// How often the certificate files are looked at for changes.
    pub reload_every: Duration,
    /// What the core of every connection shares.
    pub session: Arc<SessionOptions>,
    /// Who may decide to interfere with calls.
    pub judges: Option<Arc<dyn Judges>>,
    /// Rings when what the judges go by has changed.
    pub rules_changed: Alarm,
}

impl ProxyConfig {
    /// The usual time for open calls at the end.
    pub const DRAIN: Duration = Duration::from_secs(5);
    /// The usual time between two looks at the certificate files.
    pub const RELOAD_EVERY: Duration = Duration::from_secs(2);
}

/// A certificate (its chain, leaf first) and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate chain's file.
    pub cert: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// What we show to clients.
    pub identity: KeyPair,
    /// Who signs the clients' certificates. Needed unless `client_auth` is
    /// [`ClientAuth::None`].
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// A client without a valid certificate is turned away.
    #[default]
    Require,
    /// A client may come without one; one that it shows must be valid.
    Optional,
    /// None is asked for.
    None,
}

/// TLS towards the upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// Who signs etcd's certificates. Needed as soon as an upstream is `https`:
    /// the system's roots do not sign etcd members.
    pub ca: Option<PathBuf>,
    /// What we show to etcd.
    pub identity: Option<KeyPair>,
    /// The name that etcd's certificate must carry, where it is not the host of
    /// the upstream's URL.
    pub server_name: Option<String>,
}
