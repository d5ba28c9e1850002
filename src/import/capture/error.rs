//! Why a capture cannot be read, or not to its end.

use std::fmt;

/// Why a capture cannot be read, or not to its end. Each is the rest of a sentence
/// whose subject is the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureError {
    /// There is not a byte in it.
    Empty,
    /// It begins as a capture does and ends before its first header does.
    Short,
    /// It is something else.
    NotACapture {
        /// What it is, where its first bytes tell.
        kind: Option<&'static str>,
        /// Its first bytes, four at most.
        begins: Vec<u8>,
    },
    /// A capture of a version that is not known.
    Version {
        /// What it says, such as `pcapng 2.0`.
        version: String,
    },
    /// What stands there cannot be.
    Damaged {
        /// Where the damage begins, in bytes of the (unpacked) file.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// It ends within a record, as it does when whoever captured was killed.
    Cut {
        /// Where that record begins, in bytes of the (unpacked) file.
        at: u64,
    },
}

/// Files that are taken for captures now and then, by their first bytes.
const OTHERS: [(&[u8], &str); 8] = [
    (b"\x89MCA", "a recording already (MCAP)"),
    (b"\x7fELF", "a program"),
    (b"snoo", "a capture of Solaris' snoop"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zX", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd, twice"),
    (b"\x1f\x8b", "packed with gzip, twice"),
];

impl CaptureError {
    /// A file that begins with `bytes`.
    pub(super) fn not_a_capture(bytes: &[u8]) -> CaptureError {
        let known = OTHERS.iter().find(|(begin, _)| bytes.starts_with(begin));
        CaptureError::NotACapture {
            kind: known.map(|(_, kind)| *kind),
            begins: bytes[..bytes.len().min(4)].to_vec(),
        }
    }

    pub(super) fn damaged(at: u64, what: impl Into<String>) -> CaptureError {
        CaptureError::Damaged {
            at,
            what: what.into(),
        }
    }

    /// Whether the file is no capture at all: there is no part of it that is
    /// whole.
    pub fn is_no_capture(&self) -> bool {
        match self {
            CaptureError::Empty
            | CaptureError::Short
            | CaptureError::NotACapture { .. }
            | CaptureError::Version { .. }
            | CaptureError::Damaged { at: 0, .. } => true,
            CaptureError::Damaged { .. } | CaptureError::Cut { .. } => false,
        }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Empty => f.write_str("is empty"),
            CaptureError::Short => {
                f.write_str("ends before its first header does: there is no packet in it")
            }
            CaptureError::NotACapture {
                kind: Some(kind), ..
            } => write!(f, "is no pcap or pcapng file: it is {kind}"),
            CaptureError::NotACapture { kind: None, begins } => {
                f.write_str("is no pcap or pcapng file: it begins with")?;
                begins.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            CaptureError::Version { version } => {
                write!(f, "is {version}, a version that is not known")
            }
            CaptureError::Damaged { at, what } => {
                write!(
                    f,
                    "is damaged at byte {at}: {what}; what is behind it cannot be read"
                )
            }
            CaptureError::Cut { at } => {
                write!(f, "ends within the record that begins at byte {at}")
            }
        }
    }
}

impl std::error::Error for CaptureError {}
