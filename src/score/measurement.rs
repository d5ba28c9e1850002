//! A measurement that is begun, read and ended while traffic passes.
//!
//! Whoever asks leaves an [`Order`]; the trace's thread carries it out when it
//! has seen all that had passed by then.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::{Moment, Options, Scorecard};
use crate::trace::Sender;

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// A measurement begins.
    Begin(Options),
    /// How it stands.
    Read,
    /// It ends.
    End {
        /// When the failure began, and when it ended, where whoever asks knows it
        /// better than the traces of faults tell.
        failure: Option<(Moment, Moment)>,
    },
}

/// What became of an [`Order`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The card as of the moment of the order.
    Card(Box<Scorecard>),
    /// There is a measurement already; this is its name.
    Running(Option<Box<str>>),
    /// There is none.
    NotRunning,
}

/// Takes an answer.
pub(super) type Reply = Box<dyn FnOnce(Answer) + Send>;

pub(super) struct Asked {
    pub at: Instant,
    pub order: Order,
    pub reply: Reply,
}

/// Where orders are left for the trace's thread. Clones are the same place.
#[derive(Clone, Default)]
pub struct Measurement {
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    any: AtomicBool,
    orders: Mutex<VecDeque<Asked>>,
    sender: OnceLock<Sender>,
}

impl Measurement {
    /// By `sender` the trace's thread is woken up.
    pub fn attach(&self, sender: Sender) {
        // A second one would wake the same thread.
        let _ = self.desk.sender.set(sender);
    }

    /// Leaves an order; `reply` is called on the trace's thread, or dropped when
    /// that has ended.
    pub fn order(&self, order: Order, reply: impl FnOnce(Answer) + Send + 'static) {
        let asked = Asked {
            at: Instant::now(),
            order,
            reply: Box::new(reply),
        };
        self.orders().push_back(asked);
        self.desk.any.store(true, Ordering::Release);
        if let Some(sender) = self.desk.sender.get() {
            sender.wake();
        }
    }

    /// The first order, if `is_due`.
    pub(super) fn next(&self, is_due: impl FnOnce(&Asked) -> bool) -> Option<Asked> {
        if !self.desk.any.load(Ordering::Acquire) {
            return None;
        }
        let mut orders = self.orders();
        let next = match orders.front() {
            Some(first) if is_due(first) => orders.pop_front(),
            _ => None,
        };
        if orders.is_empty() {
            self.desk.any.store(false, Ordering::Release);
        }
        next
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, VecDeque<Asked>> {
        let orders = self.desk.orders.lock();
        orders.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measurement").finish_non_exhaustive()
    }
}
