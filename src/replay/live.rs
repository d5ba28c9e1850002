//! A Watch stream at the target.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;
use tonic::codegen::tokio_stream;

use super::target::Target;
use super::watches::Watching;
use crate::etcd::schema::etcdserverpb as pb;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;

/// A Watch stream at the target.
#[derive(Debug)]
pub(super) struct Live {
    asked: mpsc::Sender<pb::WatchRequest>,
    came: mpsc::UnboundedReceiver<Result<pb::WatchResponse, Status>>,
    pub watchings: Vec<Watching>,
    /// What came and was not yet compared: whose, and what.
    pub pending: VecDeque<(usize, pb::WatchResponse)>,
    /// The target ended it.
    pub over: bool,
}

impl Live {
    /// Opens one.
    pub fn open(target: &Target) -> Live {
        let (asked, requests) = mpsc::channel(16);
        let (send, came) = mpsc::unbounded_channel();
        let mut client =
            WatchClient::new(target.channel.clone()).max_decoding_message_size(usize::MAX);
        // Its own task, for etcd answers a stream's head with its first message.
        tokio::spawn(async move {
            let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
            let mut stream = match client.watch(requests).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    let _ = send.send(Err(status));
                    return;
                }
            };
            loop {
                let message = tokio::select! {
                    () = send.closed() => return,
                    message = stream.message() => message,
                };
                let sent = match message {
                    Ok(Some(response)) => send.send(Ok(response)),
                    Ok(None) => return,
                    Err(status) => send.send(Err(status)),
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Live {
            asked,
            came,
            watchings: Vec::new(),
            pending: VecDeque::new(),
            over: false,
        }
    }

    /// Asks for something; `false` if the target has ended the stream.
    pub async fn ask(&self, union: RequestUnion) -> bool {
        let request = pb::WatchRequest {
            request_union: Some(union),
        };
        self.asked.send(request).await.is_ok()
    }

    /// Takes in what comes until something is so; `false` if it is not so in time, or
    /// never will be.
    pub async fn wait(&mut self, patience: Duration, is: impl Fn(&Live) -> bool) -> bool {
        let waited = timeout(patience, async {
            loop {
                // All that is there, before anything is asked.
                while let Ok(came) = self.came.try_recv() {
                    self.take(came);
                }
                if is(self) {
                    return true;
                }
                if self.over {
                    return false;
                }
                match self.came.recv().await {
                    Some(came) => self.take(came),
                    None => self.over = true,
                }
            }
        });
        waited.await.unwrap_or(false)
    }

    fn take(&mut self, came: Result<pb::WatchResponse, Status>) {
        let Ok(response) = came else {
            self.over = true;
            return;
        };
        if response.created {
            self.watchings.push(Watching {
                watch_id: response.watch_id,
                ..Watching::default()
            });
            if response.canceled {
                self.pending.push_back((self.watchings.len() - 1, response));
            }
            return;
        }
        let whose = self
            .watchings
            .iter()
            .rposition(|watching| watching.watch_id == response.watch_id);
        if let Some(whose) = whose
            && (response.canceled || !response.events.is_empty())
        {
            self.pending.push_back((whose, response));
        }
    }
}
