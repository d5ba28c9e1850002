//! Messages taken out of diverted content.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::response::prefix;
use super::{Doing, MOST_TAKEN, hold_of};
use crate::etcd::open_call::{Kind, OpenCall};
use crate::etcd::tracker::Tracker;
use crate::grpc::PREFIX_LEN;
use crate::http2::Side;
use crate::relay::{Data, Hold};

/// When to look again where a message is on its way and nothing may be put in.
pub(super) const SOON: Duration = Duration::from_millis(5);

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

impl Taking {
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
        let Kind::Watch(stream) = &mut call.kind else {
            return;
        };
        let Some(watching) = &mut stream.watching else {
            return;
        };
        let taking = &mut watching.taking[data.from];
        let was = std::mem::replace(&mut taking.diverted, data.diverted);
        if data.diverted && !was {
            taking.since = data.offset;
        }
        if was && !data.diverted {
            // Of a prefix that is not whole its beginning was diverted.
            let begun = call.directions[data.from].deframer.partial_prefix();
            let start = data.offset - begun.len() as u64;
            let passed = taking.since.saturating_sub(start) as usize;
            let rest = Bytes::copy_from_slice(&begun[passed.min(begun.len())..]);
            watching.insert(data.from, rest, doing.orders);
        }
        watching.taking[data.from].at = data.offset;
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
        let taken = self.with_watching(call, |tracker, _, watching| {
            let start = at - PREFIX_LEN as u64;
            let taking = &mut watching.taking[from];
            taking.at = at;
            if !taking.diverted {
                return false;
            }
            let whole = start >= taking.since && !watching.leaving && length <= MOST_TAKEN;
            let bytes = u64::from(length);
            let mut hold = hold_of(&held, bytes).filter(|_| whole);
            if whole && hold.is_none() {
                tracker.hold_no_more(watching, doing);
                hold = hold_of(&held, bytes);
            }
            if let Some(hold) = hold {
                watching.taking[from].taken = Some(Taken {
                    compressed,
                    body: Vec::new(),
                    hold,
                });
                return true;
            }
            if from == Side::Server {
                // It must not overtake what is held.
                tracker.let_watches_go(watching, doing);
            }
            let passed = watching.taking[from].since.saturating_sub(start);
            let passed = (passed as usize).min(PREFIX_LEN);
            let rest = Bytes::copy_from_slice(&prefix(compressed, length)[passed..]);
            watching.insert(from, rest, doing.orders);
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
                watching.insert(from, Bytes::copy_from_slice(body), doing.orders);
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
                return false;
            };
            match from {
                Side::Client => tracker.watch_request(call, watching, taken, doing),
                Side::Server => tracker.watch_response(call, watching, taken, doing),
            }
            true
        });
        if ended == Some(true) {
            self.stop_watching_when_idle(call, doing);
        }
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
