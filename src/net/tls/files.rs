//! From files to certificates, and to the errors that name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{ListenerContext, TlsContext, UpstreamContext};
use crate::net::{BindError, ClientAuth, KeyPair, ListenerTls, ProxyConfig, Upstream, UpstreamTls};

/// Which files make up the TLS of a proxy.
#[derive(Debug, Clone)]
pub(in crate::net) struct TlsSource {
    listener: Option<ListenerTls>,
    upstream: Option<UpstreamTls>,
}

/// What was in the files.
pub(in crate::net) type Pems = BTreeMap<PathBuf, Vec<u8>>;

/// A file, and what it is for.
type Named<'a> = (&'static str, &'a Path);

impl TlsSource {
    /// The files of `config`.
    pub(in crate::net) fn of(config: &ProxyConfig) -> Result<TlsSource, BindError> {
        let wrong = |what: String| Err(BindError::Configuration(what));
        let mut routes = config.routes.iter();
        if let Some(route) = routes.find(|route| route.upstream.tls)
            && config.upstream_tls.ca.is_none()
        {
            return wrong(format!(
                "the upstream {} needs an upstream CA: no other roots are trusted",
                route.upstream
            ));
        }
        if let Some(tls) = &config.listener_tls {
            check_client_ca(tls)?;
        }
        let https = config.routes.iter().any(|route| route.upstream.tls);
        Ok(TlsSource {
            listener: config.listener_tls.clone(),
            upstream: https.then(|| config.upstream_tls.clone()),
        })
    }

    /// The files for a listener.
    pub(in crate::net) fn listening(tls: &ListenerTls) -> Result<TlsSource, BindError> {
        check_client_ca(tls)?;
        Ok(TlsSource {
            listener: Some(tls.clone()),
            upstream: None,
        })
    }

    /// The files for calling `upstream`.
    pub(in crate::net) fn towards(
        upstream: &Upstream,
        tls: &UpstreamTls,
    ) -> Result<TlsSource, BindError> {
        if upstream.tls && tls.ca.is_none() {
            return Err(BindError::Configuration(format!(
                "{upstream} needs a CA: no other roots are trusted"
            )));
        }
        Ok(TlsSource {
            listener: None,
            upstream: upstream.tls.then(|| tls.clone()),
        })
    }

    /// Whether there is nothing to read.
    pub(in crate::net) fn is_empty(&self) -> bool {
        self.listener.is_none() && self.upstream.is_none()
    }

    /// Reads every file.
    pub(in crate::net) fn read(&self) -> Result<Pems, BindError> {
        self.names()
            .into_iter()
            .map(|(role, path)| match std::fs::read(path) {
                Ok(bytes) => Ok((path.to_owned(), bytes)),
                Err(error) => Err(BindError::Unreadable {
                    role,
                    path: path.to_owned(),
                    error,
                }),
            })
            .collect()
    }

    /// Makes TLS of what [`TlsSource::read`] found.
    pub(in crate::net) fn build(&self, pems: &Pems) -> Result<TlsContext, BindError> {
        let listener = match &self.listener {
            None => None,
            Some(tls) => Some(ListenerContext::new(tls, pems)?),
        };
        let upstream = match &self.upstream {
            None => None,
            Some(tls) => Some(UpstreamContext::new(tls, pems)?),
        };
        Ok(TlsContext { listener, upstream })
    }

    fn names(&self) -> Vec<Named<'_>> {
        let mut names = Vec::new();
        if let Some(tls) = &self.listener {
            names.push((LISTENER_CERT, &*tls.identity.cert));
            names.push((LISTENER_KEY, &*tls.identity.key));
            if let Some(ca) = &tls.client_ca
                && tls.client_auth != ClientAuth::None
            {
                names.push((CLIENT_CA, ca));
            }
        }
        if let Some(tls) = &self.upstream {
            names.extend(tls.ca.as_deref().map(|ca| (UPSTREAM_CA, ca)));
            if let Some(pair) = &tls.identity {
                names.push((UPSTREAM_CERT, &pair.cert));
                names.push((UPSTREAM_KEY, &pair.key));
            }
        }
        names
    }
}

fn check_client_ca(tls: &ListenerTls) -> Result<(), BindError> {
    match tls.client_auth != ClientAuth::None && tls.client_ca.is_none() {
        true => Err(BindError::Configuration(
            "client certificates can only be checked with a client CA: name its file, or ask \
             for no client certificates"
                .to_owned(),
        )),
        false => Ok(()),
    }
}

pub(super) const LISTENER_CERT: &str = "the listener's certificate";
pub(super) const LISTENER_KEY: &str = "the listener's key";
pub(super) const CLIENT_CA: &str = "the client CA";
pub(super) const UPSTREAM_CA: &str = "the upstream CA";
pub(super) const UPSTREAM_CERT: &str = "the upstream client certificate";
pub(super) const UPSTREAM_KEY: &str = "the upstream client key";

/// A file that is of no use.
pub(super) fn unusable(role: &'static str, path: &Path, why: impl ToString) -> BindError {
    BindError::Unusable {
        role,
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// The CA certificates in `path`.
pub(super) fn roots(
    pems: &Pems,
    role: &'static str,
    path: &Path,
) -> Result<Arc<RootCertStore>, BindError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pems, role, path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(role, path, error))?;
    }
    Ok(Arc::new(roots))
}

/// The certificate chain and the key of `pair`, not yet compared.
pub(super) fn key_pair(
    pems: &Pems,
    pair: &KeyPair,
    roles: (&'static str, &'static str),
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BindError> {
    let chain = chain(pems, roles.0, &pair.cert)?;
    let key = PrivateKeyDer::from_pem_slice(bytes(pems, &pair.key)).map_err(|error| {
        let why = match error {
            pem::Error::NoItemsFound => "it holds no private key in PEM form".to_owned(),
            error => format!("it is not PEM: {error}"),
        };
        unusable(roles.1, &pair.key, why)
    })?;
    Ok((chain, key))
}

/// Says of a chain and a key, both well-formed, why rustls did not take them.
pub(super) fn mismatch(
    pair: &KeyPair,
    roles: (&'static str, &'static str),
    error: &rustls::Error,
) -> BindError {
    match error {
        rustls::Error::InconsistentKeys(_) => unusable(
            roles.1,
            &pair.key,
            format!(
                "it does not belong to the certificate {}",
                pair.cert.display()
            ),
        ),
        error => unusable(roles.0, &pair.cert, error),
    }
}

fn chain(
    pems: &Pems,
    role: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, BindError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes(pems, path))
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(role, path, format!("it is not PEM: {error}")))?;
    match chain.is_empty() {
        true => Err(unusable(role, path, "it holds no certificate in PEM form")),
        false => Ok(chain),
    }
}

/// Every path of the source is in its `Pems`; an absent one reads as empty.
fn bytes<'a>(pems: &'a Pems, path: &Path) -> &'a [u8] {
    pems.get(path).map_or(&[], Vec::as_slice)
}
