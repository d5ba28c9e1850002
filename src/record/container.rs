//! Records into the bytes of an MCAP file, chunk by chunk.
//!
//! Sans-io: what is to be appended to the file comes out as bytes, and only
//! whole records do. After each chunk stands its [`ChunkIndex`], so that a file
//! that was cut anywhere still has an index for all that is before the cut.

use std::collections::BTreeMap;
use std::io;

use prost::Message;
use rustc_hash::FxHashSet;
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::format::{self, Chunk, Summary};
use super::index::{About, Terms};
use super::schema::v1::ChunkIndex;
use super::schema::{ChannelId, Channels, PROFILE, VERSION};

/// The MCAP opcode of a chunk's index: private, so that other readers pass it by.
pub const INDEX_OPCODE: u8 = 0x80;

/// What an index begins with. A reader that lost its way in a damaged file looks
/// for it.
pub const INDEX_MARK: [u8; 8] = *b"\x89etcdtap";

/// The name of the metadata record that says what a recording is.
pub const ABOUT: &str = "etcdtap.recording";

/// How large a chunk grows before it is packed, in bytes.
const CHUNK: usize = 1024 * 1024;

/// MCAP's name of what we pack with.
const ZSTD: &str = "zstd";

/// MCAP's name of what messages and schemas are written in.
const ENCODING: &str = "protobuf";

/// How a recording is written.
#[derive(Debug, Clone)]
pub struct ContainerOptions {
    /// zstd's level, 1 to 19; `None` leaves chunks as they are.
    pub compression: Option<u32>,
    /// What a recording says about itself, besides its version: which values are
    /// hidden, when it began, which part of how many it is.
    pub about: BTreeMap<String, String>,
}

/// Times of a record, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When what it tells was whole.
    pub whole: u64,
    /// When that began.
    pub began: u64,
}

/// Makes the bytes of one file.
pub struct Container {
    /// Bytes of the file that were taken.
    before: u64,
    /// Those that wait.
    out: Vec<u8>,
    /// Records of the chunk at hand.
    records: Vec<u8>,
    /// Packs them; the buffer for that is kept.
    zstd: Option<Compressor<'static>>,
    packed: Vec<u8>,
    known: FxHashSet<ChannelId>,
    sequence: u32,
    terms: Terms,
    chunk: ChunkIndex,
    summary: Summary,
    finished: bool,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("sequence", &self.sequence)
            .field("open", &self.records.len())
            .finish_non_exhaustive()
    }
}

/// What cannot happen to bytes in memory, unless a library changes its mind.
#[derive(Debug)]
pub enum Unwritable {
    /// A channel that no table has.
    Channel(ChannelId),
    /// What zstd says.
    Zstd(io::Error),
}

impl std::fmt::Display for Unwritable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the record cannot be written: ")?;
        match self {
            Unwritable::Channel(channel) => write!(f, "there is no channel {}", channel.0),
            Unwritable::Zstd(error) => write!(f, "zstd: {error}"),
        }
    }
}

impl std::error::Error for Unwritable {}

impl Container {
    /// A file that begins. Its first bytes wait already.
    ///
    /// # Errors
    /// If zstd refuses the level.
    pub fn new(options: &ContainerOptions) -> Result<Container, Unwritable> {
        let zstd = match options.compression {
            Some(level) => {
                let level = i32::try_from(level).unwrap_or(i32::MAX);
                Some(Compressor::new(level).map_err(Unwritable::Zstd)?)
            }
            None => None,
        };
        let mut out = format::MAGIC.to_vec();
        let library = concat!("etcdtap ", env!("CARGO_PKG_VERSION"));
        format::header(PROFILE, library, &mut out);
        let mut about = options.about.clone();
        about.insert("version".to_owned(), VERSION.to_string());
        let at = out.len() as u64;
        format::metadata(ABOUT, &about, &mut out);
        let length = out.len() as u64 - at;
        Ok(Container {
            before: 0,
            out,
            records: Vec::new(),
            zstd,
            packed: Vec::new(),
            known: FxHashSet::default(),
            sequence: 0,
            terms: Terms::default(),
            chunk: ChunkIndex::default(),
            summary: Summary {
                metadata: Some((ABOUT, at, length)),
                ..Summary::default()
            },
            finished: false,
        })
    }

    /// Adds a record. Its bytes come out when its chunk ends.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn add(&mut self, channel: ChannelId, times: Times, data: &[u8]) -> Result<(), Unwritable> {
        if self.known.insert(channel) {
            self.state(channel)?;
        }
        let stamps = (times.whole, times.began);
        format::message(channel.0, self.sequence, stamps, data, &mut self.records);
        self.sequence = self.sequence.wrapping_add(1);
        *self.summary.messages.entry(channel.0).or_default() += 1;
        let chunk = &mut self.chunk;
        if chunk.messages == 0 {
            (chunk.from_ns, chunk.to_ns) = (times.whole, times.whole);
        }
        chunk.from_ns = chunk.from_ns.min(times.whole);
        chunk.to_ns = chunk.to_ns.max(times.whole);
        chunk.messages += 1;
        if self.records.len() >= CHUNK {
            self.end_chunk()?;
        }
        Ok(())
    }

    /// Adds a line of the log: an encoded [`LogLine`](super::schema::v1::LogLine).
    ///
    /// # Errors
    /// As of [`Container::add`].
    pub fn add_line(&mut self, at: u64, about: &About, data: &[u8]) -> Result<(), Unwritable> {
        self.terms.add_line(about);
        let chunk = &mut self.chunk;
        chunk.lines += 1;
        if let Some(revision) = about.revision {
            chunk.least_revision = match chunk.least_revision {
                0 => revision,
                least => least.min(revision),
            };
            chunk.most_revision = chunk.most_revision.max(revision);
        }
        let times = Times {
            whole: at,
            began: at,
        };
        self.add(ChannelId::LOG, times, data)
    }

    /// Whether the file has any record, those that wait included.
    pub fn has_records(&self) -> bool {
        self.sequence > 0
    }

    /// Whether anything was added that has not come out.
    pub fn is_open(&self) -> bool {
        !self.records.is_empty()
    }

    /// Packs what was added: all of it comes out.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn end_chunk(&mut self) -> Result<(), Unwritable> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut index = std::mem::take(&mut self.chunk);
        let start = self.len();
        let times = (index.from_ns, index.to_ns);
        let packed = match &mut self.zstd {
            Some(zstd) => {
                self.packed.clear();
                self.packed.reserve(compress_bound(self.records.len()));
                zstd.compress_to_buffer(&self.records, &mut self.packed)
                    .map_err(Unwritable::Zstd)?;
                &self.packed
            }
            None => &self.records,
        };
        let compression = self.zstd.as_ref().map_or("", |_| ZSTD);
        format::chunk(times, compression, &self.records, packed, &mut self.out);
        self.summary.chunks.push(Chunk {
            times,
            start,
            length: self.before + self.out.len() as u64 - start,
            packed: packed.len() as u64,
            unpacked: self.records.len() as u64,
        });
        self.records.clear();
        // One great message need not keep its room.
        self.records.shrink_to(2 * CHUNK);
        self.packed.shrink_to(2 * CHUNK);
        index.chunk_start = start;
        index.chunk_length = self.len() - start;
        (index.bloom, index.bloom_hashes) = {
            let (bloom, hashes) = self.terms.filter();
            (bloom.into(), hashes)
        };
        let body = index.encode_to_vec();
        let mut record = Vec::with_capacity(INDEX_MARK.len() + 5 + body.len());
        record.extend_from_slice(&INDEX_MARK);
        record.push(1);
        record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        record.extend_from_slice(&body);
        format::private(INDEX_OPCODE, &record, &mut self.out);
        Ok(())
    }

    /// Ends the file: what comes out then is its last bytes.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn finish(&mut self) -> Result<(), Unwritable> {
        self.end_chunk()?;
        if !self.finished {
            self.finished = true;
            let compression = self.zstd.as_ref().map_or("", |_| ZSTD);
            let end = self.len();
            self.summary.write(compression, end, &mut self.out);
        }
        Ok(())
    }

    /// How many bytes the file has, those that wait included.
    pub fn len(&self) -> u64 {
        self.before + self.out.len() as u64
    }

    /// Whether the file has no bytes; it never is, once it was begun.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the bytes that are to be appended to the file to the end of `out`.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        self.before += self.out.len() as u64;
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.append(&mut self.out);
        }
    }

    /// Writes a channel and its schema: into the chunk, which then stands for
    /// itself, and into the summary.
    fn state(&mut self, id: ChannelId) -> Result<(), Unwritable> {
        let channels = Channels::all();
        let Some(channel) = channels.channel(id) else {
            return Err(Unwritable::Channel(id));
        };
        let data = channels.schema_data(channel);
        for out in [&mut self.records, &mut self.summary.schemas] {
            format::schema(id.0, &channel.schema, ENCODING, &data, out);
        }
        for out in [&mut self.records, &mut self.summary.channels] {
            format::channel(id.0, id.0, &channel.topic, ENCODING, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::schema::v1::LogLine;

    fn options() -> ContainerOptions {
        ContainerOptions {
            compression: Some(1),
            about: BTreeMap::from([("values".to_owned(), "redacted".to_owned())]),
        }
    }

    fn line(n: u64) -> LogLine {
        LogLine {
            event: "call".to_owned(),
            conn: n,
            key: Some(format!("/registry/pods/lab/web-{n}").into_bytes().into()),
            revision: Some(n as i64 + 10),
            ..LogLine::default()
        }
    }

    #[test]
    fn any_mcap_reader_reads_it() {
        let mut container = Container::new(&options()).unwrap();
        for n in 0..100 {
            let line = line(n);
            let data = line.encode_to_vec();
            container
                .add_line(1000 + n, &About::line(&line), &data)
                .unwrap();
            if n % 40 == 0 {
                container.end_chunk().unwrap();
            }
        }
        container.finish().unwrap();
        let mut bytes = Vec::new();
        container.take(&mut bytes);
        let read: Vec<_> = mcap::MessageStream::new(&bytes)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read.len(), 100);
        assert_eq!(read[7].channel.topic, "/log");
        assert_eq!(LogLine::decode(&*read[7].data).unwrap(), line(7));
        let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
        assert_eq!(summary.chunk_indexes.len(), 4);
        assert_eq!(summary.stats.unwrap().message_count, 100);
    }

    #[test]
    fn only_whole_records_come_out_and_each_chunk_with_its_index() {
        let mut container = Container::new(&options()).unwrap();
        let mut bytes = Vec::new();
        container.take(&mut bytes);
        let begun = bytes.len();
        let line = line(1);
        container
            .add_line(5, &About::line(&line), &line.encode_to_vec())
            .unwrap();
        container.take(&mut bytes);
        assert_eq!(bytes.len(), begun);
        container.end_chunk().unwrap();
        container.take(&mut bytes);
        assert_eq!(bytes.len() as u64, container.len());
        let at = bytes
            .windows(8)
            .position(|window| window == INDEX_MARK)
            .unwrap();
        let index = ChunkIndex::decode(&bytes[at + 13..]).unwrap();
        assert_eq!(index.chunk_start as usize, begun);
        assert_eq!((index.messages, index.lines), (1, 1));
        assert_eq!((index.least_revision, index.most_revision), (11, 11));
        let chunk = &bytes[index.chunk_start as usize..];
        assert_eq!(chunk[0], mcap::records::op::CHUNK);
        assert_eq!(index.chunk_length as usize + begun + 9, at);
    }
}
