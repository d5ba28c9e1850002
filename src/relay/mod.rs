//! One connection's two halves: what passes, what was seen of it, and (one day)
//! what is held, dropped or added. Sans-io: bytes and `now` go in.

mod connection;
mod half;
mod peers;
mod pings;
mod stalls;
mod tap;
mod transmit;

pub use connection::{Connection, MAX_OPEN_STREAMS, SideReport};
pub use half::{Goaway, Resets};
pub use peers::{ConnectionId, Peers, TlsSeen};
pub use pings::RoundTrips;
pub use stalls::FlowStalls;
pub use tap::{StreamEnd, Tap};
pub use transmit::{EndOfBytes, Transmit};
