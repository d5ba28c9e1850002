//! What is no recording, and what it looks like instead.

use std::fmt;
use std::io;

use crate::notation::io_reason;
use crate::record::schema::{PROFILE, VERSION};

/// Why a file is not read at all.
#[derive(Debug)]
pub enum Refusal {
    /// It cannot be opened or read.
    Unreadable {
        /// The file, as it was named.
        file: Box<str>,
        /// Why.
        error: io::Error,
    },
    /// It holds nothing.
    Empty {
        /// The file.
        file: Box<str>,
    },
    /// It ends within what every recording begins with.
    TooShort {
        /// The file.
        file: Box<str>,
        /// How long it is.
        len: u64,
    },
    /// It is something else.
    Other {
        /// The file.
        file: Box<str>,
        /// What it looks like, if it looks like anything.
        looks: Option<&'static str>,
    },
    /// It is an MCAP file of another program.
    Foreign {
        /// The file.
        file: Box<str>,
        /// The profile that it names.
        profile: Box<str>,
    },
    /// A later version of this program wrote it.
    Newer {
        /// The file.
        file: Box<str>,
        /// The version of its format.
        version: u32,
    },
    /// A folder without a recording.
    NoneThere {
        /// The folder.
        folder: Box<str>,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unreadable { file, error } => {
                write!(f, "{file} cannot be read: {}", io_reason(error))
            }
            Refusal::Empty { file } => write!(
                f,
                "{file} is empty: its writer has not begun, or was stopped before it wrote \
                 anything"
            ),
            Refusal::TooShort { file, len } => write!(
                f,
                "{file} breaks off after {len} bytes, within what a recording begins with: there \
                 is nothing in it to be read"
            ),
            Refusal::Other { file, looks } => {
                write!(f, "{file} is no recording of etcdtap")?;
                match looks {
                    Some(looks) => write!(f, ": it looks like {looks}"),
                    None => f.write_str(" (it does not begin as an MCAP file does)"),
                }
            }
            Refusal::Foreign { file, profile } => {
                write!(
                    f,
                    "{file} is an MCAP file, but no recording of etcdtap: its profile is "
                )?;
                let shown: String = profile.chars().take(64).collect();
                write!(f, "{shown:?}, not {PROFILE:?}")
            }
            Refusal::Newer { file, version } => write!(
                f,
                "{file} is a recording of format version {version}, which a later etcdtap wrote; \
                 this one reads up to version {VERSION}"
            ),
            Refusal::NoneThere { folder } => {
                write!(f, "there is no recording (*.mcap) in {folder}")
            }
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Refusal::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What a file looks like that does not begin as a recording does.
pub(super) fn looks(head: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| head.starts_with(magic);
    let pcap = [
        b"\xa1\xb2\xc3\xd4",
        b"\xd4\xc3\xb2\xa1",
        b"\xa1\xb2\x3c\x4d",
        b"\x4d\x3c\xb2\xa1",
    ];
    if pcap.iter().any(|magic| begins(*magic)) {
        return Some("a packet capture (pcap); `etcdtap import` makes a recording of it");
    }
    if begins(b"\x0a\x0d\x0d\x0a") {
        return Some("a packet capture (pcapng); `etcdtap import` makes a recording of it");
    }
    if begins(b"\x1f\x8b") {
        return Some("something packed with gzip; unpack it first");
    }
    if begins(b"\x28\xb5\x2f\xfd") {
        return Some("something packed with zstd; unpack it first");
    }
    if begins(b"\xfd7zXZ") || begins(b"BZh") || begins(b"PK\x03\x04") {
        return Some("an archive; unpack it first");
    }
    if begins(b"PAR1") {
        return Some("a Parquet file");
    }
    if begins(b"SQLite format 3") {
        return Some("an SQLite database");
    }
    if begins(b"{\"ts\":") {
        return Some("a log that `--log json` wrote");
    }
    if head.iter().all(|byte| *byte == 0) {
        return Some("a file of zeros");
    }
    let text = match str::from_utf8(head) {
        Ok(_) => true,
        // The head may end within a character.
        Err(error) => error.error_len().is_none(),
    };
    let printable = |byte: &u8| *byte >= b' ' || b"\t\r\n\x1b".contains(byte);
    (text && head.iter().all(printable)).then_some("text")
}
