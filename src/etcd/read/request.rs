//! The requests of KV and Lease.

use super::Budget;
use crate::etcd::call::{Compare, CompareTarget, Op, RangeAsked, Request, TxnAsked, Value};
use crate::etcd::method::Method;
use crate::etcd::wire::{Visitor, Want};

const RANGE: u8 = 1;
const PUT: u8 = 2;
const DELETE_RANGE: u8 = 3;
const TXN: u8 = 4;
const COMPARE: u8 = 5;
const SUCCESS: u8 = 6;
const FAILURE: u8 = 7;
const COMPACT: u8 = 8;
const LEASE_GRANT: u8 = 9;
const LEASE_BY_ID: u8 = 10;

/// Where the operation at hand belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// It is the request itself.
    #[default]
    Whole,
    /// The Txn's success branch.
    Success,
    /// The Txn's failure branch.
    Failure,
    /// Beyond the capture bound: counted only.
    Omitted,
}

/// Reads one request into a [`Request`].
#[derive(Debug)]
pub(in crate::etcd) struct RequestReader {
    budget: Budget,
    place: Place,
}

impl RequestReader {
    /// The root node of `method`'s request; `None` where it is not read here.
    pub(in crate::etcd) fn root(method: Method) -> Option<u8> {
        Some(match method {
            Method::Range | Method::RangeStream => RANGE,
            Method::Put => PUT,
            Method::DeleteRange => DELETE_RANGE,
            Method::Txn => TXN,
            Method::Compact => COMPACT,
            Method::LeaseGrant => LEASE_GRANT,
            Method::LeaseRevoke | Method::LeaseKeepAlive | Method::LeaseTimeToLive => LEASE_BY_ID,
            Method::Watch | Method::Other => return None,
        })
    }

    /// The empty request of `method`: what an empty message says.
    pub(in crate::etcd) fn empty(method: Method) -> Request {
        match method {
            Method::Range | Method::RangeStream => Request::Range(RangeAsked::default()),
            Method::Put => Request::Op(empty_put()),
            Method::DeleteRange => Request::Op(empty_delete()),
            Method::Txn => Request::Txn(TxnAsked::default()),
            Method::Compact => Request::Compact { revision: 0 },
            Method::LeaseGrant
            | Method::LeaseRevoke
            | Method::LeaseKeepAlive
            | Method::LeaseTimeToLive => Request::Lease { id: 0, ttl: 0 },
            Method::Watch | Method::Other => Request::Unread,
        }
    }

    pub(in crate::etcd) fn new(budget: Budget) -> RequestReader {
        RequestReader {
            budget,
            place: Place::Whole,
        }
    }

    /// This reader, writing into `request`.
    pub(in crate::etcd) fn filling<'a>(
        &'a mut self,
        request: &'a mut Request,
    ) -> RequestFields<'a> {
        RequestFields {
            reader: self,
            request,
        }
    }
}

fn empty_put() -> Op {
    Op::Put {
        key: Box::default(),
        value: Value::default(),
        lease: 0,
    }
}

fn empty_delete() -> Op {
    Op::DeleteRange {
        key: Box::default(),
        range_end: Box::default(),
    }
}

/// A [`RequestReader`] at work.
pub(in crate::etcd) struct RequestFields<'a> {
    reader: &'a mut RequestReader,
    request: &'a mut Request,
}

impl RequestFields<'_> {
    fn txn(&mut self) -> Option<&mut TxnAsked> {
        match self.request {
            Request::Txn(txn) => Some(txn),
            _ => None,
        }
    }

    /// An operation of a branch begins.
    fn begin(&mut self, branch: u8, op: Op) {
        self.reader.place = Place::Omitted;
        let room = self.reader.budget.entry();
        let Some(txn) = self.txn() else { return };
        if !room {
            txn.omitted += 1;
            return;
        }
        self.reader.place = match branch {
            SUCCESS => {
                txn.success.push(op);
                Place::Success
            }
            _ => {
                txn.failure.push(op);
                Place::Failure
            }
        };
    }

    /// The operation at hand.
    fn op(&mut self) -> Option<&mut Op> {
        let place = self.reader.place;
        match (&mut *self.request, place) {
            (Request::Op(op), Place::Whole) => Some(op),
            (Request::Txn(txn), Place::Success) => txn.success.last_mut(),
            (Request::Txn(txn), Place::Failure) => txn.failure.last_mut(),
            _ => None,
        }
    }

    fn range(&mut self) -> Option<&mut RangeAsked> {
        if self.reader.place == Place::Whole
            && let Request::Range(range) = self.request
        {
            return Some(range);
        }
        match self.op() {
            Some(Op::Range(range)) => Some(range),
            _ => None,
        }
    }

    fn compare(&mut self) -> Option<&mut Compare> {
        if self.reader.place == Place::Omitted {
            return None;
        }
        self.txn()?.compares.last_mut()
    }
}

impl Visitor for RequestFields<'_> {
    fn field(&mut self, node: u8, field: u32, len: u64) -> Want {
        match (node, field) {
            (TXN, 1) => {
                let room = self.reader.budget.entry();
                self.reader.place = if room { Place::Whole } else { Place::Omitted };
                if let Some(txn) = self.txn() {
                    if room {
                        txn.compares.push(Compare {
                            target: CompareTarget::Version,
                            key: Box::default(),
                            number: 0,
                        });
                    } else {
                        txn.omitted += 1;
                    }
                }
                Want::Enter(COMPARE)
            }
            (TXN, 2) => Want::Enter(SUCCESS),
            (TXN, 3) => Want::Enter(FAILURE),
            (SUCCESS | FAILURE, 1) => {
                self.begin(node, Op::Range(RangeAsked::default()));
                Want::Enter(RANGE)
            }
            (SUCCESS | FAILURE, 2) => {
                self.begin(node, empty_put());
                Want::Enter(PUT)
            }
            (SUCCESS | FAILURE, 3) => {
                self.begin(node, empty_delete());
                Want::Enter(DELETE_RANGE)
            }
            (SUCCESS | FAILURE, 4) => {
                self.begin(node, Op::Txn);
                Want::Skip
            }
            _ if self.reader.place == Place::Omitted => Want::Skip,
            (RANGE | DELETE_RANGE, 1 | 2) | (PUT, 1) | (COMPARE, 3) => {
                self.reader.budget.whole(len)
            }
            (PUT, 2) => self.reader.budget.head(len, Value::HEAD),
            _ => Want::Skip,
        }
    }

    fn varint(&mut self, node: u8, field: u32, value: u64) {
        let number = value as i64;
        match node {
            RANGE => {
                if let Some(range) = self.range() {
                    match field {
                        3 => range.limit = number,
                        4 => range.revision = number,
                        7 => range.serializable = value != 0,
                        8 => range.keys_only = value != 0,
                        9 => range.count_only = value != 0,
                        _ => {}
                    }
                }
            }
            PUT => {
                if field == 3
                    && let Some(Op::Put { lease, .. }) = self.op()
                {
                    *lease = number;
                }
            }
            COMPARE => {
                if let Some(compare) = self.compare() {
                    match field {
                        2 => {
                            compare.target = match number {
                                0 => CompareTarget::Version,
                                1 => CompareTarget::CreateRevision,
                                2 => CompareTarget::ModRevision,
                                3 => CompareTarget::Value,
                                4 => CompareTarget::Lease,
                                other => CompareTarget::Unknown(other),
                            }
                        }
                        4 | 5 | 6 | 8 => compare.number = number,
                        _ => {}
                    }
                }
            }
            COMPACT => {
                if field == 1
                    && let Request::Compact { revision } = self.request
                {
                    *revision = number;
                }
            }
            LEASE_GRANT | LEASE_BY_ID => {
                if let Request::Lease { id, ttl } = self.request {
                    match (node, field) {
                        (LEASE_GRANT, 1) => *ttl = number,
                        (LEASE_GRANT, 2) | (LEASE_BY_ID, 1) => *id = number,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn bytes(&mut self, node: u8, field: u32, head: &[u8], len: u64) {
        match (node, field) {
            (RANGE, 1) => {
                if let Some(range) = self.range() {
                    range.key = head.into();
                }
            }
            (RANGE, 2) => {
                if let Some(range) = self.range() {
                    range.range_end = head.into();
                }
            }
            (COMPARE, 3) => {
                if let Some(compare) = self.compare() {
                    compare.key = head.into();
                }
            }
            (PUT, _) => {
                if let Some(Op::Put { key, value, .. }) = self.op() {
                    match field {
                        1 => *key = head.into(),
                        2 => {
                            *value = Value {
                                head: head.into(),
                                len,
                            }
                        }
                        _ => {}
                    }
                }
            }
            (DELETE_RANGE, _) => {
                if let Some(Op::DeleteRange { key, range_end }) = self.op() {
                    match field {
                        1 => *key = head.into(),
                        2 => *range_end = head.into(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, node: u8) {
        if matches!(node, SUCCESS | FAILURE | COMPARE) {
            self.reader.place = Place::Whole;
        }
    }
}
