//! One connection's two halves: what passes, what was seen of it, and what is
//! held, dropped or added. Sans-io: bytes and `now` go in.
//!
//! | file | concern |
//! |---|---|
//! | `connection` | the whole: bytes in, bytes out, its end |
//! | `follow`, `content` | one frame: what it changes, what of it passes |
//! | `offences` | what a peer may not do |
//! | `interfere` | orders carried out, what was held let go, credit settled |
//! | `half`, `stream` | what is kept of a direction, and of a stream |
//! | `blocks` | header blocks: decoded, or known from before |
//! | `outbox` | what leaves in a direction |
//! | `recode` | header blocks of our own making |
//! | `goaway`, `held_pings`, `stream_limit` | faults on the connection's own frames |
//! | `weather` | what a bad line does to bytes, before they are read |
//! | `keepalive`, `pings` | PINGs that etcd would punish; their round trips |
//! | `held`, `stalls` | bytes that faults hold; time without a window |
//! | `transmit`, `peers`, `certificate` | what leaves, between whom, and their names |
//! | `order`, `tap` | what the layer above may ask, and what it is shown |

mod blocks;
mod certificate;
mod connection;
mod content;
mod follow;
mod goaway;
mod half;
mod held;
mod held_pings;
mod interfere;
mod keepalive;
mod offences;
mod order;
mod outbox;
mod peers;
mod pings;
mod recode;
mod stalls;
mod stream;
mod stream_limit;
mod tap;
mod transmit;
mod weather;

pub use blocks::BlockNumber;
pub use certificate::certificate_name;
pub use connection::{Connection, MAX_OPEN_STREAMS, SideReport};
pub use goaway::OwnGoaway;
pub use half::{Goaway, Resets};
pub use held::{DEFAULT_HELD_IN_ALL, DEFAULT_HELD_PER_CONNECTION, Hold, HoldAccount, HoldBudget};
pub use held_pings::PingHold;
pub use order::{Finish, Gate, HeaderField, Order};
pub use peers::{ConnectionId, Peers, TlsSeen};
pub use pings::RoundTrips;
pub use stalls::FlowStalls;
pub use tap::{Data, StreamEnd, Tap};
pub use transmit::{EndOfBytes, Transmit};
pub use weather::{MOST_UNDER_WAY, Parcel, Sky, Waits, Weather};
