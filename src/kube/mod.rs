//! Kubernetes' view of etcd: registry keys and stored objects.
//!
//! Nothing here reads a socket or a clock, and nothing here keeps or shows the
//! contents of an object beyond its envelope and its metadata.

mod builtin;
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
pub mod value;
mod wire;
