//! Packet captures: a file's bytes in, the events of the connections in it out.
//!
//! | module | concern |
//! |---|---|
//! | `capture` | the container, pcap or pcapng |
//! | `packet` | from a packet to its TCP segment |
//! | `tcp` | segments put back in order |
//! | `tls` | opened with a key log |
//! | `connection` | one connection: what it speaks, and its core |
//! | `flows`, `importer` | all of them |
//! | `context` | what connections share: numbers, the sink, what was counted |
//! | `report` | what was read, and what is missing |
//!
//! Like the core that it feeds it is sans-io: whoever has the file hands in its
//! bytes, and gets events through a [`Sink`].

mod capture;
mod connection;
mod context;
mod flows;
mod importer;
mod packet;
mod report;
mod sink;
mod tcp;
mod tls;

pub use capture::{CaptureError, MAX_RECORD};
pub use flows::{MAX_FLOWS, MAX_HELD_IN_ALL};
pub use importer::{ImportError, Importer, Options, recognise};
pub use report::{Counts, Lost, Note, Report};
pub use sink::Sink;
pub use tcp::{MAX_AHEAD, MAX_HELD, PATIENCE};
pub use tls::{KeyLog, MAX_CONNECTIONS};
