//! What came on a stream of watches, watch by watch.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::leases::Leases;
use super::model::{WatchEvent, WatchOperation, WatchResponse};
use super::translate::{self, Message, Unspoken};
use super::{BROKEN, read};
use crate::etcd::schema::etcdserverpb as pb;
use pb::watch_request::RequestUnion;

/// What etcd's client makes of a watch that was compacted away, and of a refusal
/// without a reason.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// The watch of an answer that is everybody's.
const BROADCAST: i64 = -1;

/// A stream of watches.
#[derive(Debug, Default)]
pub(super) struct WatchStream {
    /// Requests that are not answered yet; etcd answers them in order.
    asked: VecDeque<pb::WatchCreateRequest>,
    open: FxHashMap<i64, Open>,
    /// Watches that there were, for the order of those that are open at the end.
    opened: u64,
    /// Watches that are over.
    pub ended: Vec<WatchOperation>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    watch: WatchOperation,
    /// Events of a response that is not whole yet.
    fragments: Vec<WatchEvent>,
}

impl WatchStream {
    /// The client's message.
    pub fn asked(&mut self, bytes: &Bytes) -> Result<(), Unspoken> {
        let asked: pb::WatchRequest = read(bytes)?;
        if let Some(RequestUnion::CreateRequest(create)) = asked.request_union {
            self.asked.push_back(create);
        }
        Ok(())
    }

    /// The server's; `at` is in the report's time.
    pub fn answered(
        &mut self,
        message: &Message<'_>,
        at: i64,
        leases: &mut Leases,
    ) -> Result<(), Unspoken> {
        let answer: pb::WatchResponse = read(message.bytes)?;
        for event in &answer.events {
            leases.saw(event, at);
        }
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        if answer.created {
            return self.created(&answer);
        }
        if answer.watch_id == BROADCAST {
            for open in self.open.values_mut() {
                open.watch.responses.push(WatchResponse {
                    is_progress_notify: true,
                    revision,
                    time: at,
                    ..WatchResponse::default()
                });
            }
            return Ok(());
        }
        let Some(open) = self.open.get_mut(&answer.watch_id) else {
            // Of a watch that the model has no word for; it was counted then.
            return Ok(());
        };
        let events: Option<Vec<_>> = answer
            .events
            .iter()
            .map(|event| message.event(event))
            .collect();
        open.fragments.append(&mut events.ok_or(BROKEN)?);
        if answer.fragment {
            return Ok(());
        }
        let events = std::mem::take(&mut open.fragments);
        let compacted = answer.compact_revision != 0;
        let over = answer.canceled || compacted;
        // etcd's client shows its user nothing of an end that was asked for.
        if !over || compacted {
            let is_progress_notify = events.is_empty() && !over && revision != 0;
            open.watch.responses.push(WatchResponse {
                events: (!events.is_empty()).then_some(events),
                is_progress_notify,
                revision,
                time: at,
                error: if compacted {
                    COMPACTED.to_owned()
                } else {
                    String::new()
                },
            });
        }
        if over && let Some(open) = self.open.remove(&answer.watch_id) {
            self.ended.push(open.watch);
        }
        Ok(())
    }

    /// All that are still open.
    pub fn finish(self) -> impl Iterator<Item = WatchOperation> {
        let mut open: Vec<_> = self.open.into_values().collect();
        open.sort_by_key(|open| open.number);
        self.ended
            .into_iter()
            .chain(open.into_iter().map(|open| open.watch))
    }

    fn created(&mut self, answer: &pb::WatchResponse) -> Result<(), Unspoken> {
        let asked = self.asked.pop_front();
        let asked = asked.ok_or("watches whose request was not recorded")?;
        let request = translate::watch(&asked)?;
        let watch = WatchOperation {
            request,
            responses: Vec::new(),
        };
        if answer.canceled {
            // Refused.
            self.ended.push(watch);
            return Ok(());
        }
        self.opened += 1;
        let open = Open {
            number: self.opened,
            watch,
            fragments: Vec::new(),
        };
        self.open.insert(answer.watch_id, open);
        Ok(())
    }
}
