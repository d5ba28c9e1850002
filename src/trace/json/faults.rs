//! What faults did to a call, or to a connection.

use super::{Line, json_text};
use crate::etcd::ConnectionEnded;
use crate::etcd::verdict::Hit;

impl Line<'_> {
    /// The faults that struck a call, in the order of the plan.
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

    /// Whether faults touched the connection.
    pub(super) fn interposed(&mut self, ended: &ConnectionEnded) {
        if ended.interposed {
            self.yes(name!("interposed"));
            self.unless(name!("pings_answered"), ended.pings_answered, 0);
        }
    }
}
