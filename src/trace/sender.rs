//! The way of events from the connections to the trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::etcd::{Call, Event, WatchNote};

/// Where connections put their events. Never blocks: when the trace cannot keep
/// up, events are dropped and counted.
#[derive(Debug, Clone)]
pub struct Sender {
    way: Way,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Way {
    /// To the writer.
    Writer(SyncSender<Item>),
    /// To the writer, which has no use for more than what is worth a warning.
    WarningsOnly(SyncSender<Item>),
    /// To somebody else.
    Queue(SyncSender<Event>),
    Nowhere,
}

/// What the writer's queue holds. It is allocated whole, so that items are
/// small: what is rare is boxed.
#[derive(Debug)]
pub(super) enum Item {
    Call(Box<Call>),
    Watch(Box<WatchNote>),
    Other(Box<Event>),
    /// Nothing happened, but there is something to do.
    Wake,
}

impl Sender {
    /// A sender into `queue` that counts in `dropped` what does not fit.
    pub fn new(queue: SyncSender<Event>, dropped: Arc<AtomicU64>) -> Sender {
        Sender {
            way: Way::Queue(queue),
            dropped,
        }
    }

    /// A sender that lets go of everything.
    pub fn discarding() -> Sender {
        Sender {
            way: Way::Nowhere,
            dropped: Arc::default(),
        }
    }

    pub(super) fn to_writer(
        queue: SyncSender<Item>,
        warnings_only: bool,
        dropped: Arc<AtomicU64>,
    ) -> Sender {
        Sender {
            way: if warnings_only {
                Way::WarningsOnly(queue)
            } else {
                Way::Writer(queue)
            },
            dropped,
        }
    }

    /// Hands an event over, or drops and counts it.
    pub fn send(&self, event: Event) {
        match &self.way {
            Way::Writer(queue) => self.count(queue.try_send(Item::of(event))),
            Way::WarningsOnly(queue) => {
                if let Event::TracingStopped { .. } | Event::MembersAdvertise { .. } = event {
                    self.count(queue.try_send(Item::of(event)));
                }
            }
            Way::Queue(queue) => self.count(queue.try_send(event)),
            Way::Nowhere => {}
        }
    }

    fn count<T>(&self, sent: Result<(), TrySendError<T>>) {
        match sent {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Item {
    fn of(event: Event) -> Item {
        match event {
            Event::Call(call) => Item::Call(call),
            Event::Watch(note) => Item::Watch(note),
            other => Item::Other(Box::new(other)),
        }
    }

    pub fn into_event(self) -> Option<Event> {
        match self {
            Item::Call(call) => Some(Event::Call(call)),
            Item::Watch(note) => Some(Event::Watch(note)),
            Item::Other(event) => Some(*event),
            Item::Wake => None,
        }
    }
}
