//! Which connections and watches are open: kept while nothing is measured, so
//! that a measurement knows what it began with.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::fact::{Moment, Range, WatchAt};
use super::meter::Meter;
use crate::etcd::{WatchNote, Watched};
use crate::relay::{ConnectionId, Peers};

/// Connections and watches that are known at a time.
const CONNECTIONS_MAX: usize = 262_144;
const WATCHES_MAX: usize = 131_072;

/// What is open.
#[derive(Debug, Default)]
pub(super) struct Census {
    connections: FxHashMap<ConnectionId, Connection>,
    watches: FxHashMap<(ConnectionId, WatchAt), Watch>,
}

#[derive(Debug)]
struct Connection {
    ip: IpAddr,
    user_agent: Option<Arc<str>>,
    /// The watches that are open on it.
    watches: FxHashSet<WatchAt>,
}

#[derive(Debug)]
struct Watch {
    range: Range<'static>,
    /// All up to here has been given.
    revision: i64,
}

impl Census {
    pub fn opened(&mut self, peers: &Peers) {
        if self.connections.len() < CONNECTIONS_MAX {
            self.connections.insert(
                peers.id,
                Connection {
                    ip: peers.client.ip(),
                    user_agent: None,
                    watches: FxHashSet::default(),
                },
            );
        }
    }

    /// The connection is gone, or not read any more.
    pub fn gone(&mut self, conn: ConnectionId) {
        let connection = self.connections.remove(&conn);
        for at in connection.into_iter().flat_map(|one| one.watches) {
            self.watches.remove(&(conn, at));
        }
    }

    /// The `user-agent` that a call on a connection had.
    pub fn named(&mut self, conn: ConnectionId, user_agent: Option<&Arc<str>>) {
        if let Some(name) = user_agent
            && let Some(connection) = self.connections.get_mut(&conn)
            && connection.user_agent.is_none()
        {
            connection.user_agent = Some(Arc::clone(name));
        }
    }

    pub fn watch(&mut self, note: &WatchNote) {
        let conn = note.peers.id;
        let at = WatchAt {
            stream: note.stream.number(),
            id: note.watch_id,
        };
        match &note.watched {
            Watched::Event { kv, .. } => self.given(conn, at, kv.mod_revision),
            Watched::Progress if at.id == -1 => {
                let Some(connection) = self.connections.get(&conn) else {
                    return;
                };
                for one in &connection.watches {
                    if one.stream == at.stream
                        && let Some(watch) = self.watches.get_mut(&(conn, *one))
                    {
                        watch.revision = watch.revision.max(note.revision);
                    }
                }
            }
            Watched::Progress => self.given(conn, at, note.revision),
            Watched::Created {
                key,
                range_end,
                start_revision,
                ..
            } => {
                self.named(conn, note.user_agent.as_ref());
                let Some(connection) = self.connections.get_mut(&conn) else {
                    return;
                };
                if self.watches.len() >= WATCHES_MAX {
                    return;
                }
                connection.watches.insert(at);
                let watch = Watch {
                    range: Range::between(key, range_end).into_owned(),
                    revision: match start_revision {
                        0 => note.revision,
                        start => start - 1,
                    },
                };
                self.watches.insert((conn, at), watch);
            }
            Watched::Canceled { .. } => {
                if self.watches.remove(&(conn, at)).is_some()
                    && let Some(connection) = self.connections.get_mut(&conn)
                {
                    connection.watches.remove(&at);
                }
            }
        }
    }

    fn given(&mut self, conn: ConnectionId, at: WatchAt, revision: i64) {
        if let Some(watch) = self.watches.get_mut(&(conn, at)) {
            watch.revision = watch.revision.max(revision);
        }
    }

    /// Tells a meter what is open as it begins.
    pub fn tell(&self, meter: &mut Meter, now: Moment) {
        for (conn, one) in &self.connections {
            meter.standing_connection(conn.0, one.ip, one.user_agent.as_deref());
        }
        let mut watches: Vec<_> = self.watches.iter().collect();
        watches.sort_by_key(|((conn, at), _)| (conn.0, at.stream, at.id));
        for ((conn, at), watch) in watches {
            meter.standing_watch(conn.0, *at, &watch.range, watch.revision, now);
        }
    }
}
