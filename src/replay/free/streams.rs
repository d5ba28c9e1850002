//! A Watch or LeaseKeepAlive stream at the target. Sans-io.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::program::Streaming;
use super::report::Watches;
use crate::etcd::schema::etcdserverpb as pb;
use crate::http2::{Side, StreamId};
use crate::record::traffic::{KeepAliveStep, Said, Shape, WatchStep};
use crate::replay::numbering::Numbering;
use crate::replay::watches::Expectation;
use pb::watch_request::RequestUnion;

/// A stream at the target.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Once it is open.
    pub id: Option<StreamId>,
    /// The target's numbers of its watches, in the order in which they were asked for.
    created: Vec<i64>,
    /// Watches that are to be given up once they have a number.
    to_cancel: Vec<usize>,
    events: u64,
    /// When answers were asked for that have not come: of a LeaseKeepAlive.
    pub asked: VecDeque<Duration>,
    /// It is to end: when it had what it had in the recording, but then at the latest.
    pub until: Option<Duration>,
    /// It has ended.
    pub over: bool,
}

impl Live {
    /// What is sent for a message of the recording; `None` if nothing is, yet.
    pub fn say(
        &mut self,
        streaming: &Streaming,
        said: &Said,
        expected: &[Expectation],
        numbers: &Numbering,
        watches: &mut Watches,
    ) -> Option<Bytes> {
        let recorded = said.whole()?;
        let changed = match streaming.shape {
            Shape::Watch => match WatchStep::read(Side::Client, said) {
                WatchStep::Create(mut create) => {
                    watches.asked += 1;
                    let was = create.start_revision;
                    create.start_revision = numbers.start_of_all(was);
                    let is_other = create.start_revision != was;
                    is_other.then(|| asked(RequestUnion::CreateRequest(create)))
                }
                WatchStep::Cancel(cancel) => {
                    let which = expected
                        .iter()
                        .rposition(|one| one.watch_id == Some(cancel.watch_id))?;
                    let Some(&watch_id) = self.created.get(which) else {
                        self.to_cancel.push(which);
                        return None;
                    };
                    Some(cancelled(watch_id))
                }
                _ => None,
            },
            Shape::KeepAlive => match KeepAliveStep::read(Side::Client, said) {
                KeepAliveStep::Ask(mut ask) => {
                    ask.id = numbers.lease(ask.id);
                    Some(ask.encode_to_vec().into())
                }
                _ => None,
            },
            Shape::Unary | Shape::OtherStream => None,
        };
        Some(changed.unwrap_or_else(|| recorded.clone()))
    }

    /// Takes a message of a Watch stream; what is to be sent for it.
    pub fn watched(&mut self, message: &Bytes, watches: &mut Watches) -> Option<Bytes> {
        let answer = pb::WatchResponse::decode(message.clone()).ok()?;
        let events = answer.events.len() as u64;
        self.events += events;
        watches.events += events;
        watches.canceled += u64::from(answer.canceled && !answer.created);
        if !answer.created {
            return None;
        }
        let which = self.created.len();
        self.created.push(answer.watch_id);
        watches.created += 1;
        let at = self.to_cancel.iter().position(|one| *one == which)?;
        self.to_cancel.swap_remove(at);
        Some(cancelled(answer.watch_id))
    }

    /// Whether it has brought what it brought in the recording.
    pub fn has_all(&self, streaming: &Streaming) -> bool {
        match streaming.shape {
            Shape::Watch => {
                self.events >= streaming.events
                    && self.created.len() as u64 >= streaming.watches
                    && self.to_cancel.is_empty()
            }
            Shape::KeepAlive => self.asked.is_empty(),
            // It ends by itself.
            Shape::Unary | Shape::OtherStream => false,
        }
    }
}

fn asked(union: RequestUnion) -> Bytes {
    let request = pb::WatchRequest {
        request_union: Some(union),
    };
    request.encode_to_vec().into()
}

fn cancelled(watch_id: i64) -> Bytes {
    asked(RequestUnion::CancelRequest(pb::WatchCancelRequest {
        watch_id,
    }))
}
