//! TCP put back together: what each side's reader would have been given, and
//! when.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use etcdtap::http2::{Both, Side};

use super::packet::Packet;
use super::{Connection, Segment, file, packet};

/// The TCP connections of a pcap file, in the order in which they opened;
/// those that carried nothing (a last FIN of an old one) are left out.
pub fn connections(pcap: &[u8]) -> Result<Vec<Connection>, String> {
    let file = file::parse(pcap)?;
    let start = file.records.first().map(|record| record.at);
    let mut flows = Flows::default();
    let mut now = Duration::ZERO;
    for record in &file.records {
        let Some(packet) = packet::parse(file.link, record.bytes) else {
            continue;
        };
        if record.cut {
            return Err("a packet was cut short: capture with a snap length of 0".into());
        }
        // Clocks are set back now and then; the order of the file stands.
        now = now.max(record.at.saturating_sub(start.unwrap_or_default()));
        flows.take(&packet, now);
    }
    let connections = flows.all.into_iter().map(|flow| flow.connection);
    Ok(connections
        .filter(|connection| !connection.segments.is_empty())
        .collect())
}

/// All connections so far.
#[derive(Debug, Default)]
struct Flows {
    all: Vec<Flow>,
    /// The newest connection between a client and a server.
    newest: HashMap<(SocketAddr, SocketAddr), usize>,
}

/// One connection and what is still missing in it.
#[derive(Debug)]
struct Flow {
    connection: Connection,
    first_syn: Option<u32>,
    halves: Both<Half>,
}

impl Flows {
    fn take(&mut self, packet: &Packet<'_>, at: Duration) {
        let (index, side) = self.locate(packet);
        let flow = &mut self.all[index];
        let bytes = flow.halves[side].take(packet);
        if !bytes.is_empty() {
            let segments = &mut flow.connection.segments;
            segments.push(Segment { side, at, bytes });
        }
    }

    /// The connection that a packet belongs to, opened if need be, and who
    /// sent the packet.
    fn locate(&mut self, packet: &Packet<'_>) -> (usize, Side) {
        let opens = packet.syn && !packet.ack;
        if let Some(&index) = self.newest.get(&(packet.from, packet.to)) {
            // Another first number is another connection on old ports.
            if !opens || self.all[index].first_syn == Some(packet.sequence) {
                return (index, Side::Client);
            }
        } else if let Some(&index) = self.newest.get(&(packet.to, packet.from))
            && !opens
        {
            return (index, Side::Server);
        }

        // Where the opening was missed, the lower port is the server's.
        let answers = packet.syn && packet.ack;
        let side = match opens || (!answers && packet.to.port() <= packet.from.port()) {
            true => Side::Client,
            false => Side::Server,
        };
        let (client, server) = match side {
            Side::Client => (packet.from, packet.to),
            Side::Server => (packet.to, packet.from),
        };
        let index = self.all.len();
        self.newest.insert((client, server), index);
        self.all.push(Flow {
            connection: Connection {
                client,
                server,
                segments: Vec::new(),
            },
            first_syn: opens.then_some(packet.sequence),
            halves: Both::default(),
        });
        (index, side)
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Half {
    /// The sequence number that the reader waits for.
    next: Option<u32>,
    /// How many bytes the reader has been given.
    delivered: u64,
    /// What came too early, by its place in the stream.
    early: BTreeMap<u64, Vec<u8>>,
}

impl Half {
    /// Takes a packet, and returns what the reader can now be given.
    fn take(&mut self, packet: &Packet<'_>) -> Vec<u8> {
        // The SYN uses up one number; data, if there is any, comes behind it.
        let first = packet.sequence.wrapping_add(packet.syn.into());
        let next = *self.next.get_or_insert(first);
        // Half of all numbers lie ahead, half behind.
        let distance = i64::from(first.wrapping_sub(next) as i32);
        let mut ready = Vec::new();
        if distance <= 0 {
            // A retransmission may bring more than it repeats.
            let repeated = usize::try_from(-distance).unwrap_or(usize::MAX);
            ready.extend(packet.payload.get(repeated..).unwrap_or_default());
        } else if !packet.payload.is_empty() {
            let place = self.delivered.wrapping_add_signed(distance);
            let kept = self.early.entry(place).or_default();
            if kept.len() < packet.payload.len() {
                *kept = packet.payload.to_vec();
            }
        }

        while !ready.is_empty()
            && let Some(entry) = self.early.first_entry()
        {
            let end = self.delivered + ready.len() as u64;
            if *entry.key() > end {
                break;
            }
            let (place, bytes) = entry.remove_entry();
            let repeated = (end - place) as usize;
            ready.extend(bytes.get(repeated..).unwrap_or_default());
        }
        self.delivered += ready.len() as u64;
        self.next = Some(next.wrapping_add(ready.len() as u32));
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(from: u16, to: u16, sequence: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            from: SocketAddr::from(([127, 0, 0, 1], from)),
            to: SocketAddr::from(([127, 0, 0, 1], to)),
            sequence,
            syn: false,
            ack: true,
            payload,
        }
    }

    fn opening(from: u16, to: u16, sequence: u32) -> Packet<'static> {
        Packet {
            syn: true,
            ack: false,
            ..packet(from, to, sequence, b"")
        }
    }

    /// What comes of packets, as (side, text) a segment, a list a connection.
    fn reassembled(packets: &[Packet<'_>]) -> Vec<Vec<(Side, String)>> {
        let mut flows = Flows::default();
        for (tick, packet) in packets.iter().enumerate() {
            flows.take(packet, Duration::from_secs(tick as u64));
        }
        let text = |segment: &Segment| {
            let text = String::from_utf8(segment.bytes.clone()).unwrap();
            (segment.side, text)
        };
        let flows = flows.all.iter();
        flows
            .map(|flow| flow.connection.segments.iter().map(text).collect())
            .collect()
    }

    fn client(text: &str) -> (Side, String) {
        (Side::Client, text.to_owned())
    }

    fn server(text: &str) -> (Side, String) {
        (Side::Server, text.to_owned())
    }

    #[test]
    fn both_directions_keep_the_order_of_the_capture() {
        // The client's numbers wrap around on the way.
        let seen = reassembled(&[
            opening(40000, 2379, u32::MAX - 3),
            Packet {
                syn: true,
                ..packet(2379, 40000, 99, b"")
            },
            packet(40000, 2379, u32::MAX - 2, b"ab"),
            packet(2379, 40000, 100, b"XY"),
            packet(40000, 2379, u32::MAX, b"cd"),
            packet(2379, 40000, 102, b"Z"),
            packet(40000, 2379, 1, b"e"),
        ]);
        let expected = vec![
            client("ab"),
            server("XY"),
            client("cd"),
            server("Z"),
            client("e"),
        ];
        assert_eq!(seen, [expected]);
    }

    #[test]
    fn repeats_and_early_packets_come_out_once_and_in_order() {
        let seen = reassembled(&[
            opening(40000, 2379, 0),
            opening(40000, 2379, 0),
            packet(40000, 2379, 1, b"abc"),
            packet(40000, 2379, 1, b"abc"),
            packet(40000, 2379, 9, b"ij"),
            packet(40000, 2379, 6, b"f"),
            packet(40000, 2379, 6, b"fgh"),
            packet(40000, 2379, 2, b"bcde"),
            packet(40000, 2379, 11, b""),
            packet(40000, 2379, 11, b"k"),
        ]);
        assert_eq!(seen, [[client("abc"), client("defghij"), client("k")]]);
    }

    #[test]
    fn ports_used_again_are_another_connection() {
        let seen = reassembled(&[
            opening(40000, 2379, 0),
            packet(40000, 2379, 1, b"one"),
            packet(2379, 40000, 7, b"uno"),
            opening(40000, 2379, 5000),
            packet(40000, 2379, 5001, b"two"),
            packet(2379, 40000, 70, b"due"),
        ]);
        let first = vec![client("one"), server("uno")];
        let second = vec![client("two"), server("due")];
        assert_eq!(seen, [first, second]);
    }

    #[test]
    fn without_an_opening_the_lower_port_is_the_server() {
        let seen = reassembled(&[
            packet(2379, 40000, 7, b"answer"),
            packet(40000, 2379, 1, b"question"),
        ]);
        assert_eq!(seen, [[server("answer"), client("question")]]);
    }
}
