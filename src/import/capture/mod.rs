//! The container: the bytes of a pcap or pcapng file in, its packets out.
//!
//! The readers are our own. Both formats are a few fields in front of a length;
//! what matters is how one that lies is met, and the crates that read them either
//! take "the block ends before its packet does" for "more bytes are to come", or
//! lack parts of pcapng.

mod error;
mod pcap;
mod pcapng;

use std::ops::Range;

pub use error::CaptureError;

/// The largest record that is read: a packet, or a block with TLS secrets. Larger
/// blocks of other kinds are skipped without being kept.
pub const MAX_RECORD: usize = 16 << 20;

/// The first bytes that say which format it is.
const MAGIC: usize = 4;

/// A captured packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured: nanoseconds since 1970.
    pub at: u64,
    /// What it begins with (`LINKTYPE_…`, as tcpdump's registry numbers them).
    pub link: u16,
    /// What was kept of it.
    pub bytes: &'a [u8],
}

/// What a capture holds, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// A TLS key log that the capture brings along.
    Secrets(&'a [u8]),
}

/// An [`Item`] by its place in the buffer.
#[derive(Debug, Clone)]
enum Found {
    Packet {
        at: u64,
        link: u16,
        bytes: Range<usize>,
    },
    Secrets(Range<usize>),
}

/// What one record came to.
#[derive(Debug)]
enum Step {
    /// More bytes are needed.
    More,
    /// The record is so long, and has this to tell.
    Record(usize, Option<Found>),
    /// The record is so long, and none of it is needed.
    Skip(u64),
}

/// Reads a capture as its bytes come.
///
/// [`Reader::push`] takes bytes, [`Reader::next`] gives what is whole, and
/// [`Reader::end`] says whether the file ended where a record does.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    begin: usize,
    /// Where it begins in the file.
    place: u64,
    /// Bytes that are yet to come and are not needed.
    skip: u64,
    format: Format,
}

#[derive(Debug, Default)]
enum Format {
    #[default]
    Unknown,
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

impl Reader {
    /// The next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
            let skipped = skipped.min(bytes.len());
            bytes = &bytes[skipped..];
            self.skip -= skipped as u64;
            self.place += skipped as u64;
        }
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next packet or key log; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The file is no capture, or damaged: nothing behind this place can be read.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        loop {
            let record = &self.buffer[self.begin..];
            let step = match &mut self.format {
                Format::Unknown => match record.first_chunk() {
                    Some(magic) => {
                        self.format = Format::of(*magic)?;
                        continue;
                    }
                    None => return Ok(None),
                },
                Format::Pcap(header) => header.step(record, self.place)?,
                Format::Pcapng(section) => section.step(record, self.place)?,
            };
            let begin = self.begin;
            match step {
                Step::More => return Ok(None),
                Step::Record(length, found) => {
                    self.begin += length;
                    self.place += length as u64;
                    let Some(found) = found else { continue };
                    let slice = |range: Range<usize>| &self.buffer[begin..][range];
                    return Ok(Some(match found {
                        Found::Packet { at, link, bytes } => Item::Packet(Packet {
                            at,
                            link,
                            bytes: slice(bytes),
                        }),
                        Found::Secrets(range) => Item::Secrets(slice(range)),
                    }));
                }
                Step::Skip(length) => {
                    let here = (record.len() as u64).min(length);
                    self.begin += here as usize;
                    self.place += here;
                    self.skip = length - here;
                }
            }
        }
    }

    /// The file has ended.
    ///
    /// # Errors
    /// It ended within a record, or before it could be told to be a capture.
    pub fn end(&self) -> Result<(), CaptureError> {
        let rest = self.buffer.len() - self.begin;
        match &self.format {
            Format::Unknown if rest == 0 => Err(CaptureError::Empty),
            Format::Unknown => Err(CaptureError::not_a_capture(&self.buffer[self.begin..])),
            Format::Pcap(header) if !header.is_read() => Err(CaptureError::Short),
            Format::Pcapng(section) if !section.is_read() => Err(CaptureError::Short),
            Format::Pcap(_) | Format::Pcapng(_) if rest > 0 || self.skip > 0 => {
                Err(CaptureError::Cut { at: self.place })
            }
            Format::Pcap(_) | Format::Pcapng(_) => Ok(()),
        }
    }

    /// Packets that the machine which captured says it dropped.
    pub fn dropped(&self) -> u64 {
        match &self.format {
            Format::Pcapng(section) => section.dropped(),
            Format::Unknown | Format::Pcap(_) => 0,
        }
    }

    /// Packets left out because what their record says of them cannot be.
    pub fn broken(&self) -> u64 {
        match &self.format {
            Format::Pcapng(section) => section.broken(),
            Format::Unknown | Format::Pcap(_) => 0,
        }
    }
}

impl Format {
    fn of(magic: [u8; MAGIC]) -> Result<Format, CaptureError> {
        if let Some(header) = pcap::Header::of(magic) {
            Ok(Format::Pcap(header))
        } else if magic == pcapng::MAGIC {
            Ok(Format::Pcapng(pcapng::Section::default()))
        } else {
            Err(CaptureError::not_a_capture(&magic))
        }
    }
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    /// The number at an offset, if it is there.
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u16::from_le_bytes(octets),
            Order::Big => u16::from_be_bytes(octets),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(octets),
            Order::Big => u32::from_be_bytes(octets),
        })
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let octets = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u64::from_le_bytes(octets),
            Order::Big => u64::from_be_bytes(octets),
        })
    }
}
