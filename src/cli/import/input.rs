//! The capture's bytes: a file or standard input, unpacked.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A capture's bytes.
pub(super) struct Input {
    bytes: Box<dyn Read>,
    /// Bytes of the file so far, packed as they are.
    so_far: Arc<AtomicU64>,
    total: Option<u64>,
}

type Source = Chain<Cursor<Vec<u8>>, Counted<Box<dyn Read>>>;

impl Input {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<Input> {
        let (source, total): (Box<dyn Read>, _) = match path == Path::new("-") {
            true => (Box::new(io::stdin()), None),
            false => {
                let file = File::open(path)?;
                let about = file.metadata()?;
                (Box::new(file), about.is_file().then_some(about.len()))
            }
        };
        Input::of(source, total)
    }

    fn of(source: Box<dyn Read>, total: Option<u64>) -> io::Result<Input> {
        let so_far = Arc::new(AtomicU64::new(0));
        let mut source = Counted {
            source,
            so_far: Arc::clone(&so_far),
        };
        let mut magic = Vec::new();
        (&mut source)
            .take(ZSTD.len() as u64)
            .read_to_end(&mut magic)?;
        let source = Cursor::new(magic.clone()).chain(source);
        let bytes: Box<dyn Read> = match &magic[..] {
            magic if *magic == ZSTD => unzstd(source)?,
            magic if magic.starts_with(&GZIP) => {
                Box::new(MultiGzDecoder::new(BufReader::new(source)))
            }
            _ => Box::new(source),
        };
        Ok(Input {
            bytes,
            so_far,
            total,
        })
    }

    /// How many bytes of the file have been read, packed as they are.
    pub fn read_so_far(&self) -> u64 {
        self.so_far.load(Ordering::Relaxed)
    }

    /// How many there are, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(into)
    }
}

/// Unpacks zstd, any number of frames.
fn unzstd(source: Source) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(zstd::stream::read::Decoder::new(source)?))
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    so_far: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(into)?;
        self.so_far.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpacked(file: Vec<u8>) -> (io::Result<Vec<u8>>, u64) {
        let mut input = Input::of(Box::new(Cursor::new(file)), None).unwrap();
        let mut bytes = Vec::new();
        let result = input.read_to_end(&mut bytes).map(|_| bytes);
        (result, input.read_so_far())
    }

    #[test]
    fn every_packing_gives_the_same_bytes_also_in_several_parts() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let (one, other) = text.split_at(123_456);
        let zstd = |part: &[u8]| zstd::stream::encode_all(part, 1).unwrap();
        let gzip = |part: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        };
        for file in [
            text.clone(),
            zstd(&text),
            [zstd(one), zstd(other)].concat(),
            gzip(&text),
            [gzip(one), gzip(other)].concat(),
        ] {
            let length = file.len() as u64;
            let (bytes, read) = unpacked(file);
            assert_eq!((bytes.unwrap(), read), (text.clone(), length));
        }
        let mut cut = zstd(&text);
        cut.truncate(cut.len() / 2);
        assert!(unpacked(cut).0.is_err());
        assert_eq!(unpacked(Vec::new()).0.unwrap(), b"");
        assert_eq!(unpacked(b"abc".to_vec()).0.unwrap(), b"abc");
    }
}
