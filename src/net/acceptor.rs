//! TLS towards clients of a server of our own, as the proxy's listeners have it.

use std::fmt;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::establish::{answer, client_hello, first_spoken};
use super::tls::{ListenerContext, TlsSource};
use super::{BindError, ListenerTls};

/// A client's connection over TLS.
pub type TlsClient = TlsStream<TcpStream>;

/// Brings clients' connections up to TLS.
#[derive(Debug)]
pub struct Acceptor {
    context: ListenerContext,
}

/// A handshake that came to nothing, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoHandshake {
    how: String,
    /// Whether anybody should hear of it: a connection that is closed without a word
    /// is a port scan, or a load balancer's probe.
    pub matters: bool,
}

impl fmt::Display for NoHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)
    }
}

impl std::error::Error for NoHandshake {}

impl Acceptor {
    /// Reads the certificates.
    ///
    /// # Errors
    /// If one cannot be read or used.
    pub fn new(tls: &ListenerTls) -> Result<Acceptor, BindError> {
        let source = TlsSource::listening(tls)?;
        let context = source.build(&source.read()?)?.listener;
        let context = context.ok_or_else(|| {
            BindError::Configuration("a listener without a certificate speaks no TLS".to_owned())
        })?;
        Ok(Acceptor { context })
    }

    /// Does the handshake; HTTP/2 and HTTP/1.1 are spoken, whichever the client names
    /// first.
    ///
    /// # Errors
    /// If it fails, or takes too long.
    pub async fn accept(&self, client: TcpStream) -> Result<TlsClient, NoHandshake> {
        let none = |failure: super::establish::Failure| NoHandshake {
            how: failure.how,
            matters: failure.matters,
        };
        let start = client_hello(client).await.map_err(none)?;
        let offered: Vec<Vec<u8>> = start
            .client_hello()
            .alpn()
            .map(|names| names.map(<[u8]>::to_vec).collect())
            .unwrap_or_default();
        let pick = first_spoken(&offered);
        answer(start, &self.context, pick).await.map_err(none)
    }
}
