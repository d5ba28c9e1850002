//! The watch that keeps an API server's cache of pods fresh, on a connection
//! of its own.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::WorkloadError;
use super::api_server::prefix_end;
use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
    watch_client::WatchClient,
};
use crate::etcd::schema::mvccpb::event::EventType;
use crate::etcd::schema::mvccpb::{Event, KeyValue};

const PATIENCE: Duration = Duration::from_secs(10);

/// etcd sends a progress answer only while every watch of the stream is up to
/// date, so one request may go unanswered.
const PROGRESS_PATIENCE: Duration = Duration::from_millis(500);
const PROGRESS_ATTEMPTS: usize = 10;

/// An open watch.
pub(super) struct PodWatch {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    id: i64,
    waiting: VecDeque<Event>,
    pub events: u32,
}

impl PodWatch {
    /// Watches a prefix from a revision on.
    pub async fn open(
        channel: Channel,
        prefix: &str,
        start_revision: i64,
    ) -> Result<PodWatch, WorkloadError> {
        let create = WatchCreateRequest {
            key: prefix.to_owned().into(),
            range_end: prefix_end(prefix.as_bytes()),
            start_revision,
            progress_notify: true,
            prev_kv: true,
            ..Default::default()
        };
        // etcd answers the call with its first message, so the request has to
        // lie ready.
        let (requests, outgoing) = mpsc::channel(4);
        send(&requests, RequestUnion::CreateRequest(create)).await?;
        let mut request = Request::new(ReceiverStream::new(outgoing));
        let yes = MetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", yes);

        let mut client = WatchClient::new(channel);
        let answers = timeout(PATIENCE, client.watch(request))
            .await
            .map_err(|_| late("the watch to open"))?
            .map_err(failed)?
            .into_inner();
        let mut watch = PodWatch {
            requests,
            answers,
            id: 0,
            waiting: VecDeque::new(),
            events: 0,
        };
        let created = watch.next(PATIENCE, "the watch to open").await?;
        if !created.created || created.canceled {
            return Err(unexpected(format!(
                "the watch was not created: {}",
                created.cancel_reason
            )));
        }
        watch.id = created.watch_id;
        Ok(watch)
    }

    /// Waits for the next event, which must be this one.
    pub async fn expect(
        &mut self,
        kind: EventType,
        key: &str,
        revision: i64,
    ) -> Result<(), WorkloadError> {
        let what = format!("the event of {key} at revision {revision}");
        let event = loop {
            if let Some(event) = self.waiting.pop_front() {
                break event;
            }
            let answer = self.next(PATIENCE, &what).await?;
            self.waiting.extend(answer.events);
        };
        self.events += 1;

        let seen = event.kv.as_ref().map(|kv| (&kv.key, kv.mod_revision));
        if event.r#type() != kind || seen != Some((&Bytes::from(key.to_owned()), revision)) {
            return Err(unexpected(format!(
                "the watch was to tell of {what} and told of {} instead",
                described(event.kv.as_ref())
            )));
        }
        let created = event
            .kv
            .as_ref()
            .is_some_and(|kv| kv.create_revision == kv.mod_revision);
        if event.prev_kv.is_none() && !created {
            return Err(unexpected(format!(
                "{what} lacks the key's state before it"
            )));
        }
        Ok(())
    }

    /// Asks how far the watch is; the revision.
    pub async fn progress(&mut self) -> Result<i64, WorkloadError> {
        const WHAT: &str = "the watch's progress";
        for _ in 0..PROGRESS_ATTEMPTS {
            let ask = RequestUnion::ProgressRequest(WatchProgressRequest {});
            send(&self.requests, ask).await?;
            match self.next(PROGRESS_PATIENCE, WHAT).await {
                Ok(answer) if answer.events.is_empty() => {
                    return Ok(answer.header.map_or(0, |header| header.revision));
                }
                Ok(answer) => self.waiting.extend(answer.events),
                Err(WorkloadError::Late(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(late(WHAT))
    }

    /// Ends the watch and its stream; how many events it told of.
    pub async fn cancel(mut self) -> Result<u32, WorkloadError> {
        const WHAT: &str = "the end of the watch";
        let cancel = WatchCancelRequest { watch_id: self.id };
        send(&self.requests, RequestUnion::CancelRequest(cancel)).await?;
        loop {
            let answer = self.next(PATIENCE, WHAT).await?;
            if answer.canceled && answer.watch_id == self.id {
                return Ok(self.events);
            }
            // A late answer to a progress request may come first.
            if let Some(event) = answer.events.first() {
                return Err(unexpected(format!(
                    "the watch told of {}, which nobody changed",
                    described(event.kv.as_ref())
                )));
            }
        }
    }

    async fn next(
        &mut self,
        patience: Duration,
        what: &str,
    ) -> Result<WatchResponse, WorkloadError> {
        match timeout(patience, self.answers.message()).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(unexpected(format!(
                "the watch stream ended while it was to tell of {what}"
            ))),
            Ok(Err(status)) => Err(failed(status)),
            Err(_) => Err(late(what)),
        }
    }
}

async fn send(
    requests: &mpsc::Sender<WatchRequest>,
    request: RequestUnion,
) -> Result<(), WorkloadError> {
    let request = WatchRequest {
        request_union: Some(request),
    };
    let sent = requests.send(request).await;
    sent.map_err(|_| unexpected("the watch stream ended".to_owned()))
}

fn described(kv: Option<&KeyValue>) -> String {
    match kv {
        Some(kv) => format!(
            "{} at revision {}",
            String::from_utf8_lossy(&kv.key),
            kv.mod_revision
        ),
        None => "nothing".to_owned(),
    }
}

fn late(what: &str) -> WorkloadError {
    WorkloadError::Late(what.to_owned())
}

fn unexpected(what: String) -> WorkloadError {
    WorkloadError::Unexpected(what)
}

fn failed(status: tonic::Status) -> WorkloadError {
    WorkloadError::Call {
        what: "watching pods".to_owned(),
        status: Box::new(status),
    }
}
