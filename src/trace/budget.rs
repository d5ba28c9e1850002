//! How much memory the events take that wait for the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::etcd::verdict::Hit;
use crate::etcd::{
    Call, ConnectionEnded, Event, KeyValue, Op, RangeAsked, Request, Response, Value, WatchNote,
    Watched,
};

/// Bytes that events may hold while they wait. A queue full of ordinary ones
/// stays below it; calls with thousands of operations do not.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What an event takes beyond itself: its place in the queue, and what the
/// allocator adds.
const BESIDES: usize = 64;

/// The bytes of the events that wait, about. Shared by all who send, and the
/// writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget {
    queued: Arc<AtomicUsize>,
}

impl Budget {
    /// Sets `bytes` aside, unless that would be too much.
    pub fn take(&self, bytes: usize) -> bool {
        let before = self.queued.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= MOST_BYTES;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Gives back what was set aside.
    pub fn give_back(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

/// About how many bytes an event holds. The same event always gives the same
/// number: it is counted once when it is sent and once when it is taken.
pub(super) fn bytes_of(event: &Event) -> usize {
    BESIDES
        + match event {
            Event::Call(call) => of_call(call),
            Event::Watch(note) => of_note(note),
            Event::Http1 { exchange, .. } => {
                size_of::<Event>() + exchange.method.len() + exchange.target.len()
            }
            Event::MembersAdvertise { client_urls, .. } => {
                let urls = client_urls.iter();
                size_of::<Event>() + urls.map(|url| size_of::<&str>() + url.len()).sum::<usize>()
            }
            Event::Fault { hits, .. } => size_of::<Event>() + of_hits(hits),
            Event::ConnectionEnded(ended) => {
                size_of::<Event>() + size_of::<ConnectionEnded>() + of_hits(&ended.faults)
            }
            Event::ConnectionOpened { .. } | Event::TracingStopped { .. } | Event::Ping { .. } => {
                size_of::<Event>()
            }
        }
}

fn of_call(call: &Call) -> usize {
    let request = match &call.request {
        Request::Unread | Request::Compact { .. } | Request::Lease { .. } => 0,
        Request::Range(asked) => of_range(asked),
        Request::Op(op) => of_op(op),
        Request::Txn(asked) => {
            let compares = asked.compares.iter();
            let compares = compares.map(|compare| size_of_val(compare) + compare.key.len());
            let ops = asked.success.iter().chain(&asked.failure);
            let ops = ops.map(|op| size_of_val(op) + of_op(op));
            compares.sum::<usize>() + ops.sum::<usize>()
        }
        Request::Watch { key, range_end, .. } => key.len() + range_end.len(),
        Request::Named {
            key,
            range_end,
            name,
            ..
        } => {
            let bytes = |part: &Option<Box<[u8]>>| part.as_ref().map_or(0, |part| part.len());
            bytes(key) + bytes(range_end) + name.as_ref().map_or(0, |name| name.len())
        }
    };
    let response = match &call.response {
        Response::Range { first, .. } | Response::Txn { first, .. } => first
            .as_ref()
            .map_or(0, |first| size_of::<KeyValue>() + of_key_value(first)),
        _ => 0,
    };
    let message = call.status.message.as_ref();
    size_of::<Call>()
        + request
        + response
        + message.map_or(0, |message| message.len())
        + of_hits(&call.faults)
}

fn of_hits(hits: &[Hit]) -> usize {
    let hits = hits.iter();
    hits.map(|hit| size_of_val(hit) + hit.did.len()).sum()
}

fn of_note(note: &WatchNote) -> usize {
    size_of::<WatchNote>()
        + of_hits(&note.faults)
        + match &note.watched {
            Watched::Event { kv, .. } => of_key_value(kv),
            Watched::Created { key, range_end, .. } => key.len() + range_end.len(),
            Watched::Canceled {
                reason,
                key,
                range_end,
                ..
            } => key.len() + range_end.len() + reason.as_ref().map_or(0, |reason| reason.len()),
            Watched::Progress => 0,
        }
}

fn of_op(op: &Op) -> usize {
    match op {
        Op::Range(asked) => of_range(asked),
        Op::Put { key, value, .. } => key.len() + of_value(value),
        Op::DeleteRange { key, range_end } => key.len() + range_end.len(),
        Op::Txn => 0,
    }
}

fn of_range(asked: &RangeAsked) -> usize {
    asked.key.len() + asked.range_end.len()
}

fn of_key_value(kv: &KeyValue) -> usize {
    kv.key.len() + of_value(&kv.value)
}

fn of_value(value: &Value) -> usize {
    value.head.len()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Time, a_little_of_everything, create, put};
    use super::*;
    use crate::etcd::TxnAsked;

    #[test]
    fn ordinary_events_are_small_and_great_ones_are_counted() {
        for event in a_little_of_everything(Time::new()) {
            let bytes = bytes_of(&event);
            assert!((BESIDES..2048).contains(&bytes), "{bytes} {event:?}");
        }
        let mut great = create(Time::new());
        let head = Value {
            head: vec![0; 256].into(),
            len: 256,
        };
        great.request = Request::Txn(TxnAsked {
            success: vec![put(&[b'k'; 1000], head); 100],
            ..TxnAsked::default()
        });
        assert!(bytes_of(&Event::Call(great)) > 100 * 1256);
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let budget = Budget::default();
        assert!(budget.take(MOST_BYTES - 10));
        assert!(!budget.take(11));
        assert!(budget.take(10));
        budget.give_back(MOST_BYTES);
        assert_eq!(budget.queued(), 0);
        assert!(!budget.take(usize::MAX));
    }
}
