//! FNV-1a of 64 bits: draws of faults, the index of a recording and the pages of a
//! snapshot are hashed so, and have to be in every release and every language alike.

/// A hash under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Takes in more.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// What it is by now.
    pub fn hash(self) -> u64 {
        self.0
    }
}
