//! Why a field block cannot be decoded.

use std::fmt;

use super::decoder::{MAX_FIELD_LIST_SIZE, MAX_TABLE_SIZE};
use crate::http2::ErrorCode;

/// Why a field block cannot be decoded. The table is then in an unknown state:
/// the decoder is of no further use (RFC 9113, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside a field.
    Truncated,
    /// An integer does not fit 32 bits, or has a needless number of octets.
    IntegerTooLarge,
    /// An index that names no entry.
    NoSuchIndex {
        /// The index.
        index: u32,
        /// The last index there is.
        last: u32,
    },
    /// A Huffman-coded string holds the end-of-string symbol.
    HuffmanEndOfString,
    /// A Huffman-coded string ends in more than seven bits of padding, in
    /// padding other than ones, or in the middle of a symbol.
    HuffmanPadding,
    /// A table size update above what the receiver allows.
    SizeUpdateTooLarge {
        /// The size asked for.
        size: u32,
        /// The size allowed by SETTINGS_HEADER_TABLE_SIZE.
        allowed: u32,
    },
    /// A table size update after the first field.
    SizeUpdateAfterField,
    /// The receiver reduced the table and the block did not begin with the
    /// size update that this calls for.
    SizeUpdateMissing {
        /// The size the table had to be reduced to.
        allowed: u32,
    },
    /// A larger table than this decoder keeps, though the receiver allows it.
    TableTooLarge {
        /// The size asked for.
        size: u32,
    },
    /// The fields add up to more than [`MAX_FIELD_LIST_SIZE`].
    ListTooLarge,
}

impl HpackError {
    /// The code a strict endpoint would answer with.
    pub const fn code(self) -> ErrorCode {
        match self {
            HpackError::TableTooLarge { .. } | HpackError::ListTooLarge => {
                ErrorCode::ENHANCE_YOUR_CALM
            }
            _ => ErrorCode::COMPRESSION_ERROR,
        }
    }

    /// Where the rule is written down.
    pub const fn rule(self) -> &'static str {
        match self {
            HpackError::Truncated => "RFC 7541 section 6",
            HpackError::IntegerTooLarge => "RFC 7541 section 5.1",
            HpackError::NoSuchIndex { .. } => "RFC 7541 section 2.3.3",
            HpackError::HuffmanEndOfString | HpackError::HuffmanPadding => "RFC 7541 section 5.2",
            HpackError::SizeUpdateTooLarge { .. } => "RFC 7541 section 6.3",
            HpackError::SizeUpdateAfterField | HpackError::SizeUpdateMissing { .. } => {
                "RFC 7541 section 4.2"
            }
            HpackError::TableTooLarge { .. } | HpackError::ListTooLarge => "a limit of etcdtap",
        }
    }
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HpackError::Truncated => f.write_str("it ends in the middle of a field"),
            HpackError::IntegerTooLarge => f.write_str("it holds an integer beyond 32 bits"),
            HpackError::NoSuchIndex { index, last } => {
                write!(
                    f,
                    "it refers to table entry {index}, but the last one is {last}"
                )
            }
            HpackError::HuffmanEndOfString => {
                f.write_str("a Huffman-coded string contains the end-of-string symbol")
            }
            HpackError::HuffmanPadding => {
                f.write_str("a Huffman-coded string ends in wrong padding")
            }
            HpackError::SizeUpdateTooLarge { size, allowed } => write!(
                f,
                "it sets the table to {size} bytes, more than the {allowed} the receiver allows"
            ),
            HpackError::SizeUpdateAfterField => {
                f.write_str("it changes the table's size after a field instead of before all")
            }
            HpackError::SizeUpdateMissing { allowed } => write!(
                f,
                "the receiver reduced the table to {allowed} bytes, and it does not begin with \
                 the size update that confirms this"
            ),
            HpackError::TableTooLarge { size } => write!(
                f,
                "it sets the table to {size} bytes, more than the {MAX_TABLE_SIZE} that can be \
                 followed here"
            ),
            HpackError::ListTooLarge => write!(
                f,
                "HPACK bomb: its fields add up to more than {MAX_FIELD_LIST_SIZE} bytes"
            ),
        }
    }
}

impl std::error::Error for HpackError {}
