//! The header blocks of a direction: decoded, or known from before.
//!
//! A client of etcd sends the same few blocks over and over, and so does etcd. As long as
//! nothing changes the sender's table (RFC 7541, section 2.3.2), equal bytes are equal
//! fields, and who was shown them once need not be shown them again.

use crate::http2::hpack::{BlockSummary, Decoder, Field, HpackError};

/// Blocks that are remembered of a direction.
const MOST: usize = 8;

/// The longest block that is remembered, in bytes.
const LONGEST: usize = 512;

/// Where a block stands among those that are remembered of its direction. A number is
/// given anew when its block has been forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockNumber(u8);

impl BlockNumber {
    /// As an index, which is a small one.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The decoder of a direction, and the blocks that it would decode to the same fields
/// again.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    decoder: Decoder,
    /// By their numbers.
    known: Vec<Box<[u8]>>,
    /// The number that is given next.
    next: usize,
}

impl Blocks {
    /// The number of a block that has come before and means the same.
    pub fn again(&self, block: &[u8]) -> Option<BlockNumber> {
        if self.decoder.is_owed_reduction() {
            return None;
        }
        let at = self.known.iter().position(|known| **known == *block)?;
        // There are few.
        Some(BlockNumber(at as u8))
    }

    /// Decodes a block, as [`Decoder::decode`]; what came before means nothing any more
    /// if it changes the table.
    ///
    /// # Errors
    /// When it breaks RFC 7541 or a bound of the decoder.
    pub fn decode(
        &mut self,
        block: &[u8],
        on_field: impl FnMut(Field<'_>),
    ) -> Result<BlockSummary, HpackError> {
        let summary = self.decoder.decode(block, on_field)?;
        if summary.table_changed {
            self.known.clear();
            self.next = 0;
        }
        Ok(summary)
    }

    /// Remembers a block that was decoded just now and did not change the table; gives
    /// its number, if it is worth one.
    pub fn remember(&mut self, block: &[u8]) -> Option<BlockNumber> {
        if block.len() > LONGEST {
            return None;
        }
        let at = self.next;
        self.next = (at + 1) % MOST;
        match self.known.get_mut(at) {
            Some(known) => *known = block.into(),
            None => self.known.push(block.into()),
        }
        Some(BlockNumber(at as u8))
    }

    /// The size that the sender keeps its table to, as it said last.
    pub fn table_limit(&self) -> u32 {
        self.decoder.table_limit()
    }

    /// As [`Decoder::set_max_table_size`].
    pub fn set_max_table_size(&mut self, bytes: u32) {
        self.decoder.set_max_table_size(bytes);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::http2::hpack::{Encoder, Indexing};

    fn block(encoder: &mut Encoder, name: &str, value: &str, indexing: Indexing) -> Vec<u8> {
        let mut block = Vec::new();
        encoder.field(name.as_bytes(), value.as_bytes(), indexing, &mut block);
        block
    }

    fn decoded(blocks: &mut Blocks, block: &[u8]) -> bool {
        blocks.decode(block, |_| ()).unwrap().table_changed
    }

    #[test]
    fn a_block_that_changes_nothing_is_known_until_one_does() {
        let (mut blocks, mut encoder) = (Blocks::default(), Encoder::new());
        let plain = block(&mut encoder, "a", "1", Indexing::Without);
        assert_eq!(blocks.again(&plain), None);
        assert!(!decoded(&mut blocks, &plain));
        let number = blocks.remember(&plain);
        assert!(number.is_some());
        assert_eq!(blocks.again(&plain), number);

        let changing = block(&mut encoder, "b", "2", Indexing::Incremental);
        assert!(decoded(&mut blocks, &changing));
        assert_eq!(blocks.again(&plain), None);
    }

    #[test]
    fn no_block_is_known_while_a_reduction_is_owed() {
        let (mut blocks, mut encoder) = (Blocks::default(), Encoder::new());
        let plain = block(&mut encoder, "a", "1", Indexing::Without);
        assert!(!decoded(&mut blocks, &plain));
        blocks.remember(&plain);
        blocks.set_max_table_size(100);
        assert_eq!(blocks.again(&plain), None);
        assert!(blocks.decode(&plain, |_| ()).is_err());
    }

    #[test]
    fn the_oldest_makes_room_and_long_ones_are_not_kept() {
        let mut blocks = Blocks::default();
        let of = |n: usize| vec![0, 1, b'a', 1, b'a' + n as u8];
        for n in 0..=MOST {
            let number = blocks.remember(&of(n)).unwrap();
            assert_eq!(number.index(), n % MOST);
        }
        assert_eq!(blocks.again(&of(0)), None);
        assert_eq!(blocks.again(&of(MOST)).unwrap().index(), 0);
        assert_eq!(blocks.again(&of(1)).unwrap().index(), 1);
        assert_eq!(blocks.remember(&[0; LONGEST + 1]), None);
    }
}
