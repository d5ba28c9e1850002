//! The way of events from the connections to the trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::etcd::Event;

/// Where connections put their events. Never blocks: when the trace cannot keep
/// up, events are dropped and counted.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: SyncSender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Sender {
    /// A sender into `queue` that counts in `dropped` what does not fit.
    pub fn new(queue: SyncSender<Event>, dropped: Arc<AtomicU64>) -> Sender {
        Sender { queue, dropped }
    }

    /// Hands an event over, or drops and counts it.
    pub fn send(&self, event: Event) {
        match self.queue.try_send(event) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
