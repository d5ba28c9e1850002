//! What etcd refuses without looking at its keys.

use bytes::Bytes;
use rustc_hash::FxHashSet;

use super::refusal::Refusal;
use crate::etcd::schema::etcdserverpb::request_op::Request;
use crate::etcd::schema::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, range_request,
};

/// etcd's `--max-txn-ops`.
const MOST_OPS: usize = 128;

pub(super) fn range(asked: &RangeRequest) -> Result<(), Refusal> {
    if asked.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    let order = range_request::SortOrder::try_from(asked.sort_order);
    let target = range_request::SortTarget::try_from(asked.sort_target);
    match (order, target) {
        (Ok(_), Ok(_)) => Ok(()),
        _ => Err(Refusal::InvalidSort),
    }
}

pub(super) fn put(asked: &PutRequest) -> Result<(), Refusal> {
    if asked.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    if asked.ignore_value && !asked.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if asked.ignore_lease && asked.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

pub(super) fn delete(asked: &DeleteRangeRequest) -> Result<(), Refusal> {
    match asked.key.is_empty() {
        true => Err(Refusal::EmptyKey),
        false => Ok(()),
    }
}

pub(super) fn txn(asked: &TxnRequest) -> Result<(), Refusal> {
    operations(asked, MOST_OPS)?;
    written_once(&asked.success)?;
    written_once(&asked.failure)?;
    Ok(())
}

/// A nested Txn may have as many operations as the one around it left over. So
/// they cannot be nested without end.
fn operations(asked: &TxnRequest, most: usize) -> Result<(), Refusal> {
    let longest = asked
        .compare
        .len()
        .max(asked.success.len())
        .max(asked.failure.len());
    let rest = most.checked_sub(longest).ok_or(Refusal::TooManyOps)?;
    if asked.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Refusal::EmptyKey);
    }
    for op in asked.success.iter().chain(&asked.failure) {
        match &op.request {
            Some(Request::RequestRange(asked)) => range(asked)?,
            Some(Request::RequestPut(asked)) => put(asked)?,
            Some(Request::RequestDeleteRange(asked)) => delete(asked)?,
            Some(Request::RequestTxn(asked)) => operations(asked, rest)?,
            None => return Err(Refusal::KeyNotFound),
        }
    }
    Ok(())
}

/// What the operations of a branch write.
#[derive(Default)]
struct Written {
    puts: FxHashSet<Bytes>,
    /// From a key, before another one; or the key alone.
    deletes: Vec<(Bytes, Bytes)>,
}

impl Written {
    fn deletes(&self, key: &Bytes) -> bool {
        self.deletes.iter().any(|(from, end)| match end.as_ref() {
            [] => key == from,
            // One zero byte means "no end" to a delete, but not to this check of
            // etcd's.
            _ => from <= key && key < end,
        })
    }
}

/// No key may be put twice, or put and deleted, by what can happen in one Txn.
fn written_once(ops: &[RequestOp]) -> Result<Written, Refusal> {
    let mut written = Written::default();
    let requests = || ops.iter().filter_map(|op| op.request.as_ref());
    for request in requests() {
        if let Request::RequestDeleteRange(asked) = request {
            let span = (asked.key.clone(), asked.range_end.clone());
            written.deletes.push(span);
        }
    }
    for request in requests() {
        if let Request::RequestTxn(asked) = request {
            let then = written_once(&asked.success)?;
            let otherwise = written_once(&asked.failure)?;
            let mut puts = FxHashSet::default();
            // Of the two branches one happens: they may share keys.
            for key in then.puts.into_iter().chain(otherwise.puts) {
                if written.puts.contains(&key) || written.deletes(&key) {
                    return Err(Refusal::DuplicateKey);
                }
                puts.insert(key);
            }
            written.puts.extend(puts);
            written.deletes.extend(then.deletes);
            written.deletes.extend(otherwise.deletes);
        }
    }
    for request in requests() {
        if let Request::RequestPut(asked) = request
            && (written.deletes(&asked.key) || !written.puts.insert(asked.key.clone()))
        {
            return Err(Refusal::DuplicateKey);
        }
    }
    Ok(written)
}
