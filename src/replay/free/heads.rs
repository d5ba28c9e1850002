//! The header blocks of requests.

use crate::http2::DEFAULT_HEADER_TABLE_SIZE;
use crate::http2::hpack::{Encoder, Indexing};

/// Paths that get a place in the table of header fields, and how long one is at
/// most. The rest is written out each time.
const MOST_INDEXED: usize = 20;
const LONGEST_INDEXED: usize = 100;

/// What requests say of whom they are for, and who asks.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Host and port.
    pub authority: Box<str>,
    /// Whether they go over TLS.
    pub is_tls: bool,
    /// The token of etcd's user, where there is one.
    pub token: Option<Box<str>>,
}

impl From<&str> for Origin {
    fn from(authority: &str) -> Origin {
        Origin {
            authority: authority.into(),
            ..Origin::default()
        }
    }
}

/// The header blocks of requests. The first of a path puts its fields into the
/// table that both sides keep; the later ones are a few bytes that do not change
/// until something is put there again.
#[derive(Debug)]
pub(super) struct Heads {
    encoder: Encoder,
    origin: Origin,
    /// By the path's number: what the table was when it was made, and the block.
    made: Vec<Option<(u64, Vec<u8>)>>,
    /// How often something was put into the table.
    table: u64,
    indexed: usize,
    /// What the target's table may be: a smaller one than that of the protocol has
    /// to be agreed to in the next block, and is then not used at all.
    plain: bool,
    owed: bool,
    scratch: Vec<u8>,
}

impl Heads {
    /// Of requests to this origin.
    pub fn new(origin: Origin) -> Heads {
        Heads {
            encoder: Encoder::new(),
            origin,
            made: Vec::new(),
            table: 0,
            indexed: 0,
            plain: false,
            owed: false,
            scratch: Vec::new(),
        }
    }

    /// The target says how large its table may be, in bytes.
    pub fn table_size(&mut self, bytes: u32) {
        if bytes < DEFAULT_HEADER_TABLE_SIZE && !self.plain {
            self.plain = true;
            self.owed = true;
            self.made.clear();
        }
    }

    /// The block for a path, which always comes with the same number.
    pub fn block(&mut self, number: usize, path: &str) -> &[u8] {
        if self.made.len() <= number {
            self.made.resize(number + 1, None);
        }
        let known = self.made[number].is_some();
        if self.made[number]
            .as_ref()
            .is_some_and(|(table, _)| *table == self.table)
        {
            return self.made[number]
                .as_ref()
                .map_or(&[], |(_, block)| &block[..]);
        }
        let mut block = Vec::new();
        let agrees = std::mem::take(&mut self.owed);
        if agrees {
            self.encoder.size_update(0, &mut block);
        }
        let rest = match self.plain {
            true => Indexing::Without,
            false => Indexing::Incremental,
        };
        let indexes = known || (self.indexed < MOST_INDEXED && path.len() <= LONGEST_INDEXED);
        let of_path = match indexes {
            true => rest,
            false => Indexing::Without,
        };
        let agent = concat!("etcdtap/", env!("CARGO_PKG_VERSION"));
        let scheme: &[u8] = match self.origin.is_tls {
            true => b"https",
            false => b"http",
        };
        let fields: [(&[u8], &[u8], Indexing); 7] = [
            (b":method", b"POST", rest),
            (b":scheme", scheme, rest),
            (b":path", path.as_bytes(), of_path),
            (b":authority", self.origin.authority.as_bytes(), rest),
            (b"content-type", b"application/grpc", rest),
            (b"user-agent", agent.as_bytes(), rest),
            (b"te", b"trailers", rest),
        ];
        for (name, value, indexing) in fields {
            self.encoder.field(name, value, indexing, &mut block);
        }
        if let Some(token) = &self.origin.token {
            self.encoder
                .field(b"token", token.as_bytes(), rest, &mut block);
        }
        // The first block of all puts the other fields there.
        self.table = self.table.max(1);
        if !indexes || agrees {
            // One of a kind: it is not kept.
            self.scratch = block;
            return &self.scratch;
        }
        if !known && !self.plain {
            // This block changed the table, and will be another one next time.
            self.indexed += 1;
            self.table += 1;
            self.made[number] = Some((0, Vec::new()));
            self.scratch = block;
            return &self.scratch;
        }
        &self.made[number].insert((self.table, block)).1
    }
}
