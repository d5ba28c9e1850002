//! TLS towards upstreams.

use std::sync::Arc;

use rustls::ClientConfig;

use super::files::{self, Pems};
use super::{H2, HTTP_1_1, provider};
use crate::net::{BindError, UpstreamTls};

const ROLES: (&str, &str) = (files::UPSTREAM_CERT, files::UPSTREAM_KEY);

/// TLS towards upstreams, in one variant for each usual offer of a client.
#[derive(Debug)]
pub(in crate::net) struct UpstreamContext {
    variants: [Arc<ClientConfig>; 4],
}

impl UpstreamContext {
    pub(super) fn new(tls: &UpstreamTls, pems: &Pems) -> Result<UpstreamContext, BindError> {
        let Some(ca) = &tls.ca else {
            // `TlsSource::of` lets no https upstream without a CA come this far.
            return Err(BindError::Configuration(
                "an https upstream needs a CA".to_owned(),
            ));
        };
        let roots = files::roots(pems, files::UPSTREAM_CA, ca)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| files::unusable(files::UPSTREAM_CA, ca, error))?
            .with_root_certificates(roots);
        let config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let (chain, key) = files::key_pair(pems, pair, ROLES)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| files::mismatch(pair, ROLES, &error))?
            }
        };
        let usual: [&[&[u8]]; 4] = [&[], &[H2], &[H2, HTTP_1_1], &[HTTP_1_1]];
        let variants = usual.map(|offer| {
            let offer: Vec<_> = offer.iter().map(|name| name.to_vec()).collect();
            Arc::new(offering(&config, &offer))
        });
        Ok(UpstreamContext { variants })
    }

    /// The configuration that offers exactly `protocols`, in their order.
    pub(in crate::net) fn offering(&self, protocols: &[Vec<u8>]) -> Arc<ClientConfig> {
        match self
            .variants
            .iter()
            .find(|config| config.alpn_protocols == protocols)
        {
            Some(config) => Arc::clone(config),
            None => Arc::new(offering(&self.variants[0], protocols)),
        }
    }
}

fn offering(config: &ClientConfig, protocols: &[Vec<u8>]) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = protocols.to_vec();
    config
}
