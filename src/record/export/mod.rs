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
//! | [`mcap`] | a part of the recording, as a recording |
//! | [`pcapng`] | calls as packets |
//! | [`robustness`] | calls as the report of etcd's robustness tests |

pub mod columns;
pub mod csv;
#[cfg(test)]
mod fixtures;
pub mod mcap;
pub mod ndjson;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod pcapng;
pub mod robustness;

use std::io;

use bytes::Bytes;

use super::container::Times;
use super::reader::Line;
use super::schema::ChannelId;
use super::schema::v1::{Content, Headers, Loss, Meta};

/// What writes a format.
pub trait Exporter {
    /// A line of the log.
    ///
    /// # Errors
    /// If what was known by then cannot be written.
    fn line(&mut self, line: &Line) -> io::Result<()>;

    /// A header block and when it passed, before the messages that refer to it.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn headers(&mut self, at: u64, headers: &Headers) -> io::Result<()> {
        let _ = (at, headers);
        Ok(())
    }

    /// A message, or a part of one.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn passed(&mut self, passed: &Passed<'_>) -> io::Result<()> {
        let _ = passed;
        Ok(())
    }

    /// The content of a plain HTTP request or answer was seen.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn content(&mut self, times: Times, content: &Content) -> io::Result<()> {
        let _ = (times, content);
        Ok(())
    }

    /// Something could not be recorded, and when that was said.
    ///
    /// # Errors
    /// As of [`Exporter::line`].
    fn loss(&mut self, at: u64, loss: &Loss) -> io::Result<()> {
        let _ = (at, loss);
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
    /// Where it stands in the recording, if it is whole and of a method that we know.
    pub channel: Option<ChannelId>,
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
