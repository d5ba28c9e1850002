//! Bytes of a file, wherever it is looked at.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// How much is read at a time: a chunk's index and the next chunk's head.
const AHEAD: usize = 16 * 1024;

/// A piece of a file that is kept because what is looked at next is near.
#[derive(Debug)]
pub(super) struct Window<R> {
    file: R,
    start: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Seek> Window<R> {
    pub fn new(file: R) -> Window<R> {
        Window {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// How long the file is now.
    pub fn file_len(&mut self) -> io::Result<u64> {
        self.file.seek(SeekFrom::End(0))
    }

    /// Bytes from `at` on: `length` of them, or fewer where the file ends.
    pub fn at(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let within = at
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| {
                skip.checked_add(length)
                    .is_some_and(|end| end <= self.bytes.len())
            });
        let skip = match within {
            Some(skip) => skip,
            None => {
                self.bytes.clear();
                self.start = at;
                self.file.seek(SeekFrom::Start(at))?;
                let wanted = length.max(AHEAD) as u64;
                (&mut self.file).take(wanted).read_to_end(&mut self.bytes)?;
                0
            }
        };
        let end = (skip + length).min(self.bytes.len());
        Ok(&self.bytes[skip..end])
    }

    /// Exactly `length` bytes from `at` on, for the caller to keep; `None` if the
    /// file ends before. Asked only for lengths that the file has.
    pub fn take(&mut self, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(length);
        match (&mut self.file).take(length as u64).read_to_end(&mut bytes) {
            Ok(read) if read == length => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was read: the file may have grown.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }
}
