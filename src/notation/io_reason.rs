//! The operating system's words.

use std::io;

/// The operating system's reason without its number: `No such file or
/// directory`, not `… (os error 2)`.
pub fn io_reason(error: &io::Error) -> String {
    let words = error.to_string();
    match words.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => words,
    }
}
