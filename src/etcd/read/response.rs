//! The answers of KV and Lease.

use super::Budget;
use crate::etcd::call::{Header, KeyValue, Response};
use crate::etcd::method::Method;
use crate::etcd::wire::{Visitor, Want};

const HEADER: u8 = 1;
const RANGE: u8 = 2;
const PUT: u8 = 3;
const DELETE_RANGE: u8 = 4;
const TXN: u8 = 5;
const BRANCH: u8 = 6;
const BRANCH_RANGE: u8 = 7;
const BRANCH_DELETE: u8 = 8;
const KEY_VALUE: u8 = 9;
const LEASE: u8 = 10;
const HEADER_ONLY: u8 = 11;
const BRANCH_PUT: u8 = 12;
const RANGE_STREAM: u8 = 13;

/// Reads one answer into a [`Response`] and its header.
#[derive(Debug)]
pub(in crate::etcd) struct ResponseReader {
    budget: Budget,
    first: Option<Box<KeyValue>>,
    inside_first: bool,
}

impl ResponseReader {
    /// The root node of `method`'s answer; `None` where it is not read here.
    pub(in crate::etcd) fn root(method: Method) -> Option<u8> {
        Some(match method {
            Method::Range => RANGE,
            Method::RangeStream => RANGE_STREAM,
            Method::Put => PUT,
            Method::DeleteRange => DELETE_RANGE,
            Method::Txn => TXN,
            Method::Compact | Method::LeaseRevoke => HEADER_ONLY,
            Method::LeaseGrant | Method::LeaseKeepAlive | Method::LeaseTimeToLive => LEASE,
            Method::Watch | Method::Other => return None,
        })
    }

    /// The empty answer of `method`: what an empty message says.
    pub(in crate::etcd) fn empty(method: Method) -> Response {
        match method {
            Method::Range | Method::RangeStream => Response::Range {
                kvs: 0,
                count: 0,
                more: false,
                first: None,
            },
            Method::Put => Response::Put,
            Method::DeleteRange => Response::DeleteRange { deleted: 0 },
            Method::Txn => Response::Txn {
                succeeded: false,
                puts: 0,
                deleted: 0,
                kvs: 0,
                first: None,
            },
            Method::LeaseGrant | Method::LeaseKeepAlive | Method::LeaseTimeToLive => {
                Response::Lease { id: 0, ttl: 0 }
            }
            Method::Compact | Method::LeaseRevoke | Method::Watch | Method::Other => {
                Response::Unread
            }
        }
    }

    pub(in crate::etcd) fn new(budget: Budget) -> ResponseReader {
        ResponseReader {
            budget,
            first: None,
            inside_first: false,
        }
    }

    /// This reader, writing into `response` and `header`.
    pub(in crate::etcd) fn filling<'a>(
        &'a mut self,
        response: &'a mut Response,
        header: &'a mut Option<Header>,
    ) -> ResponseFields<'a> {
        ResponseFields {
            reader: self,
            response,
            header,
        }
    }
}

/// A [`ResponseReader`] at work.
pub(in crate::etcd) struct ResponseFields<'a> {
    reader: &'a mut ResponseReader,
    response: &'a mut Response,
    header: &'a mut Option<Header>,
}

impl ResponseFields<'_> {
    fn first(&mut self) -> &mut Option<Box<KeyValue>> {
        match self.response {
            Response::Range { first, .. } | Response::Txn { first, .. } => first,
            _ => &mut self.reader.first,
        }
    }

    fn begin_key_value(&mut self) -> Want {
        if let Response::Range { kvs, .. } | Response::Txn { kvs, .. } = self.response {
            *kvs += 1;
        }
        if self.first().is_none() {
            *self.first() = Some(Box::default());
            self.reader.inside_first = true;
            Want::Enter(KEY_VALUE)
        } else {
            Want::Skip
        }
    }
}

impl Visitor for ResponseFields<'_> {
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
        match (node, field) {
            (RANGE_STREAM, 1) => Want::Enter(RANGE),
            (RANGE | PUT | DELETE_RANGE | TXN | LEASE | HEADER_ONLY, 1) => {
                self.header.get_or_insert_default();
                Want::Enter(HEADER)
            }
            (RANGE | BRANCH_RANGE, 2) => self.begin_key_value(),
            (TXN, 3) => Want::Enter(BRANCH),
            (BRANCH, 1) => Want::Enter(BRANCH_RANGE),
            (BRANCH, 2) => {
                if let Response::Txn { puts, .. } = self.response {
                    *puts += 1;
                }
                Want::Enter(BRANCH_PUT)
            }
            (BRANCH, 3) => Want::Enter(BRANCH_DELETE),
            (KEY_VALUE, _) => KeyValue::want(field, len, &mut self.reader.budget),
            _ => Want::Skip,
        }
    }

    fn varint(&mut self, node: u8, field: u32, value: u64) {
        match (node, field) {
            (HEADER, _) => {
                if let Some(header) = self.header {
                    header.set(field, value);
                }
            }
            (RANGE, 3) => {
                if let Response::Range { more, .. } = self.response {
                    *more = value != 0;
                }
            }
            (RANGE, 4) => {
                if let Response::Range { count, .. } = self.response {
                    *count = value as i64;
                }
            }
            (DELETE_RANGE, 2) => {
                if let Response::DeleteRange { deleted } = self.response {
                    *deleted = value as i64;
                }
            }
            (TXN, 2) => {
                if let Response::Txn { succeeded, .. } = self.response {
                    *succeeded = value != 0;
                }
            }
            (BRANCH_DELETE, 2) => {
                if let Response::Txn { deleted, .. } = self.response {
                    *deleted = deleted.saturating_add(value);
                }
            }
            (KEY_VALUE, _) if self.reader.inside_first => {
                if let Some(first) = self.first() {
                    first.set(field, value);
                }
            }
            (LEASE, 2 | 3) => {
                if let Response::Lease { id, ttl } = self.response {
                    match field {
                        2 => *id = value as i64,
                        _ => *ttl = value as i64,
                    }
                }
            }
            _ => {}
        }
    }

    fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64) {
        if node == KEY_VALUE
            && let Some(first) = self.first()
        {
            first.put(field, head, len);
        }
    }

    fn leave(&mut self, node: u8) {
        if node == KEY_VALUE {
            self.reader.inside_first = false;
        }
    }
}
