//! Where the ends of a connection are.
//!
//! Packets have addresses, recordings may have names. A name gets an address out
//! of those that are kept for documentation, and the file says which name it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustc_hash::FxHashMap;

/// etcd's port, where the upstream's name has none.
const ETCD: u16 = 2379;

/// The ends of a connection.
#[derive(Debug)]
pub(super) struct Ends {
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// The server's made-up address, and its name.
    pub named: Option<(IpAddr, Box<str>)>,
}

/// Gives out addresses.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Numbers of names, from 1.
    names: FxHashMap<Box<str>, u32>,
}

impl Addresses {
    /// Of a connection whose ends are so called in the log.
    pub fn of(&mut self, client: &str, upstream: &str) -> Ends {
        let client = client
            .parse()
            .unwrap_or_else(|_| SocketAddr::new(other(1, false), 49152));
        let (host, port) = split(upstream);
        let v6 = client.is_ipv6();
        match host.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == v6 => Ends {
                client,
                server: SocketAddr::new(address, port),
                named: None,
            },
            // A name, or an address of the other kind, which cannot stand in the
            // same packet.
            _ => {
                let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX - 1) + 1;
                let number = *self.names.entry(host.into()).or_insert(next);
                let address = documentation(number, v6);
                Ends {
                    client,
                    server: SocketAddr::new(address, port),
                    named: Some((address, host.into())),
                }
            }
        }
    }

    /// Of a connection of which no line of the log is there.
    pub fn made_up(&mut self, conn: u64) -> Ends {
        let port = 1024 + (conn % 60_000) as u16;
        Ends {
            client: SocketAddr::new(other(1, false), port),
            server: SocketAddr::new(documentation(0, false), ETCD),
            named: None,
        }
    }
}

/// `etcd-0:2379`, `[::1]:2379`, `etcd-0`
fn split(upstream: &str) -> (&str, u16) {
    let (host, port) = match upstream.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => (upstream, ETCD),
        },
        None => (upstream, ETCD),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// 198.18.0.0/15 (RFC 2544) has room for many; 2001:db8::/32 (RFC 3849) for all.
fn documentation(number: u32, v6: bool) -> IpAddr {
    if v6 {
        let [high, low] = [(number >> 16) as u16, number as u16];
        return Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high, low).into();
    }
    let base = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    Ipv4Addr::from(base | (number & 0x1_ffff)).into()
}

/// For clients: 192.0.2.0/24 (RFC 5737).
fn other(number: u8, v6: bool) -> IpAddr {
    if v6 {
        return Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number.into()).into();
    }
    Ipv4Addr::new(192, 0, 2, number).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_and_names_get_one_each() {
        let mut addresses = Addresses::default();
        let ends = addresses.of("10.0.0.7:40312", "10.0.0.5:2379");
        assert_eq!(ends.server, "10.0.0.5:2379".parse().unwrap());
        assert!(ends.named.is_none());
        let ends = addresses.of("10.0.0.7:40312", "etcd-0:2379");
        assert_eq!(ends.server, "198.18.0.1:2379".parse().unwrap());
        assert_eq!(&*ends.named.unwrap().1, "etcd-0");
        let ends = addresses.of("10.0.0.7:40313", "etcd-1");
        assert_eq!(ends.server, "198.18.0.2:2379".parse().unwrap());
        let ends = addresses.of("10.0.0.8:1", "etcd-0:2380");
        assert_eq!(ends.server, "198.18.0.1:2380".parse().unwrap());
    }

    #[test]
    fn both_ends_are_of_one_kind() {
        let mut addresses = Addresses::default();
        let ends = addresses.of("[fd00::7]:40312", "[fd00::5]:2379");
        assert_eq!(ends.server, "[fd00::5]:2379".parse().unwrap());
        let ends = addresses.of("[fd00::7]:40312", "10.0.0.5:2379");
        assert_eq!(ends.server, "[2001:db8::1]:2379".parse().unwrap());
        assert_eq!(&*ends.named.unwrap().1, "10.0.0.5");
    }
}
