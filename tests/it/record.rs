//! Recordings: what stands in a file is what passed, and no more than may.

mod exact;
mod python;
mod secrets;
mod stage;
