//! SIGTERM and Ctrl-C.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::{Phase, Shutdown};

/// Feeds SIGTERM and SIGINT to `shutdown` from now on: the first drains, the
/// second ends at once.
///
/// # Errors
/// When the operating system refuses the handlers.
pub fn watch(shutdown: Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        while shutdown.phase() < Phase::Now {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            match shutdown.phase() {
                Phase::Running => tracing::info!("{name}: no new connections, open calls may end"),
                _ => tracing::info!("{name} again: ending at once"),
            }
            shutdown.signal();
        }
    });
    Ok(())
}
