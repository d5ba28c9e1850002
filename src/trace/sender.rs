//! The way of events from the connections to the trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use super::budget::{Budget, bytes_of};
use crate::etcd::{Call, Event, WatchNote};

/// Where connections put their events. Never blocks: when the trace cannot keep
/// up, events are dropped and counted.
#[derive(Debug, Clone)]
pub struct Sender {
    way: Way,
    dropped: Arc<AtomicU64>,
    /// Whether it was said that nobody takes events any more.
    end_told: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum Way {
    /// To the writer.
    Writer(ToWriter),
    /// To the writer, which has no use for more than what is worth a warning.
    WarningsOnly(ToWriter),
    /// To somebody else.
    Queue(SyncSender<Event>),
    Nowhere,
}

#[derive(Debug, Clone)]
struct ToWriter {
    queue: SyncSender<Item>,
    /// The writer gives back to it what it takes.
    budget: Budget,
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
            end_told: Arc::default(),
        }
    }

    /// A sender that lets go of everything.
    pub fn discarding() -> Sender {
        Sender {
            way: Way::Nowhere,
            dropped: Arc::default(),
            end_told: Arc::default(),
        }
    }

    pub(super) fn to_writer(
        queue: SyncSender<Item>,
        budget: Budget,
        warnings_only: bool,
        dropped: Arc<AtomicU64>,
    ) -> Sender {
        let writer = ToWriter { queue, budget };
        Sender {
            way: if warnings_only {
                Way::WarningsOnly(writer)
            } else {
                Way::Writer(writer)
            },
            dropped,
            end_told: Arc::default(),
        }
    }

    /// Hands an event over, or drops and counts it.
    pub fn send(&self, event: Event) {
        match &self.way {
            Way::Writer(writer) => self.send_to(writer, event),
            Way::WarningsOnly(writer) => {
                if let Event::TracingStopped { .. } | Event::MembersAdvertise { .. } = event {
                    self.send_to(writer, event);
                }
            }
            Way::Queue(queue) => self.count(queue.try_send(event)),
            Way::Nowhere => {}
        }
    }

    /// Makes the writer look at what there is to do besides events.
    pub fn wake(&self) {
        if let Way::Writer(writer) | Way::WarningsOnly(writer) = &self.way {
            // A full queue wakes the writer as well.
            let _ = writer.queue.try_send(Item::Wake);
        }
    }

    fn send_to(&self, writer: &ToWriter, event: Event) {
        let bytes = bytes_of(&event);
        if !writer.budget.take(bytes) {
            self.drop_one();
            return;
        }
        let sent = writer.queue.try_send(Item::of(event));
        if sent.is_err() {
            writer.budget.give_back(bytes);
        }
        self.count(sent);
    }

    fn count<T>(&self, sent: Result<(), TrySendError<T>>) {
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.drop_one(),
            Err(TrySendError::Disconnected(_)) => {
                self.drop_one();
                if !self.end_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the log has ended; what passes from here on is not in it");
                }
            }
        }
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::budget::MOST_BYTES;
    use super::super::fixtures::{Time, create};
    use super::*;

    fn event() -> Event {
        Event::Call(create(Time::new()))
    }

    #[test]
    fn what_fits_neither_place_nor_budget_is_counted() {
        let (queue, items) = sync_channel(2);
        let budget = Budget::default();
        let dropped = Arc::<AtomicU64>::default();
        let sender = Sender::to_writer(queue, budget.clone(), false, Arc::clone(&dropped));
        let count = || dropped.load(Ordering::Relaxed);
        let bytes = bytes_of(&event());
        for _ in 0..3 {
            sender.send(event());
        }
        assert_eq!((count(), budget.queued()), (1, 2 * bytes));

        for item in items.try_iter() {
            let event = item.into_event().expect("one was sent");
            budget.give_back(bytes_of(&event));
        }
        assert_eq!(budget.queued(), 0);
        assert!(budget.take(MOST_BYTES - bytes));
        sender.send(event());
        sender.send(event());
        assert_eq!((count(), budget.queued()), (2, MOST_BYTES));
    }

    #[test]
    fn events_after_the_writers_end_are_counted() {
        let (queue, items) = sync_channel(2);
        let budget = Budget::default();
        let dropped = Arc::<AtomicU64>::default();
        let sender = Sender::to_writer(queue, budget.clone(), false, Arc::clone(&dropped));
        drop(items);
        sender.send(event());
        sender.clone().send(event());
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert!(sender.end_told.load(Ordering::Relaxed));
        assert_eq!(budget.queued(), 0);
    }
}
