//! An etcd made of a recording. `docs/playback.md` says what it can and cannot do.
//!
//! | file | what it is about |
//! |---|---|
//! | [`reading`] | from the traffic of a recording to facts about the store |
//! | [`world`] | the store that plays, who it says it is, what it refused |
//! | [`service`] | etcd's services on it |
//! | [`watching`] | its watch streams |
//! | `authority` | `:authority` as etcdctl 3.4 writes it |
//! | [`server`] | the gRPC server, and the clock that drives the store |
//!
//! What is not known is refused in words and counted; nothing is guessed.

mod authority;
pub mod reading;
pub mod server;
mod service;
mod watching;
pub mod world;

pub use reading::Reading;
pub use world::{Pace, Shared, World};
