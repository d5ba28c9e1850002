//! HPACK, the compression of field sections (RFC 7541).
//!
//! | file | section of the RFC |
//! |---|---|
//! | `integer` | 5.1, prefixed integers |
//! | `huffman` | 5.2 and appendix B, Huffman-coded strings |
//! | `table` | 2.3 and 4, appendix A: static and dynamic table |
//! | `decoder`, `encoder` | 6, field representations |

mod decoder;
mod encoder;
mod error;
mod huffman;
mod integer;
mod table;

#[cfg(test)]
mod rfc7541_examples;
#[cfg(test)]
mod tests;

pub use decoder::{BlockSummary, Decoder, Field, MAX_FIELD_LIST_SIZE, MAX_TABLE_SIZE};
pub use encoder::{Encoder, Indexing};
pub use error::HpackError;
