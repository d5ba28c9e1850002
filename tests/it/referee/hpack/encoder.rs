//! An encoder that uses all that HPACK allows, as chance falls.

use super::super::random::Random;
use super::table::Table;
use super::{Field, huffman};

/// Writes the header blocks of one direction.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    limit: usize,
    /// The lowest limit since the last block.
    lowest: Option<usize>,
}

impl Encoder {
    pub fn new() -> Encoder {
        Encoder {
            table: Table::new(),
            limit: 4096,
            lowest: None,
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE, to be acknowledged.
    pub fn allow(&mut self, limit: usize) {
        self.limit = limit;
        self.lowest = Some(self.lowest.map_or(limit, |lowest| lowest.min(limit)));
    }

    pub fn encode(&mut self, fields: &[Field], random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(lowest) = self.lowest.take() {
            if lowest < self.table.max() {
                self.resize(lowest, &mut out);
            }
            let wanted = self.limit.min(8192);
            if wanted > self.table.max() && random.chance(70) {
                self.resize(wanted, &mut out);
            }
        } else if random.chance(3) {
            // Nobody asked for it, and it is allowed.
            let size = random.below(self.limit.min(4096) + 1);
            self.resize(size, &mut out);
        }
        for field in fields {
            self.field(field, random, &mut out);
        }
        out
    }

    fn resize(&mut self, size: usize, out: &mut Vec<u8>) {
        integer(size, 5, 0x20, out);
        self.table.resize(size);
    }

    fn field(&mut self, field: &Field, random: &mut Random, out: &mut Vec<u8>) {
        let Field { name, value, never } = field;
        let found = self.table.find(name, value);
        if let Some(index) = found.filter(|_| !never && random.chance(90)) {
            integer(index, 7, 0x80, out);
            return;
        }
        let index = self.table.find_name(name).filter(|_| random.chance(90));
        let index = index.unwrap_or(0);
        let incremental = !never && random.chance(60);
        if incremental {
            integer(index, 6, 0x40, out);
        } else {
            integer(index, 4, if *never { 0x10 } else { 0 }, out);
        }
        if index == 0 {
            string(name, random, out);
        }
        string(value, random, out);
        if incremental {
            self.table.insert(name, value);
        }
    }
}

fn integer(number: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix) - 1;
    if number < mask {
        out.push(pattern | number as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = number - mask;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn string(bytes: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    if random.chance(60) {
        let coded = huffman::encode(bytes);
        integer(coded.len(), 7, 0x80, out);
        out.extend_from_slice(&coded);
    } else {
        integer(bytes.len(), 7, 0, out);
        out.extend_from_slice(bytes);
    }
}
