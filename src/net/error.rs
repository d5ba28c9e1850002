//! Why a proxy could not start.

use std::io;
use std::path::PathBuf;

use crate::notation::io_reason;

/// Why a proxy could not start, in one sentence.
#[derive(Debug)]
pub enum BindError {
    /// What was asked for makes no sense.
    Configuration(String),
    /// The threads that serve connections cannot be started.
    Threads(io::Error),
    /// An address cannot be listened on.
    Listen {
        /// The address as it was given.
        address: String,
        /// The operating system's words.
        error: io::Error,
    },
    /// A certificate, key or CA file cannot be read.
    Unreadable {
        /// What the file is for.
        role: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// A certificate, key or CA file was read and is of no use.
    Unusable {
        /// What the file is for.
        role: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, to follow the word "because".
        why: String,
    },
}

impl BindError {
    /// Whether the fault is in what was asked for (exit code 2), and not in the
    /// state of the machine (exit code 1).
    pub fn is_configuration(&self) -> bool {
        matches!(self, BindError::Configuration(_))
    }
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BindError::Configuration(what) => f.write_str(what),
            BindError::Threads(error) => {
                write!(f, "the threads cannot be started: {}", io_reason(error))
            }
            BindError::Listen { address, error } => {
                let hint = match error.kind() {
                    io::ErrorKind::AddrInUse => "; end what listens there, or choose another one",
                    _ => "",
                };
                write!(f, "cannot listen on {address}: {}{hint}", io_reason(error))
            }
            BindError::Unreadable { role, path, error } => {
                write!(
                    f,
                    "cannot read {role} {}: {}",
                    path.display(),
                    io_reason(error)
                )
            }
            BindError::Unusable { role, path, why } => {
                write!(f, "cannot use {role} {} because {why}", path.display())
            }
        }
    }
}

impl std::error::Error for BindError {}
