//! SIGTERM, Ctrl-C, and the signal of a file that may not grow.

use std::io;

use rustix::process::Signal;
use tokio::runtime;
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

/// From now on a file that reached the limit of its size (`ulimit -f`) is an error
/// to whoever writes it; by itself, SIGXFSZ ends the program.
///
/// # Errors
/// When the operating system refuses the handler.
pub fn outlive_file_limits() -> io::Result<()> {
    // The handler stays; nobody needs to hear of the signal, nor the runtime that is
    // asked for it.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _within = runtime.enter();
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
