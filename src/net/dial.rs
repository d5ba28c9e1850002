//! Calling an upstream.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};

use super::Upstream;
use super::socket::tune;
use super::tls::{TlsContext, version};

/// Where a name has several addresses: how long a silent one keeps the others
/// from being tried. The last one is as silent to the client as it is to us.
const SILENT_ADDRESS: Duration = Duration::from_secs(3);

/// The upstream's end of a connection.
#[derive(Debug)]
pub enum UpstreamEnd {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<client::TlsStream<TcpStream>>),
}

impl UpstreamEnd {
    /// What the upstream picked by ALPN.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        match self {
            UpstreamEnd::Plain(_) => None,
            UpstreamEnd::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

/// Why an upstream could not be had.
#[derive(Debug)]
pub struct DialError {
    why: Why,
    /// Whether it was that the upstream speaks none of the protocols offered.
    pub(super) no_protocol: bool,
}

#[derive(Debug)]
enum Why {
    Unresolved(String, io::Error),
    NoAddress(String),
    Unreachable(io::Error),
    Handshake(io::Error),
}

impl DialError {
    fn of(why: Why) -> DialError {
        DialError {
            why,
            no_protocol: false,
        }
    }

    /// In words, for the proxy's log: `upstream refused the connection: …`.
    pub(super) fn how(&self) -> String {
        match &self.why {
            Why::Unresolved(host, error) => {
                format!("upstream's name {host} cannot be resolved: {error}")
            }
            Why::NoAddress(host) => format!("upstream's name {host} has no address"),
            Why::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("upstream refused the connection: {error}")
            }
            Why::Unreachable(error) => format!("upstream cannot be reached: {error}"),
            Why::Handshake(error) => format!("TLS handshake with the upstream failed: {error}"),
        }
    }
}

/// The reason alone.
impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Unresolved(host, error) => {
                write!(f, "the name {host} cannot be resolved: {error}")
            }
            Why::NoAddress(host) => write!(f, "the name {host} has no address"),
            Why::Unreachable(error) => error.fmt(f),
            Why::Handshake(error) if is_unknown_issuer(error) => {
                f.write_str("its certificate is not signed by the authority that is trusted")
            }
            Why::Handshake(error) => {
                write!(f, "the TLS handshake failed: {error}")?;
                match alert(error) {
                    Some(
                        AlertDescription::BadCertificate | AlertDescription::CertificateRequired,
                    ) => f.write_str("; it wants to be shown a client certificate that it trusts"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for DialError {}

fn is_unknown_issuer(error: &io::Error) -> bool {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    )
}

/// Connects to `upstream`; an `https` one is offered `protocols` by ALPN.
pub(super) async fn dial(
    upstream: &Upstream,
    server_name: Option<&ServerName<'static>>,
    tls: &TlsContext,
    protocols: &[Vec<u8>],
) -> Result<UpstreamEnd, DialError> {
    let tcp = connect(upstream).await?;
    let (Some(name), Some(context)) = (server_name, &tls.upstream) else {
        return Ok(UpstreamEnd::Plain(tcp));
    };
    let connector = TlsConnector::from(context.offering(protocols));
    match connector.connect(name.clone(), tcp).await {
        Ok(stream) => {
            let version = version(stream.get_ref().1.protocol_version());
            tracing::debug!("{} speaks {version}", upstream.authority());
            Ok(UpstreamEnd::Tls(Box::new(stream)))
        }
        Err(error) => Err(DialError {
            no_protocol: alert(&error) == Some(AlertDescription::NoApplicationProtocol),
            why: Why::Handshake(error),
        }),
    }
}

/// The alert that a peer sent, if that is what `error` is about.
pub(super) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Connects to the first address that answers. Names are resolved every time:
/// a member that moved is found again.
async fn connect(upstream: &Upstream) -> Result<TcpStream, DialError> {
    let addresses: Vec<_> = tokio::net::lookup_host((upstream.host.as_str(), upstream.port))
        .await
        .map_err(|error| DialError::of(Why::Unresolved(upstream.host.clone(), error)))?
        .collect();
    let mut last = None;
    for (at, address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect(address);
        let connected = match at + 1 == addresses.len() {
            true => attempt.await,
            false => tokio::time::timeout(SILENT_ADDRESS, attempt)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        };
        match connected.and_then(|tcp| tune(&tcp).map(|()| tcp)) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = Some(error),
        }
    }
    Err(DialError::of(match last {
        None => Why::NoAddress(upstream.host.clone()),
        Some(error) => Why::Unreachable(error),
    }))
}

/// The name that an `https` upstream's certificate must carry.
pub(super) fn server_name(
    upstream: &Upstream,
    instead: Option<&str>,
) -> Result<Option<Arc<ServerName<'static>>>, String> {
    if !upstream.tls {
        return Ok(None);
    }
    let name = instead.unwrap_or(&upstream.host);
    match ServerName::try_from(name.to_owned()) {
        Ok(name) => Ok(Some(Arc::new(name))),
        Err(_) => Err(format!(
            "`{name}` is no name that a certificate could carry"
        )),
    }
}
