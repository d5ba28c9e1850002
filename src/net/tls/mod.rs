//! TLS on both sides: certificates, ALPN, and their renewal while we run.

mod files;
mod identity;
mod listener;
mod reload;
mod upstream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub(super) use files::{Pems, TlsSource};
pub(super) use identity::{seen, version};
pub(super) use listener::{Answer, ListenerContext};
pub(super) use reload::reload;
pub(super) use upstream::UpstreamContext;

/// ALPN's name for HTTP/2 (RFC 9113, 3.1).
pub(super) const H2: &[u8] = b"h2";
/// ALPN's name for HTTP/1.1 (RFC 7301, 6).
pub(super) const HTTP_1_1: &[u8] = b"http/1.1";

/// The TLS of one moment: what the files said when they were last read.
#[derive(Debug)]
pub(super) struct TlsContext {
    /// Towards clients, unless the listeners are plaintext.
    pub(super) listener: Option<ListenerContext>,
    /// Towards upstreams, if any is `https`.
    pub(super) upstream: Option<UpstreamContext>,
}

/// The one provider of cryptography that links.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
