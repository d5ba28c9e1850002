//! Watches and keepalives, in etcd's own messages.

use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, WatchCancelRequest, WatchCreateRequest,
    WatchRequest, WatchResponse,
};
use crate::http2::{Both, Side};

use super::call::Said;

/// What a message of a Watch stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchStep {
    /// The client asks for a watch.
    Create(WatchCreateRequest),
    /// The client gives one up.
    Cancel(WatchCancelRequest),
    /// The client asks how far its watches are.
    Progress,
    /// etcd confirms, brings events, reports progress or cancels.
    Answer(WatchResponse),
    /// The message cannot be read: it is cut, or hidden, or none that we know.
    Unreadable(Side),
}

/// What a message of a LeaseKeepAlive stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum KeepAliveStep {
    /// The client keeps a lease alive.
    Ask(LeaseKeepAliveRequest),
    /// etcd says for how long it is.
    Answer(LeaseKeepAliveResponse),
    /// The message cannot be read.
    Unreadable(Side),
}

/// How many messages each side of a stream has sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent(Both<u64>);

impl Sent {
    /// Counts a message; whether it follows the one before it, so that none is
    /// missing in between.
    pub fn goes_on(&mut self, from: Side, index: u64) -> bool {
        let sent = &mut self.0[from];
        let next = *sent == index;
        *sent = index.saturating_add(1);
        next
    }
}

impl WatchStep {
    /// Reads a message.
    pub fn read(from: Side, said: &Said) -> WatchStep {
        let read = match from {
            Side::Client => said.decode::<WatchRequest>().and_then(|request| {
                Some(match request.request_union? {
                    RequestUnion::CreateRequest(create) => WatchStep::Create(create),
                    RequestUnion::CancelRequest(cancel) => WatchStep::Cancel(cancel),
                    RequestUnion::ProgressRequest(_) => WatchStep::Progress,
                })
            }),
            Side::Server => said.decode().map(WatchStep::Answer),
        };
        read.unwrap_or(WatchStep::Unreadable(from))
    }
}

impl KeepAliveStep {
    /// Reads a message.
    pub fn read(from: Side, said: &Said) -> KeepAliveStep {
        let read = match from {
            Side::Client => said.decode().map(KeepAliveStep::Ask),
            Side::Server => said.decode().map(KeepAliveStep::Answer),
        };
        read.unwrap_or(KeepAliveStep::Unreadable(from))
    }
}
