//! TCP: what order packets were captured in, and which were.

use std::time::Duration;

use etcdtap::etcd::{Ending, Event};
use etcdtap::http2::Side;
use etcdtap::import::{Lost, Options, PATIENCE};

use super::gist::{Gist, gists};
use super::packets::{ACK, FIN, Link, Order, Packet, RST, SYN, Talk, pcap_of, plain_pcap, small};
use super::{import, read};
use crate::pcap::Segment;

fn talk() -> Vec<Packet> {
    Talk::default().packets(&small().segments)
}

/// The one connection of these packets.
fn only(packets: &[Packet]) -> Gist {
    let (report, given) = read(&plain_pcap(packets));
    assert!(report.is_whole(), "{report:?}");
    let mut gists = gists(&given.events).into_values();
    let gist = gists.next().expect("a connection");
    assert_eq!(gists.next(), None);
    gist
}

/// HTTP/1.1, which shows order by itself.
fn health(path: &str) -> Vec<Segment> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: etcd\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let segment = |side, text: &str, millis| Segment {
        side,
        at: Duration::from_millis(millis),
        bytes: text.as_bytes().to_vec(),
    };
    vec![
        segment(Side::Client, &request, 1),
        segment(Side::Server, answer, 2),
    ]
}

#[test]
fn numbers_wrap_around() {
    let expected = only(&talk());
    let sizes = [
        small().bytes_from(Side::Client),
        small().bytes_from(Side::Server),
    ];
    for before in [0, 1, 100, sizes[0] as u32 / 2] {
        let numbers = (u32::MAX - before, u32::MAX - sizes[1] as u32 / 3);
        let talk = Talk {
            numbers,
            ..Talk::default()
        };
        assert_eq!(only(&talk.packets(&small().segments)), expected);
    }
}

#[test]
fn each_packet_twice_and_probes_change_nothing() {
    let mut packets = Vec::new();
    for packet in talk() {
        packets.push(packet.clone());
        // As "any" shows it, and the keepalives of both kinds.
        packets.push(packet.clone());
        if packet.flags == ACK {
            for payload in [&b""[..], b"x"] {
                packets.push(Packet {
                    sequence: packet.sequence.wrapping_sub(1),
                    payload: payload.to_vec(),
                    ..packet.clone()
                });
            }
        }
    }
    assert_eq!(only(&packets), only(&talk()));
}

#[test]
fn retransmissions_may_overlap_in_every_way() {
    let mut packets = Vec::new();
    for packet in talk() {
        if packet.payload.len() > 20 {
            let part = |from: usize, to: usize| Packet {
                sequence: packet.sequence.wrapping_add(from as u32),
                payload: packet.payload[from..to].to_vec(),
                ..packet.clone()
            };
            let length = packet.payload.len();
            packets.extend([part(10, 15), part(5, 12), part(8, length), part(0, 6)]);
            packets.push(part(3, length - 1));
        }
        packets.push(packet);
    }
    assert_eq!(only(&packets), only(&talk()));
}

#[test]
fn no_answer_comes_before_its_request() {
    let packets = Talk::default().packets(&health("/health"));
    let carries = |packet: &&Packet| !packet.payload.is_empty();
    let [request, answer] = &packets.iter().filter(carries).collect::<Vec<_>>()[..] else {
        panic!("two packets");
    };
    // The request is captured after its answer.
    let late: Vec<Packet> = packets
        .iter()
        .map(|packet| match packet.sequence {
            _ if packet.payload.is_empty() => packet.clone(),
            n if n == request.sequence => (*answer).clone(),
            _ => (*request).clone(),
        })
        .collect();
    let (_, given) = read(&plain_pcap(&late));
    let exchange = given.events.iter().find_map(|event| match event {
        Event::Http1 { exchange, .. } => Some(exchange),
        _ => None,
    });
    let exchange = exchange.expect("a request");
    assert_eq!(exchange.status, Some(200));
    assert!(exchange.started <= exchange.first_byte.unwrap());
}

#[test]
fn ports_used_again_are_another_connection() {
    let one = Talk::default();
    let again = Talk {
        numbers: (5_000_000, 600_000_000),
        start: one.start + Duration::from_secs(9),
        ..one
    };
    let packets = [one, again].map(|talk| talk.packets(&small().segments));
    let (report, given) = read(&plain_pcap(&packets.concat()));
    let gists: Vec<_> = gists(&given.events).into_values().collect();
    assert_eq!(gists, [only(&talk()), only(&talk())]);
    assert_eq!(report.counts.connections, 2);

    // The first one's end was not captured.
    let cut: Vec<Packet> = packets[0][..packets[0].len() - 3].to_vec();
    let (report, _) = read(&plain_pcap(&[&cut[..], &packets[1][..]].concat()));
    assert_eq!(report.counts.connections, 2);
    assert!(report.is_whole());
}

#[test]
fn a_connection_seen_before_and_after_translation_counts_once() {
    let outside = Talk {
        server: ([10, 96, 0, 1], 2379).into(),
        client: ([172, 16, 0, 9], 1111).into(),
        ..Talk::default()
    };
    let both = [outside, Talk::default()].map(|talk| talk.packets(&small().segments));
    let [outside, inside] = both;
    let packets: Vec<_> = outside
        .into_iter()
        .zip(inside)
        .flat_map(|(a, b)| [a, b])
        .collect();
    let (report, given) = read(&plain_pcap(&packets));
    assert_eq!((report.counts.connections, report.mirrored), (1, 1));
    let gists: Vec<_> = gists(&given.events).into_values().collect();
    assert_eq!(gists, [only(&talk())]);
}

#[test]
fn a_missing_segment_ends_what_is_read_of_its_connection() {
    let whole = only(&talk());
    let mut packets = talk();
    let middle = packets.len() / 2;
    let from_server = packets[middle..]
        .iter()
        .position(|packet| !packet.payload.is_empty() && packet.from == Talk::default().server);
    let gone = packets.remove(middle + from_server.unwrap());
    let (report, given) = read(&plain_pcap(&packets));
    assert!(!report.is_whole());
    let bytes = gone.payload.len() as u64;
    assert_eq!((report.missing_bytes, report.given_up), (bytes, 1));
    let behind = u64::from(gone.sequence - Talk::default().numbers.1 - 1);
    let lost = Lost::Gap {
        from: Side::Server,
        bytes,
        behind,
        cut: false,
    };
    assert_eq!(report.notes[0].lost, lost);
    assert!(
        report.notes[0]
            .to_string()
            .contains("bytes of the server's are missing")
    );

    let gist = gists(&given.events).into_values().next().unwrap();
    // All bytes are accounted for, and no call is made up.
    assert_eq!(gist.bytes, whole.bytes);
    assert!(
        gist.stopped
            .unwrap()
            .contains("that the capture does not have")
    );
    assert!(gist.calls.values().filter(|(_, whole)| *whole).count() > 0);
    for (stream, (text, is_whole)) in &gist.calls {
        if *is_whole {
            assert_eq!(*text, whole.calls[stream].0);
        }
    }
    for event in &given.events {
        if let Event::Call(call) = event {
            assert!(matches!(
                call.status.ending,
                Ending::Trailers | Ending::TracingStopped
            ));
        }
    }
}

#[test]
fn a_retransmission_is_waited_for() {
    let mut packets = talk();
    let middle = packets.len() / 2;
    let index = middle
        + packets[middle..]
            .iter()
            .position(|p| !p.payload.is_empty())
            .unwrap();
    let mut late = packets.remove(index);
    late.at = packets.last().unwrap().at;
    let distance = (PATIENCE as usize / 2).min(packets.len() - index - 4);
    packets.insert(index + distance, late);
    assert_eq!(only(&packets), only(&talk()));
}

#[test]
fn a_fin_that_was_not_captured_is_no_missing_byte() {
    let mut packets = talk();
    let fin = packets
        .iter()
        .position(|packet| packet.flags & FIN != 0)
        .unwrap();
    packets.remove(fin);
    let gist = only(&packets);
    assert_eq!(gist, only(&talk()));
}

#[test]
fn a_connection_begun_before_the_capture_is_told_and_not_made_up() {
    let packets = talk();
    let (report, given) = read(&plain_pcap(&packets[30..]));
    assert_eq!((report.begun_before, report.counts.connections), (1, 1));
    assert!(!report.is_whole());
    assert_eq!(report.notes[0].lost, Lost::BegunBefore);
    let gist = gists(&given.events).into_values().next().unwrap();
    assert!(gist.stopped.unwrap().contains("before the capture began"));
    assert!(gist.calls.is_empty() && gist.bytes.0 + gist.bytes.1 > 0);

    // On a port that nobody asked for it may be anything, unless its server turns
    // out to speak HTTP/2.
    let server = ([10, 0, 0, 5], 5555).into();
    let elsewhere = |client: u16, numbers| Talk {
        client: ([10, 0, 0, 7], client).into(),
        server,
        numbers,
        ..Talk::default()
    };
    let before = &elsewhere(1111, (1, 2)).packets(&small().segments)[30..];
    let (report, given) = read(&plain_pcap(before));
    assert!(report.is_whole() && given.events.is_empty());
    assert_eq!(report.other, 1);
    let later = elsewhere(2222, (3, 4)).packets(&small().segments);
    let (report, _) = read(&plain_pcap(&[before, &later].concat()));
    assert_eq!((report.begun_before, report.counts.connections), (1, 2));
    assert_eq!(report.notes[0].server, server);
}

#[test]
fn the_handshake_alone_may_be_missing() {
    let packets = talk();
    assert_eq!(only(&packets[3..]), only(&packets));
    assert_eq!(only(&packets[1..]), only(&packets));
    // The SYN's answer alone, or both in the wrong order.
    let mut odd = packets.clone();
    odd.remove(1);
    assert_eq!(only(&odd), only(&packets));
    let mut odd = packets.clone();
    odd.swap(0, 1);
    assert_eq!(only(&odd), only(&packets));
    let mut odd = packets.clone();
    odd[..8].rotate_left(1);
    assert_eq!(only(&odd), only(&packets));
}

#[test]
fn the_port_says_who_the_server_is() {
    let talk = Talk {
        client: ([10, 0, 0, 7], 80).into(),
        server: ([10, 0, 0, 5], 40_000).into(),
        ..Talk::default()
    };
    let packets = talk.packets(&health("/version"));
    let with = |ports: &[u16]| {
        let options = Options {
            ports: ports.to_vec(),
            ..Options::default()
        };
        import(&plain_pcap(&packets), &options, b"", 999).unwrap()
    };
    // HTTP/1.1 is everywhere: it is etcd's where somebody says so.
    let (report, given) = with(&[]);
    assert!(given.events.is_empty() && report.other == 1);
    let (_, given) = with(&[7, 40_000]);
    let gist = gists(&given.events).into_values().next().unwrap();
    assert_eq!(gist.requests, ["/version"]);
    let (report, given) = with(&[7]);
    assert!(given.events.is_empty() && report.other == 0 && report.is_whole());
}

#[test]
fn resets_and_refusals_end_a_connection() {
    let mut packets = talk();
    packets.truncate(packets.len() - 3);
    let mut reset = packets
        .iter()
        .rfind(|p| p.from == Talk::default().server)
        .unwrap()
        .clone();
    reset.sequence = reset.sequence.wrapping_add(reset.payload.len() as u32);
    reset.flags = RST | ACK;
    reset.payload.clear();
    packets.push(reset.clone());
    assert_eq!(only(&packets).how, "upstream reset the connection");

    let refused = [
        Packet {
            flags: SYN,
            ..packets[0].clone()
        },
        Packet {
            sequence: 0,
            ack: packets[0].sequence + 1,
            ..reset
        },
    ];
    let (report, given) = read(&plain_pcap(&refused));
    assert!(given.events.is_empty() && report.is_whole());
}

#[test]
fn what_is_open_when_the_capture_ends_is_not_said_to_end() {
    let mut packets = talk();
    packets.truncate(packets.len() / 2);
    let (report, given) = read(&plain_pcap(&packets));
    assert!(report.is_whole());
    let gist = gists(&given.events).into_values().next().unwrap();
    assert_eq!((&*gist.how, gist.stopped), ("capture ended", None));
    for event in &given.events {
        if let Event::Call(call) = event {
            assert!(matches!(
                call.status.ending,
                Ending::Trailers | Ending::TracingStopped
            ));
        }
    }
}

#[test]
fn a_snap_length_is_named_as_the_reason() {
    let frames = talk()
        .into_iter()
        .map(|packet| (packet.at, packet.frame(Link::Ethernet)));
    let file = pcap_of(frames, Link::Ethernet, Order { big: false }, false, 200);
    let (report, given) = read(&file);
    assert!(report.cut > 0 && !report.is_whole());
    assert!(
        report.notes[0].to_string().contains("snap length"),
        "{}",
        report.notes[0]
    );
    let gist = gists(&given.events).into_values().next().unwrap();
    assert!(gist.calls.values().all(|(text, whole)| {
        !whole || only(&talk()).calls.values().any(|(other, _)| other == text)
    }));
}

#[test]
fn one_direction_alone_is_not_made_up_for() {
    let mut packets = talk();
    packets.retain(|packet| packet.from == Talk::default().client);
    let (report, given) = read(&plain_pcap(&packets));
    assert!(!report.is_whole() && report.missing_bytes > 0);
    assert!(given.events.iter().all(|event| match event {
        Event::Call(call) => call.status.ending == Ending::TracingStopped,
        _ => true,
    }));
}
