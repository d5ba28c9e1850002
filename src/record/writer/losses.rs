//! What was left out, told once in the log and whenever it is more in the recording.

use std::time::{Duration, Instant};

use prost::Message;

use super::{SLOW, Writer, nanos};
use crate::record::container::Times;
use crate::record::queue::Lost;
use crate::record::schema::ChannelId;
use crate::record::schema::v1::Loss;
use crate::trace::Anchor;

/// For how long nothing may be left out before it is said that the recording keeps
/// up again.
const QUIET: Duration = Duration::from_secs(1);

/// More comes than the disk takes: calls or lines are left out.
pub(super) struct Behind {
    /// What had been lost before.
    before: Lost,
    /// When the latest loss was seen.
    latest: Instant,
}

impl Writer {
    /// What was left out since it was told last stands in the recording, too; and
    /// that it began and that it is over is said once each.
    pub(super) fn tell_losses(&mut self, now: Instant) {
        let lost = self.outlet.lost();
        if let Some(behind) = &mut self.behind {
            let quiet = now.saturating_duration_since(behind.latest);
            if (lost.calls, lost.lines) != (self.told.calls, self.told.lines) {
                behind.latest = now;
            } else if self.stuck.is_none() && quiet >= QUIET {
                let (calls, lines) = (
                    lost.calls - behind.before.calls,
                    lost.lines - behind.before.lines,
                );
                tracing::warn!(
                    "the recording keeps up with the traffic again: {calls} calls and {lines} lines of the log were left out"
                );
                self.behind = None;
            }
        } else if (lost.calls, lost.lines) != (self.told.calls, self.told.lines) {
            self.behind = Some(Behind {
                before: self.told,
                latest: now,
            });
            // Where the disk took nothing, that was said before.
            if self.reason.is_none() {
                tracing::warn!(
                    "the recording cannot keep up with the traffic: calls are left out, and counted"
                );
            }
        }
        let Some(current) = self.file.as_mut().filter(|current| !current.ended) else {
            return;
        };
        if lost == self.told {
            self.reason = None;
            return;
        }
        let loss = Loss {
            calls: lost.calls - self.told.calls,
            messages: lost.messages - self.told.messages,
            bytes: lost.bytes - self.told.bytes,
            lines: lost.lines - self.told.lines,
            reason: self.reason.take().unwrap_or_else(|| SLOW.to_owned()),
        };
        self.told = lost;
        let at = nanos(&self.clock.unwrap_or_else(Anchor::now), now);
        let times = Times {
            whole: at,
            began: at,
        };
        let told = loss.encode_to_vec();
        match current.container.add(ChannelId::LOSSES, times, &told) {
            Ok(()) => self.added += 1,
            Err(error) => {
                self.recorded.trouble.get_or_insert(error.to_string());
            }
        }
    }
}
