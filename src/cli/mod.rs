//! The command line: one file a command.

pub mod decode;
pub mod demo;

use std::process::ExitCode;

/// Parses the arguments and runs the command they name.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
