//! Calling an etcd on our own account, as the proxy calls its upstreams.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::dial::{DialError, UpstreamEnd, dial, server_name};
use super::tls::{H2, TlsContext, TlsSource};
use super::{BindError, Upstream, UpstreamTls};

/// How an etcd is called: its address, and what is shown to it.
#[derive(Debug, Clone)]
pub struct Dialer {
    upstream: Upstream,
    server_name: Option<Arc<ServerName<'static>>>,
    tls: Arc<TlsContext>,
}

impl Dialer {
    /// Reads the certificates, if `upstream` is `https`.
    ///
    /// # Errors
    /// If one cannot be read or used, or the name is none that a certificate could
    /// carry.
    pub fn new(upstream: Upstream, tls: &UpstreamTls) -> Result<Dialer, BindError> {
        let source = TlsSource::towards(&upstream, tls)?;
        let name = server_name(&upstream, tls.server_name.as_deref());
        Ok(Dialer {
            server_name: name.map_err(BindError::Configuration)?,
            tls: Arc::new(source.build(&source.read()?)?),
            upstream,
        })
    }

    /// A connection for HTTP/2.
    ///
    /// # Errors
    /// If the etcd cannot be reached, or TLS is not agreed upon.
    pub async fn dial(&self) -> Result<UpstreamEnd, DialError> {
        let name = self.server_name.as_deref();
        dial(&self.upstream, name, &self.tls, &[H2.to_vec()]).await
    }
}
