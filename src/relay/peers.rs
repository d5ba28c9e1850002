//! Who the two ends of a relayed connection are.

use std::fmt;
use std::net::SocketAddr;

/// A relayed connection's number, counted from 1 in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a connection once both of its ends stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers {
    /// The connection's number in this process.
    pub id: ConnectionId,
    /// Where the client called from.
    pub client: SocketAddr,
    /// Our own address that it called.
    pub listener: SocketAddr,
    /// The upstream as the user named it (`host:port`).
    pub upstream: Box<str>,
    /// What the client's TLS handshake showed; `None` on a plaintext listener.
    pub tls: Option<TlsSeen>,
}

/// What a TLS handshake with the client showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: Box<str>,
    /// The server name that the client asked for.
    pub sni: Option<Box<str>>,
    /// The protocol agreed on by ALPN.
    pub alpn: Option<Box<str>>,
    /// The common name (or else the first subject alternative name) of the
    /// client's certificate.
    pub identity: Option<Box<str>>,
}
