//! Field blocks to fields (RFC 7541, sections 3 and 6).

use super::table::{ENTRY_OVERHEAD, Name, Table};
use super::{HpackError, huffman, integer};
use crate::http2::settings::DEFAULT_HEADER_TABLE_SIZE;

/// The largest field list that is decoded, counted as RFC 9113, section 6.5.2
/// counts it. A block of one-octet references to one large entry can stand for
/// thousands of times its own size.
pub const MAX_FIELD_LIST_SIZE: u64 = 1 << 20;

/// The largest dynamic table that is kept, whatever the receiver allows.
pub const MAX_TABLE_SIZE: u32 = 1 << 20;

/// How much room for Huffman-coded strings stays between blocks.
const SCRATCH_KEPT: usize = 512;

/// The decoding end of one direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    max_table_size: u32,
    /// The next block must begin by reducing the table to this or less.
    owed_reduction: Option<u32>,
    /// Huffman-coded strings of the field at hand, decoded.
    scratch: Vec<u8>,
}

/// A field, borrowed for as long as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The sender forbids to index it, here and on every further hop
    /// (RFC 7541, section 6.2.3).
    pub never_indexed: bool,
}

/// What a whole block amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockSummary {
    /// How many fields it holds.
    pub fields: u32,
    /// Their names and values and 32 for each (RFC 9113, section 6.5.2).
    pub list_size: u64,
    /// Whether it inserted, evicted or resized: without it the blocks after it
    /// could mean something else.
    pub table_changed: bool,
}

impl BlockSummary {
    #[inline]
    fn count(&mut self, name: &[u8], value: &[u8]) -> Result<(), HpackError> {
        self.fields += 1;
        self.list_size += (name.len() + value.len() + ENTRY_OVERHEAD) as u64;
        if self.list_size > MAX_FIELD_LIST_SIZE {
            return Err(HpackError::ListTooLarge);
        }
        Ok(())
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder with an empty table of the initial size (RFC 9113, section
    /// 6.5.2).
    pub fn new() -> Decoder {
        Decoder {
            table: Table::new(DEFAULT_HEADER_TABLE_SIZE),
            max_table_size: DEFAULT_HEADER_TABLE_SIZE,
            owed_reduction: None,
            scratch: Vec::new(),
        }
    }

    /// Takes over SETTINGS_HEADER_TABLE_SIZE of the receiving side, when the
    /// sending side has acknowledged it. If that reduces the table, the next
    /// block must begin with a size update (RFC 7541, section 4.2).
    pub fn set_max_table_size(&mut self, bytes: u32) {
        self.max_table_size = bytes;
        if bytes < self.table.limit() {
            // Of several changes between two blocks the smallest counts.
            let smallest = self.owed_reduction.map_or(bytes, |owed| owed.min(bytes));
            self.owed_reduction = Some(smallest);
        }
    }

    /// Whether the next block must begin with a size update.
    pub fn is_owed_reduction(&self) -> bool {
        self.owed_reduction.is_some()
    }

    /// The size that the sender keeps its table to, as it said last.
    pub fn table_limit(&self) -> u32 {
        self.table.limit()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.scratch.capacity()
    }

    /// Decodes one whole field block, field by field in order.
    ///
    /// # Errors
    /// When the block breaks RFC 7541 or a bound of this decoder. The fields
    /// before the error have been given; the decoder is of no further use.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut on_field: impl FnMut(Field<'_>),
    ) -> Result<BlockSummary, HpackError> {
        let mut input = block;
        let mut summary = BlockSummary::default();
        while let Some(&first) = input.first() {
            if first & 0xe0 == 0x20 {
                self.size_update(&mut input, &mut summary)?;
                continue;
            }
            if let Some(allowed) = self.owed_reduction {
                return Err(HpackError::SizeUpdateMissing { allowed });
            }
            if first & 0x80 != 0 {
                let index = integer::decode::<7>(&mut input)?;
                let (name, value) = self.entry(index)?;
                summary.count(name, value)?;
                on_field(Field {
                    name,
                    value,
                    never_indexed: false,
                });
            } else {
                self.literal(first, &mut input, &mut summary, &mut on_field)?;
            }
        }
        if self.scratch.capacity() > SCRATCH_KEPT {
            self.scratch = Vec::new();
        }
        Ok(summary)
    }

    #[inline]
    fn entry(&self, index: u32) -> Result<(&[u8], &[u8]), HpackError> {
        self.table.entry(index).ok_or(HpackError::NoSuchIndex {
            index,
            last: self.table.last_index(),
        })
    }

    /// A dynamic table size update (RFC 7541, section 6.3).
    fn size_update(
        &mut self,
        input: &mut &[u8],
        summary: &mut BlockSummary,
    ) -> Result<(), HpackError> {
        if summary.fields > 0 {
            return Err(HpackError::SizeUpdateAfterField);
        }
        let size = integer::decode::<5>(input)?;
        if size > self.max_table_size {
            return Err(HpackError::SizeUpdateTooLarge {
                size,
                allowed: self.max_table_size,
            });
        }
        if size > MAX_TABLE_SIZE {
            return Err(HpackError::TableTooLarge { size });
        }
        self.table.set_limit(size);
        self.owed_reduction = self.owed_reduction.filter(|owed| size > *owed);
        summary.table_changed = true;
        Ok(())
    }

    /// A literal field of any of the three kinds (RFC 7541, section 6.2).
    fn literal(
        &mut self,
        first: u8,
        input: &mut &[u8],
        summary: &mut BlockSummary,
        on_field: &mut impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let incremental = first & 0x40 != 0;
        let name_index = if incremental {
            integer::decode::<6>(input)?
        } else {
            integer::decode::<4>(input)?
        };
        self.scratch.clear();
        let literal_name = match name_index {
            0 => Some(read_string(input, &mut self.scratch)?),
            _ => None,
        };
        let value = read_string(input, &mut self.scratch)?;

        let name = match &literal_name {
            Some(name) => name.octets(&self.scratch),
            None => self.entry(name_index)?.0,
        };
        let value = value.octets(&self.scratch);
        summary.count(name, value)?;
        on_field(Field {
            name,
            value,
            never_indexed: first & 0xf0 == 0x10,
        });
        if incremental {
            let name = match &literal_name {
                Some(name) => Name::Octets(name.octets(&self.scratch)),
                None => Name::Index(name_index),
            };
            self.table.insert(name, value);
            summary.table_changed = true;
        }
        Ok(())
    }

    /// The table, to be looked into.
    #[cfg(test)]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Sets the table's limit as if a size update had come.
    #[cfg(test)]
    pub(super) fn set_table_limit(&mut self, bytes: u32) {
        self.table.set_limit(bytes);
    }
}

/// A string literal: in the block as it stands, or decoded into the scratch.
enum StringLiteral<'b> {
    Plain(&'b [u8]),
    Decoded { start: usize, end: usize },
}

impl<'b> StringLiteral<'b> {
    fn octets<'s>(&self, scratch: &'s [u8]) -> &'s [u8]
    where
        'b: 's,
    {
        match *self {
            StringLiteral::Plain(octets) => octets,
            StringLiteral::Decoded { start, end } => &scratch[start..end],
        }
    }
}

/// Reads a string literal (RFC 7541, section 5.2).
fn read_string<'b>(
    input: &mut &'b [u8],
    scratch: &mut Vec<u8>,
) -> Result<StringLiteral<'b>, HpackError> {
    let coded = input.first().is_some_and(|first| first & 0x80 != 0);
    let len = integer::decode::<7>(input)?;
    let (octets, rest) = input
        .split_at_checked(len as usize)
        .ok_or(HpackError::Truncated)?;
    *input = rest;
    if !coded {
        return Ok(StringLiteral::Plain(octets));
    }
    let start = scratch.len();
    huffman::decode(octets, scratch)?;
    Ok(StringLiteral::Decoded {
        start,
        end: scratch.len(),
    })
}
