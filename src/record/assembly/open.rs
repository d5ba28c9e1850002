//! What is remembered of a connection: its header blocks, and the messages of it
//! that are not whole.

use rustc_hash::FxHashMap;

use crate::record::batch::Lane;
use crate::record::redact::Redactor;

#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Header blocks by their number.
    pub blocks: FxHashMap<u64, Block>,
    /// The block before a lane's first message.
    pub heads: FxHashMap<Lane, u64>,
    pub open: FxHashMap<Lane, Open>,
}

#[derive(Debug)]
pub(super) struct Block {
    pub fields: Box<[u8]>,
    /// As trailers it says what nearly all do.
    pub says_only_ok: bool,
}

/// A message that is not whole yet.
#[derive(Debug)]
pub(super) struct Open {
    pub begun: Begun,
    pub bytes: Vec<u8>,
    /// Bytes that came in all.
    pub came: u64,
    pub parts: Option<Box<Parts>>,
}

/// A message that comes out in parts.
#[derive(Debug)]
pub(super) struct Parts {
    pub redactor: Redactor,
    /// Where the next part begins.
    pub offset: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub channel: u16,
    pub path: Box<str>,
    pub compressed: bool,
    pub length: u32,
    pub index: u64,
    pub at: u64,
    pub headers: u64,
}
