//! The demonstration: a real etcd, and somebody who uses it as an API server
//! would.

pub mod etcd;
pub mod workload;
