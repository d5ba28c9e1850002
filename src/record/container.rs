//! Records into the bytes of an MCAP file, chunk by chunk.
//!
//! Sans-io: what is to be appended to the file comes out as bytes, and only
//! whole records do. After each chunk stands its [`ChunkIndex`], so that a file
//! that was cut anywhere still has an index for all that is before the cut.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use mcap::records::MessageHeader;
use mcap::{Compression, McapError, WriteOptions, Writer};
use prost::Message;
use rustc_hash::FxHashSet;

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
const CHUNK: u64 = 1024 * 1024;

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
    writer: Writer<Spool>,
    spool: Spool,
    known: FxHashSet<ChannelId>,
    sequence: u32,
    terms: Terms,
    chunk: ChunkIndex,
    /// About how many bytes the chunk at hand holds.
    open: u64,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("sequence", &self.sequence)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// What cannot happen to bytes in memory, unless a library changes its mind.
#[derive(Debug)]
pub struct Unwritable(McapError);

impl std::fmt::Display for Unwritable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the record cannot be written: {}", self.0)
    }
}

impl std::error::Error for Unwritable {}

impl From<McapError> for Unwritable {
    fn from(error: McapError) -> Unwritable {
        Unwritable(error)
    }
}

impl Container {
    /// A file that begins. Its first bytes wait already.
    ///
    /// # Errors
    /// If zstd refuses the level.
    pub fn new(options: &ContainerOptions) -> Result<Container, Unwritable> {
        let spool = Spool::default();
        let write = WriteOptions::new()
            .profile(PROFILE)
            .library(concat!("etcdtap ", env!("CARGO_PKG_VERSION")))
            .compression(options.compression.map(|_| Compression::Zstd))
            .compression_level(options.compression.unwrap_or_default())
            // The recorder has a thread of its own, and one is what it may take.
            .compression_threads(0)
            // We end chunks ourselves: their index has to follow them.
            .chunk_size(None)
            .disable_seeking(true)
            // 16 bytes a message, for what a reader of whole chunks never asks.
            .emit_message_indexes(false)
            .calculate_data_section_crc(false);
        let mut writer = write.create(spool.clone())?;
        let mut about = options.about.clone();
        about.insert("version".to_owned(), VERSION.to_string());
        writer.write_metadata(&mcap::records::Metadata {
            name: ABOUT.to_owned(),
            metadata: about,
        })?;
        Ok(Container {
            writer,
            spool,
            known: FxHashSet::default(),
            sequence: 0,
            terms: Terms::default(),
            chunk: ChunkIndex::default(),
            open: 0,
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
        let header = MessageHeader {
            channel_id: channel.0,
            sequence: self.sequence,
            log_time: times.whole,
            publish_time: times.began,
        };
        self.writer.write_to_known_channel(&header, data)?;
        self.sequence = self.sequence.wrapping_add(1);
        let chunk = &mut self.chunk;
        if chunk.messages == 0 {
            (chunk.from_ns, chunk.to_ns) = (times.whole, times.whole);
        }
        chunk.from_ns = chunk.from_ns.min(times.whole);
        chunk.to_ns = chunk.to_ns.max(times.whole);
        chunk.messages += 1;
        self.open += data.len() as u64 + 31;
        if self.open >= CHUNK {
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

    /// Whether anything was added that has not come out.
    pub fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Packs what was added: all of it comes out.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn end_chunk(&mut self) -> Result<(), Unwritable> {
        if self.open == 0 {
            return Ok(());
        }
        self.open = 0;
        let start = self.spool.end();
        self.writer.flush()?;
        let mut index = std::mem::take(&mut self.chunk);
        index.chunk_start = start;
        index.chunk_length = self.spool.end() - start;
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
        self.writer
            .write_private_record(INDEX_OPCODE, &record, Default::default())?;
        Ok(())
    }

    /// Ends the file: what comes out then is its last bytes.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn finish(&mut self) -> Result<(), Unwritable> {
        self.end_chunk()?;
        self.writer.finish()?;
        Ok(())
    }

    /// How many bytes the file has, those that wait included.
    pub fn len(&self) -> u64 {
        self.spool.end()
    }

    /// Whether the file has no bytes; it never is, once it was begun.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the bytes that are to be appended to the file to the end of `out`.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        self.spool.take(out);
    }

    /// Writes a channel and its schema.
    fn state(&mut self, id: ChannelId) -> Result<(), Unwritable> {
        let channels = Channels::all();
        let Some(channel) = channels.channel(id) else {
            return Err(Unwritable(McapError::UnknownChannel(self.sequence, id.0)));
        };
        let data = channels.schema_data(channel);
        self.writer
            .add_schema_with_id(id.0, &channel.schema, "protobuf", &data)?;
        let none = BTreeMap::new();
        self.writer
            .add_channel_with_id(id.0, id.0, &channel.topic, "protobuf", &none)?;
        Ok(())
    }
}

/// The end of a file that is still in memory. Shared with the MCAP writer, which
/// owns its half.
#[derive(Debug, Clone, Default)]
struct Spool {
    inner: Arc<Mutex<Tail>>,
}

#[derive(Debug, Default)]
struct Tail {
    /// Bytes of the file that were taken.
    before: u64,
    bytes: Vec<u8>,
}

impl Spool {
    fn with<T>(&self, what: impl FnOnce(&mut Tail) -> T) -> T {
        // Appending to a Vec leaves nothing half done.
        what(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self) -> u64 {
        self.with(|tail| tail.before + tail.bytes.len() as u64)
    }

    fn take(&self, out: &mut Vec<u8>) {
        self.with(|tail| {
            tail.before += tail.bytes.len() as u64;
            out.append(&mut tail.bytes);
        });
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|tail| tail.bytes.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Spool {
    /// A file that is only appended to is always at its end.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.end();
        match to {
            SeekFrom::Current(0) | SeekFrom::End(0) => Ok(end),
            SeekFrom::Start(at) if at == end => Ok(end),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a recording is only appended to",
            )),
        }
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
