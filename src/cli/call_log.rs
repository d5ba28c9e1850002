//! The call log as a command wants it: where it goes decides how it looks.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::diagnostics::no_color;
use super::{Failure, io_reason};
use crate::trace::{self, Colour, Destination, Handle, Observer, Options};

/// How calls are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One aligned line a call.
    Pretty,
    /// One JSON object a call.
    Json,
    /// Not at all.
    Off,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard output, which is a terminal.
    Terminal,
    /// Standard output, which is a pipe or a file.
    Pipe,
    /// A file of its own.
    File(PathBuf),
}

impl Place {
    /// The file that was asked for, or whatever standard output is.
    pub fn of(file: Option<PathBuf>) -> Place {
        match file {
            Some(path) => Place::File(path),
            None if io::stdout().is_terminal() => Place::Terminal,
            None => Place::Pipe,
        }
    }

    /// The format for this place where the user named none.
    pub fn usual_format(&self) -> Format {
        match self {
            Place::Terminal => Format::Pretty,
            Place::Pipe | Place::File(_) => Format::Json,
        }
    }

    /// How the writer is told to write `format` here.
    pub fn written(&self, format: Format) -> trace::Format {
        match format {
            Format::Off => trace::Format::Off,
            Format::Json => trace::Format::Json,
            Format::Pretty => trace::Format::Pretty {
                colour: self.colour(),
                width: match self {
                    Place::Terminal => terminal_width(),
                    Place::Pipe | Place::File(_) => None,
                },
            },
        }
    }

    /// Whether colours can be seen here and are wanted.
    pub fn colour(&self) -> Colour {
        match self {
            Place::Terminal if !no_color() => Colour::Always,
            _ => Colour::Never,
        }
    }
}

/// Starts the log's writer; `observers` are shown everything.
///
/// # Errors
/// When the log's file cannot be opened.
pub(super) fn start(
    options: Options,
    place: Place,
    listeners: Vec<SocketAddr>,
    observers: Vec<Box<dyn Observer>>,
) -> Result<Handle, Failure> {
    let (destination, name) = match place {
        Place::Terminal | Place::Pipe => (Destination::Stdout, None),
        Place::File(path) => (Destination::File(path.clone()), Some(path)),
    };
    trace::start_observed(options, destination, listeners, observers).map_err(|error| {
        let reason = io_reason(&error);
        match name {
            Some(path) => Failure::asked(format!(
                "the log file {} cannot be opened: {reason}; name a file in a folder that can be written to",
                path.display()
            )),
            None => Failure::failed(format!("standard output cannot be written: {reason}")),
        }
    })
}

/// How many characters fit on a line of the terminal.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    // Some terminals say 0 when they do not know.
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides_the_format() {
        assert_eq!(Place::Terminal.usual_format(), Format::Pretty);
        assert_eq!(Place::Pipe.usual_format(), Format::Json);
        let file = Place::of(Some(PathBuf::from("calls.log")));
        assert_eq!(file.usual_format(), Format::Json);
        assert_eq!(file.colour(), Colour::Never);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_said_in_words() {
        let options = Options::new(trace::Format::Json);
        let place = Place::File(PathBuf::from("/nonexistent/calls.log"));
        let failure = start(options, place, Vec::new(), Vec::new()).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the log file /nonexistent/calls.log cannot be opened: No such file or directory; \
             name a file in a folder that can be written to"
        );
    }
}
