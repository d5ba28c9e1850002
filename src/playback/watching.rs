//! A watch stream: what its watches have to say, as the store changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use super::world::Shared;
use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use crate::etcd::schema::etcdserverpb::{WatchRequest, WatchResponse};
use crate::mvcc::Watches;

/// Nothing is due.
const FAR: Duration = Duration::from_secs(3600);

/// Serves a stream until its client ends it.
pub(super) async fn serve(
    shared: Arc<Shared>,
    mut requests: Streaming<WatchRequest>,
    answers: Sender<Result<WatchResponse, Status>>,
) {
    let mut watches = Watches::default();
    let mut changes = shared.changes();
    loop {
        let due = watches.next_progress().map_or(FAR, |at| {
            Duration::from_nanos(at.saturating_sub(shared.now()))
        });
        let said = tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => asked(&shared, &mut watches, request),
                // The client has said all that it wants to, or is gone. etcd ends
                // the stream then.
                _ => return,
            },
            changed = changes.changed() => match changed {
                Ok(()) => Vec::new(),
                Err(_) => return,
            },
            () = sleep_until(Instant::now() + due) => Vec::new(),
        };
        for response in said {
            if answers.send(Ok(response)).await.is_err() {
                return;
            }
        }
        // All that is to be told by now.
        loop {
            let responses = poll(&shared, &mut watches);
            if responses.is_empty() {
                break;
            }
            for response in responses {
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn poll(shared: &Shared, watches: &mut Watches) -> Vec<WatchResponse> {
    let now = shared.now();
    shared.with(|world| {
        let told = watches.poll(&world.store, now);
        for what in &told.unknown {
            world.tally.unknown(what);
        }
        let mut responses = told.responses;
        for response in &mut responses {
            world.tally.events += response.events.len() as u64;
            world.sign(&mut response.header);
        }
        responses
    })
}

/// What a request is answered with at once.
fn asked(shared: &Shared, watches: &mut Watches, request: WatchRequest) -> Vec<WatchResponse> {
    let Some(asked) = request.request_union else {
        return Vec::new();
    };
    // What happened before comes before.
    let mut responses = poll(shared, watches);
    let now = shared.now();
    shared.with(|world| {
        let response = match asked {
            RequestUnion::CreateRequest(create) => {
                *world.tally.calls.entry("Watch").or_default() += 1;
                Some(watches.create(&world.store, &create, now))
            }
            RequestUnion::CancelRequest(cancel) => watches.cancel(&world.store, cancel.watch_id),
            RequestUnion::ProgressRequest(_) => Some(watches.progress(&world.store)),
        };
        if let Some(mut response) = response {
            world.sign(&mut response.header);
            responses.push(response);
        }
    });
    responses
}
