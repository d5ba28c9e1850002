//! What faults did to a call, or to a connection.

use super::{Line, json_text};
use crate::etcd::verdict::Hit;
use crate::etcd::{ConnectionEnded, WatchNote};

impl Line<'_> {
    /// The faults that struck a call or a connection, in the order of the plan.
    pub(super) fn faults(&mut self, hits: &[Hit]) {
        for (i, hit) in hits.iter().enumerate() {
            let begin: &[u8] = match i {
                0 => b",\"fault\":[{\"name\":\"",
                _ => b",{\"name\":\"",
            };
            self.out.extend_from_slice(begin);
            json_text(&hit.name, self.out);
            self.out.extend_from_slice(b"\",\"did\":\"");
            json_text(&hit.did, self.out);
            self.out.extend_from_slice(b"\"}");
        }
        if !hits.is_empty() {
            self.out.push(b']');
        }
    }

    /// What faults did to what came on a watch.
    pub(super) fn touched(&mut self, note: &WatchNote) {
        self.faults(&note.faults);
        if !note.held.is_zero() {
            let held = u64::try_from(note.held.as_micros()).unwrap_or(u64::MAX);
            self.number(name!("held_us"), held);
        }
        if !note.delivered {
            self.out.extend_from_slice(b",\"delivered\":false");
        }
    }

    /// Whether faults touched the connection.
    pub(super) fn interposed(&mut self, ended: &ConnectionEnded) {
        if ended.interposed {
            self.yes(name!("interposed"));
            self.unless(name!("pings_answered"), ended.pings_answered, 0);
        }
    }
}
