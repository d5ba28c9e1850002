//! A cache of an API server: what it has of a prefix, kept by a watch.
//!
//! It does as an API server does: a watch that breaks is taken up behind what it has
//! seen; where that is compacted away, it lists anew and watches from there.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::connection::Connection;
use crate::etcd::schema::etcdserverpb::kv_client::KvClient;
use crate::etcd::schema::etcdserverpb::watch_client::WatchClient;
use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{
    RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::etcd::schema::mvccpb::event::EventType;

/// How long it is waited for what should come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running cache. It ends with this value.
#[derive(Debug)]
pub(super) struct Cache {
    /// The first key that it watches.
    pub prefix: Bytes,
    seen: watch::Receiver<Seen>,
    task: AbortHandle,
}

/// What it has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The keys that it believes to be there.
    pub keys: BTreeSet<Bytes>,
    /// Watches that were confirmed.
    pub created: u64,
    /// Events that came.
    pub events: usize,
    /// Up to which revision it believes to know everything.
    revision: i64,
}

/// Why a watch is over.
enum Over {
    /// What it was to begin with is not there any more.
    Compacted,
    /// Its stream broke, or it was cancelled.
    Broke,
}

struct Cacher {
    connection: Connection,
    list: RangeRequest,
    create: WatchCreateRequest,
    /// How long it rests before it tries again.
    rest: Duration,
    seen: watch::Sender<Seen>,
}

impl Cache {
    /// A cache of what `create` watches, that has been listed by `list` and then had
    /// these keys.
    pub fn open(
        connection: Connection,
        create: WatchCreateRequest,
        (list, keys): (RangeRequest, BTreeSet<Bytes>),
        rest: Duration,
    ) -> Cache {
        let prefix = create.key.clone();
        let (sender, seen) = watch::channel(Seen {
            keys,
            revision: create.start_revision - 1,
            ..Seen::default()
        });
        let cacher = Cacher {
            connection,
            list,
            create,
            rest,
            seen: sender,
        };
        Cache {
            prefix,
            seen,
            task: tokio::spawn(cacher.run()).abort_handle(),
        }
    }

    /// How it stands.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until something is so; whether it came to be.
    pub async fn wait_for(&self, is: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.seen.clone();
        matches!(timeout(PATIENCE, seen.wait_for(is)).await, Ok(Ok(_)))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cacher {
    async fn run(mut self) {
        loop {
            let over = self.watch().await.unwrap_or(Over::Broke);
            sleep(self.rest).await;
            if matches!(over, Over::Compacted) {
                while self.list().await.is_err() {
                    sleep(self.rest).await;
                }
            }
            self.create.start_revision = self.seen.borrow().revision + 1;
        }
    }

    async fn list(&mut self) -> Result<(), Status> {
        let origin = self.connection.origin.clone();
        let mut client = KvClient::with_origin(self.connection.clone(), origin)
            .max_decoding_message_size(usize::MAX);
        let mut answer = client.range(self.list.clone()).await?.into_inner();
        if answer.more {
            let all = RangeRequest {
                limit: 0,
                ..self.list.clone()
            };
            answer = client.range(all).await?.into_inner();
        }
        self.seen.send_modify(|seen| {
            seen.keys = answer.kvs.into_iter().map(|kv| kv.key).collect();
            seen.revision = answer.header.map_or(0, |header| header.revision);
        });
        Ok(())
    }

    /// Watches until that is over.
    async fn watch(&mut self) -> Result<Over, Status> {
        // etcd answers a stream's head with its first message, so that the request
        // has to lie ready.
        let (requests, outgoing) = mpsc::channel(1);
        let create = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(self.create.clone())),
        };
        // The other end is the next line's, and there is room for one.
        let _ = requests.send(create).await;
        let mut request = Request::new(ReceiverStream::new(outgoing));
        let yes = MetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", yes);
        let origin = self.connection.origin.clone();
        let mut client = WatchClient::with_origin(self.connection.clone(), origin)
            .max_decoding_message_size(usize::MAX);
        let mut answers = client.watch(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if answer.canceled {
                return Ok(match answer.compact_revision {
                    0 => Over::Broke,
                    _ => Over::Compacted,
                });
            }
            self.seen.send_modify(|seen| seen.take(answer));
        }
        Ok(Over::Broke)
    }
}

impl Seen {
    fn take(&mut self, answer: WatchResponse) {
        if answer.created {
            self.created += 1;
            return;
        }
        self.events += answer.events.len();
        for event in answer.events {
            let deleted = event.r#type() == EventType::Delete;
            let Some(kv) = event.kv else { continue };
            self.revision = self.revision.max(kv.mod_revision);
            match deleted {
                true => self.keys.remove(&kv.key),
                false => self.keys.insert(kv.key),
            };
        }
    }
}
