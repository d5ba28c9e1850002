//! The command line: one file a command.

pub mod decode;

use std::process::ExitCode;

pub mod demo;

/// Parses the arguments and runs the command they name.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
