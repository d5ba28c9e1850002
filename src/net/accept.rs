//! Taking connections in.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::TcpListener;

use super::Phase;
use super::complaints::Complaints;
use super::lane::Lane;
use super::workers::Workers;

/// How long to leave the queue alone when the machine has no room for more.
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
            Err(error) if is_scarcity(&error) => {
                if let Some(more) = complaints.about(&error.to_string(), Instant::now()) {
                    tracing::warn!(
                        "cannot accept connections at {}: {error}; {} are open{more}",
                        lane.address,
                        lane.tally.present(),
                    );
                }
                tokio::time::sleep(BACK_OFF).await;
            }
            // The client has gone again while it waited.
            Err(error) => tracing::debug!("accept at {}: {error}", lane.address),
        }
    }
}

/// Whether the machine lacks what a connection needs; anything else is that
/// one connection's trouble.
fn is_scarcity(error: &io::Error) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let code = error.raw_os_error();
    scarce
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}
