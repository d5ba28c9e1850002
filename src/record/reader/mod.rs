//! A recording, as far as it is whole.
//!
//! A [`Reading`] goes through the files of a recording once, from the front: it
//! is an iterator of [`Item`]s, and says at the end what was [missing](Wholeness).
//! What a [`Query`] does not ask for is passed by without being unpacked, by the
//! index that stands behind each chunk. The MCAP summary at a file's end is not
//! looked at: files that were cut have none.
//!
//! | file | what it is about |
//! |---|---|
//! | [`window`] | bytes of a file, wherever it is looked at |
//! | [`walk`] | a file's records, chunks passed by; the way back after damage |
//! | [`unpack`] | a chunk's records |
//! | [`item`] | what they say |
//! | [`joined`] | great messages, put together again |
//! | [`query`] | what is asked for |
//! | [`recording`] | one file |
//! | [`recordings`] | the files of a recording, found and put in order |
//! | `runs` | connections of several runs told apart |
//! | [`refusal`] | what is no recording, and what it looks like instead |
//! | [`wholeness`] | what is missing, in words |

pub mod item;
pub mod joined;
pub mod query;
pub mod recording;
pub mod recordings;
pub mod refusal;
mod runs;
mod unpack;
mod walk;
pub mod wholeness;
mod window;

#[cfg(test)]
mod tests;

pub use item::{Item, Line, Message, Part};
pub use joined::Joined;
pub use query::{AnyOf, Asked, Query, Wants};
pub use recording::{About, Figures, Recording};
pub use recordings::{Reading, Recordings};
pub use refusal::Refusal;
pub use runs::STRIDE;
pub use wholeness::{Missing, Wholeness};

/// What a chunk may take unpacked, in bytes. The recorder's take about 1 MiB, or
/// as much as one record, which is some MiB at most.
pub const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
