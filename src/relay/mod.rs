//! One connection's two halves: what passes, what was seen of it, and (one day)
//! what is held, dropped or added. Sans-io: bytes and `now` go in.

mod peers;
mod transmit;

pub use peers::{ConnectionId, Peers, TlsSeen};
pub use transmit::{EndOfBytes, Transmit};
