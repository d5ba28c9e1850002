//! A certificate authority of the tests' own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::net::{self, ClientAuth, ListenerTls, UpstreamTls};

/// A folder with a CA and what it signed.
pub(super) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(super) ca: PathBuf,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "etcd-ca");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, certificate.pem()).expect("a written file");
        Authority {
            issuer: Issuer::new(params, key),
            folder,
            ca,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Signs a certificate for 127.0.0.1 as `common_name` and writes it to the
    /// files of `file`.
    pub(super) fn issue(&self, file: &str, common_name: &str) -> net::KeyPair {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = net::KeyPair {
            cert: self.path().join(format!("{file}.crt")),
            key: self.path().join(format!("{file}.key")),
        };
        std::fs::write(&pair.cert, certificate.pem()).expect("a written file");
        std::fs::write(&pair.key, key.serialize_pem()).expect("a written file");
        pair
    }

    /// The proxy's listener, with a certificate of its own.
    pub(super) fn listener(&self, client_auth: ClientAuth) -> ListenerTls {
        ListenerTls {
            identity: self.issue("listener", "etcdtap"),
            client_ca: Some(self.ca.clone()),
            client_auth,
        }
    }

    /// The proxy towards its upstream, as the API server.
    pub(super) fn upstream(&self) -> UpstreamTls {
        UpstreamTls {
            ca: Some(self.ca.clone()),
            identity: Some(self.issue("upstream", "kube-apiserver-etcd-client")),
            server_name: None,
        }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(&self.ca).expect("the CA");
        roots.add(ca).expect("a usable CA");
        Arc::new(roots)
    }

    /// An etcd that requires client certificates and speaks `protocols`.
    pub(super) fn etcd(&self, protocols: &[&str]) -> TlsAcceptor {
        let (chain, key) = load(&self.issue("etcd", "etcd"));
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(self.roots(), provider())
                .build()
                .expect("a verifier");
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a certificate");
        config.alpn_protocols = alpn(protocols);
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that offers `protocols`, with a certificate or without.
    pub(super) fn client(&self, identity: Option<&str>, protocols: &[&str]) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let (chain, key) = load(&self.issue("client", name));
                builder
                    .with_client_auth_cert(chain, key)
                    .expect("a certificate")
            }
        };
        config.alpn_protocols = alpn(protocols);
        config
    }
}

/// A client's handshake.
pub(super) async fn handshake<T: AsyncRead + AsyncWrite + Unpin>(
    config: ClientConfig,
    tcp: T,
) -> std::io::Result<client::TlsStream<T>> {
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// The protocol that a client was told.
pub(super) fn told<T>(stream: &client::TlsStream<T>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

/// The protocol that a server picked.
pub(super) fn picked<T>(stream: &server::TlsStream<T>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

fn load(pair: &net::KeyPair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from_pem_file(&pair.cert).expect("a certificate")];
    (
        chain,
        PrivateKeyDer::from_pem_file(&pair.key).expect("a key"),
    )
}

fn alpn(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
