//! The pcap file: a header of 24 bytes, then records.

use std::time::Duration;

/// A captured packet, cut loose from the file's byte order and clock unit.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Seconds since the epoch.
    pub at: Duration,
    /// What was kept of the packet, from the link header on.
    pub bytes: &'a [u8],
    /// Whether the packet was longer than what was kept.
    pub cut: bool,
}

/// The records of a file, and the link type they share.
#[derive(Debug)]
pub struct File<'a> {
    /// What stands before the IP header (`LINKTYPE_…`).
    pub link: u32,
    /// The packets, in the order of the capture.
    pub records: Vec<Record<'a>>,
}

/// Reads a whole file.
pub fn parse(bytes: &[u8]) -> Result<File<'_>, String> {
    let (header, mut rest) = bytes
        .split_at_checked(24)
        .ok_or("shorter than a pcap header")?;
    let magic = u32::from_le_bytes(word(header, 0));
    let (big_endian, nanoseconds) = match magic {
        0xa1b2_c3d4 => (false, false),
        0xa1b2_3c4d => (false, true),
        0xd4c3_b2a1 => (true, false),
        0x4d3c_b2a1 => (true, true),
        other => return Err(format!("{other:#010x} opens no pcap file")),
    };
    let number = |bytes: &[u8], at: usize| match big_endian {
        true => u32::from_be_bytes(word(bytes, at)),
        false => u32::from_le_bytes(word(bytes, at)),
    };

    // The upper bits of the link type tell of checksums, which nobody asks for.
    let link = number(header, 20) & 0x0fff_ffff;
    let mut records = Vec::new();
    while let Some((head, tail)) = rest.split_at_checked(16) {
        let kept = number(head, 8) as usize;
        let Some((bytes, next)) = tail.split_at_checked(kept) else {
            // A capture that was killed ends within a record.
            break;
        };
        let fraction = match nanoseconds {
            true => Duration::from_nanos(number(head, 4).into()),
            false => Duration::from_micros(number(head, 4).into()),
        };
        records.push(Record {
            at: Duration::from_secs(number(head, 0).into()) + fraction,
            bytes,
            cut: number(head, 12) as usize > kept,
        });
        rest = next;
    }
    Ok(File { link, records })
}

/// Four bytes at an offset that the caller has checked.
fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

#[test]
fn either_byte_order_and_either_clock_read_the_same() {
    let numbers: [[u32; 6]; 4] = [
        [0xa1b2_c3d4, 7, 5, 3, 3, 0],
        [0xa1b2_3c4d, 7, 5000, 3, 4, 0],
        [0xa1b2_c3d4, 7, 5, 3, 4, 1],
        [0xa1b2_3c4d, 7, 5000, 3, 3, 1],
    ];
    for [magic, seconds, fraction, kept, whole, big] in numbers {
        let put = |n: u32| match big {
            1 => n.to_be_bytes(),
            _ => n.to_le_bytes(),
        };
        let mut file = Vec::new();
        let version = if big == 1 { 0x0002_0004 } else { 0x0004_0002 };
        for n in [
            magic, version, 0, 0, 65535, 1, seconds, fraction, kept, whole,
        ] {
            file.extend(put(n));
        }
        file.extend(b"abc");
        file.extend([0; 9]); // a record that was never finished

        let parsed = parse(&file).unwrap();
        assert_eq!(parsed.link, 1);
        let [record] = parsed.records.as_slice() else {
            panic!("one whole record, not {}", parsed.records.len());
        };
        assert_eq!(record.at, Duration::from_micros(7_000_005));
        assert_eq!(record.bytes, b"abc");
        assert_eq!(record.cut, whole > kept);
    }
    assert!(parse(&[0; 24]).is_err());
    assert!(parse(b"short").is_err());
}
