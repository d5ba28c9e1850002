//! The SHA-256 that `etcdctl snapshot save` puts behind the database.

use ring::digest::{Context, SHA256};

use super::{ReadAt, Refusal};

/// What a page's size is always a multiple of.
const SECTOR: u64 = 512;

/// Bytes of a hash.
const HASH: u64 = 32;

/// How much is read at a time.
const PIECE: usize = 1 << 20;

/// How many bytes the database has, once the hash behind it is found to be right. A
/// database without one (`member/snap/db` itself) is taken as it is.
///
/// # Errors
/// If the hash is wrong, or the file's length is that of neither.
pub fn database(file: &impl ReadAt) -> Result<u64, Refusal> {
    let length = file.length()?;
    let database = match length % SECTOR {
        0 => return Ok(length),
        HASH => length - HASH,
        _ => {
            return Err(Refusal::NoSnapshot(
                "it is not made of pages, with or without a hash behind them",
            ));
        }
    };
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE.min(usize::try_from(database).unwrap_or(PIECE))];
    let mut at = 0;
    while at < database {
        let count = (database - at).min(piece.len() as u64);
        // No more than the piece has.
        let into = &mut piece[..count as usize];
        file.read_at(into, at)?;
        context.update(into);
        at += count;
    }
    let mut hash = [0; HASH as usize];
    file.read_at(&mut hash, database)?;
    match context.finish().as_ref() == hash {
        true => Ok(database),
        false => Err(Refusal::Hash),
    }
}
