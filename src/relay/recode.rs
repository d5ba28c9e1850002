//! Header blocks of our own, and those of a direction whose table we broke.

use super::order::HeaderField;
use crate::http2::frame_encoder::HeaderBlock;
use crate::http2::hpack::{Encoder, Indexing};
use crate::http2::{Side, StreamId};

/// How header blocks of one direction leave.
///
/// A block that changes no table state may be dropped, or one of our own put in,
/// without touching the others. Once a block that did change it was dropped or
/// held back, the receiver's table is not the sender's any more: from then on
/// every block of the direction is written anew, without a table.
#[derive(Debug, Default)]
pub(super) struct Recoder {
    stateless: bool,
    /// The receiver was told that the table is empty now.
    told: bool,
}

/// What belongs to a HEADERS frame besides its block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frame {
    pub end_stream: bool,
    pub priority: Option<(u32, u8)>,
    pub promised: Option<StreamId>,
}

impl Recoder {
    /// Whether every block has to be written anew.
    pub fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// A block that changed the sender's table did not pass as it came.
    pub fn lose_table(&mut self) {
        self.stateless = true;
    }

    /// Writes a block that refers to no table but the static one. `owed` is the
    /// table size that the next block of this direction has to begin with
    /// (RFC 7541, section 4.2).
    pub fn write<'f>(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        fields: impl IntoIterator<Item = &'f HeaderField>,
        frame: Frame,
        owed: Option<u32>,
        max_frame_size: u32,
    ) {
        let mut encoder = Encoder::new();
        let mut block = Vec::new();
        if self.stateless && !self.told {
            encoder.size_update(0, &mut block);
            self.told = true;
        } else if let (Some(size), false) = (owed, self.stateless) {
            encoder.size_update(size, &mut block);
        }
        for field in fields {
            let indexing = match field.never_indexed {
                true => Indexing::Never,
                false => Indexing::Without,
            };
            encoder.field(&field.name, &field.value, indexing, &mut block);
        }
        let block = HeaderBlock {
            block: &block,
            end_stream: frame.end_stream,
            padding: None,
            priority: frame.priority,
            promised: frame.promised,
        };
        block.encode(out, stream, max_frame_size as usize);
    }
}

/// The head of a response that a fault makes up for `side`'s peer.
pub(super) fn made_up_head(side: Side) -> Vec<HeaderField> {
    match side {
        Side::Server => vec![
            HeaderField::new(":status", "200"),
            HeaderField::new("content-type", "application/grpc"),
        ],
        // A client's head is never held, so none is ever missing.
        Side::Client => Vec::new(),
    }
}
