//! Writes what tcpdump and Wireshark would have: TCP conversations as packets,
//! packets as files.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etcdtap::http2::Side;

use crate::pcap::{Connection, Segment};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// A TCP segment on its way.
#[derive(Debug, Clone)]
pub struct Packet {
    pub at: Duration,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// How a conversation is put into packets.
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Both sides' SYNs have these numbers.
    pub numbers: (u32, u32),
    /// The most that a packet carries.
    pub most: usize,
    pub start: Duration,
}

impl Default for Talk {
    fn default() -> Talk {
        Talk {
            client: ([10, 0, 0, 7], 40312).into(),
            server: ([10, 0, 0, 5], 2379).into(),
            numbers: (1000, 77_000),
            most: 1448,
            start: Duration::from_secs(1_793_693_132),
        }
    }
}

impl Talk {
    /// Handshake, the segments, and an orderly end by the client.
    pub fn packets(&self, segments: &[Segment]) -> Vec<Packet> {
        let mut line = Line::new(self);
        line.send(Side::Client, SYN, b"", self.start);
        line.send(Side::Server, SYN | ACK, b"", self.start);
        line.send(Side::Client, ACK, b"", self.start);
        let mut at = self.start;
        for segment in segments {
            at = self.start + segment.at;
            for piece in segment.bytes.chunks(self.most) {
                line.send(segment.side, ACK, piece, at);
            }
            line.send(segment.side.peer(), ACK, b"", at);
        }
        line.send(Side::Client, FIN | ACK, b"", at);
        line.send(Side::Server, FIN | ACK, b"", at);
        line.send(Side::Client, ACK, b"", at);
        line.packets
    }
}

/// Both directions' numbers.
struct Line<'a> {
    talk: &'a Talk,
    next: [u32; 2],
    packets: Vec<Packet>,
}

impl Line<'_> {
    fn new(talk: &Talk) -> Line<'_> {
        Line {
            talk,
            next: [talk.numbers.0, talk.numbers.1],
            packets: Vec::new(),
        }
    }

    fn send(&mut self, side: Side, flags: u8, payload: &[u8], at: Duration) {
        let (from, to, own, peer) = match side {
            Side::Client => (self.talk.client, self.talk.server, 0, 1),
            Side::Server => (self.talk.server, self.talk.client, 1, 0),
        };
        self.packets.push(Packet {
            at,
            from,
            to,
            sequence: self.next[own],
            ack: if flags & ACK == 0 { 0 } else { self.next[peer] },
            flags,
            payload: payload.to_vec(),
        });
        let used = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[own] = self.next[own].wrapping_add(used);
    }
}

impl Packet {
    /// From the IP header on. Nobody checks the sums.
    pub fn ip(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        // With options, as real ones have: two fillers and a time stamp.
        tcp.extend([0x80, self.flags, 0x01, 0xf6, 0, 0, 0, 0, 1, 1, 8, 10]);
        tcp.extend([0; 8]);
        tcp.extend(&self.payload);
        let mut ip = Vec::new();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                ip.extend([0x45, 0]);
                ip.extend((20 + tcp.len() as u16).to_be_bytes());
                ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
                ip.extend(from.octets());
                ip.extend(to.octets());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                ip.extend([0x60, 0, 0, 0]);
                ip.extend((tcp.len() as u16).to_be_bytes());
                ip.extend([6, 64]);
                ip.extend(from.octets());
                ip.extend(to.octets());
            }
            _ => panic!("one family a packet"),
        }
        ip.extend(tcp);
        ip
    }

    fn ether_type(&self) -> [u8; 2] {
        match self.from.is_ipv4() {
            true => [8, 0],
            false => [0x86, 0xdd],
        }
    }

    /// As a frame of this link type.
    pub fn frame(&self, link: Link) -> Vec<u8> {
        let kind = self.ether_type();
        let mut frame = match link {
            Link::Ethernet => [&[2; 12][..], &kind].concat(),
            Link::Vlan => [&[2; 12][..], &[0x81, 0, 0, 42], &kind].concat(),
            Link::Sll => [&[0; 14][..], &kind].concat(),
            Link::Sll2 => [&kind[..], &[0; 18]].concat(),
            Link::Null => vec![2, 0, 0, 0],
            Link::Raw => vec![],
        };
        frame.extend(self.ip());
        frame
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Ethernet,
    Vlan,
    Sll,
    Sll2,
    Null,
    Raw,
}

impl Link {
    fn number(self) -> u16 {
        match self {
            Link::Ethernet | Link::Vlan => 1,
            Link::Sll => 113,
            Link::Sll2 => 276,
            Link::Null => 0,
            Link::Raw => 101,
        }
    }
}

/// Numbers in one byte order.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub big: bool,
}

impl Order {
    pub fn short(self, number: u16) -> [u8; 2] {
        match self.big {
            true => number.to_be_bytes(),
            false => number.to_le_bytes(),
        }
    }

    pub fn word(self, number: u32) -> [u8; 4] {
        match self.big {
            true => number.to_be_bytes(),
            false => number.to_le_bytes(),
        }
    }

    pub fn long(self, number: u64) -> [u8; 8] {
        match self.big {
            true => number.to_be_bytes(),
            false => number.to_le_bytes(),
        }
    }
}

/// A pcap file, with micro- or nanoseconds.
pub fn pcap(packets: &[Packet], link: Link, order: Order, nanoseconds: bool) -> Vec<u8> {
    let frames = packets.iter().map(|packet| (packet.at, packet.frame(link)));
    pcap_of(frames, link, order, nanoseconds, usize::MAX)
}

/// The usual kind of file.
pub fn plain_pcap(packets: &[Packet]) -> Vec<u8> {
    pcap(packets, Link::Ethernet, Order { big: false }, false)
}

/// A pcap file of frames, of which no more than `snap` bytes are kept.
pub fn pcap_of(
    frames: impl Iterator<Item = (Duration, Vec<u8>)>,
    link: Link,
    order: Order,
    nanoseconds: bool,
    snap: usize,
) -> Vec<u8> {
    let magic = if nanoseconds {
        0xa1b2_3c4d
    } else {
        0xa1b2_c3d4
    };
    let mut file = Vec::new();
    file.extend(order.word(magic));
    file.extend(order.short(2));
    file.extend(order.short(4));
    for number in [0, 0, 262_144, link.number().into()] {
        file.extend(order.word(number));
    }
    for (at, frame) in frames {
        let fraction = match nanoseconds {
            true => at.subsec_nanos(),
            false => at.subsec_micros(),
        };
        let kept = frame.len().min(snap);
        let numbers = [
            at.as_secs() as u32,
            fraction,
            kept as u32,
            frame.len() as u32,
        ];
        file.extend(numbers.into_iter().flat_map(|number| order.word(number)));
        file.extend(&frame[..kept]);
    }
    file
}

/// Writes a pcapng file block by block.
pub struct Pcapng {
    pub order: Order,
    pub file: Vec<u8>,
}

impl Pcapng {
    pub fn new(order: Order) -> Pcapng {
        let mut file = Pcapng {
            order,
            file: Vec::new(),
        };
        file.section(order);
        file
    }

    pub fn section(&mut self, order: Order) {
        self.order = order;
        let mut body = Vec::new();
        body.extend(order.word(0x1a2b_3c4d));
        body.extend(order.short(1));
        body.extend(order.short(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body);
    }

    pub fn block(&mut self, kind: u32, body: &[u8]) {
        let order = self.order;
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = order.word((12 + body.len() + padding) as u32);
        self.file.extend(order.word(kind));
        self.file.extend(length);
        self.file.extend(body);
        self.file.extend(&[0; 3][..padding]);
        self.file.extend(length);
    }

    /// An interface with options: code and value.
    pub fn interface(&mut self, link: Link, options: &[(u16, &[u8])]) {
        let order = self.order;
        let mut body = Vec::new();
        body.extend(order.short(link.number()));
        body.extend([0; 6]);
        body.extend(self.options(options));
        self.block(1, &body);
    }

    pub fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in options {
            out.extend(self.order.short(*code));
            out.extend(self.order.short(value.len() as u16));
            out.extend(*value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        if !out.is_empty() {
            out.extend([0; 4]);
        }
        out
    }

    /// An Enhanced Packet Block, its time in units of the interface.
    pub fn packet(&mut self, interface: u32, units: u64, frame: &[u8]) {
        let order = self.order;
        let mut body = Vec::new();
        let numbers = [
            interface,
            (units >> 32) as u32,
            units as u32,
            frame.len() as u32,
            frame.len() as u32,
        ];
        body.extend(numbers.into_iter().flat_map(|number| order.word(number)));
        body.extend(frame);
        self.block(6, &body);
    }

    /// The block that came before the Enhanced one.
    pub fn obsolete_packet(&mut self, interface: u16, units: u64, frame: &[u8]) {
        let order = self.order;
        let mut body = Vec::new();
        body.extend(order.short(interface));
        body.extend(order.short(0xffff));
        let length = frame.len() as u32;
        let numbers = [(units >> 32) as u32, units as u32, length, length];
        body.extend(numbers.into_iter().flat_map(|number| order.word(number)));
        body.extend(frame);
        self.block(2, &body);
    }

    pub fn simple_packet(&mut self, frame: &[u8]) {
        let body = [&self.order.word(frame.len() as u32)[..], frame].concat();
        self.block(3, &body);
    }

    pub fn key_log(&mut self, text: &[u8]) {
        let order = self.order;
        let head = [order.word(0x544c_534b), order.word(text.len() as u32)].concat();
        self.block(10, &[&head[..], text].concat());
    }
}

/// A connection of a real capture that is small and has calls on it.
pub fn small() -> &'static Connection {
    let all = crate::pcap::APISERVER_0_36.iter();
    let size = |connection: &&Connection| {
        connection.bytes_from(Side::Client) + connection.bytes_from(Side::Server)
    };
    let busy = all.filter(|connection| connection.segments.len() > 60);
    busy.min_by_key(size).expect("a connection")
}

/// The frames of a pcap file that is whole.
pub fn pcap_records(file: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    let file = crate::pcap::file::parse(file).expect("a pcap file");
    let records = file.records.iter();
    records
        .map(|record| (record.at, record.bytes.to_vec()))
        .collect()
}

/// A pcap file of Ethernet frames.
pub fn pcap_frames(frames: &[(Duration, Vec<u8>)], order: Order) -> Vec<u8> {
    pcap_of(
        frames.iter().cloned(),
        Link::Ethernet,
        order,
        false,
        usize::MAX,
    )
}
