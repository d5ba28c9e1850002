//! A recording driven again: its calls and watches against another etcd, and
//! what that answers held against what was recorded. `docs/replay.md` is the
//! user's page.
//!
//! | file | what it is about |
//! |---|---|
//! | [`plan`] | what is done in which order, and what the recording presupposes |
//! | [`numbering`] | recorded revisions and leases, and the target's for them |
//! | [`mapped`] | requests and answers in the target's numbers |
//! | [`compare`] | where an answer is another one, field by field |
//! | [`watches`] | what a watch should bring, and what it brought |
//! | [`report`] | what came of it |
//! | [`raw`] | messages as bytes through a gRPC client |
//! | [`drive`] | the connection to the target; the only file here that does I/O |
//!
//! Everything but [`drive`] is sans-io.

pub mod compare;
pub mod drive;
pub mod mapped;
pub mod numbering;
pub mod plan;
pub mod raw;
pub mod report;
pub mod watches;

#[cfg(test)]
mod tests;

pub use drive::{Replay, ReplayOptions};
pub use plan::Plan;
pub use report::{Ended, Report};
