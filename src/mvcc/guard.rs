//! What a transaction's compare tells once it has held.

use crate::etcd::schema::etcdserverpb::Compare;
use crate::etcd::schema::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

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
