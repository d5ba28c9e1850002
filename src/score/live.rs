//! What the trace sees, as facts: the same that a line of the log would give.

use std::borrow::Cow;

use super::fact::{CallFact, Ended, Fact, Moment, Range, WatchAt, What};
use super::line::is_stream;
use crate::etcd::verdict::Hit;
use crate::etcd::{Call, CancelCause, ConnectionEnded, Ending, Response, WatchNote, Watched};
use crate::http2::Side;
use crate::kube::operation::Operation;
use crate::relay::Peers;
use crate::trace::micros_between;

pub(super) fn connection<'a>(peers: &Peers, at: Moment, what: What<'a>) -> Fact<'a> {
    Fact {
        at,
        conn: peers.id.0,
        ip: peers.client.ip(),
        user_agent: None,
        faults: Vec::new(),
        what,
    }
}

pub(super) fn fault<'a>(peers: &Peers, hits: &'a [Hit], at: Moment) -> Fact<'a> {
    Fact {
        faults: struck(hits),
        ..connection(peers, at, What::Fault)
    }
}

pub(super) fn ended(ended: &ConnectionEnded, failed: bool, at: Moment) -> Fact<'_> {
    let what = match failed {
        true => What::Failed,
        false => What::Closed { by: ended.by },
    };
    Fact {
        user_agent: ended.user_agent.as_deref().map(Cow::Borrowed),
        faults: struck(&ended.faults),
        ..connection(&ended.peers, at, what)
    }
}

pub(super) fn call<'a>(call: &'a Call, operation: &Operation<'a>, at: Moment) -> Fact<'a> {
    let method = &*call.name.method;
    let verb = match operation.verb {
        Some(verb) => verb.as_str(),
        None => method,
    };
    let page_after = operation.object.and_then(|one| one.continue_after());
    let ending = call.status.ending;
    let what = What::Call(CallFact {
        stream: call.stream.number(),
        method: Cow::Borrowed(method),
        verb: Cow::Borrowed(verb),
        range: operation
            .key
            .map(|key| Range::between(key, operation.range_end.unwrap_or_default())),
        started: at.before(micros_between(call.started, call.ended)),
        status: match call.status.code.name() {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(call.status.code.to_string()),
        },
        orderly: ending == Ending::Trailers,
        injected: matches!(ending, Ending::Injected | Ending::InjectedReset { .. }),
        reset_by_client: matches!(
            ending,
            Ending::Reset {
                by: Side::Client,
                ..
            }
        ),
        connection_lost: matches!(ending, Ending::ConnectionLost { .. }),
        lost_by_client: matches!(
            ending,
            Ending::ConnectionLost {
                by: Some(Side::Client)
            }
        ),
        stream_call: is_stream(method, verb),
        response_bytes: call.received.bytes,
        revision: call.header.map(|header| header.revision),
        committed: call.executed_revision().filter(|revision| *revision > 0),
        continued: matches!(call.response, Response::Range { .. }) && page_after.is_some(),
    });
    Fact {
        user_agent: call.user_agent.as_deref().map(Cow::Borrowed),
        faults: struck(&call.faults),
        ..connection(&call.peers, at, what)
    }
}

/// `None` where the log has nothing that can be measured.
pub(super) fn note<'a>(
    note: &'a WatchNote,
    operation: &Operation<'a>,
    lag: Option<i64>,
    at: Moment,
) -> Option<Fact<'a>> {
    let watch = WatchAt {
        stream: note.stream.number(),
        id: note.watch_id,
    };
    let what = match &note.watched {
        Watched::Created {
            start_revision,
            key,
            range_end,
            ..
        } => What::Created {
            watch,
            range: operation.key.map(|_| Range::between(key, range_end))?,
            start_revision: *start_revision,
            revision: note.revision,
        },
        Watched::Event { kv, .. } => What::Event {
            watch,
            key: Cow::Borrowed(&*kv.key),
            revision: kv.mod_revision,
            lag,
            held: u64::try_from(note.held.as_micros()).unwrap_or(u64::MAX),
            delivered: note.delivered,
        },
        Watched::Progress => What::Progress {
            watch,
            revision: note.revision,
            delivered: note.delivered,
        },
        Watched::Canceled { cause, .. } => What::Canceled {
            watch,
            cause: match cause {
                CancelCause::Requested => Ended::Requested,
                CancelCause::Refused => Ended::Refused,
                CancelCause::Compacted { .. } => Ended::Compacted,
                CancelCause::Server => Ended::Server,
                CancelCause::StreamEnded => Ended::StreamEnded,
            },
        },
    };
    Some(Fact {
        user_agent: note.user_agent.as_deref().map(Cow::Borrowed),
        faults: struck(&note.faults),
        ..connection(&note.peers, at, what)
    })
}

fn struck(hits: &[Hit]) -> Vec<super::Hit<'_>> {
    let hits = hits.iter();
    hits.map(|hit| super::Hit {
        name: Cow::Borrowed(&hit.name),
    })
    .collect()
}
