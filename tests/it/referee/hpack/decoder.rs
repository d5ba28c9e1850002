//! The strict decoder.

use super::super::violation::Rule;
use super::table::Table;
use super::{Field, huffman};

type Slip = (Rule, String);

/// Reads the header blocks of one direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// SETTINGS_HEADER_TABLE_SIZE as acknowledged.
    limit: usize,
    /// The smallest limit that was acknowledged since the last block.
    lowest: Option<usize>,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            table: Table::new(),
            limit: 4096,
            lowest: None,
        }
    }

    /// A change of SETTINGS_HEADER_TABLE_SIZE was acknowledged.
    pub fn allow(&mut self, limit: usize) {
        self.limit = limit;
        self.lowest = Some(self.lowest.map_or(limit, |lowest| lowest.min(limit)));
    }

    /// Reads a whole block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, Slip> {
        let mut rest = block;
        // A reduction below what the encoder goes by has to be signalled first.
        let due = self.lowest.take().filter(|low| *low < self.table.max());
        let (mut signalled, mut updates) = (false, 0);
        let mut fields = Vec::new();
        while let Some(first) = rest.first().copied() {
            if first & 0xe0 == 0x20 {
                let size = integer(&mut rest, 5)?;
                updates += 1;
                if !fields.is_empty() || updates > 2 {
                    return Err((
                        Rule::TableSize,
                        "a table size update in the wrong place".into(),
                    ));
                }
                if size > self.limit {
                    let what = format!("a table of {size} where {} are allowed", self.limit);
                    return Err((Rule::TableSize, what));
                }
                signalled |= due.is_some_and(|due| size <= due);
                self.table.resize(size);
                continue;
            }
            if let Some(due) = due.filter(|_| !signalled) {
                let what = format!("no table size update after the limit fell to {due}");
                return Err((Rule::TableSize, what));
            }
            if first & 0x80 != 0 {
                let (name, value) = self.entry(integer(&mut rest, 7)?)?;
                fields.push(Field {
                    name,
                    value,
                    never: false,
                });
                continue;
            }
            let (incremental, never) = (first & 0x40 != 0, first & 0xf0 == 0x10);
            let index = integer(&mut rest, if incremental { 6 } else { 4 })?;
            let name = match index {
                0 => string(&mut rest)?,
                _ => self.entry(index)?.0,
            };
            let value = string(&mut rest)?;
            if incremental {
                self.table.insert(&name, &value);
            }
            fields.push(Field { name, value, never });
        }
        if let (true, Some(due)) = (fields.is_empty() && !signalled, due) {
            let what = format!("no table size update after the limit fell to {due}");
            return Err((Rule::TableSize, what));
        }
        Ok(fields)
    }

    fn entry(&self, index: usize) -> Result<(Vec<u8>, Vec<u8>), Slip> {
        let entry = self.table.entry(index);
        let (name, value) = entry.ok_or_else(|| slip(format!("index {index} names nothing")))?;
        Ok((name.to_vec(), value.to_vec()))
    }
}

fn slip(what: impl Into<String>) -> Slip {
    (Rule::Compression, what.into())
}

fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Slip> {
    let mask = (1usize << prefix) - 1;
    let first = byte(rest)?;
    let mut number = usize::from(first) & mask;
    if number < mask {
        return Ok(number);
    }
    for shift in [0, 7, 14, 21, 28] {
        let next = byte(rest)?;
        number += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(slip("an integer that does not end"))
}

fn byte(rest: &mut &[u8]) -> Result<u8, Slip> {
    let first = rest.split_off_first();
    first
        .copied()
        .ok_or_else(|| slip("the block ends within a field"))
}

fn string(rest: &mut &[u8]) -> Result<Vec<u8>, Slip> {
    let coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let bytes = rest.split_off(..length);
    let bytes = bytes.ok_or_else(|| slip("the block ends within a string"))?;
    if coded {
        huffman::decode(bytes).map_err(slip)
    } else {
        Ok(bytes.to_vec())
    }
}
