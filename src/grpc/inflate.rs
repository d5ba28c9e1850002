//! gzip messages (`grpc-encoding: gzip`), unpacked as they pass.

use std::io::Write;

use flate2::write::GzDecoder;

/// Unpacks a gzip message in small steps, so that what it holds stays bounded
/// whatever the ratio.
#[derive(Debug)]
pub(crate) struct Inflater {
    decoder: GzDecoder<Vec<u8>>,
    produced: u64,
    broken: bool,
}

/// Compressed bytes unpacked in one step: at deflate's best ratio (1,032 to 1)
/// half a megabyte.
const STEP: usize = 512;

/// What one message may unpack to before the rest is left unread: no etcd
/// message is larger (gRPC's own limit is 4 GiB on the wire).
const MOST_PRODUCED: u64 = 4 << 30;

impl Inflater {
    pub fn new() -> Inflater {
        Inflater {
            decoder: GzDecoder::new(Vec::new()),
            produced: 0,
            broken: false,
        }
    }

    /// The message's next bytes; what they unpack to is given in pieces.
    pub fn inflate(&mut self, bytes: &[u8], mut on_plain: impl FnMut(&[u8])) {
        for step in bytes.chunks(STEP) {
            if self.broken {
                return;
            }
            // An error here is a message that its receiver will refuse too.
            self.broken = self.decoder.write_all(step).is_err();
            self.give(&mut on_plain);
        }
    }

    /// The message is whole.
    pub fn finish(&mut self, mut on_plain: impl FnMut(&[u8])) {
        if !self.broken {
            self.broken = self.decoder.try_finish().is_err();
            self.give(&mut on_plain);
        }
    }

    fn give(&mut self, on_plain: &mut impl FnMut(&[u8])) {
        let plain = self.decoder.get_mut();
        on_plain(plain);
        self.produced += plain.len() as u64;
        plain.clear();
        self.broken |= self.produced > MOST_PRODUCED;
    }
}
