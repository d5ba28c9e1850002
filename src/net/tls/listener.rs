//! TLS towards clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::files::{self, Pems};
use super::{H2, HTTP_1_1, provider};
use crate::net::{BindError, ClientAuth, ListenerTls};

const ROLES: (&str, &str) = (files::LISTENER_CERT, files::LISTENER_KEY);

/// What we answer to a client's ALPN offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Answer<'a> {
    /// Nothing, as to one that offers nothing.
    None,
    /// This protocol.
    Protocol(&'a [u8]),
    /// That none of them is spoken here: the handshake fails.
    Refuse,
}

/// TLS towards clients, in one variant for each usual answer.
#[derive(Debug)]
pub(in crate::net) struct ListenerContext {
    silent: Arc<ServerConfig>,
    h2: Arc<ServerConfig>,
    http_1_1: Arc<ServerConfig>,
}

impl ListenerContext {
    pub(super) fn new(tls: &ListenerTls, pems: &Pems) -> Result<ListenerContext, BindError> {
        let (chain, key) = files::key_pair(pems, &tls.identity, ROLES)?;
        let broken = |error| files::mismatch(&tls.identity, ROLES, &error);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let builder = match (&tls.client_ca, tls.client_auth) {
            (None, _) | (_, ClientAuth::None) => builder.with_no_client_auth(),
            (Some(ca), auth) => {
                let roots = files::roots(pems, files::CLIENT_CA, ca)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = match auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    ClientAuth::Require | ClientAuth::None => verifier,
                };
                let verifier = verifier
                    .build()
                    .map_err(|error| files::unusable(files::CLIENT_CA, ca, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let silent = builder.with_single_cert(chain, key).map_err(broken)?;
        Ok(ListenerContext {
            h2: Arc::new(speaking(&silent, H2)),
            http_1_1: Arc::new(speaking(&silent, HTTP_1_1)),
            silent: Arc::new(silent),
        })
    }

    /// The configuration that gives `answer`.
    pub(in crate::net) fn answering(&self, answer: Answer<'_>) -> Arc<ServerConfig> {
        match answer {
            Answer::None => Arc::clone(&self.silent),
            Answer::Protocol(H2) => Arc::clone(&self.h2),
            Answer::Protocol(HTTP_1_1) => Arc::clone(&self.http_1_1),
            Answer::Protocol(other) => Arc::new(speaking(&self.silent, other)),
            // A protocol that nobody offers.
            Answer::Refuse => Arc::new(speaking(&self.silent, b"\0")),
        }
    }
}

/// `silent`, with one protocol; sessions that one variant issued, the others
/// resume.
fn speaking(silent: &ServerConfig, protocol: &[u8]) -> ServerConfig {
    let mut config = silent.clone();
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}
