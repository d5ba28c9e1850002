//! Reads captures: a classic pcap file in, TCP connections out, each one an
//! ordered list of byte runs across both directions. Good enough for real
//! captures on one machine (retransmits, reordering, either byte order), and
//! no more than that.

pub mod file;
mod packet;
mod reassembly;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use etcdtap::http2::Side;

pub use reassembly::connections;

/// One run of bytes that a peer sent, as TCP delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it.
    pub side: Side,
    /// When it was seen, counted from the first packet of the capture.
    pub at: Duration,
    /// The bytes; never empty.
    pub bytes: Vec<u8>,
}

/// One TCP connection of a capture.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Who opened it.
    pub client: SocketAddr,
    /// Who accepted it.
    pub server: SocketAddr,
    /// What both sides sent, in the order of the capture.
    pub segments: Vec<Segment>,
}

impl Connection {
    /// How many bytes one side sent.
    pub fn bytes_from(&self, side: Side) -> u64 {
        let sent = self.segments.iter().filter(|segment| segment.side == side);
        sent.map(|segment| segment.bytes.len() as u64).sum()
    }

    /// All that one side sent, in one piece.
    pub fn stream_of(&self, side: Side) -> Vec<u8> {
        let sent = self.segments.iter().filter(|segment| segment.side == side);
        sent.flat_map(|segment| segment.bytes.iter().copied())
            .collect()
    }
}

pub const NAME_1_20: &str = "kube-apiserver-1.20_etcd-3.4_startup-and-workload";
pub const NAME_0_36: &str = "apiserver-0.36_etcd-3.5_startup-and-workload";

/// kube-apiserver 1.20 against etcd 3.4.
pub static APISERVER_1_20: LazyLock<Vec<Connection>> = LazyLock::new(|| capture(NAME_1_20));

/// An API server on k8s.io/apiserver 0.36 against etcd 3.5.
pub static APISERVER_0_36: LazyLock<Vec<Connection>> = LazyLock::new(|| capture(NAME_0_36));

fn capture(name: &str) -> Vec<Connection> {
    connections(&unpacked(name)).expect("a capture is a pcap file")
}

/// A capture of `fixtures/captures`, unpacked.
pub fn unpacked(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/captures")
        .join(format!("{name}.pcap.zst"));
    let packed = std::fs::read(&path).expect("the captures are part of the repository");
    let mut unpacked = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed.as_slice())
        .expect("a capture is a zstd frame");
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).expect("a capture unpacks");
    unpacked
}

/// The sums over a capture: connections, bytes from clients, bytes from servers.
fn totals(connections: &[Connection]) -> (usize, u64, u64) {
    let from = |side| connections.iter().map(|c| c.bytes_from(side)).sum::<u64>();
    (connections.len(), from(Side::Client), from(Side::Server))
}

#[test]
fn the_captures_hold_what_their_readme_counts() {
    // The bytes are tshark's count, less two retransmissions in the first
    // capture: 161 bytes from a client and 7,047 from the server.
    let first = (77, 5_517_145 - 161, 25_487_233 - 7_047);
    assert_eq!(totals(&APISERVER_1_20), first);
    assert_eq!(totals(&APISERVER_0_36), (20, 5_249_484, 14_298_082));
}

#[test]
fn every_captured_connection_opens_as_http2() {
    for connection in APISERVER_1_20.iter().chain(APISERVER_0_36.iter()) {
        let sent = connection.stream_of(Side::Client);
        assert!(sent.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        let received = connection.stream_of(Side::Server);
        assert_eq!(received.get(3), Some(&4), "etcd begins with SETTINGS");
        assert!(matches!(connection.server.port(), 12379 | 13379));
        assert!(connection.client.ip().is_loopback());
        assert!(connection.segments.is_sorted_by_key(|segment| segment.at));
    }
}
