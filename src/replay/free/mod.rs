//! The traffic of a recording as load: the same connections, streams and calls, at
//! the pace at which they were recorded, at another, or as fast as the target
//! answers. Nothing is ordered and no answer is compared.
//!
//! | file | what it is about |
//! |---|---|
//! | [`pace`] | how fast |
//! | [`program`] | what is driven, when, and on which connection |
//! | `causes` | which call made what another one speaks of |
//! | [`schedule`] | what is to be done now |
//! | `known` | what the target has told, and requests in its numbers |
//! | `streams` | a watch, or keepalives, at the target |
//! | [`wire`], [`heads`] | one HTTP/2 connection, as a client has it; its header blocks |
//! | [`report`] | what came of it |
//! | `woken`, `sleeper` | which connections have something to do, and when it is time |
//! | `link` | a connection and its socket |
//! | `prepare` | what the recording presupposes, written first |
//! | [`drive`] | all of the above together |
//!
//! Only the last four rows do I/O.

mod causes;
pub mod drive;
pub mod heads;
mod known;
mod link;
pub mod pace;
mod prepare;
pub mod program;
pub mod report;
pub mod schedule;
mod sleeper;
mod streams;
pub mod wire;
mod woken;

#[cfg(test)]
mod tests;

pub use drive::{DriveOptions, drive};
pub use known::Guards;
pub use pace::Pace;
pub use program::Program;
pub use report::Report;
