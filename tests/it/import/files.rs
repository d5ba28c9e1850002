//! Containers and links: the same conversation, however it was written down.

use std::time::{Duration, UNIX_EPOCH};

use etcdtap::etcd::Event;
use etcdtap::import::{CaptureError, Options};

use super::gist::{Gists, gists};
use super::packets::{Link, Order, Packet, Pcapng, Talk, pcap, pcap_of, plain_pcap, small};
use super::{Given, import, read};

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

fn talk() -> Vec<Packet> {
    Talk::default().packets(&small().segments)
}

/// What the conversation gives, in the plainest of files.
fn expected() -> Gists {
    let (report, given) = read(&plain_pcap(&talk()));
    assert!(report.is_whole(), "{report:?}");
    let gists = gists(&given.events);
    let gist = gists.values().next().expect("one connection");
    assert!(gist.calls.len() > 3 && gist.stopped.is_none());
    assert_eq!(gist.how, "client closed");
    gists
}

/// When the connection was opened, in nanoseconds since 1970.
fn opened(given: &Given) -> u128 {
    let anchor = given.anchor;
    let at = given.events.iter().find_map(|event| match event {
        Event::ConnectionOpened { at, .. } => Some(*at),
        _ => None,
    });
    // The anchor is a minute after the first packet.
    let before = anchor.at.duration_since(at.expect("a connection"));
    let wall = anchor.wall - before;
    wall.duration_since(UNIX_EPOCH).expect("later").as_nanos()
}

/// Options of a block: their code and value.
type Choices<'a> = &'a [(u16, &'a [u8])];

#[test]
fn every_kind_of_pcap_gives_the_same() {
    let (packets, expected) = (talk(), expected());
    let links = [
        Link::Ethernet,
        Link::Vlan,
        Link::Sll,
        Link::Sll2,
        Link::Null,
        Link::Raw,
    ];
    for link in links {
        for (order, nanoseconds) in [(LITTLE, false), (LITTLE, true), (BIG, false), (BIG, true)] {
            let file = pcap(&packets, link, order, nanoseconds);
            let (report, given) = read(&file);
            assert_eq!(gists(&given.events), expected, "{link:?} {order:?}");
            assert_eq!(report.packets, packets.len() as u64);
            assert_eq!(report.segments, report.packets);
            assert_eq!(opened(&given), Talk::default().start.as_nanos());
        }
    }
}

#[test]
fn the_modified_pcap_format_is_read_too() {
    let mut file = plain_pcap(&[]);
    file[..4].copy_from_slice(&LITTLE.word(0xa1b2_cd34));
    for packet in talk() {
        let frame = packet.frame(Link::Ethernet);
        let length = frame.len() as u32;
        let numbers = [
            packet.at.as_secs() as u32,
            packet.at.subsec_micros(),
            length,
            length,
        ];
        file.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        file.extend([0; 8]); // interface, protocol, packet type
        file.extend(frame);
    }
    assert_eq!(gists(&read(&file).1.events), expected());
}

#[test]
fn every_kind_of_pcapng_gives_the_same() {
    let (packets, expected) = (talk(), expected());
    for order in [LITTLE, BIG] {
        // Microseconds unless said otherwise; powers of ten and of two; an offset.
        let hour = order.long(3600);
        let clocks: [(Choices<'_>, u128, u64); 4] = [
            (&[], 1_000_000, 0),
            (&[(2, b"eth0"), (9, &[9])], 1_000_000_000, 0),
            (&[(9, &[0x80 | 20])], 1 << 20, 0),
            (&[(14, &hour), (9, &[6])], 1_000_000, 3600),
        ];
        for (options, units, offset) in clocks {
            let mut file = Pcapng::new(order);
            file.interface(Link::Null, &[(9, &[3])]);
            file.interface(Link::Ethernet, options);
            for (n, packet) in packets.iter().enumerate() {
                let at = packet.at - Duration::from_secs(offset);
                let units = (at.as_nanos() * units / 1_000_000_000) as u64;
                let frame = packet.frame(Link::Ethernet);
                match n % 7 {
                    3 => file.simple_packet(&packet.frame(Link::Null)),
                    5 => file.obsolete_packet(1, units, &frame),
                    _ => file.packet(1, units, &frame),
                }
                if n == 20 {
                    file.block(4, b"a name resolution block"); // passed over
                    file.block(0xbad, &[7; 333]);
                }
            }
            let (report, given) = import(&file.file, &Options::default(), b"", 777).unwrap();
            assert_eq!(gists(&given.events), expected, "{order:?} {options:?}");
            assert!(report.is_whole());
            let off = opened(&given).abs_diff(Talk::default().start.as_nanos());
            assert!(off < 1000, "{off} ns for {options:?}");
        }
    }
}

#[test]
fn sections_in_either_order_follow_each_other_and_count_their_drops() {
    let packets = talk();
    let mut file = Pcapng::new(LITTLE);
    for (n, part) in packets.chunks(packets.len() / 3).enumerate() {
        let order = [BIG, LITTLE][n % 2];
        file.section(order);
        file.interface(Link::Sll2, &[(9, &[9])]);
        for packet in part {
            let units = packet.at.as_nanos() as u64;
            file.packet(0, units, &packet.frame(Link::Sll2));
        }
        let drops = file.options(&[(5, &order.long(4)), (7, &order.long(1))]);
        let head = [order.word(0), order.word(0), order.word(0)].concat();
        file.block(
            5,
            &[head.clone(), file.options(&[(5, &order.long(2))])].concat(),
        );
        file.block(5, &[head, drops].concat());
    }
    let (report, given) = read(&file.file);
    assert_eq!(gists(&given.events), expected());
    assert_eq!(
        report.dropped,
        packets.chunks(packets.len() / 3).count() as u64 * 5
    );
}

#[test]
fn a_large_block_of_another_kind_is_skipped() {
    let mut file = Pcapng::new(LITTLE);
    file.interface(Link::Ethernet, &[]);
    file.block(0xbad, &vec![7; etcdtap::import::MAX_RECORD + 5]);
    for packet in talk() {
        file.packet(
            0,
            packet.at.as_micros() as u64,
            &packet.frame(Link::Ethernet),
        );
    }
    let (report, given) = import(&file.file, &Options::default(), b"", 1 << 16).unwrap();
    assert!(report.is_whole());
    assert_eq!(gists(&given.events), expected());
}

#[test]
fn version_6_of_ip_gives_the_same() {
    let talk = Talk {
        client: "[fd00::7]:40312".parse().unwrap(),
        server: "[fd00::5]:2379".parse().unwrap(),
        ..Talk::default()
    };
    let (report, given) = read(&plain_pcap(&talk.packets(&small().segments)));
    assert!(report.is_whole());
    let six: Vec<_> = gists(&given.events).into_values().collect();
    let four: Vec<_> = expected().into_values().collect();
    assert_eq!(six, four);
}

fn refused(file: &[u8]) -> String {
    let error = import(file, &Options::default(), b"", 100).unwrap_err();
    assert!(error.is_no_capture());
    error.to_string()
}

#[test]
fn what_is_no_capture_is_refused_in_a_sentence() {
    assert_eq!(refused(b""), "is empty");
    assert_eq!(
        refused(b"{\"ts\":1}"),
        "is no pcap or pcapng file: it begins with 7b 22 74 73"
    );
    assert_eq!(
        refused(b"a"),
        "is no pcap or pcapng file: it begins with 61"
    );
    assert_eq!(
        refused(b"\x89MCAP0\r\n"),
        "is no pcap or pcapng file: it is a recording already (MCAP)"
    );
    let whole = plain_pcap(&[]);
    assert_eq!(
        refused(&whole[..23]),
        "ends before its first header does: there is no packet in it"
    );
    let mut version = whole.clone();
    version[4] = 3;
    assert_eq!(
        refused(&version),
        "is pcap 3.4, a version that is not known"
    );
    let mut version = Pcapng::new(BIG).file;
    version[13] = 9;
    assert_eq!(
        refused(&version),
        "is pcapng 9.0, a version that is not known"
    );
    let mut order = Pcapng::new(BIG).file;
    order[8] = 9;
    assert!(refused(&order).contains("without saying its byte order"));
    // A header alone is a capture without packets.
    assert!(read(&whole).0.is_whole());
}

/// What is said of a damaged file, and how many packets came before the damage.
fn damage(file: &[u8]) -> (String, u64) {
    let (report, _) = read(file);
    assert!(!report.is_whole());
    let damage: CaptureError = report.damage.expect("damage");
    (damage.to_string(), report.packets)
}

#[test]
fn the_part_before_damage_is_read() {
    let packets = talk();
    let whole = plain_pcap(&packets);
    let (said, packets_read) = damage(&whole[..whole.len() - 1]);
    assert!(
        said.starts_with("ends within the record that begins at byte "),
        "{said}"
    );
    assert_eq!(packets_read, packets.len() as u64 - 1);

    // A length that lies.
    let mut lying = plain_pcap(&packets[..7]);
    let place = lying.len();
    lying.extend([[9; 4], [0; 4], [0xff; 4], [0xff; 4]].concat());
    lying.extend(&plain_pcap(&packets[7..])[24..]);
    let (said, packets_read) = damage(&lying);
    assert_eq!(
        said,
        format!(
            "is damaged at byte {place}: a packet there would have 4294967295 bytes; what is \
             behind it cannot be read"
        )
    );
    assert_eq!(packets_read, 7);

    for (length, again, expected) in [
        (40, 44, "a block begins with the length 40 and ends with 44"),
        (8, 8, "a block there would have 8 bytes"),
        (u32::MAX, 0, "a block there would have 4294967295 bytes"),
    ] {
        let mut file = Pcapng::new(LITTLE);
        file.interface(Link::Raw, &[]);
        file.packet(0, 0, &packets[0].frame(Link::Raw));
        let mut block = [LITTLE.word(6), LITTLE.word(length)].concat();
        block.resize(36, 0);
        block.extend(LITTLE.word(again));
        file.file.extend(block);
        let (said, packets_read) = damage(&file.file);
        assert!(said.contains(expected), "{said}");
        assert_eq!(packets_read, 1);
    }
}

#[test]
fn packets_that_cannot_be_are_counted_and_passed_over() {
    let mut file = Pcapng::new(LITTLE);
    let order = file.order;
    // Before any interface; of an interface that is not there; longer than its block.
    file.packet(0, 0, b"nowhere");
    file.interface(Link::Ethernet, &[]);
    file.packet(9, 0, b"nowhere");
    let numbers = [0, 0, 0, 500, 500]
        .map(|number| order.word(number))
        .concat();
    file.block(6, &[&numbers[..], b"short"].concat());
    file.block(6, b"");
    file.block(2, b"");
    file.block(3, b"");
    for packet in talk() {
        file.packet(
            0,
            packet.at.as_micros() as u64,
            &packet.frame(Link::Ethernet),
        );
    }
    let (report, given) = read(&file.file);
    assert_eq!(report.broken, 6);
    assert_eq!(gists(&given.events), expected());
}

#[test]
fn traffic_of_other_kinds_is_passed_over() {
    let mut frames = Vec::new();
    for packet in talk() {
        let mut udp = packet.frame(Link::Raw);
        udp[9] = 17;
        let mut fragment = packet.frame(Link::Raw);
        fragment[6] = 0x20;
        frames.push((packet.at, udp));
        frames.push((packet.at, fragment));
        frames.push((packet.at, packet.frame(Link::Raw)));
        frames.push((packet.at, vec![0x45; 7]));
    }
    let quarter = frames.len() as u64 / 4;
    let file = pcap_of(frames.into_iter(), Link::Raw, LITTLE, false, usize::MAX);
    let (report, given) = read(&file);
    assert_eq!(gists(&given.events), expected());
    assert_eq!((report.fragments, report.broken), (quarter, quarter));
    assert_eq!((report.packets, report.segments), (4 * quarter, quarter));

    let mut unknown = plain_pcap(&talk());
    unknown[20..24].copy_from_slice(&LITTLE.word(147));
    let (report, given) = read(&unknown);
    assert!(given.events.is_empty());
    assert_eq!(
        report.unknown_links.into_iter().collect::<Vec<_>>(),
        [(147, quarter)]
    );
}
