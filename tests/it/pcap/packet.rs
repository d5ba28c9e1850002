//! From a captured packet to its TCP segment: link header, IP header, TCP
//! header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LINK_NULL: u32 = 0;
const LINK_ETHERNET: u32 = 1;
const LINK_RAW_BSD: u32 = 12;
const LINK_RAW: u32 = 101;
const LINK_LOOP: u32 = 108;
const LINK_LINUX_SLL: u32 = 113;
const LINK_LINUX_SLL2: u32 = 276;

const TCP: u8 = 6;

/// What a TCP packet says.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The sequence number of the first payload byte (of the SYN, if set).
    pub sequence: u32,
    /// Opens the connection.
    pub syn: bool,
    /// Acknowledges something; on a SYN, tells the second from the first.
    pub ack: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// Reads a packet; `None` if it is not TCP over IP, or is damaged.
pub fn parse(link: u32, bytes: &[u8]) -> Option<Packet<'_>> {
    let ip = match link {
        LINK_NULL | LINK_LOOP => bytes.get(4..)?,
        LINK_ETHERNET => behind_ethernet(bytes)?,
        LINK_RAW | LINK_RAW_BSD => bytes,
        LINK_LINUX_SLL => bytes.get(16..)?,
        LINK_LINUX_SLL2 => bytes.get(20..)?,
        _ => return None,
    };
    let (source, destination, tcp) = match ip.first()? >> 4 {
        4 => behind_ipv4(ip)?,
        6 => behind_ipv6(ip)?,
        _ => return None,
    };
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    if header < 20 {
        return None;
    }
    let flags = *tcp.get(13)?;
    Some(Packet {
        from: SocketAddr::new(source, short(tcp, 0)?),
        to: SocketAddr::new(destination, short(tcp, 2)?),
        sequence: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        syn: flags & 0x02 != 0,
        ack: flags & 0x10 != 0,
        payload: tcp.get(header..)?,
    })
}

/// Skips the Ethernet header and its VLAN tags.
fn behind_ethernet(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    while matches!(short(bytes, at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    match short(bytes, at)? {
        0x0800 | 0x86dd => bytes.get(at + 2..),
        _ => None,
    }
}

fn behind_ipv4(ip: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let fragment = short(ip, 6)? & 0x3fff;
    if *ip.get(9)? != TCP || fragment != 0 || header < 20 {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 4] = ip.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    // A length of 0 means that the sender's card was to fill it in. Short
    // packets have padding behind them, which the length leaves out.
    let end = match short(ip, 2)? {
        0 => ip.len(),
        length => ip.len().min(length.into()),
    };
    Some((address(12)?, address(16)?, ip.get(header..end)?))
}

fn behind_ipv6(ip: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    // Extension headers do not occur between an API server and etcd.
    if *ip.get(6)? != TCP {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 16] = ip.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let end = match short(ip, 4)? {
        0 => ip.len(),
        length => ip.len().min(40 + usize::from(length)),
    };
    Some((address(8)?, address(24)?, ip.get(40..end)?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0x12, 0x34, 0x09, 0x4b, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x12];
        tcp.extend([0; 6]);
        tcp.extend(payload);
        tcp
    }

    fn ipv4(payload: &[u8]) -> Vec<u8> {
        let tcp = tcp(payload);
        let mut ip = vec![0x45, 0];
        ip.extend((20 + tcp.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, TCP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        ip.extend(tcp);
        ip
    }

    fn ipv6(payload: &[u8]) -> Vec<u8> {
        let tcp = tcp(payload);
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend((tcp.len() as u16).to_be_bytes());
        ip.extend([TCP, 64]);
        ip.extend(Ipv6Addr::LOCALHOST.octets());
        ip.extend(Ipv6Addr::LOCALHOST.octets());
        ip.extend(tcp);
        ip
    }

    #[test]
    fn every_link_type_leads_to_the_same_segment() {
        let ethernet = |kind: [u8; 2], tag: &[u8]| {
            let mut header = vec![0; 12];
            header.extend(tag);
            header.extend(kind);
            header
        };
        let four = ipv4(b"payload");
        let six = ipv6(b"payload");
        let cases = [
            (LINK_ETHERNET, ethernet([8, 0], &[]), &four),
            (LINK_ETHERNET, ethernet([8, 0], &[0x81, 0, 0, 5]), &four),
            (LINK_ETHERNET, ethernet([0x86, 0xdd], &[]), &six),
            (LINK_NULL, vec![2, 0, 0, 0], &four),
            (LINK_LOOP, vec![0, 0, 0, 30], &six),
            (LINK_RAW, vec![], &four),
            (LINK_RAW_BSD, vec![], &six),
            (LINK_LINUX_SLL, vec![0; 16], &four),
            (LINK_LINUX_SLL2, vec![0; 20], &six),
        ];
        for (link, mut bytes, ip) in cases {
            bytes.extend(ip);
            bytes.extend(b"pad"); // a card's padding is no payload
            let packet = parse(link, &bytes).unwrap();
            assert_eq!(packet.payload, b"payload");
            assert_eq!((packet.from.port(), packet.to.port()), (0x1234, 2379));
            assert_eq!(packet.sequence, 9);
            assert!(packet.syn && packet.ack);
        }
    }

    #[test]
    fn anything_else_is_passed_over() {
        let whole = ipv4(b"payload");
        for length in 0..40 {
            assert!(
                parse(LINK_RAW, &whole[..length]).is_none(),
                "{length} bytes"
            );
        }
        let mut udp = whole.clone();
        udp[9] = 17;
        assert!(parse(LINK_RAW, &udp).is_none());
        let mut fragment = whole;
        fragment[7] = 1;
        assert!(parse(LINK_RAW, &fragment).is_none());
        assert!(parse(LINK_ETHERNET, &[0; 60]).is_none(), "not IP");
        assert!(parse(9999, &ipv4(b"payload")).is_none());
    }
}
