//! What the operator has to know beyond the log: warnings on the side.

use std::net::{IpAddr, SocketAddr};

use crate::etcd::Event;

/// Warns of what events say about the tracing itself.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    listeners: Vec<SocketAddr>,
    bypass_told: bool,
    /// Connections whose tracing stopped.
    pub stopped: u64,
}

impl Diagnostics {
    /// `listeners` are our own addresses.
    pub fn new(listeners: Vec<SocketAddr>) -> Diagnostics {
        Diagnostics {
            listeners,
            ..Diagnostics::default()
        }
    }

    pub fn handle_event(&mut self, event: &Event) {
        match event {
            Event::TracingStopped { peers, offence, .. } => {
                self.stopped += 1;
                tracing::warn!(
                    conn = peers.id.0,
                    client = %peers.client,
                    upstream = %peers.upstream,
                    by = %offence.by,
                    "connection {} is relayed but no longer traced: {offence}",
                    peers.id,
                );
            }
            Event::MembersAdvertise { client_urls, .. } => {
                if !self.bypass_told
                    && !client_urls.is_empty()
                    && !client_urls.iter().any(|url| self.is_ours(url))
                {
                    self.bypass_told = true;
                    tracing::warn!(
                        "etcd tells its clients to call {}, which is not this proxy: a client \
                         that syncs its endpoints goes around it",
                        client_urls.join(", "),
                    );
                }
            }
            _ => {}
        }
    }

    /// Whether a member's client URL leads to one of our listeners. Where only
    /// a resolver could tell, the port decides.
    fn is_ours(&self, url: &str) -> bool {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        let Some((host, port)) = authority.rsplit_once(':') else {
            return false;
        };
        let Ok(port) = port.parse::<u16>() else {
            return false;
        };
        let host: Option<IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        self.listeners.iter().any(|listener| {
            let ip = listener.ip();
            listener.port() == port && (ip.is_unspecified() || host.is_none_or(|host| host == ip))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_addresses() {
        let listeners = ["10.0.0.1:2379", "0.0.0.0:12379", "[::1]:22379"];
        let diagnostics = Diagnostics::new(
            listeners
                .iter()
                .map(|listener| listener.parse().expect("an address"))
                .collect(),
        );
        for ours in [
            "http://10.0.0.1:2379",
            "https://10.0.0.1:2379/",
            "http://10.9.9.9:12379",
            "http://[::1]:22379",
            "https://etcd-0.example:2379",
        ] {
            assert!(diagnostics.is_ours(ours), "{ours}");
        }
        for other in [
            "http://10.0.0.2:2379",
            "http://10.0.0.1:2380",
            "http://[::2]:22379",
            "unix:///run/etcd",
            "",
            "http://etcd",
        ] {
            assert!(!diagnostics.is_ours(other), "{other}");
        }
    }
}
