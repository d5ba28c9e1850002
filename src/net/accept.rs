//! Taking connections in.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::Phase;
use super::complaints::Complaints;
use super::lane::Lane;
use super::workers::Workers;

/// How long to leave the queue alone when accepting fails, for want of room say.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the proxy is told to end; then the listener is closed.
pub(super) async fn accept(listener: TcpListener, lane: Arc<Lane>, workers: Arc<Workers>) {
    let complaints = Complaints::every(Duration::from_secs(1));
    loop {
        let accepted = tokio::select! {
            biased;
            () = lane.shutdown.reached(Phase::Drain) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, from)) => {
                if let Err(error) = workers.serve(client, from, &lane) {
                    tracing::warn!("the connection of {from} cannot be served: {error}");
                }
            }
            // The client has gone again while it waited.
            Err(error) if is_of_one_client(&error) => {
                tracing::debug!("accept at {}: {error}", lane.address);
            }
            Err(error) => {
                if let Some(more) = complaints.about(&error.to_string(), Instant::now()) {
                    tracing::warn!(
                        "cannot accept connections at {}: {error}; {} are open{more}",
                        lane.address,
                        lane.tally.present(),
                    );
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether the next accept may go well at once. Anything else can last (no room
/// for more, no network), and would come again as fast as we ask.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted};
    matches!(error.kind(), ConnectionAborted | Interrupted)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_client_that_left_is_no_reason_to_wait() {
        for errno in [Errno::CONNABORTED, Errno::INTR] {
            assert!(is_of_one_client(&errno.into()), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NOBUFS, Errno::PERM, Errno::NETDOWN] {
            assert!(!is_of_one_client(&errno.into()), "{errno}");
        }
    }
}
