//! Recordings: what stands in a file is what passed, and no more than may.

mod contents;
mod exact;
mod great;
pub mod python;
mod runs;
mod secrets;
pub mod stage;
