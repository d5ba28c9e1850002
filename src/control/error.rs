//! Why the admin API could not be started, or asked.

use std::fmt;

/// Why the admin API could not be started, or its client not be made, in one
/// sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// What was asked for makes no sense.
    Asked(String),
    /// The machine refused it: a port in use, a file that cannot be read.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Asked(what) | StartError::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {}
