//! etcd's snapshots, read: the file that `etcdctl snapshot save` writes, or the
//! `member/snap/db` of an etcd that is not running.
//!
//! | file | what it is about |
//! |---|---|
//! | [`bolt`] | bbolt's file: meta pages, trees of pages, buckets |
//! | [`state`] | what etcd keeps in it: revisions of keys, leases, the compaction |
//! | [`trailer`] | the hash at its end |
//! | [`refusal`] | why one cannot be read |
//!
//! Files come in through [`ReadAt`]; of a file no more is held than a page, and the
//! names of its keys.

pub mod bolt;
pub mod refusal;
pub mod state;
pub mod trailer;

#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub use refusal::Refusal;
pub use state::{Change, Changes, Kept, Snapshot, State};

/// Bytes that can be read from any place of them.
pub trait ReadAt {
    /// How many there are.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn length(&self) -> io::Result<u64>;

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// If they cannot be read, or there are not so many.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|from| self.get(from..from.checked_add(into.len())?));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
