//! Kubernetes' view of etcd: registry keys and stored objects.
//!
//! Nothing here reads a socket or a clock. Only [`tree`] and [`diff`] show an
//! object's contents, and they hide those of Secrets and tokens unless asked not
//! to; everything else keeps to its envelope and its metadata.

mod builtin;
pub mod diff;
#[cfg(test)]
mod fixtures;
pub mod key;
pub mod meta;
pub mod object;
pub mod operation;
pub mod outline;
pub mod resources;
pub mod schema;
pub mod secret;
pub mod token;
pub mod tree;
pub mod value;
mod wire;
