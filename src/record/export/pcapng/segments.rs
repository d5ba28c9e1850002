//! A connection's TCP, from bytes to packets.
//!
//! Nothing is lost and nobody waits: every packet acknowledges all that the other
//! side sent before it. Segments are as long as IP lets them be, as with TCP
//! offload.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::blocks::Blocks;
use crate::http2::{Both, Side};

/// Bytes of a segment at most: an IP packet holds 65,535 in all.
const MOST: usize = 65_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The number of TCP in IP.
const TCP: u8 = 6;
const TCP_HEADER: usize = 20;

/// One connection's ends and numbers.
#[derive(Debug)]
pub(super) struct Segments {
    ends: Both<SocketAddr>,
    /// The next byte's number.
    next: Both<u32>,
    /// The time of the last packet: none comes before it.
    last: u64,
    packet: Vec<u8>,
}

impl Segments {
    /// Both are of one kind: IPv4 or IPv6.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Segments {
        Segments {
            ends: Both { client, server },
            next: Both {
                client: 1_000,
                server: 2_000,
            },
            last: 0,
            packet: Vec::new(),
        }
    }

    /// The handshake.
    pub fn open<W: Write>(&mut self, at: u64, blocks: &mut Blocks<W>) -> io::Result<()> {
        self.segment(at, Side::Client, SYN, &[], blocks)?;
        self.segment(at, Side::Server, SYN | ACK, &[], blocks)?;
        self.segment(at, Side::Client, ACK, &[], blocks)
    }

    /// Bytes of one side.
    pub fn send<W: Write>(
        &mut self,
        at: u64,
        from: Side,
        bytes: &[u8],
        blocks: &mut Blocks<W>,
    ) -> io::Result<()> {
        for part in bytes.chunks(MOST) {
            self.segment(at, from, PSH | ACK, part, blocks)?;
        }
        Ok(())
    }

    /// The end, begun by one side.
    pub fn close<W: Write>(&mut self, at: u64, by: Side, blocks: &mut Blocks<W>) -> io::Result<()> {
        self.segment(at, by, FIN | ACK, &[], blocks)?;
        self.segment(at, by.peer(), FIN | ACK, &[], blocks)?;
        self.segment(at, by, ACK, &[], blocks)
    }

    fn segment<W: Write>(
        &mut self,
        at: u64,
        from: Side,
        flags: u8,
        bytes: &[u8],
        blocks: &mut Blocks<W>,
    ) -> io::Result<()> {
        self.last = self.last.max(at);
        let (source, target) = (self.ends[from], self.ends[from.peer()]);
        let acknowledged = if flags & ACK != 0 {
            self.next[from.peer()]
        } else {
            0
        };
        let packet = &mut self.packet;
        packet.clear();
        let length = TCP_HEADER + bytes.len();
        let pseudo = ip_header(packet, source.ip(), target.ip(), length);
        let tcp = packet.len();
        packet.extend_from_slice(&source.port().to_be_bytes());
        packet.extend_from_slice(&target.port().to_be_bytes());
        packet.extend_from_slice(&self.next[from].to_be_bytes());
        packet.extend_from_slice(&acknowledged.to_be_bytes());
        packet.push((TCP_HEADER as u8 / 4) << 4);
        packet.push(flags);
        // The window, the checksum, no urgent pointer.
        packet.extend_from_slice(&u16::MAX.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(bytes);
        let sum = checksum(pseudo, &packet[tcp..]);
        packet[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
        // SYN and FIN have a number of their own.
        let taken = bytes.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[from] = self.next[from].wrapping_add(taken);
        blocks.packet(self.last, packet)
    }
}

/// Writes the header of a packet that holds so many bytes, and gives the sum of
/// what TCP's checksum takes from it.
fn ip_header(packet: &mut Vec<u8>, source: IpAddr, target: IpAddr, length: usize) -> u32 {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let begin = packet.len();
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&((length + 20) as u16).to_be_bytes());
            // No number, not to be cut, 64 hops, and a checksum to come.
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, TCP, 0, 0]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&target.octets());
            let sum = checksum(0, &packet[begin..]);
            packet[begin + 10..begin + 12].copy_from_slice(&sum.to_be_bytes());
            let ends = sum_of(&source.octets()) + sum_of(&target.octets());
            ends + u32::from(TCP) + length as u32
        }
        (source, target) => {
            let (source, target) = (v6(source), v6(target));
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&(length as u16).to_be_bytes());
            packet.extend_from_slice(&[TCP, 64]);
            packet.extend_from_slice(&source);
            packet.extend_from_slice(&target);
            sum_of(&source) + sum_of(&target) + u32::from(TCP) + length as u32
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The Internet checksum (RFC 1071), begun with a sum.
fn checksum(begun: u32, bytes: &[u8]) -> u16 {
    let mut sum = begun + sum_of(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Of 64 KiB at most, which no 32 bits overflow.
fn sum_of(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    words.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfcs_example() {
        // RFC 1071, section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(0, &bytes), !0xddf2);
    }
}
