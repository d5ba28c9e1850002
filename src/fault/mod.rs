//! Faults: what may be done to a call, to which calls, when, and how often.
//!
//! A [`plan::Plan`] is what somebody wrote; the [`Armory`] is what is loaded of
//! it, shared by all connections. Each connection asks it through a
//! [`Judge`](crate::etcd::verdict::Judge) of its own. Nothing here reads a
//! socket or a clock, and nothing here carries a fault out: a
//! [`Verdict`](crate::etcd::verdict::Verdict) says what is to be done, and the
//! session does it.

mod armory;
pub mod etcd_error;
pub mod plan;

pub use armory::{Armory, FaultState, FaultStatus, MOST_FAULTS, Over, Refused};
