//! TLS clients for tests: what is offered, what is shown, what is answered.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certs::{Authority, Pair};
use super::patience::soon;

/// A client: whom it trusts, and what it shows and offers.
#[derive(Debug, Clone, Default)]
pub struct TlsClient {
    ca: String,
    identity: Option<Pair>,
    protocols: Vec<Vec<u8>>,
}

impl TlsClient {
    /// One that trusts a CA and shows no certificate.
    pub fn trusting(authority: &Authority) -> TlsClient {
        TlsClient {
            ca: authority.cert.clone(),
            ..TlsClient::default()
        }
    }

    /// With a certificate of its own.
    pub fn showing(mut self, identity: Pair) -> TlsClient {
        self.identity = Some(identity);
        self
    }

    /// Offering these protocols (ALPN).
    pub fn offering(mut self, protocols: &[&str]) -> TlsClient {
        self.protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        self
    }

    /// Shakes hands.
    pub async fn connect(&self, server: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca)).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(pair) => config
                .with_client_auth_cert(vec![certificate(&pair.cert)], key(pair))
                .unwrap(),
        };
        config.alpn_protocols = self.protocols.clone();
        let stream = TcpStream::connect(server).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        soon("a handshake", connector.connect(name, stream)).await
    }

    /// Shakes hands and asks for `/version`: with TLS 1.3 a server's refusal
    /// of the client's certificate comes after the handshake.
    pub async fn version(&self, server: SocketAddr) -> std::io::Result<String> {
        let mut stream = self.connect(server).await?;
        let request = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        soon("the version", stream.read_to_string(&mut answer)).await?;
        match answer.split_once("\r\n\r\n") {
            Some((_, body)) => Ok(body.to_owned()),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The certificate that the server showed.
pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

/// A server that asks for a client's certificate.
pub fn acceptor(authority: &Authority, pair: &Pair) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.cert)).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate(&pair.cert)], key(pair))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A certificate as it stands on the wire.
pub fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn key(pair: &Pair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
