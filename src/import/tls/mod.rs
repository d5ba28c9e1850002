//! TLS opened with the secrets of a key log.
//!
//! Only what is needed to read: records are joined and opened, of the handshake
//! no more is understood than says which keys there are, and nothing is verified
//! but that each record opens. rustls gives the primitives through *ring*; it has
//! no interface for somebody who only listens.

mod direction;
mod handshake;
mod key_log;
mod opener;
mod problem;
mod suite;
mod wiretap;

pub use key_log::{KeyLog, MAX_CONNECTIONS};
pub(super) use problem::Problem;
pub(super) use wiretap::Wiretap;
