//! Where the admin API answers, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where the admin API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port: `127.0.0.1:12382`.
    Tcp(SocketAddr),
    /// A Unix socket: `unix:/run/etcdtap.sock`.
    Unix(PathBuf),
}

impl Address {
    /// The usual one, where no other is named.
    pub const DEFAULT: &str = "127.0.0.1:12382";

    /// Reads `127.0.0.1:12382`, `[::1]:12382`, `localhost:12382` or
    /// `unix:/path`.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the place the text was given at.
    pub fn parse(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x.sock` is how URLs write it.
            let path = match path.strip_prefix("//") {
                Some(rest) if rest.starts_with('/') => rest,
                _ => path,
            };
            return match path {
                "" => Err("the socket's path is missing; write unix:/run/etcdtap.sock".to_owned()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Address::Tcp(address));
        }
        if let Some(port) = text.strip_prefix("localhost:")
            && let Ok(port) = port.parse()
        {
            return Ok(Address::Tcp(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        let default = Address::DEFAULT;
        let remedy = if text.contains("://") {
            format!("leave the scheme out: {default}")
        } else if text.parse::<IpAddr>().is_ok() {
            format!("add a port: {default} or [::1]:12382")
        } else if text
            .strip_prefix(':')
            .unwrap_or(text)
            .parse::<u16>()
            .is_ok()
        {
            format!("add the address: {default}")
        } else if text.starts_with('/') {
            format!("write a socket's path as unix:{text}")
        } else {
            format!("write IP:PORT, such as {default}, or unix:/run/etcdtap.sock")
        };
        Err(format!(
            "\"{text}\" is no address of an admin API; {remedy}"
        ))
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown, local) in [
            ("127.0.0.1:12382", "127.0.0.1:12382", true),
            ("[::1]:1", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
            ("localhost:7", "127.0.0.1:7", true),
            ("0.0.0.0:7", "0.0.0.0:7", false),
            ("10.0.0.1:7", "10.0.0.1:7", false),
            ("unix:/run/tap.sock", "unix:/run/tap.sock", true),
            ("unix:///run/tap.sock", "unix:/run/tap.sock", true),
            ("unix:tap.sock", "unix:tap.sock", true),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.is_local(), local, "{text}");
        }
        assert!(Address::parse(Address::DEFAULT).is_ok());
    }

    #[test]
    fn refuses_the_rest_with_a_remedy() {
        for (text, remedy) in [
            ("http://127.0.0.1:1", "leave the scheme out"),
            ("127.0.0.1", "add a port"),
            (":12382", "add the address"),
            ("12382", "add the address"),
            (
                "/run/tap.sock",
                "write a socket's path as unix:/run/tap.sock",
            ),
            ("unix:", "the socket's path is missing"),
            ("tap.example:1", "write IP:PORT"),
            ("127.0.0.1:99999", "write IP:PORT"),
        ] {
            let sentence = Address::parse(text).expect_err(text);
            assert!(sentence.contains(remedy), "{text}: {sentence}");
        }
    }
}
