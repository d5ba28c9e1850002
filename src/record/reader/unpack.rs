//! A chunk's records.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use mcap::records::{Channel, MessageHeader, Record, op};

use super::MOST_UNPACKED;

/// What is set aside for a chunk at once; more only as it fills.
const AT_ONCE: usize = 2 * 1024 * 1024;

/// Why a chunk says nothing.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Its fields make no sense.
    Fields,
    /// It is packed in a way that we do not know.
    Packing(String),
    /// It cannot be unpacked.
    Packed,
    /// It is greater than any of ours.
    TooGreat,
    /// Its CRC is not that of its bytes.
    Crc,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Fields => f.write_str("its head makes no sense"),
            Unreadable::Packing(how) => write!(f, "it is packed with {how:?}, not with zstd"),
            Unreadable::Packed => f.write_str("it cannot be unpacked"),
            Unreadable::TooGreat => write!(
                f,
                "it is greater than {} MiB unpacked",
                MOST_UNPACKED / 1024 / 1024
            ),
            Unreadable::Crc => f.write_str("its checksum is wrong"),
        }
    }
}

/// A chunk's bytes, from its record's fields.
pub(super) fn unpack(body: &[u8]) -> Result<Bytes, Unreadable> {
    let Ok(Record::Chunk { header, data }) = mcap::parse_record(op::CHUNK, body) else {
        return Err(Unreadable::Fields);
    };
    let bytes = match header.compression.as_str() {
        "" => Bytes::copy_from_slice(&data),
        "zstd" => {
            let claimed = usize::try_from(header.uncompressed_size).unwrap_or(usize::MAX);
            let mut bytes = Vec::with_capacity(claimed.min(AT_ONCE));
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&*data).map_err(|_| Unreadable::Packed)?;
            // One more, so that too much is noticed.
            let read = (&mut decoder)
                .take(MOST_UNPACKED + 1)
                .read_to_end(&mut bytes);
            read.map_err(|_| Unreadable::Packed)?;
            if bytes.len() as u64 > MOST_UNPACKED {
                return Err(Unreadable::TooGreat);
            }
            Bytes::from(bytes)
        }
        other => {
            let shown = other.chars().take(16).collect();
            return Err(Unreadable::Packing(shown));
        }
    };
    // 0 is how a writer says that it made no CRC.
    let is_whole = match header.uncompressed_crc {
        0 => bytes.len() as u64 == header.uncompressed_size,
        crc => crc32fast::hash(&bytes) == crc,
    };
    match is_whole {
        true => Ok(bytes),
        false => Err(Unreadable::Crc),
    }
}

/// What stands in a chunk.
#[derive(Debug)]
pub(super) enum Packed {
    Message { header: MessageHeader, data: Bytes },
    Channel(Channel),
}

/// Goes through a chunk's records; schemas and what is unknown are passed by.
#[derive(Debug)]
pub(super) struct Records {
    rest: Bytes,
}

/// From here on the chunk makes no sense.
#[derive(Debug)]
pub(super) struct Senseless;

impl Records {
    pub fn of(chunk: Bytes) -> Records {
        Records { rest: chunk }
    }

    /// The next message that stands on a channel for which `wanted`, and was whole
    /// within the times.
    pub fn next(
        &mut self,
        wanted: impl Fn(&MessageHeader) -> bool,
    ) -> Option<Result<Packed, Senseless>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let Some(record) = self.take() else {
                self.rest.clear();
                return Some(Err(Senseless));
            };
            let (opcode, body) = record;
            match opcode {
                op::MESSAGE => {
                    let Some(header) = message_header(&body) else {
                        return Some(Err(Senseless));
                    };
                    if wanted(&header) {
                        let data = body.slice(MESSAGE_HEAD..);
                        return Some(Ok(Packed::Message { header, data }));
                    }
                }
                op::CHANNEL => {
                    if let Ok(Record::Channel(channel)) = mcap::parse_record(op::CHANNEL, &body) {
                        return Some(Ok(Packed::Channel(channel)));
                    }
                }
                _ => {}
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Bytes)> {
        let (opcode, after) = self.rest.split_first()?;
        let length = u64::from_le_bytes(*after.first_chunk::<8>()?);
        let length = usize::try_from(length).ok()?;
        let end = length
            .checked_add(9)
            .filter(|end| *end <= self.rest.len())?;
        let opcode = *opcode;
        let record = self.rest.split_to(end);
        Some((opcode, record.slice(9..)))
    }
}

/// A message's fields before its data: 2 + 4 + 8 + 8.
const MESSAGE_HEAD: usize = 22;

/// Reads them by hand: there is one for each of a million messages.
fn message_header(body: &[u8]) -> Option<MessageHeader> {
    let head: &[u8; MESSAGE_HEAD] = body.first_chunk()?;
    let (channel, rest) = head.split_first_chunk::<2>()?;
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (log, publish) = rest.split_first_chunk::<8>()?;
    Some(MessageHeader {
        channel_id: u16::from_le_bytes(*channel),
        sequence: u32::from_le_bytes(*sequence),
        log_time: u64::from_le_bytes(*log),
        publish_time: u64::from_le_bytes(*publish.first_chunk::<8>()?),
    })
}
