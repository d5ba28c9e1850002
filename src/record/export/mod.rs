//! Recordings in other people's formats. `docs/export.md` states each.
//!
//! Sans-io but for [`Write`](std::io::Write): records go in, in the order of the recording, and
//! a format's bytes come out as soon as they are known.
//!
//! | file | what it is about |
//! |---|---|
//! | [`ndjson`] | lines as the live log has them |
//! | [`columns`] | a line of the log as a row of a table |
//! | [`csv`] | rows as CSV |
//! | [`parquet`] | rows as Parquet, with types |
//! | [`pcapng`] | calls as packets |
//! | [`robustness`] | calls as the report of etcd's robustness tests |

pub mod columns;
pub mod csv;
#[cfg(test)]
mod fixtures;
pub mod ndjson;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod pcapng;
pub mod robustness;

use std::io;

use bytes::Bytes;

use super::container::Times;
use super::reader::Line;
use super::schema::v1::{Headers, Meta};

/// What writes a format.
pub trait Exporter {
    /// A line of the log.
    ///
    /// # Errors
    /// If what was known by then cannot be written.
    fn line(&mut self, line: &Line) -> io::Result<()>;

    /// A header block, before the messages that refer to it.
    fn headers(&mut self, headers: &Headers) {
        let _ = headers;
    }

    /// A message, or a part of one.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn passed(&mut self, passed: &Passed<'_>) -> io::Result<()> {
        let _ = passed;
        Ok(())
    }

    /// Whether messages and header blocks matter to it at all.
    fn wants_messages(&self) -> bool {
        false
    }

    /// The recording has ended: all that is still held is written.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn finish(&mut self) -> io::Result<()>;

    /// What is to be appended to which file, for a format that is a folder: now and
    /// then, or with `all` whatever there is.
    fn take(&mut self, all: bool) -> Vec<(String, Vec<u8>)> {
        let _ = all;
        Vec::new()
    }

    /// What the format could not tell, in words; empty if it told everything.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A message that passed, or a part of one.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    /// When it was whole, and when the message began.
    pub times: Times,
    /// Where it stood; complete in the last part only.
    pub meta: &'a Meta,
    /// The path of its call: `/etcdserverpb.KV/Range`.
    pub path: &'a str,
    /// Where the part begins in the message; 0 for a whole one.
    pub offset: u64,
    /// The bytes; what was hidden in them are stars, or nothing is here.
    pub data: &'a Bytes,
    /// Whether this is the message's last part; so it is for a whole one.
    pub last: bool,
}

/// Counts what a format could not tell, and says it in words.
#[derive(Debug, Default)]
struct LeftOut {
    reasons: Vec<(&'static str, u64)>,
}

impl LeftOut {
    /// One more of these. There are few reasons.
    fn add(&mut self, reason: &'static str) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
    }

    fn words(&self) -> Vec<String> {
        let words = |(reason, count): &(&str, u64)| format!("{count} {reason}");
        self.reasons.iter().map(words).collect()
    }
}
