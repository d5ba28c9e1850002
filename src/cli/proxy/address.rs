//! The two ends of a route as the user writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// etcd's address: the scheme says whether TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// `https` rather than `http`.
    pub tls: bool,
    /// A host name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl UpstreamUrl {
    /// Whether connecting to it from this machine would reach `listener`.
    pub fn reaches(&self, listener: SocketAddr) -> bool {
        if self.port != listener.port() {
            return false;
        }
        let address = match self.host.as_str() {
            "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.parse::<IpAddr>(),
        };
        match address {
            // Of a name, or of another machine's address behind a listener on
            // all interfaces, nothing is known.
            Err(_) => false,
            Ok(ip) => {
                ip == listener.ip()
                    || listener.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified())
                    || ip.is_unspecified() && listener.ip().is_loopback()
            }
        }
    }
}

/// Reads a listener's address.
///
/// # Errors
/// The rest of a sentence that begins with the place the text was given at.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let remedy = if text.contains("://") {
        "leave the scheme out: 127.0.0.1:2381"
    } else if text.parse::<IpAddr>().is_ok() {
        "add a port: 127.0.0.1:2381 or [::1]:2381"
    } else if text
        .strip_prefix(':')
        .unwrap_or(text)
        .parse::<u16>()
        .is_ok()
    {
        "add the address: 127.0.0.1:2381 for this machine alone, 0.0.0.0:2381 for all"
    } else {
        "write IP:PORT, such as 127.0.0.1:2381"
    };
    Err(format!("\"{text}\" is no address to listen on; {remedy}"))
}

/// Reads etcd's URL.
///
/// # Errors
/// The rest of a sentence that begins with the place the text was given at.
pub fn parse_upstream(text: &str) -> Result<UpstreamUrl, String> {
    let wrong = |why: &str| Err(format!("\"{text}\" {why}"));
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => {
            return wrong(&format!(
                "has the scheme {scheme}; etcd is reached by http:// or https://"
            ));
        }
        None => {
            return wrong(
                "has no scheme; write http://HOST:PORT, or https:// where etcd speaks TLS",
            );
        }
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return wrong("has a path; write only http://HOST:PORT or https://HOST:PORT");
    }
    if authority.contains('@') {
        return wrong("has a user name; etcd takes none in its URL");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, port.strip_prefix(':'))
            }
            _ => return wrong("has no IPv6 address between its brackets; write http://[::1]:2379"),
        },
        None => match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return wrong("has an IPv6 address without brackets; write http://[::1]:2379");
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return wrong("names no host; write http://HOST:PORT or https://HOST:PORT");
    }
    if host
        .chars()
        .any(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')))
    {
        return wrong("has a host that is neither a name nor an IP address");
    }
    let Some(port) = port else {
        return wrong("names no port; etcd's own is 2379");
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok(UpstreamUrl {
            tls,
            host: host.to_owned(),
            port,
        }),
        _ => wrong("has a port that is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_listeners() {
        for (text, address) in [
            ("127.0.0.1:2381", "127.0.0.1:2381"),
            ("[::1]:2381", "[::1]:2381"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(parse_listen(text).unwrap().to_string(), address);
        }
        for (text, remedy) in [
            ("http://127.0.0.1:2381", "leave the scheme out"),
            ("127.0.0.1", "add a port"),
            (":2381", "add the address"),
            ("2381", "add the address"),
            ("etcd-0:2381", "write IP:PORT"),
            ("127.0.0.1:99999", "write IP:PORT"),
        ] {
            let sentence = parse_listen(text).unwrap_err();
            assert!(sentence.contains(remedy), "{text}: {sentence}");
        }
    }

    #[test]
    fn reads_upstreams() {
        for text in [
            "http://127.0.0.1:2379",
            "https://etcd-0.etcd.kube-system.svc:2379",
            "http://[::1]:2379",
        ] {
            assert_eq!(parse_upstream(text).unwrap().to_string(), text);
            assert!(parse_upstream(&format!("{text}/")).is_ok());
        }
        for (text, why) in [
            ("127.0.0.1:2379", "has no scheme"),
            ("unix:///run/etcd.sock", "has the scheme unix"),
            ("http://127.0.0.1", "names no port"),
            ("http://:2379", "names no host"),
            ("http://a:0", "no number from 1 to 65535"),
            ("http://a:b", "no number from 1 to 65535"),
            ("http://::1:2379", "without brackets"),
            ("http://[a]:2379", "no IPv6 address"),
            ("http://a:2379/v3", "has a path"),
            ("http://root@a:2379", "has a user name"),
            ("http://a b:2379", "neither a name nor an IP"),
        ] {
            let sentence = parse_upstream(text).unwrap_err();
            assert!(sentence.contains(why), "{text}: {sentence}");
        }
    }

    #[test]
    fn knows_a_loop() {
        for (upstream, listener, reaches) in [
            ("http://127.0.0.1:1", "127.0.0.1:1", true),
            ("http://localhost:1", "127.0.0.1:1", true),
            ("http://127.0.0.1:1", "0.0.0.0:1", true),
            ("http://127.0.0.1:1", "127.0.0.1:2", false),
            ("http://10.0.0.1:1", "127.0.0.1:1", false),
            ("http://etcd:1", "127.0.0.1:1", false),
        ] {
            let url = parse_upstream(upstream).unwrap();
            assert_eq!(
                url.reaches(listener.parse().unwrap()),
                reaches,
                "{upstream} {listener}"
            );
        }
    }
}
