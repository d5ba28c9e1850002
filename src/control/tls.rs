//! TLS of the admin API, on both sides of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::StartError;
use crate::notation::io_reason;

/// The files of the server's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate that is shown (its chain, leaf first).
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the clients' certificates; with it, everybody must show one.
    pub client_ca: Option<PathBuf>,
}

/// The files of a client's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Who signs the server's certificate.
    pub ca: PathBuf,
    /// The certificate to show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What was in the server's files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pems {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The server's TLS as its files are now: connections are few, so that each may
/// look.
#[derive(Debug)]
pub(super) struct Renewed {
    files: ServerTls,
    in_force: Mutex<(Pems, Arc<ServerConfig>)>,
}

impl Renewed {
    pub(super) fn new(files: ServerTls) -> Result<Renewed, StartError> {
        let pems = read(&files)?;
        let config = server(&files, &pems)?;
        Ok(Renewed {
            files,
            in_force: Mutex::new((pems, config)),
        })
    }

    /// The newest TLS that can be used.
    pub(super) fn now(&self) -> Arc<ServerConfig> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = read(&self.files).and_then(|pems| {
            if pems == in_force.0 {
                return Ok(None);
            }
            let config = server(&self.files, &pems)?;
            Ok(Some((pems, config)))
        });
        match newer {
            Ok(None) => {}
            Ok(Some(newer)) => *in_force = newer,
            Err(error) => {
                tracing::warn!("{error}; the admin API goes on with what was read before")
            }
        }
        Arc::clone(&in_force.1)
    }
}

fn read(files: &ServerTls) -> Result<Pems, StartError> {
    Ok(Pems {
        cert: bytes("the admin API's certificate", &files.cert)?,
        key: bytes("the admin API's key", &files.key)?,
        client_ca: match &files.client_ca {
            None => None,
            Some(path) => Some(bytes("the admin API's client CA", path)?),
        },
    })
}

fn server(files: &ServerTls, pems: &Pems) -> Result<Arc<ServerConfig>, StartError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.cert, error))?;
    let builder = match (&files.client_ca, &pems.client_ca) {
        (Some(path), Some(pem)) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots(path, pem)?.into(), provider())
                    .build()
                    .map_err(|error| unusable(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain(&files.cert, &pems.cert)?, key(&files.key, &pems.key)?)
        .map_err(|error| mismatch(&files.cert, &files.key, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The client's TLS.
pub(super) fn client(files: &ClientTls) -> Result<Arc<ClientConfig>, StartError> {
    let ca = bytes("the admin API's CA", &files.ca)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.ca, error))?
        .with_root_certificates(roots(&files.ca, &ca)?);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert_path, key_path)) => {
            let cert = bytes("the client certificate", cert_path)?;
            let secret = bytes("the client key", key_path)?;
            builder
                .with_client_auth_cert(chain(cert_path, &cert)?, key(key_path, &secret)?)
                .map_err(|error| mismatch(cert_path, key_path, error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn bytes(role: &str, path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| {
        let reason = io_reason(&error);
        StartError::Failed(format!("cannot read {role} {}: {reason}", path.display()))
    })
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, format!("it is not PEM: {error}")))?;
    match chain.is_empty() {
        true => Err(unusable(path, "it holds no certificate in PEM form")),
        false => Ok(chain),
    }
}

fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, StartError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable(path, "it holds no private key in PEM form"),
        error => unusable(path, format!("it is not PEM: {error}")),
    })
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, StartError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path, pem)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

fn mismatch(cert: &Path, key: &Path, error: rustls::Error) -> StartError {
    match error {
        rustls::Error::InconsistentKeys(_) => unusable(
            key,
            format!("it does not belong to the certificate {}", cert.display()),
        ),
        error => unusable(cert, error),
    }
}

fn unusable(path: &Path, why: impl ToString) -> StartError {
    let (place, why) = (path.display(), why.to_string());
    StartError::Failed(format!("cannot use {place} because {why}"))
}
