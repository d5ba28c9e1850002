//! The address of an etcd member, as a user writes it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The port that etcd serves clients on unless told otherwise.
const DEFAULT_PORT: u16 = 2379;

/// An etcd member to relay to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Whether to speak TLS with it (`https`).
    pub tls: bool,
    /// Its host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What is wrong with an upstream's URL, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError(String);

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UpstreamError {}

impl Upstream {
    /// Reads `http://host:port` or `https://host:port`; the port is 2379 where
    /// it is absent.
    ///
    /// # Errors
    /// When the URL is of another scheme, has no host, a bad port, or anything
    /// behind the port but a single `/`.
    pub fn parse(url: &str) -> Result<Upstream, UpstreamError> {
        let wrong = |what: &str| UpstreamError(format!("\"{url}\" {what}"));
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong(
                "has no scheme; write http://HOST:PORT or https://HOST:PORT",
            ));
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if !matches!(path, "" | "/") {
            return Err(wrong(&format!(
                "names a path; only a host and a port can be relayed to, so leave out {path}"
            )));
        }
        if authority.contains('@') {
            return Err(wrong(
                "names a user, but etcd takes credentials in its calls; leave them out of the URL",
            ));
        }
        let (host, port) = split_port(authority).map_err(wrong)?;
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        if host.contains(char::is_whitespace) {
            return Err(wrong("has white space in its host"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => match digits.parse() {
                Ok(port) if port != 0 => port,
                _ => {
                    return Err(wrong("has a bad port; write one from 1 to 65535"));
                }
            },
        };
        Ok(Upstream {
            tls,
            host: host.to_owned(),
            port,
        })
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Splits `host[:port]`; the host comes without brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or("has a `[` without its `]`")?;
        // A zone (`fe80::1%eth0`) is the resolver's business.
        let address = host.split('%').next().unwrap_or(host);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("has something other than an IPv6 address in its brackets");
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("has something other than a port behind its `]`"),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => {
            Err("has an IPv6 address without brackets; write [ADDRESS]:PORT")
        }
        Some((host, port)) => Ok((host, Some(port))),
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(url: &str) -> Result<Upstream, UpstreamError> {
        Upstream::parse(url)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (bool, String, u16) {
        let upstream = Upstream::parse(url).expect(url);
        (upstream.tls, upstream.host, upstream.port)
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!(
            parsed("http://127.0.0.1:2379"),
            (false, "127.0.0.1".into(), 2379)
        );
        assert_eq!(
            parsed("https://etcd-0.example/"),
            (true, "etcd-0.example".into(), 2379)
        );
        assert_eq!(parsed("HTTPS://[::1]:4001"), (true, "::1".into(), 4001));
        assert_eq!(parsed("http://[fe80::1]"), (false, "fe80::1".into(), 2379));
    }

    #[test]
    fn shows_what_it_read() {
        for url in ["http://127.0.0.1:2379", "https://[::1]:4001"] {
            assert_eq!(Upstream::parse(url).expect(url).to_string(), url);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (url, words) in [
            ("127.0.0.1:2379", "no scheme"),
            (
                "unix:///run/etcd.sock",
                "must begin with http:// or https://",
            ),
            ("http://", "no host"),
            ("http://:2379", "no host"),
            ("http://a:0", "bad port"),
            ("http://a:70000", "bad port"),
            ("http://a:2379/v3", "names a path"),
            ("http://a?x", "names a path"),
            ("http://root:pw@a:2379", "names a user"),
            ("http://::1:2379", "without brackets"),
            ("http://[::1", "without its `]`"),
            ("http://[a]:1", "other than an IPv6 address"),
            ("http://[::1]x", "behind its `]`"),
        ] {
            let error = Upstream::parse(url).expect_err(url).to_string();
            assert!(error.contains(words), "{error}");
            assert!(error.contains(url), "{error}");
        }
    }
}
