//! The demonstration: a real API server's calls, driven through the proxy again.
//!
//! | file | what it is about |
//! |---|---|
//! | `command` | the flags, and what is set up and taken down |
//! | `bundled` | the recording in this program |
//! | `upstream` | what stands behind the proxy: an etcd, or a playback of the recording |
//! | `etcd` | an etcd of one's own, alone on loopback |
//! | `connection` | a client's connection as the recorded one had it |
//! | `api_server` | plays the API server's part |
//! | `cache` | its caches: they list, watch, and take a watch up again |
//! | `story` | the chapters, their pace, and the faults |
//! | `stage` | where it speaks beside the log |
//!
//! The recording is cut from a capture by `scripts/demo-recording`.

mod api_server;
mod bundled;
mod cache;
mod command;
mod connection;
mod etcd;
mod stage;
mod story;
mod upstream;

pub use command::DemoArgs;
pub(super) use command::run;
