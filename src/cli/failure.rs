//! Why a command ends without success: one sentence and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a command ends without success. The sentence says what was wrong, where,
/// and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was asked for wrongly: a flag, a file, an address. Exit code 2.
    Asked(String),
    /// It was asked for rightly and could not be done. Exit code 1.
    Failed(String),
}

impl Failure {
    /// A wrong flag, variable, file or address.
    pub fn asked(sentence: impl Into<String>) -> Failure {
        Failure::Asked(sentence.into())
    }

    /// Something the machine refused.
    pub fn failed(sentence: impl Into<String>) -> Failure {
        Failure::Failed(sentence.into())
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Asked(_) => ExitCode::from(2),
            Failure::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Asked(sentence) | Failure::Failed(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Failure {}
