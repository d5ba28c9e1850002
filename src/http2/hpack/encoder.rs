//! Fields to field blocks (RFC 7541, section 6).

use super::table::{Match, Name, Table};
use super::{MAX_TABLE_SIZE, huffman, integer};
use crate::http2::settings::DEFAULT_HEADER_TABLE_SIZE;

/// How a field enters the block (RFC 7541, section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexing {
    /// It may refer to the dynamic table, and is added to it.
    Incremental,
    /// It refers to the static table at most and changes nothing: what a block
    /// put into somebody else's connection is made of.
    Without,
    /// As `Without`, and no hop may ever index it.
    Never,
}

/// The encoding end of one direction.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    huffman: bool,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Encoder {
    /// An encoder with an empty table of the initial size, which writes strings
    /// as they are.
    pub fn new() -> Encoder {
        Encoder {
            table: Table::new(DEFAULT_HEADER_TABLE_SIZE),
            huffman: false,
        }
    }

    /// Writes strings in Huffman code where that is not longer.
    #[must_use]
    pub fn with_huffman(mut self) -> Encoder {
        self.huffman = true;
        self
    }

    /// Appends a size update and resizes the table. It must come before all
    /// fields of a block, and `bytes` must not exceed what the receiver allows
    /// (RFC 7541, section 6.3); more than [`MAX_TABLE_SIZE`] is not used.
    pub fn size_update(&mut self, bytes: u32, out: &mut Vec<u8>) {
        let bytes = bytes.min(MAX_TABLE_SIZE);
        self.table.set_limit(bytes);
        integer::encode(out, 0x20, 5, bytes as usize);
    }

    /// Appends one field.
    pub fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let found = self
            .table
            .find(name, value, indexing == Indexing::Incremental);
        let name_index = match (found, indexing) {
            (Some(Match::Field(index)), Indexing::Incremental | Indexing::Without) => {
                integer::encode(out, 0x80, 7, index as usize);
                return;
            }
            (Some(Match::Field(index) | Match::Name(index)), _) => index,
            (None, _) => 0,
        };
        let (representation, prefix) = match indexing {
            Indexing::Incremental => (0x40, 6),
            Indexing::Without => (0x00, 4),
            Indexing::Never => (0x10, 4),
        };
        integer::encode(out, representation, prefix, name_index as usize);
        if name_index == 0 {
            self.string(name, out);
        }
        self.string(value, out);
        if indexing == Indexing::Incremental {
            self.table.insert(Name::Octets(name), value);
        }
    }

    /// A string literal (RFC 7541, section 5.2).
    fn string(&self, octets: &[u8], out: &mut Vec<u8>) {
        let coded_len = huffman::encoded_len(octets);
        if self.huffman && coded_len <= octets.len() {
            integer::encode(out, 0x80, 7, coded_len);
            huffman::encode(octets, out);
        } else {
            integer::encode(out, 0x00, 7, octets.len());
            out.extend_from_slice(octets);
        }
    }
}
