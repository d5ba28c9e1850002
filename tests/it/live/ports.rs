//! Free loopback ports for servers that must know theirs beforehand.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the range from which systems take the ports of outgoing connections.
const FIRST: u32 = 12_000;
const COUNT: u32 = 18_000;

/// An address on which nobody listens, another one at each call.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(u32::MAX);
    // Tests run in several processes: each begins somewhere else.
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let start = (nanos.subsec_nanos() / 7).wrapping_add(std::process::id() * 211) % COUNT;
    let _ = NEXT.compare_exchange(u32::MAX, start, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..COUNT {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], (FIRST + next) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no loopback port is free");
}
