//! The two ends of a route as the user writes them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::net::Upstream;

/// Whether connecting to `upstream` from this machine would reach `listener`.
pub fn reaches(upstream: &Upstream, listener: SocketAddr) -> bool {
    if upstream.port != listener.port() {
        return false;
    }
    let address = match upstream.host.as_str() {
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
        "leave the scheme out: 127.0.0.1:12379"
    } else if text.parse::<IpAddr>().is_ok() {
        "add a port: 127.0.0.1:12379 or [::1]:12379"
    } else if text
        .strip_prefix(':')
        .unwrap_or(text)
        .parse::<u16>()
        .is_ok()
    {
        "add the address: 127.0.0.1:12379 for this machine alone, 0.0.0.0:12379 for all"
    } else {
        "write IP:PORT, such as 127.0.0.1:12379"
    };
    Err(format!("\"{text}\" is no address to listen on; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_listeners() {
        for (text, address) in [
            ("127.0.0.1:12379", "127.0.0.1:12379"),
            ("[::1]:12379", "[::1]:12379"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(parse_listen(text).unwrap().to_string(), address);
        }
        for (text, remedy) in [
            ("http://127.0.0.1:12379", "leave the scheme out"),
            ("127.0.0.1", "add a port"),
            (":12379", "add the address"),
            ("12379", "add the address"),
            ("etcd-0:12379", "write IP:PORT"),
            ("127.0.0.1:99999", "write IP:PORT"),
        ] {
            let sentence = parse_listen(text).unwrap_err();
            assert!(sentence.contains(remedy), "{text}: {sentence}");
        }
    }

    #[test]
    fn knows_a_loop() {
        for (upstream, listener, is_loop) in [
            ("http://127.0.0.1:1", "127.0.0.1:1", true),
            ("http://localhost:1", "127.0.0.1:1", true),
            ("http://127.0.0.1:1", "0.0.0.0:1", true),
            ("http://127.0.0.1:1", "127.0.0.1:2", false),
            ("http://10.0.0.1:1", "127.0.0.1:1", false),
            ("http://etcd:1", "127.0.0.1:1", false),
        ] {
            let url = Upstream::parse(upstream).unwrap();
            assert_eq!(
                reaches(&url, listener.parse().unwrap()),
                is_loop,
                "{upstream} {listener}"
            );
        }
    }
}
