//! Recordings of what passed.

pub mod redact;
