//! Free loopback ports for servers that must know theirs beforehand.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the range from which systems take the ports of outgoing connections.
const FIRST: u16 = 12_000;
const BLOCKS: u16 = 280;

/// Ports that a process takes at once. The first of them is its claim to the others.
const BLOCK: u16 = 64;

/// Ports that no other process of the tests is given.
struct Block {
    /// Nobody else can listen on the block's first port.
    _claim: TcpListener,
    next: u16,
    end: u16,
}

impl Block {
    /// One that nobody has claimed.
    fn claim() -> Block {
        // Tests run in several processes: each begins to look somewhere else.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let start = (nanos.subsec_nanos() / 7).wrapping_add(std::process::id() * 211);
        let start = (start % u32::from(BLOCKS)) as u16;
        (0..BLOCKS)
            .find_map(|n| {
                let first = FIRST + (start + n) % BLOCKS * BLOCK;
                Some(Block {
                    _claim: TcpListener::bind(loopback(first)).ok()?,
                    next: first + 1,
                    end: first + BLOCK,
                })
            })
            .expect("no loopback port is free")
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// An address on which nobody listens, another one at each call, in whichever process.
pub fn free() -> SocketAddr {
    // Claims last as long as the process does.
    static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(block) = blocks.last_mut() {
            while block.next < block.end {
                let address = loopback(block.next);
                block.next += 1;
                if TcpListener::bind(address).is_ok() {
                    return address;
                }
            }
        }
        blocks.push(Block::claim());
    }
}
