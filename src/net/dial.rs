//! Calling an upstream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};

use super::Upstream;
use super::socket::tune;
use super::tls::{TlsContext, version};

/// Where a name has several addresses: how long a silent one keeps the others
/// from being tried. The last one is as silent to the client as it is to us.
const SILENT_ADDRESS: Duration = Duration::from_secs(3);

/// The upstream's end of a connection.
pub(super) enum UpstreamEnd {
    Plain(TcpStream),
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
pub(super) struct DialError {
    /// In words: `upstream refused the connection: …`.
    pub(super) how: String,
    /// Whether it was that the upstream speaks none of the protocols offered.
    pub(super) no_protocol: bool,
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
            how: format!("TLS handshake with the upstream failed: {error}"),
            no_protocol: alert(&error) == Some(AlertDescription::NoApplicationProtocol),
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
    let failed = |how| DialError {
        how,
        no_protocol: false,
    };
    let addresses: Vec<_> = tokio::net::lookup_host((upstream.host.as_str(), upstream.port))
        .await
        .map_err(|error| {
            failed(format!(
                "upstream's name {} cannot be resolved: {error}",
                upstream.host
            ))
        })?
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
    Err(failed(match last {
        None => format!("upstream's name {} has no address", upstream.host),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("upstream refused the connection: {error}")
        }
        Some(error) => format!("upstream cannot be reached: {error}"),
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
