//! The demonstration: a real etcd, and somebody who uses it as an API server
//! would.

mod command;
pub mod etcd;
pub mod workload;

pub use command::DemoArgs;
pub(super) use command::run;
