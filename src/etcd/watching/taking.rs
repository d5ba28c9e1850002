//! Messages taken out of diverted content.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::response::prefix;
use super::{Doing, MOST_TAKEN, hold_of};
use crate::etcd::open_call::OpenCall;
use crate::etcd::tracker::Tracker;
use crate::grpc::PREFIX_LEN;
use crate::http2::Side;
use crate::relay::{Data, Hold};

/// When to look again where a message is on its way and nothing may be put in.
pub(super) const SOON: Duration = Duration::from_millis(5);

/// What the notes of a message take in memory, roughly.
const TOLD: u64 = 512;

/// One direction's content as it is taken.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// The piece at hand does not pass by itself.
    diverted: bool,
    /// From where on that has been so.
    since: u64,
    /// How far content has come.
    pub at: u64,
    /// The message at hand, if it is taken whole.
    taken: Option<Taken>,
}

/// A message that is taken whole.
#[derive(Debug)]
pub(super) struct Taken {
    pub compressed: bool,
    pub body: Vec<u8>,
    pub hold: Hold,
}

impl Taken {
    /// A message that is not compressed.
    pub fn plain(body: Vec<u8>, hold: Hold) -> Taken {
        Taken {
            compressed: false,
            body,
            hold,
        }
    }
}

impl Taking {
    /// From here on content passes by itself; what of a prefix that has `begun`
    /// was diverted.
    pub fn pass_by_itself(&mut self, begun: &[u8]) -> Option<Bytes> {
        if !std::mem::take(&mut self.diverted) || begun.is_empty() {
            return None;
        }
        let start = self.at.saturating_sub(begun.len() as u64);
        let passed = self.since.saturating_sub(start) as usize;
        Some(Bytes::copy_from_slice(&begun[passed.min(begun.len())..]))
    }

    /// Whether the content at hand does not pass by itself.
    pub fn is_diverted(&self) -> bool {
        self.diverted
    }

    /// Whether no message is being taken.
    pub fn is_idle(&self) -> bool {
        self.taken.is_none()
    }
}

impl Tracker {
    /// A piece of content comes.
    pub(in crate::etcd) fn watch_piece(
        &mut self,
        call: &mut OpenCall,
        data: &Data<'_>,
        doing: &mut Doing<'_>,
    ) {
        self.with_watching(call, |tracker, call, watching| {
            let from = data.from;
            // As far as this direction has come.
            watching.taking[from].at = data.offset;
            if !data.diverted {
                tracker.pass_by_itself(call, from, watching, doing);
            } else if !watching.taking[from].diverted {
                watching.taking[from].diverted = true;
                watching.taking[from].since = data.offset;
            }
        });
    }

    /// A message begins behind the content offset `at`; whether it is taken whole.
    pub(in crate::etcd) fn take_message(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        at: u64,
        (compressed, length): (bool, u32),
        doing: &mut Doing<'_>,
    ) -> bool {
        let held = self.bench.held();
        let taken = self.with_watching(call, |tracker, call, watching| {
            let start = at - PREFIX_LEN as u64;
            let taking = &mut watching.taking[from];
            taking.at = at;
            if !taking.diverted {
                return false;
            }
            let whole = start >= taking.since && !watching.undiverting && length <= MOST_TAKEN;
            // What is told of it takes room as well.
            let bytes = u64::from(length) + TOLD;
            let mut hold = hold_of(&held, bytes).filter(|_| whole);
            if hold.is_none() {
                // It is at its beginning still, and must overtake nothing.
                watching.look_free(call, None, doing.orders);
                watching.free[from] = true;
                let why = match whole {
                    true => "more was held than may be: let go",
                    false => "a message that is not read whole came behind it: let go",
                };
                if watching.watches.values().any(super::Watch::holds) || !watching.run.1.is_empty()
                {
                    tracker.hold_no_more(call, watching, why, doing);
                }
                hold = hold_of(&held, bytes).filter(|_| whole);
            }
            if let Some(hold) = hold {
                watching.taking[from].taken = Some(Taken {
                    compressed,
                    body: Vec::new(),
                    hold,
                });
                return true;
            }
            let passed = watching.taking[from].since.saturating_sub(start);
            let passed = (passed as usize).min(PREFIX_LEN);
            let rest = Bytes::copy_from_slice(&prefix(compressed, length)[passed..]);
            watching.insert_part(from, rest, doing.orders);
            watching.free[from] = false;
            false
        });
        taken.unwrap_or(false)
    }

    /// A part of a message, up to the content offset `at`; whether the message is
    /// taken whole.
    pub(in crate::etcd) fn take_body(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        at: u64,
        body: &[u8],
        doing: &mut Doing<'_>,
    ) -> bool {
        let taken = self.with_watching(call, |_, _, watching| {
            let taking = &mut watching.taking[from];
            taking.at = at;
            if let Some(taken) = &mut taking.taken {
                taken.body.extend_from_slice(body);
                return true;
            }
            if taking.diverted {
                watching.insert_part(from, Bytes::copy_from_slice(body), doing.orders);
            }
            false
        });
        taken.unwrap_or(false)
    }

    /// A message is whole; whether it was taken, and has been dealt with.
    pub(in crate::etcd) fn end_taken(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        doing: &mut Doing<'_>,
    ) -> bool {
        let ended = self.with_watching(call, |tracker, call, watching| {
            let Some(taken) = watching.taking[from].taken.take() else {
                watching.look_free(call, None, doing.orders);
                return false;
            };
            watching.look_free(call, None, doing.orders);
            match from {
                Side::Client => tracker.watch_request(call, watching, taken, doing),
                Side::Server => tracker.watch_response(call, watching, taken, doing),
            }
            true
        });
        ended.unwrap_or(false)
    }

    /// Reads a taken message as any other is read.
    pub(super) fn read_taken(
        &mut self,
        call: &mut OpenCall,
        from: Side,
        taken: &Taken,
        now: Instant,
    ) {
        let length = taken.body.len() as u32;
        self.begin_message(call, from, taken.compressed, length);
        self.push_message(call, from, &taken.body, now);
        self.end_message(call, from, now);
    }
}
