//! Where the log's bytes go. Whatever happens to that place costs lines, never
//! traffic.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, which is appended to. It is created readable for its owner and
    /// group only: keys name what a cluster keeps secret.
    File(PathBuf),
}

/// The open destination.
#[derive(Debug)]
pub(super) struct Output {
    destination: Destination,
    file: File,
    state: State,
    /// The last write ended within a line.
    torn: bool,
    /// Lines that could not be written.
    pub lost: u64,
    lost_before: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Failing,
    /// The reader is gone and will not come back.
    Closed,
}

/// How long to wait when a destination that somebody made non-blocking is full.
const FULL_PAUSE: Duration = Duration::from_millis(2);

impl Output {
    pub fn open(destination: Destination) -> io::Result<Output> {
        let file = match &destination {
            // Past the standard library's buffer and its lock.
            Destination::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::File(path) => open_file(path)?,
        };
        Ok(Output::from_file(destination, file))
    }

    pub(super) fn from_file(destination: Destination, file: File) -> Output {
        Output {
            destination,
            file,
            state: State::Fine,
            torn: false,
            lost: 0,
            lost_before: 0,
        }
    }

    /// Opens the file anew, after somebody moved it away.
    pub fn reopen(&mut self) {
        if let Destination::File(path) = &self.destination {
            match open_file(path) {
                Ok(file) => {
                    self.file = file;
                    self.torn = false;
                }
                Err(error) => tracing::warn!(
                    "cannot open the log file {} anew, going on with the old one: {error}",
                    path.display()
                ),
            }
        }
    }

    /// Whether nobody will ever read on.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Writes whole lines and empties `lines`. What cannot be written is lost
    /// and counted.
    pub fn write(&mut self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let mended = self.torn;
        if mended {
            lines.insert(0, b'\n');
        }
        let (written, result) = self.write_some(lines);
        let rest = &lines[written.max(usize::from(mended))..];
        self.lost += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = written.checked_sub(1) {
            self.torn = lines[last] != b'\n';
        }
        lines.clear();
        self.turn(result);
    }

    fn write_some(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(FULL_PAUSE);
                }
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// Says once what changed.
    fn turn(&mut self, result: io::Result<()>) {
        let closed = |error: &io::Error| {
            error.kind() == ErrorKind::BrokenPipe && self.destination == Destination::Stdout
        };
        let state = match &result {
            Ok(()) => State::Fine,
            Err(error) if closed(error) => State::Closed,
            Err(_) => State::Failing,
        };
        let before = std::mem::replace(&mut self.state, state);
        match (before, result) {
            (State::Fine, Err(_)) if state == State::Closed => {
                tracing::warn!("nobody reads the log on standard output any more: it ends here");
            }
            (State::Fine, Err(error)) => {
                tracing::warn!("the log cannot be written, its lines are dropped: {error}");
            }
            (State::Failing, Ok(())) => {
                let lost = self.lost.saturating_sub(self.lost_before);
                tracing::warn!("the log can be written again; {lost} lines are missing");
                self.lost_before = self.lost;
            }
            _ => {}
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests;
