//! Ctrl-C and SIGTERM, of commands that have something to do before they end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, io_reason};

/// How a command ends that Ctrl-C ended, by the shells' custom.
pub(super) const INTERRUPTED: u8 = 130;

/// What ends the program before its time.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they do not end the program by themselves. Within a runtime.
    pub(super) fn listen() -> Result<Signals, Failure> {
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// One of them has come.
    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens for a signal. Within a runtime.
pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(no_handler)
}

/// The operating system refuses a handler.
pub(super) fn no_handler(error: io::Error) -> Failure {
    let reason = io_reason(&error);
    Failure::failed(format!("signals cannot be listened for: {reason}"))
}
