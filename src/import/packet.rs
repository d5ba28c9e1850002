//! From a captured packet to its TCP segment: link header, IP header, TCP header.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::capture::Packet;

/// What a TCP packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The sequence number of the first payload byte (of the SYN, if set).
    pub sequence: u32,
    /// What the sender had received, if it says so.
    pub ack: Option<u32>,
    /// It opens a direction.
    pub syn: bool,
    /// It ends a direction.
    pub fin: bool,
    /// It ends the connection.
    pub rst: bool,
    /// The payload, as far as it was kept.
    pub payload: &'a [u8],
    /// Whether less of it was kept than was sent.
    pub cut: bool,
}

/// Why a packet gives no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// A link type that is not known.
    Link(u16),
    /// Neither IPv4 nor IPv6, or not TCP.
    Other,
    /// A fragment of an IP packet.
    Fragment,
    /// Cut within its headers, or damaged.
    Broken,
}

/// The link types, as <https://www.tcpdump.org/linktypes.html> numbers them.
mod link {
    pub const NULL: u16 = 0;
    pub const ETHERNET: u16 = 1;
    /// "Raw" as some BSDs number it, and OpenBSD.
    pub const RAW_BSD: u16 = 12;
    pub const RAW_OPENBSD: u16 = 14;
    pub const RAW: u16 = 101;
    pub const LOOP: u16 = 108;
    pub const LINUX_SLL: u16 = 113;
    pub const IPV4: u16 = 228;
    pub const IPV6: u16 = 229;
    pub const LINUX_SLL2: u16 = 276;
}

/// IP's number for TCP.
const TCP: u8 = 6;

/// Reads a packet's headers.
///
/// # Errors
/// Why it is not for us.
pub fn segment<'a>(packet: &Packet<'a>) -> Result<Segment<'a>, Passed> {
    let bytes = packet.bytes;
    let behind = |length: usize| bytes.get(length..).ok_or(Passed::Broken);
    // A "cooked" header names what follows by its Ethernet type.
    let cooked = |kind: usize, length: usize| {
        let octets = bytes.get(kind..).and_then(<[u8]>::first_chunk);
        let kind = EtherType(u16::from_be_bytes(*octets.ok_or(Passed::Broken)?));
        Ok(LaxSlicedPacket::from_ether_type(kind, behind(length)?))
    };
    let ip = |bytes| LaxSlicedPacket::from_ip(bytes).map_err(|_| Passed::Broken);
    let sliced = match packet.link {
        link::ETHERNET => LaxSlicedPacket::from_ethernet(bytes).map_err(|_| Passed::Broken)?,
        link::NULL | link::LOOP => ip(behind(4)?)?,
        link::RAW | link::RAW_BSD | link::RAW_OPENBSD | link::IPV4 | link::IPV6 => ip(bytes)?,
        link::LINUX_SLL => cooked(14, 16)?,
        link::LINUX_SLL2 => cooked(0, 20)?,
        other => return Err(Passed::Link(other)),
    };
    of(&sliced)
}

fn of<'a>(sliced: &LaxSlicedPacket<'a>) -> Result<Segment<'a>, Passed> {
    let (from, to, ip) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => (
            IpAddr::V4(ip.header().source_addr()),
            IpAddr::V4(ip.header().destination_addr()),
            ip.payload(),
        ),
        Some(LaxNetSlice::Ipv6(ip)) => (
            IpAddr::V6(ip.header().source_addr()),
            IpAddr::V6(ip.header().destination_addr()),
            ip.payload(),
        ),
        Some(LaxNetSlice::Arp(_)) => return Err(Passed::Other),
        None if sliced.stop_err.is_some() => return Err(Passed::Broken),
        None => return Err(Passed::Other),
    };
    if ip.ip_number.0 != TCP {
        // Extension headers that could not be read hide what is behind them.
        return Err(match sliced.stop_err {
            Some(_) => Passed::Broken,
            None => Passed::Other,
        });
    }
    if ip.fragmented {
        return Err(Passed::Fragment);
    }
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
        return Err(Passed::Broken);
    };
    Ok(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin() && !ip.incomplete,
        rst: tcp.rst(),
        payload: tcp.payload(),
        cut: ip.incomplete,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0x12, 0x34, 0x09, 0x4b, 0, 0, 0, 9, 0, 0, 0, 7, 0x50, 0x12];
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

    /// With or without extension headers in front of TCP.
    fn ipv6(payload: &[u8], extensions: &[u8]) -> Vec<u8> {
        let tcp = tcp(payload);
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend(((extensions.len() + tcp.len()) as u16).to_be_bytes());
        // Hop-by-hop options come first, if any.
        ip.extend([if extensions.is_empty() { TCP } else { 0 }, 64]);
        ip.extend(Ipv6Addr::LOCALHOST.octets());
        ip.extend(Ipv6Addr::LOCALHOST.octets());
        ip.extend(extensions);
        ip.extend(tcp);
        ip
    }

    fn read(link: u16, bytes: &[u8]) -> Result<Segment<'_>, Passed> {
        segment(&Packet { at: 0, link, bytes })
    }

    fn ethernet(tag: &[u8], kind: [u8; 2]) -> Vec<u8> {
        [&[0; 12], tag, &kind].concat()
    }

    #[test]
    fn every_link_type_leads_to_the_same_segment() {
        let four = ipv4(b"payload");
        let six = ipv6(b"payload", &[]);
        // Hop-by-hop, then destination options, eight bytes each.
        let extended = ipv6(
            b"payload",
            &[60, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1, 4, 0, 0, 0, 0],
        );
        let sll = |kind: [u8; 2]| [&[0; 14][..], &kind].concat();
        let sll2 = |kind: [u8; 2]| [&kind[..], &[0; 18]].concat();
        let cases = [
            (link::ETHERNET, ethernet(&[], [8, 0]), &four),
            (link::ETHERNET, ethernet(&[0x81, 0, 0, 5], [8, 0]), &four),
            (
                link::ETHERNET,
                ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6], [0x86, 0xdd]),
                &six,
            ),
            (link::ETHERNET, ethernet(&[], [0x86, 0xdd]), &extended),
            (link::NULL, vec![2, 0, 0, 0], &four),
            (link::LOOP, vec![0, 0, 0, 30], &six),
            (link::RAW, vec![], &four),
            (link::RAW_BSD, vec![], &six),
            (link::IPV6, vec![], &extended),
            (link::LINUX_SLL, sll([8, 0]), &four),
            (link::LINUX_SLL2, sll2([0x86, 0xdd]), &six),
        ];
        for (link, mut bytes, ip) in cases {
            bytes.extend(ip);
            bytes.extend(b"pad"); // a card's padding is no payload
            let segment = read(link, &bytes).unwrap();
            assert_eq!(segment.payload, b"payload", "link type {link}");
            assert_eq!((segment.from.port(), segment.to.port()), (0x1234, 2379));
            assert_eq!((segment.sequence, segment.ack), (9, Some(7)));
            assert!(segment.syn && !segment.cut);
        }
    }

    #[test]
    fn a_length_that_the_card_was_to_fill_in_is_the_packets() {
        let mut offloaded = ipv4(b"payload");
        offloaded[2..4].fill(0);
        assert_eq!(read(link::RAW, &offloaded).unwrap().payload, b"payload");
        let mut jumbo = ipv6(b"payload", &[]);
        jumbo[4..6].fill(0);
        assert_eq!(read(link::RAW, &jumbo).unwrap().payload, b"payload");
    }

    #[test]
    fn what_was_not_kept_is_said() {
        let whole = ipv4(b"payload");
        let segment = read(link::RAW, &whole[..43]).unwrap();
        assert_eq!((segment.payload, segment.cut), (&b"pay"[..], true));
        for length in 0..40 {
            let bytes = &whole[..length];
            assert_eq!(
                read(link::RAW, bytes),
                Err(Passed::Broken),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn anything_else_is_passed_over() {
        let whole = ipv4(b"payload");
        let mut udp = whole.clone();
        udp[9] = 17;
        assert_eq!(read(link::RAW, &udp), Err(Passed::Other));
        for (at, flag) in [(7, 1), (6, 0x20)] {
            let mut fragment = whole.clone();
            fragment[at] = flag;
            assert_eq!(read(link::RAW, &fragment), Err(Passed::Fragment));
        }
        let fragment = ipv6(
            b"payload",
            &[44, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 0, 1, 0, 0, 0, 9],
        );
        assert_eq!(read(link::RAW, &fragment), Err(Passed::Fragment));
        let mut arp = ethernet(&[], [8, 6]);
        arp.extend([0; 28]);
        assert!(read(link::ETHERNET, &arp).is_err());
        let spanning_tree = [&ethernet(&[], [0, 38])[..], &[0x42; 46]].concat();
        assert_eq!(read(link::ETHERNET, &spanning_tree), Err(Passed::Other));
        assert_eq!(read(9999, &whole), Err(Passed::Link(9999)));
    }
}
