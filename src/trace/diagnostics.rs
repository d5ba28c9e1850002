//! What the operator has to know beyond the log: warnings on the side.

use std::net::{IpAddr, SocketAddr};

use super::escape::shown_text;
use crate::etcd::Event;
use crate::kube::token::scrub;

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
                    "connection {} is relayed but no longer traced: {}",
                    peers.id,
                    scrub(&offence.to_string()),
                );
            }
            Event::MembersAdvertise { client_urls, .. } => {
                if self.bypass_told {
                    return;
                }
                let elsewhere = self.elsewhere(client_urls);
                if !elsewhere.is_empty() {
                    self.bypass_told = true;
                    tracing::warn!(
                        "etcd tells its clients to call {}, which is not this proxy: a client \
                         that syncs its endpoints goes around it",
                        shown_urls(&elsewhere),
                    );
                }
            }
            _ => {}
        }
    }

    /// The members' client URLs that lead to none of our listeners. Without a
    /// listener there is nothing to compare them with.
    fn elsewhere<'u>(&self, urls: &'u [Box<str>]) -> Vec<&'u str> {
        if self.listeners.is_empty() {
            return Vec::new();
        }
        let urls = urls.iter().map(|url| &**url);
        urls.filter(|url| !self.is_ours(url)).collect()
    }

    /// Whether a member's client URL leads to one of our listeners. A host name
    /// could lead anywhere, and so could another machine's address with our
    /// port: what is not surely ours is not.
    fn is_ours(&self, url: &str) -> bool {
        let Some((host, port)) = host_and_port(url) else {
            return false;
        };
        self.listeners.iter().any(|listener| {
            let ip = listener.ip().to_canonical();
            let is_host = match host {
                Host::Localhost => ip.is_loopback() || ip.is_unspecified(),
                Host::Ip(host) => host == ip || (ip.is_unspecified() && host.is_loopback()),
            };
            // Port 0 is yet to be chosen by the system: the host has to do.
            is_host && (listener.port() == port || listener.port() == 0)
        })
    }
}

/// A host that can be told to be this machine without asking a resolver.
#[derive(Debug, Clone, Copy)]
enum Host {
    Localhost,
    Ip(IpAddr),
}

fn host_and_port(url: &str) -> Option<(Host, u16)> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let host = if host.eq_ignore_ascii_case("localhost") {
        Host::Localhost
    } else {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Host::Ip(host.parse::<IpAddr>().ok()?.to_canonical())
    };
    Some((host, port.parse().ok()?))
}

/// They come from the wire: nothing in them may reach a terminal as it is.
fn shown_urls(urls: &[&str]) -> String {
    let mut text = String::new();
    shown_text(&scrub(&urls.join(", ")), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::peers;
    use super::*;

    fn of(listeners: &[&str]) -> Diagnostics {
        let listeners = listeners.iter();
        let listeners = listeners.map(|listener| listener.parse().expect("an address"));
        Diagnostics::new(listeners.collect())
    }

    #[test]
    fn knows_its_own_addresses() {
        let diagnostics = of(&["10.0.0.1:2379", "0.0.0.0:12379", "[::1]:22379"]);
        for ours in [
            "http://10.0.0.1:2379",
            "https://10.0.0.1:2379/",
            "http://127.0.0.1:12379",
            "http://[::ffff:127.0.0.1]:12379",
            "http://0.0.0.0:12379",
            "http://localhost:12379",
            "http://[::1]:22379",
            "http://LocalHost:22379",
        ] {
            assert!(diagnostics.is_ours(ours), "{ours}");
        }
        for other in [
            "http://10.0.0.2:2379",
            "http://10.0.0.1:2380",
            // etcd itself may listen there, on the same port.
            "http://127.0.0.1:2379",
            "http://localhost:2379",
            "http://10.9.9.9:12379",
            "http://[::2]:22379",
            "https://etcd-0.example:2379",
            "https://etcd-0.example:12379",
            "unix:///run/etcd",
            "",
            "http://etcd",
            "http://10.0.0.1:99999",
        ] {
            assert!(!diagnostics.is_ours(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_port_is_not_guessed() {
        let diagnostics = of(&["127.0.0.1:0"]);
        assert!(diagnostics.is_ours("http://127.0.0.1:2379"));
        assert!(!diagnostics.is_ours("http://10.0.0.2:2379"));
        assert!(
            of(&[])
                .elsewhere(&["http://10.0.0.2:2379".into()])
                .is_empty()
        );
    }

    #[test]
    fn one_member_elsewhere_is_enough_and_is_told_once() {
        let urls = ["http://10.0.0.1:2379", "http://10.0.0.2:2379"].map(Box::from);
        let mut diagnostics = of(&["10.0.0.1:2379"]);
        assert_eq!(diagnostics.elsewhere(&urls), ["http://10.0.0.2:2379"]);
        assert!(diagnostics.elsewhere(&urls[..1]).is_empty());
        let told = |diagnostics: &mut Diagnostics, urls: &[Box<str>]| {
            diagnostics.handle_event(&Event::MembersAdvertise {
                peers: peers(1),
                client_urls: urls.to_vec(),
            });
            diagnostics.bypass_told
        };
        assert!(!told(&mut diagnostics, &urls[..1]));
        assert!(told(&mut diagnostics, &urls));
    }

    #[test]
    fn urls_cannot_reach_the_terminal() {
        assert_eq!(
            shown_urls(&["http://a", "\u{1b}[2J"]),
            "http://a, \\u{1b}[2J"
        );
    }
}
