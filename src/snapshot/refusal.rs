//! Why a snapshot cannot be read.

use std::fmt;
use std::io;

use crate::notation::io_reason;

/// Why a snapshot cannot be read. The words follow the file's name.
#[derive(Debug)]
pub enum Refusal {
    /// The operating system does not give its bytes.
    Io(io::Error),
    /// It is something else.
    NoSnapshot(&'static str),
    /// Its end is missing.
    Cut {
        /// Bytes that there should be.
        should: u64,
        /// Bytes that there are.
        are: u64,
    },
    /// The hash at its end is that of other bytes.
    Hash,
    /// A page of it is not what it should be.
    Page {
        /// Its number.
        page: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// What etcd keeps in it is not what it should be.
    Content(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Io(error) => write!(f, "cannot be read: {}", io_reason(error)),
            Refusal::NoSnapshot(why) => write!(f, "is no snapshot of etcd's: {why}"),
            Refusal::Cut { should, are } => write!(
                f,
                "is not whole: it should have {should} bytes, and has {are}"
            ),
            Refusal::Hash => f.write_str(
                "is damaged: the hash at its end is that of other bytes; take the snapshot again",
            ),
            Refusal::Page { page, why } => write!(f, "is damaged: page {page} {why}"),
            Refusal::Content(why) => write!(f, "is damaged: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Io(error)
    }
}
