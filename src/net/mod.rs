//! Sockets, TLS and timers: the only place that does I/O on the data path.
//!
//! A [`Proxy`] has a lane for each listener and its upstream. A connection is
//! accepted (`accept`) and let in (`entrance`), both of its ends are brought to stand (`establish`,
//! `dial`, `tls`), and then one task carries its bytes through the core
//! (`pump`, `flow`) until both sides have ended.

mod accept;
mod acceptor;
mod alarm;
mod complaints;
mod config;
mod dial;
mod dialer;
mod double;
mod entrance;
mod error;
mod establish;
mod flow;
mod lane;
mod limits;
mod listen;
mod pki;
mod presence;
mod proxy;
mod pump;
mod scheduling;
mod shutdown;
pub mod signals;
mod socket;
mod tally;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod wire;
mod workers;

pub use acceptor::{Acceptor, NoHandshake, TlsClient};
pub use alarm::Alarm;
pub use config::{ClientAuth, KeyPair, ListenerTls, ProxyConfig, Route, UpstreamTls};
pub use dial::{DialError, UpstreamEnd};
pub use dialer::Dialer;
pub use error::BindError;
pub use pki::Pki;
pub use proxy::{Proxy, Served};
pub use scheduling::Scheduling;
pub use shutdown::{Phase, Shutdown};
pub use upstream::{Upstream, UpstreamError};
