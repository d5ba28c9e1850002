//! What requests and their answers tell of keys: a compare that held, and a list.

use bytes::Bytes;

use super::span::Span;
use crate::etcd::schema::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcd::schema::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::etcd::schema::etcdserverpb::{Compare, RangeRequest, RangeResponse};

/// The revision that a compare which held says its key was at; 0: it did not exist.
/// `None` if it says nothing of the kind.
pub fn revision_held(compare: &Compare) -> Option<i64> {
    if compare.result != CompareResult::Equal as i32 || !compare.range_end.is_empty() {
        return None;
    }
    match (
        CompareTarget::try_from(compare.target),
        &compare.target_union,
    ) {
        (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(revision))) => Some(*revision),
        (Ok(CompareTarget::Mod | CompareTarget::Create | CompareTarget::Version), None) => Some(0),
        (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(0)))
        | (Ok(CompareTarget::Version), Some(TargetUnion::Version(0))) => Some(0),
        _ => None,
    }
}

/// The span of which an answer shows every key that is there; `None` if it tells of
/// none.
pub fn span_listed(asked: &RangeRequest, answer: &RangeResponse) -> Option<Span> {
    let filtered = asked.min_mod_revision != 0
        || asked.max_mod_revision != 0
        || asked.min_create_revision != 0
        || asked.max_create_revision != 0;
    if filtered || (asked.count_only && answer.count > 0) {
        return None;
    }
    let mut span = Span::asked(&asked.key, &asked.range_end);
    if answer.more {
        let by_key = asked.sort_target == SortTarget::Key as i32
            && asked.sort_order != SortOrder::Descend as i32;
        // All keys up to the last one were told.
        let last = answer.kvs.last().filter(|_| by_key)?;
        // Bytes of its own: a slice would keep the whole answer.
        span.end = Span::key(&Bytes::copy_from_slice(&last.key)).end;
    }
    Some(span)
}
