//! The importer under any file and any key log: nothing panics, every connection
//! that begins ends once, and the file's pieces do not matter.
//!
//! Input: a byte of flags; a byte, times 4, of how much of the rest is a key log;
//! the key log; then, if the flags' lowest bit is clear, a file as it is, and
//! otherwise packets to be put into one. A packet is a byte (bit 0: who sends,
//! bit 1: SYN, bit 2: FIN, bit 3: RST, bit 4: no ACK, bit 5: it repeats or leaves
//! out something), a byte of how long its payload is, for bit 5 a byte of how far
//! its number is off, and the payload.

#![no_main]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::{Instant, UNIX_EPOCH};

use etcdtap::etcd::Event;
use etcdtap::import::{ImportError, Importer, KeyLog, Options, Report, Sink};
use etcdtap::trace::Anchor;
use libfuzzer_sys::fuzz_target;

static OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);

#[derive(Default)]
struct Seen {
    /// By connection: how often it ended.
    connections: BTreeMap<u64, u32>,
    events: u64,
}

impl Sink for Seen {
    type Error = Infallible;

    fn event(&mut self, event: Event) -> Result<(), Infallible> {
        self.events += 1;
        match event {
            Event::ConnectionOpened { peers, .. } => {
                assert!(self.connections.insert(peers.id.0, 0).is_none());
            }
            Event::ConnectionEnded(ended) => {
                *self.connections.get_mut(&ended.peers.id.0).expect("it began") += 1;
            }
            _ => {}
        }
        Ok(())
    }
}

fn import(file: &[u8], keys: &[u8], ports: bool, piece: usize) -> Option<(Report, Seen)> {
    let anchor = Anchor {
        wall: UNIX_EPOCH,
        at: Instant::now(),
    };
    let mut options = OPTIONS.clone();
    if ports {
        options.ports = vec![2379, 12379];
    }
    let mut importer = Importer::new(options, anchor, Seen::default());
    let mut log = KeyLog::default();
    log.read(keys);
    importer.use_keys(log);
    for piece in file.chunks(piece) {
        match importer.push(piece) {
            Ok(()) => {}
            Err(ImportError::Capture(_)) => return None,
            Err(ImportError::Sink(never)) => match never {},
        }
    }
    importer.finish().ok()
}

/// A file of the packets that `script` describes.
fn packets(mut script: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101] {
        file.extend(u32::to_le_bytes(number));
    }
    let mut next = [1000u32, 2000];
    let mut second = 1_700_000_000u32;
    while let [flags, length, rest @ ..] = script {
        let (off, rest) = match (flags & 0x20 != 0, rest) {
            (true, [off, rest @ ..]) => (i32::from(off.cast_signed()) * 3, rest),
            (_, rest) => (0, rest),
        };
        let length = usize::from(*length).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        script = rest;
        second += 1;
        let (own, peer) = match flags & 1 {
            0 => (0, 1),
            _ => (1, 0),
        };
        // FIN, SYN and RST where TCP has them.
        let mut bits = (flags >> 2 & 1) | (flags & 2) | (flags >> 3 & 1) << 2;
        if flags & 0x10 == 0 {
            bits |= 0x10;
        }
        let sequence = next[own].wrapping_add_signed(off);
        let mut ip = vec![0x45, 0];
        ip.extend((40 + payload.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        let address = |side: usize| [10, 0, 0, side as u8];
        ip.extend(address(own));
        ip.extend(address(peer));
        let ports = [40_000u16, 2379];
        ip.extend(ports[own].to_be_bytes());
        ip.extend(ports[peer].to_be_bytes());
        ip.extend(sequence.to_be_bytes());
        ip.extend(next[peer].to_be_bytes());
        ip.extend([0x50, bits, 0, 0, 0, 0, 0, 0]);
        ip.extend(payload);
        for number in [second, 0, ip.len() as u32, ip.len() as u32] {
            file.extend(number.to_le_bytes());
        }
        file.extend(ip);
        if flags & 0x20 == 0 {
            let used = payload.len() as u32 + u32::from(flags & 0x06 != 0);
            next[own] = next[own].wrapping_add(used);
        }
    }
    file
}

fuzz_target!(|data: &[u8]| {
    let [flags, keys, rest @ ..] = data else {
        return;
    };
    let (keys, rest) = rest.split_at((usize::from(*keys) * 4).min(rest.len()));
    let made;
    let file = match flags & 1 {
        0 => rest,
        _ => {
            made = packets(rest);
            &made
        }
    };
    let ports = flags & 2 != 0;
    let whole = import(file, keys, ports, usize::MAX);
    let cut = import(file, keys, ports, usize::from(flags >> 2) * 7 + 1);
    match (whole, cut) {
        (Some((report, seen)), Some((again, seen_again))) => {
            assert_eq!(report.packets, again.packets);
            assert_eq!(seen.events, seen_again.events);
            assert_eq!(report.notes, again.notes);
            assert!(seen.connections.values().all(|ended| *ended == 1));
        }
        (None, None) => {}
        _ => panic!("the pieces of a file decide whether it is one"),
    }
});
