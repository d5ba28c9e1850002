//! What faults did, for people.

use super::{Notes, WARNING, duration, shown};
use crate::etcd::WatchNote;
use crate::etcd::verdict::Hit;

/// The faults that struck.
pub(super) fn hits(hits: &[Hit], notes: &mut Notes<'_, '_>) {
    for hit in hits {
        notes.put(WARNING, &shown(&format!("fault {}: {}", hit.name, hit.did)));
    }
}

/// What faults did to what came on a watch.
pub(super) fn touched(note: &WatchNote, notes: &mut Notes<'_, '_>) {
    hits(&note.faults, notes);
    if !note.held.is_zero() {
        let held = u64::try_from(note.held.as_micros()).unwrap_or(u64::MAX);
        notes.put(WARNING, &format!("held {}", duration(held)));
    }
    if !note.delivered {
        notes.put(WARNING, "never delivered");
    }
}
