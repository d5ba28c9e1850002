//! MCAP's records as bytes, as its specification states them.
//!
//! The `mcap` crate writes chunks, too; but it gives each field of each record to
//! zstd by itself, which cost as much time a call as packing did. Here a chunk is
//! gathered in one buffer and packed in one go. What comes out is read with that
//! crate in the tests, and with MCAP's Python package.
//!
//! All numbers are little endian; strings and maps stand behind their length in
//! bytes, records behind their opcode and theirs.

use std::collections::BTreeMap;

use mcap::records::op;

/// What a file begins and ends with.
pub const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";

/// A record whose content is being written at the end of a buffer.
#[derive(Debug)]
pub struct Record<'b> {
    out: &'b mut Vec<u8>,
    /// Where its length stands.
    length_at: usize,
}

impl<'b> Record<'b> {
    /// Begins a record; it is whole when this is dropped.
    pub fn begin(opcode: u8, out: &'b mut Vec<u8>) -> Record<'b> {
        out.push(opcode);
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        Record { out, length_at }
    }

    /// A number of 8 bits.
    pub fn u8(&mut self, number: u8) -> &mut Self {
        self.out.push(number);
        self
    }

    /// A number of 16 bits.
    pub fn u16(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// A number of 32 bits.
    pub fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// A number of 64 bits.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length. Ours are schemas and names: nowhere near 4 GiB.
    pub fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32).bytes(bytes)
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.sized(text.as_bytes())
    }

    /// Texts by their names.
    pub fn texts(&mut self, texts: &BTreeMap<String, String>) -> &mut Self {
        let length: usize = texts.iter().map(|(k, v)| 8 + k.len() + v.len()).sum();
        self.u32(length as u32);
        for (name, text) in texts {
            self.text(name).text(text);
        }
        self
    }

    /// Numbers by channel.
    pub fn by_channel(&mut self, numbers: &BTreeMap<u16, u64>) -> &mut Self {
        self.u32(10 * numbers.len() as u32);
        for (channel, number) in numbers {
            self.u16(*channel).u64(*number);
        }
        self
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let content = self.length_at + 8;
        let length = (self.out.len() - content) as u64;
        self.out[self.length_at..content].copy_from_slice(&length.to_le_bytes());
    }
}

/// The first record: what kind of file this is, and what wrote it.
pub fn header(profile: &str, library: &str, out: &mut Vec<u8>) {
    Record::begin(op::HEADER, out).text(profile).text(library);
}

/// A message's schema.
pub fn schema(id: u16, name: &str, encoding: &str, data: &[u8], out: &mut Vec<u8>) {
    let mut record = Record::begin(op::SCHEMA, out);
    record.u16(id).text(name).text(encoding).sized(data);
}

/// Where messages of one kind stand.
pub fn channel(id: u16, schema: u16, topic: &str, encoding: &str, out: &mut Vec<u8>) {
    let mut record = Record::begin(op::CHANNEL, out);
    record.u16(id).u16(schema).text(topic).text(encoding).u32(0);
}

/// What a file says about itself.
pub fn metadata(name: &str, about: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    Record::begin(op::METADATA, out).text(name).texts(about);
}

/// What a message costs besides its data, in bytes.
pub const MESSAGE: u64 = 9 + 22;

/// A message: when it was whole, and when it began, in nanoseconds since 1970.
pub fn message(
    channel: u16,
    sequence: u32,
    (log_time, publish_time): (u64, u64),
    data: &[u8],
    out: &mut Vec<u8>,
) {
    // Once a message: in one piece.
    let mut head = [0; MESSAGE as usize];
    head[0] = op::MESSAGE;
    head[1..9].copy_from_slice(&(22 + data.len() as u64).to_le_bytes());
    head[9..11].copy_from_slice(&channel.to_le_bytes());
    head[11..15].copy_from_slice(&sequence.to_le_bytes());
    head[15..23].copy_from_slice(&log_time.to_le_bytes());
    head[23..31].copy_from_slice(&publish_time.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(data);
}

/// A chunk, as the index at the end of the file states it.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The times of its messages: the least and the greatest.
    pub times: (u64, u64),
    /// Where it stands in the file.
    pub start: u64,
    /// Its record, with opcode and length.
    pub length: u64,
    /// Its records, packed.
    pub packed: u64,
    /// Its records.
    pub unpacked: u64,
}

/// A chunk of records. `packed` is what zstd or nothing made of `records`.
pub fn chunk(
    times: (u64, u64),
    compression: &str,
    records: &[u8],
    packed: &[u8],
    out: &mut Vec<u8>,
) {
    let mut record = Record::begin(op::CHUNK, out);
    record.u64(times.0).u64(times.1);
    record.u64(records.len() as u64);
    record.u32(crc32fast::hash(records));
    record.text(compression);
    record.u64(packed.len() as u64).bytes(packed);
}

/// A record that is ours.
pub fn private(opcode: u8, data: &[u8], out: &mut Vec<u8>) {
    Record::begin(opcode, out).bytes(data);
}

/// What stands at the end of a file.
#[derive(Debug, Default)]
pub struct Summary {
    /// Schemas and channels, as they stood in the chunks.
    pub schemas: Vec<u8>,
    /// The channels.
    pub channels: Vec<u8>,
    /// The chunks, in order.
    pub chunks: Vec<Chunk>,
    /// How many messages each channel has.
    pub messages: BTreeMap<u16, u64>,
    /// The metadata record: its name, where it stands, its length.
    pub metadata: Option<(&'static str, u64, u64)>,
}

impl Summary {
    /// The end of a file whose data end at `end`.
    pub fn write(&self, compression: &str, end: u64, out: &mut Vec<u8>) {
        let base = out.len();
        let here = |out: &Vec<u8>| end + (out.len() - base) as u64;
        // A checksum of 0 says that there is none.
        Record::begin(op::DATA_END, out).u32(0);
        let start = here(out);
        let summary_at = out.len();
        let mut groups = Vec::new();
        let mut group = |opcode: u8, from: u64, out: &Vec<u8>| {
            let length = here(out) - from;
            if length > 0 {
                groups.push((opcode, from, length));
            }
        };
        let from = here(out);
        out.extend_from_slice(&self.schemas);
        group(op::SCHEMA, from, out);
        let from = here(out);
        out.extend_from_slice(&self.channels);
        group(op::CHANNEL, from, out);
        let from = here(out);
        self.statistics(out);
        group(op::STATISTICS, from, out);
        let from = here(out);
        for chunk in &self.chunks {
            let mut record = Record::begin(op::CHUNK_INDEX, out);
            record.u64(chunk.times.0).u64(chunk.times.1);
            record.u64(chunk.start).u64(chunk.length);
            // No message indexes.
            record.u32(0).u64(0);
            record
                .text(compression)
                .u64(chunk.packed)
                .u64(chunk.unpacked);
        }
        group(op::CHUNK_INDEX, from, out);
        let from = here(out);
        if let Some((name, at, length)) = self.metadata {
            let mut record = Record::begin(op::METADATA_INDEX, out);
            record.u64(at).u64(length).text(name);
        }
        group(op::METADATA_INDEX, from, out);
        let offsets = here(out);
        for (opcode, from, length) in groups {
            let mut record = Record::begin(op::SUMMARY_OFFSET, out);
            record.u8(opcode).u64(from).u64(length);
        }
        let mut footer = Vec::new();
        Record::begin(op::FOOTER, &mut footer)
            .u64(start)
            .u64(offsets)
            .u32(0);
        // The checksum goes up to itself.
        footer.truncate(footer.len() - 4);
        out.extend_from_slice(&footer);
        let crc = crc32fast::hash(&out[summary_at..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&MAGIC);
    }

    fn statistics(&self, out: &mut Vec<u8>) {
        let least = self.chunks.iter().map(|chunk| chunk.times.0).min();
        let most = self.chunks.iter().map(|chunk| chunk.times.1).max();
        let mut record = Record::begin(op::STATISTICS, out);
        record.u64(self.messages.values().sum());
        record.u16(self.messages.len() as u16);
        record.u32(self.messages.len() as u32);
        // No attachments.
        record.u32(0);
        record.u32(u32::from(self.metadata.is_some()));
        record.u32(self.chunks.len() as u32);
        record.u64(least.unwrap_or_default());
        record.u64(most.unwrap_or_default());
        record.by_channel(&self.messages);
    }
}
