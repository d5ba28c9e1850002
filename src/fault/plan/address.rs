//! Addresses in a plan: whose calls, and through which of our ports.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::scalar::as_text;

as_text!(ClientTerm, ListenerTerm);

/// Where a client calls from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String", extend("minLength" = 1)))]
pub enum ClientTerm {
    /// Any port of one address.
    Ip(IpAddr),
    /// The addresses that share their first bits with this one.
    Net(IpAddr, u8),
    /// One port of one address.
    Port(SocketAddr),
}

impl ClientTerm {
    /// Reads `10.0.0.1`, `10.0.0.0/8` or `10.0.0.1:4711`.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the text.
    pub fn parse(text: &str) -> Result<ClientTerm, String> {
        if let Ok(ip) = text.parse() {
            return Ok(ClientTerm::Ip(ip));
        }
        if let Ok(address) = text.parse() {
            return Ok(ClientTerm::Port(address));
        }
        let Some((ip, bits)) = text.split_once('/') else {
            return Err("is no address".to_owned());
        };
        let Ok(ip) = ip.parse::<IpAddr>() else {
            return Err(format!("is no network: \"{ip}\" is no IP address"));
        };
        let width = width(ip);
        match bits.parse::<u8>() {
            Ok(bits) if bits <= width => Ok(ClientTerm::Net(ip, bits)),
            _ => Err(format!(
                "is no network: the number behind the slash goes from 0 to {width}"
            )),
        }
    }

    /// Whether this client is meant.
    pub fn fits(&self, client: SocketAddr) -> bool {
        let ip = client.ip().to_canonical();
        match *self {
            ClientTerm::Ip(wanted) => wanted.to_canonical() == ip,
            ClientTerm::Net(net, bits) => {
                let shift = u32::from(width(net) - bits);
                width(net) == width(ip)
                    && number(net).checked_shr(shift) == number(ip).checked_shr(shift)
            }
            ClientTerm::Port(wanted) => {
                wanted.ip().to_canonical() == ip && wanted.port() == client.port()
            }
        }
    }
}

impl fmt::Display for ClientTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientTerm::Ip(ip) => ip.fmt(f),
            ClientTerm::Net(ip, bits) => write!(f, "{ip}/{bits}"),
            ClientTerm::Port(address) => address.fmt(f),
        }
    }
}

const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// One of our own ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String", extend("minLength" = 1)))]
pub enum ListenerTerm {
    /// On whatever address.
    Port(u16),
    /// On this address.
    Address(SocketAddr),
}

impl ListenerTerm {
    /// Reads `:12379` or `127.0.0.1:12379`.
    pub fn parse(text: &str) -> Option<ListenerTerm> {
        match text.strip_prefix(':') {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().map(ListenerTerm::Port)
            }
            _ => text.parse().ok().map(ListenerTerm::Address),
        }
    }

    /// Whether this listener is meant.
    pub fn fits(&self, listener: SocketAddr) -> bool {
        match *self {
            ListenerTerm::Port(port) => port == listener.port(),
            ListenerTerm::Address(wanted) => {
                wanted.ip().to_canonical() == listener.ip().to_canonical()
                    && wanted.port() == listener.port()
            }
        }
    }
}

impl fmt::Display for ListenerTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenerTerm::Port(port) => write!(f, ":{port}"),
            ListenerTerm::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_an_address_a_network_or_a_port() {
        let client: SocketAddr = "10.1.2.3:4711".parse().expect("an address");
        for (text, fits) in [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.0.0.0/8", true),
            ("10.1.2.128/25", false),
            ("10.1.2.0/25", true),
            ("0.0.0.0/0", true),
            ("::/0", false),
            ("10.1.2.3:4711", true),
            ("10.1.2.3:4712", false),
        ] {
            let term = ClientTerm::parse(text).expect(text);
            assert_eq!(term.fits(client), fits, "{text}");
            assert_eq!(term.to_string(), text);
        }
        let mapped: SocketAddr = "[::ffff:10.1.2.3]:1".parse().expect("an address");
        assert!(ClientTerm::parse("10.0.0.0/8").is_ok_and(|term| term.fits(mapped)));
        let six: SocketAddr = "[2001:db8::7]:1".parse().expect("an address");
        assert!(ClientTerm::parse("2001:db8::/32").is_ok_and(|term| term.fits(six)));
        assert!(ClientTerm::parse("::/0").is_ok_and(|term| term.fits(six)));
        for (text, why) in [
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0/8", "\"10.0.0\" is no IP address"),
            ("::1/129", "from 0 to 128"),
            ("localhost", "is no address"),
        ] {
            let error = ClientTerm::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn listeners_are_a_port_with_or_without_an_address() {
        let listener: SocketAddr = "127.0.0.1:12379".parse().expect("an address");
        for (text, fits) in [
            (":12379", true),
            (":2379", false),
            ("127.0.0.1:12379", true),
            ("127.0.0.2:12379", false),
        ] {
            let term = ListenerTerm::parse(text).expect(text);
            assert_eq!(term.fits(listener), fits, "{text}");
            assert_eq!(term.to_string(), text);
        }
        for wrong in ["12379", ":", ":65536", ":+1", "localhost:1", "127.0.0.1"] {
            assert_eq!(ListenerTerm::parse(wrong), None, "{wrong}");
        }
    }
}
