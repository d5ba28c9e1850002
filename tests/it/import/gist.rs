//! What an import gave, in a form that two of them can be compared by: times and
//! the order between streams are left out, the order on a stream is kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use etcdtap::etcd::{Ending, Event, Watched};
use etcdtap::http2::StreamId;

/// All of one connection.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Gist {
    /// The calls, by stream, and whether they were seen to their end.
    pub calls: BTreeMap<StreamId, (String, bool)>,
    /// The notes on watches, by stream, in their order.
    pub watches: BTreeMap<StreamId, Vec<String>>,
    pub requests: Vec<String>,
    /// What stopped the reading.
    pub stopped: Option<String>,
    pub how: String,
    pub bytes: (u64, u64),
    pub streams: u64,
    pub tls: Option<String>,
}

/// Of every connection, by its client's address and how often that was used before.
pub type Gists = BTreeMap<(SocketAddr, usize), Gist>;

pub fn gists(events: &[Event]) -> Gists {
    let mut gists = Gists::new();
    let mut places: BTreeMap<u64, (SocketAddr, usize)> = BTreeMap::new();
    for event in events {
        let peers = match event {
            Event::ConnectionOpened { peers, .. }
            | Event::Http1 { peers, .. }
            | Event::TracingStopped { peers, .. }
            | Event::MembersAdvertise { peers, .. }
            | Event::Fault { peers, .. }
            | Event::Ping { peers, .. } => peers,
            Event::Call(call) => &call.peers,
            Event::Watch(note) => &note.peers,
            Event::ConnectionEnded(ended) => &ended.peers,
        };
        let place = *places.entry(peers.id.0).or_insert_with(|| {
            let used = gists.keys().filter(|(client, _)| *client == peers.client);
            (peers.client, used.count())
        });
        let gist = gists.entry(place).or_default();
        gist.tls = peers.tls.as_ref().map(|tls| format!("{tls:?}"));
        match event {
            Event::Call(call) => {
                // Who went first is chance where both do at once.
                let status = match call.status.ending {
                    Ending::ConnectionLost { .. } => "lost".to_owned(),
                    _ => format!("{:?}", call.status),
                };
                let text = format!(
                    "{} {:?} {:?} {:?} {status} {:?} {:?}",
                    call.name, call.request, call.response, call.header, call.sent, call.received
                );
                let whole = call.status.ending == Ending::Trailers;
                let before = gist.calls.insert(call.stream, (text, whole));
                assert!(before.is_none(), "a call is told once");
            }
            Event::Watch(note) => {
                let notes = gist.watches.entry(note.stream).or_default();
                let mut watched = note.watched.clone();
                if let Watched::Created { asked, .. } = &mut watched {
                    *asked = None;
                }
                notes.push(format!("{} {watched:?}", note.revision));
            }
            Event::Http1 { exchange, .. } => gist.requests.push(exchange.target.to_string()),
            Event::TracingStopped { offence, .. } => gist.stopped = Some(offence.to_string()),
            Event::ConnectionEnded(ended) => {
                gist.how = ended.how.to_string();
                gist.bytes = (ended.bytes.client, ended.bytes.server);
                gist.streams = ended.streams;
            }
            _ => {}
        }
    }
    gists
}
