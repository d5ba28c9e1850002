//! A part of a recording as a recording of its own.
//!
//! Records go in as they stood: what was hidden stays so, under the same key, and
//! connections and streams keep their numbers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use prost::Message as _;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Exporter, Passed};
use crate::record::container::{Container, ContainerOptions, Times, Unwritable};
use crate::record::index::About;
use crate::record::reader::Line;
use crate::record::schema::v1::{Content, Headers, Loss, Part};
use crate::record::schema::{ChannelId, Envelope};

/// zstd's level: an export is read more often than it is written.
const COMPRESSION: u32 = 19;

/// Writes a recording.
#[derive(Debug)]
pub struct Mcap<W> {
    out: W,
    container: Container,
    /// Header blocks that no message has referred to yet.
    waiting: FxHashMap<u64, (u64, Headers)>,
    /// Connections of which there is a message.
    connections: FxHashSet<u64>,
    bytes: Vec<u8>,
}

impl<W: Write> Mcap<W> {
    /// Begins a file. `notes` is what the recording that it is a part of says about
    /// itself.
    ///
    /// # Errors
    /// If it cannot be begun.
    pub fn new(out: W, notes: &BTreeMap<String, String>) -> io::Result<Mcap<W>> {
        let options = ContainerOptions {
            compression: Some(COMPRESSION),
            about: notes.clone(),
        };
        Ok(Mcap {
            out,
            container: Container::new(&options).map_err(unwritable)?,
            waiting: FxHashMap::default(),
            connections: FxHashSet::default(),
            bytes: Vec::new(),
        })
    }

    fn add(&mut self, channel: ChannelId, times: Times, data: &[u8]) -> io::Result<()> {
        let added = self.container.add(channel, times, data);
        added.map_err(unwritable)?;
        self.pass_on()
    }

    /// What is ready goes out.
    fn pass_on(&mut self) -> io::Result<()> {
        self.container.take(&mut self.bytes);
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }

    fn add_headers(&mut self, at: u64, headers: &Headers) -> io::Result<()> {
        self.add(ChannelId::HEADERS, moment(at), &headers.encode_to_vec())
    }
}

impl<W: Write> Exporter for Mcap<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        let about = About::line(&line.line);
        let data = line.line.encode_to_vec();
        let added = self.container.add_line(line.at, &about, &data);
        added.map_err(unwritable)?;
        self.pass_on()
    }

    fn headers(&mut self, at: u64, headers: &Headers) -> io::Result<()> {
        if !headers.trailers {
            self.waiting.insert(headers.id, (at, headers.clone()));
            return Ok(());
        }
        match self.connections.contains(&headers.connection) {
            true => self.add_headers(at, headers),
            false => Ok(()),
        }
    }

    fn passed(&mut self, passed: &Passed<'_>) -> io::Result<()> {
        self.connections.insert(passed.meta.connection);
        if let Some((at, headers)) = self.waiting.remove(&passed.meta.headers) {
            self.add_headers(at, &headers)?;
        }
        let meta = passed.meta.clone();
        match passed.channel {
            Some(channel) => {
                let envelope = Envelope {
                    meta: Some(meta),
                    message: passed.data.clone(),
                };
                self.add(channel, passed.times, &envelope.encode_to_vec())
            }
            None => {
                let part = Part {
                    meta: Some(meta),
                    path: passed.path.to_owned(),
                    offset: passed.offset,
                    data: passed.data.clone(),
                    last: passed.last,
                };
                self.add(ChannelId::PARTS, passed.times, &part.encode_to_vec())
            }
        }
    }

    fn content(&mut self, times: Times, content: &Content) -> io::Result<()> {
        self.add(ChannelId::CONTENTS, times, &content.encode_to_vec())
    }

    fn loss(&mut self, at: u64, loss: &Loss) -> io::Result<()> {
        self.add(ChannelId::LOSSES, moment(at), &loss.encode_to_vec())
    }

    fn wants_messages(&self) -> bool {
        true
    }

    fn finish(&mut self) -> io::Result<()> {
        self.container.finish().map_err(unwritable)?;
        self.pass_on()?;
        self.out.flush()
    }
}

fn moment(at: u64) -> Times {
    Times {
        whole: at,
        began: at,
    }
}

fn unwritable(error: Unwritable) -> io::Error {
    io::Error::other(error.to_string())
}
