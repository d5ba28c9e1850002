//! Reading the messages of the hot methods field by field, as they pass: which
//! fields are entered, which are kept and where they go. Numbers and types are
//! those of `proto/`.

mod request;
mod response;
mod watch;

pub(super) use request::RequestReader;
pub(super) use response::ResponseReader;
pub(super) use watch::{
    WatchAsked, WatchCreate, WatchRequestReader, WatchResponseReader, WatchSeen,
};

use super::call::{Header, KeyValue, Value};
use super::wire::Want;

/// What may still be kept of a message (`--capture-bytes`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new(bytes: usize) -> Budget {
        Budget(bytes)
    }

    /// Takes up to `most` bytes from the front of a field of `len`.
    fn head(&mut self, len: u64, most: usize) -> Want {
        let n = (len.min(most as u64) as usize).min(self.0);
        self.0 -= n;
        Want::Take(n)
    }

    /// Takes a field whole, or not at all: a part of a key is another key.
    fn whole(&mut self, len: u64) -> Want {
        match usize::try_from(len) {
            Ok(n) if n <= self.0 => {
                self.0 -= n;
                Want::Take(n)
            }
            _ => Want::Skip,
        }
    }

    /// Takes room for one more entry of a list; false when it is used up.
    fn entry(&mut self) -> bool {
        // About what an operation or a guard weighs beyond its key.
        const ENTRY: usize = 96;
        match self.0.checked_sub(ENTRY) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

impl Header {
    /// A field of `ResponseHeader`.
    fn set(&mut self, field: u32, value: u64) {
        match field {
            1 => self.cluster_id = value,
            2 => self.member_id = value,
            3 => self.revision = value as i64,
            4 => self.raft_term = value,
            _ => {}
        }
    }
}

impl KeyValue {
    /// A number of `mvccpb.KeyValue`.
    fn set(&mut self, field: u32, value: u64) {
        match field {
            2 => self.create_revision = value as i64,
            3 => self.mod_revision = value as i64,
            4 => self.version = value as i64,
            6 => self.lease = value as i64,
            _ => {}
        }
    }

    /// What to keep of a key or a value.
    fn want(field: u32, len: u64, budget: &mut Budget) -> Want {
        match field {
            1 => budget.whole(len),
            5 => budget.head(len, Value::HEAD),
            _ => Want::Skip,
        }
    }

    /// The key or the value.
    fn put(&mut self, field: u32, head: &[u8], len: u64) {
        match field {
            1 => self.key = head.into(),
            5 => {
                self.value = Value {
                    head: head.into(),
                    len,
                }
            }
            _ => {}
        }
    }
}
