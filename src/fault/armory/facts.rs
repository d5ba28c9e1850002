//! What is known when a fault has to decide, for its `when`.

use crate::etcd::verdict::Asked;
use crate::etcd::watch_verdict::AskedWatch;
use crate::etcd::{EventKind, Request};
use crate::fault::plan::Match;
use crate::filter::known::{of_operation, of_peers, of_request, of_tls, unless};
use crate::filter::{Fact, Facts, Made, Name};
use crate::kube::operation::Operation;
use crate::relay::Peers;

/// Whether what is known fits `when`, where there is one.
pub(super) fn fits_when(terms: &Match, known: &impl Facts) -> bool {
    (terms.when.as_ref()).is_none_or(|when| when.0.passes(known))
}

/// A call whose request has been read.
#[derive(Debug)]
pub(super) struct CallKnown<'c> {
    pub call: &'c Asked<'c>,
    pub operation: &'c Operation<'c>,
}

/// A watch, and what happens to it.
#[derive(Debug)]
pub(super) struct WatchKnown<'c> {
    pub watch: &'c AskedWatch<'c>,
    pub event: Option<EventKind>,
    /// Of the event's key where there is one, and else of the watched range.
    pub operation: &'c Operation<'c>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct ConnectionKnown<'c>(pub &'c Peers);

impl Facts for CallKnown<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        let CallKnown { call, operation } = self;
        match name {
            Name::Verb => Some(Fact::Text(match operation.verb {
                Some(verb) => verb.as_str(),
                None => &call.name.method,
            })),
            Name::RequestBytes => {
                // An empty message has a size, one that was never sent has none.
                let sent = call.request_bytes > 0 || *call.request != Request::Unread;
                sent.then(|| Fact::count(call.request_bytes))
            }
            name => of_operation(operation, name)
                .or_else(|| of_request(call.request, name))
                .or_else(|| of_head(call, name)),
        }
    }
}

impl Facts for WatchKnown<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        let watch = self.watch;
        match name {
            Name::WatchId => watch.watch_id.map(Fact::Number),
            Name::StartRevision => unless(watch.start_revision, 0).map(Fact::Number),
            Name::Type => self.event.map(|kind| {
                Fact::Text(match kind {
                    EventKind::Put => "PUT",
                    EventKind::Delete => "DELETE",
                })
            }),
            name => of_operation(self.operation, name).or_else(|| of_head(&watch.call, name)),
        }
    }
}

impl Facts for ConnectionKnown<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        of_connection(self.0, name)
    }
}

fn of_head<'c>(call: &Asked<'c>, name: Name) -> Option<Fact<'c>> {
    match name {
        Name::Stream => Some(Fact::Number(call.stream.number().into())),
        Name::UserAgent => call.user_agent.map(Fact::Text),
        Name::Service => Some(Fact::Text(&call.name.service)),
        Name::Method => Some(Fact::Text(&call.name.method)),
        name => of_connection(call.peers, name),
    }
}

fn of_connection(peers: &Peers, name: Name) -> Option<Fact<'_>> {
    match name {
        Name::Listener => Some(Fact::Made(Made::of(peers.listener))),
        name => of_peers(peers, name).or_else(|| of_tls(peers, name)),
    }
}
