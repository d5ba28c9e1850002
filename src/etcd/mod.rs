//! See the map in `lib.rs`.

pub mod dictionary;
pub mod schema;
