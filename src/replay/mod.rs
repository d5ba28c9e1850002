//! A recording driven again: its calls and watches against another etcd, and
//! what that answers held against what was recorded. `docs/replay.md` is the
//! user's page.
//!
//! | file | what it is about |
//! |---|---|
//! | [`plan`] | what is done in which order |
//! | `presupposed` | what the recording presupposes: what no call of it wrote |
//! | [`numbering`] | recorded revisions and leases, and the target's for them |
//! | [`mapped`] | requests and answers in the target's numbers |
//! | [`compare`] | where an answer is another one, field by field |
//! | [`watches`] | what a watch should bring, and what it brought |
//! | [`report`] | what came of it |
//! | [`raw`] | messages as bytes through a gRPC client |
//! | [`reach`] | how the target is reached, and as whom |
//! | [`target`] | the etcd that it is driven against |
//! | `live` | a Watch stream at the target |
//! | [`drive`] | the steps of a plan, done |
//! | `restore` | what a snapshot holds, written before |
//! | [`free`] | the same traffic as load: nothing ordered, as fast as it was or faster |
//!
//! `raw`, `target`, `live`, `drive`, `restore` and a part of `free` do I/O, over
//! connections that are handed in (`reach`); the rest is sans-io.

pub mod compare;
pub mod drive;
pub mod free;
mod live;
pub mod mapped;
pub mod numbering;
pub mod plan;
mod presupposed;
pub mod raw;
pub mod reach;
pub mod report;
mod restore;
pub mod target;
pub mod watches;

#[cfg(test)]
mod planned;
#[cfg(test)]
mod tests;

pub use drive::{Replay, ReplayOptions};
pub use plan::{Plan, TooNew};
pub use presupposed::{Foreign, Presupposed};
pub use reach::{Reach, User};
pub use report::{Ended, Report};
pub use target::Target;
