//! The records of a file, one after the other, chunks passed by unopened; and the
//! way back to them where the file is damaged.
//!
//! A record is an opcode, a length and so many bytes. A wrong length leads
//! anywhere. What cannot be is noticed at the latest at the next record, and
//! then the next [index](super::super::container::INDEX_MARK) is looked for,
//! which says where its chunk began: so even a chunk whose own length is damaged
//! is found again.

use std::collections::VecDeque;
use std::io::{self, Read, Seek};
use std::ops::Range;

use mcap::records::{Metadata, Record, op};
use prost::Message as _;

use super::MOST_UNPACKED;
use super::window::Window;
use crate::record::container::{INDEX_MARK, INDEX_OPCODE};
use crate::record::schema::v1::ChunkIndex;

/// An opcode and a length.
const PREFIX: u64 = 9;

/// The version of the index that we read.
const INDEX_VERSION: u8 = 1;

/// The longest index: its filter has at most 10 bits for each of 2^17 terms.
const MOST_INDEX: u64 = 256 * 1024;

/// The longest record that is neither a chunk nor a message.
const MOST_OTHER: u64 = 64 * 1024 * 1024;

/// How far a chunk's own fields can reach: 8 + 8 + 8 + 4, the compression's name,
/// 8.
const CHUNK_HEAD: usize = 64;

/// How much is looked through at a time.
const SEARCHED: usize = 64 * 1024;

/// Bytes of false indexes that are read before a search gives up, beside as many
/// as it has looked through.
const PATIENCE: u64 = 64 * 1024 * 1024;

/// Something that stands in the file.
#[derive(Debug)]
pub(super) enum Found {
    Metadata(Metadata),
    Chunk(FoundChunk),
    /// A message outside of chunks: not of our recorder.
    Message {
        header: mcap::records::MessageHeader,
        data: Vec<u8>,
    },
    Channel(mcap::records::Channel),
    /// Bytes that say nothing any more.
    Lost(Range<u64>),
    /// The file is finished.
    Finished,
    /// Here the file ends, for now: `from` on there is no whole record.
    Tail {
        from: u64,
        len: u64,
    },
}

/// A chunk, unopened.
#[derive(Debug, Clone)]
pub(super) struct FoundChunk {
    /// Where its record's fields begin, behind opcode and length.
    pub body: u64,
    /// How long they are.
    pub length: u64,
    pub index: Option<ChunkIndex>,
}

#[derive(Debug)]
pub(super) struct Walk<R> {
    window: Window<R>,
    at: u64,
    /// All before it was understood.
    trusted: u64,
    /// The end of the last chunk that was found.
    floor: u64,
    /// What comes next was found already.
    next: VecDeque<Found>,
    finished: bool,
}

/// What a record turned out to be.
enum Step {
    /// Found something; it ends there, and all before is understood.
    Found(Found, u64),
    /// Nothing for us.
    Passed(u64),
    /// It ends there, if it is what it says, and nothing vouches for that.
    Doubted(u64),
    /// It cannot be what it says.
    Wrong,
    /// The file ends first.
    Short,
}

impl<R: Read + Seek> Walk<R> {
    /// A walk that begins behind the magic.
    pub fn new(window: Window<R>, at: u64) -> Walk<R> {
        Walk {
            window,
            at,
            trusted: at,
            floor: at,
            next: VecDeque::new(),
            finished: false,
        }
    }

    pub fn window(&mut self) -> &mut Window<R> {
        &mut self.window
    }

    /// What stands next. [`Found::Tail`] comes again and again, until the file has
    /// grown.
    pub fn next(&mut self) -> io::Result<Found> {
        loop {
            if let Some(found) = self.next.pop_front() {
                return Ok(found);
            }
            if self.finished {
                return Ok(Found::Finished);
            }
            let len = self.window.file_len()?;
            match self.step(len)? {
                Step::Found(found, end) => {
                    self.at = end;
                    self.trusted = end;
                    return Ok(found);
                }
                Step::Passed(end) => {
                    self.at = end;
                    self.trusted = end;
                }
                Step::Doubted(end) => self.at = end,
                Step::Short if self.at == len && self.trusted == len => {
                    self.window.forget();
                    return Ok(Found::Tail { from: len, len });
                }
                Step::Short | Step::Wrong => {
                    if !self.find_the_way(len)? {
                        self.window.forget();
                        // What follows may make sense of it once it is there.
                        self.at = self.trusted;
                        return Ok(Found::Tail {
                            from: self.trusted,
                            len,
                        });
                    }
                }
            }
        }
    }

    fn step(&mut self, len: u64) -> io::Result<Step> {
        let at = self.at;
        let prefix = self.window.at(at, PREFIX as usize)?;
        let Some((opcode, length)) = read_prefix(prefix) else {
            return Ok(Step::Short);
        };
        let most = match opcode {
            0 => return Ok(Step::Wrong),
            op::DATA_END => 4,
            op::FOOTER => 20,
            op::CHUNK => MOST_UNPACKED * 2,
            op::MESSAGE => MOST_UNPACKED,
            INDEX_OPCODE => MOST_INDEX,
            _ => MOST_OTHER,
        };
        if length > most {
            return Ok(Step::Wrong);
        }
        let body = at + PREFIX;
        let end = body + length;
        if end > len {
            return Ok(Step::Short);
        }
        match opcode {
            op::DATA_END | op::FOOTER if length != most => Ok(Step::Wrong),
            op::DATA_END | op::FOOTER => {
                self.finished = true;
                Ok(Step::Passed(end))
            }
            op::CHUNK => {
                if !self.is_chunk(body, length)? {
                    return Ok(Step::Wrong);
                }
                let (index, next) = match self.index_at(end, len)? {
                    Some((index, next)) if is_of(&index, at, end) => (Some(index), next),
                    _ => (None, end),
                };
                self.floor = end;
                let chunk = FoundChunk {
                    body,
                    length,
                    index,
                };
                Ok(Step::Found(Found::Chunk(chunk), next))
            }
            INDEX_OPCODE => Ok(match self.index_at(at, len)? {
                Some((index, next)) => match self.passed_over(&index, at) {
                    Some(chunk) => Step::Found(Found::Chunk(chunk), next),
                    None => Step::Passed(next),
                },
                None => Step::Doubted(end),
            }),
            // Some two MiB at most are ours; others' may be greater.
            op::MESSAGE | op::METADATA | op::CHANNEL => {
                // It fits into the file.
                let Some(bytes) = self.window.take(body, length as usize)? else {
                    return Ok(Step::Short);
                };
                Ok(match mcap::parse_record(opcode, &bytes) {
                    Ok(Record::Metadata(metadata)) => Step::Found(Found::Metadata(metadata), end),
                    Ok(Record::Channel(channel)) => Step::Found(Found::Channel(channel), end),
                    Ok(Record::Message { header, data }) => {
                        let data = data.into_owned();
                        Step::Found(Found::Message { header, data }, end)
                    }
                    _ => Step::Wrong,
                })
            }
            op::HEADER..=op::SUMMARY_OFFSET => Ok(Step::Passed(end)),
            _ => Ok(Step::Doubted(end)),
        }
    }

    /// Whether a chunk's fields fit its length.
    fn is_chunk(&mut self, body: u64, length: u64) -> io::Result<bool> {
        let head = self.window.at(body, CHUNK_HEAD)?;
        Ok(packed_at(head).is_some_and(|(at, packed)| at as u64 + packed == length))
    }

    /// The index record that stands at `at`, and where it ends.
    fn index_at(&mut self, at: u64, len: u64) -> io::Result<Option<(ChunkIndex, u64)>> {
        let prefix = self.window.at(at, PREFIX as usize)?;
        let Some((INDEX_OPCODE, length)) = read_prefix(prefix) else {
            return Ok(None);
        };
        let end = at + PREFIX + length;
        if length > MOST_INDEX || end > len {
            return Ok(None);
        }
        let record = self.window.at(at, (PREFIX + length) as usize)?;
        Ok(read_index(&record[PREFIX as usize..]).map(|index| (index, end)))
    }

    /// The chunk of an index, if it has not been found and lies before the index,
    /// which stands `at`.
    fn passed_over(&mut self, index: &ChunkIndex, at: u64) -> Option<FoundChunk> {
        let start = index.chunk_start;
        let end = start.checked_add(index.chunk_length)?;
        if start < self.floor || end != at || index.chunk_length < PREFIX {
            return None;
        }
        self.floor = end;
        Some(FoundChunk {
            body: start + PREFIX,
            length: index.chunk_length - PREFIX,
            index: Some(index.clone()),
        })
    }

    /// Looks for the next index, and goes on behind it.
    fn find_the_way(&mut self, len: u64) -> io::Result<bool> {
        let begin = self.trusted;
        // Its mark stands behind opcode and length, so that it is not missed.
        let mut at = begin;
        let mut patience = PATIENCE;
        while at < len {
            let bytes = self.window.at(at, SEARCHED)?;
            let Some(found) = find(bytes, &INDEX_MARK) else {
                if bytes.len() < SEARCHED {
                    return Ok(false);
                }
                at += (bytes.len() - (INDEX_MARK.len() - 1)) as u64;
                patience += SEARCHED as u64;
                continue;
            };
            let mark = at + found as u64;
            at = mark + 1;
            let Some(record) = mark.checked_sub(PREFIX).filter(|at| *at >= begin) else {
                continue;
            };
            let Some((index, end)) = self.index_at(record, len)? else {
                let Some(left) = patience.checked_sub(MOST_INDEX / 4) else {
                    return Ok(false);
                };
                patience = left;
                continue;
            };
            let chunk = self.passed_over(&index, record);
            let lost = match &chunk {
                Some(chunk) => begin..(chunk.body - PREFIX).max(begin),
                None => begin..record,
            };
            if !lost.is_empty() {
                self.next.push_back(Found::Lost(lost));
            }
            self.next.extend(chunk.map(Found::Chunk));
            self.at = end;
            self.trusted = end;
            return Ok(true);
        }
        Ok(false)
    }
}

fn read_prefix(bytes: &[u8]) -> Option<(u8, u64)> {
    let (opcode, rest) = bytes.split_first()?;
    let length = rest.first_chunk::<8>()?;
    Some((*opcode, u64::from_le_bytes(*length)))
}

/// Whether an index is that of the chunk whose record begins and ends there.
fn is_of(index: &ChunkIndex, start: u64, end: u64) -> bool {
    index.chunk_start == start && index.chunk_start.checked_add(index.chunk_length) == Some(end)
}

/// Reads an index, if that is what the record is.
fn read_index(record: &[u8]) -> Option<ChunkIndex> {
    let rest = record.strip_prefix(&INDEX_MARK)?;
    let (version, rest) = rest.split_first()?;
    let (crc, body) = rest.split_first_chunk::<4>()?;
    if *version != INDEX_VERSION || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    ChunkIndex::decode(body).ok()
}

/// Where in a chunk's record what is packed begins, and how long it says it is.
fn packed_at(head: &[u8]) -> Option<(usize, u64)> {
    let name = u32::from_le_bytes(*head.get(28..)?.first_chunk()?) as usize;
    let at = name.checked_add(32)?;
    let packed = u64::from_le_bytes(*head.get(at..)?.first_chunk()?);
    Some((at + 8, packed)).filter(|_| packed <= MOST_UNPACKED * 2)
}

/// Where `wanted` stands first.
fn find(bytes: &[u8], wanted: &[u8; 8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        let at = from + found;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
