//! Which connections have something to do: one task serves them all, and does not
//! look at those that are quiet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The connections that were woken.
#[derive(Debug, Default)]
pub(super) struct Woken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    connections: Vec<u32>,
    task: Option<Waker>,
}

#[derive(Debug)]
struct Bell {
    connection: u32,
    /// It stands in the list.
    rung: AtomicBool,
    shared: Arc<Shared>,
}

/// Wakes one connection.
#[derive(Debug, Clone)]
pub(super) struct Bells {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Woken {
    /// What wakes a connection.
    pub fn bell(&self, connection: u32) -> Bells {
        let bell = Arc::new(Bell {
            connection,
            rung: AtomicBool::new(false),
            shared: Arc::clone(&self.shared),
        });
        let waker = Waker::from(Arc::clone(&bell));
        Bells { bell, waker }
    }

    /// Takes those that were woken into an empty list; waits for the first.
    pub fn poll(&self, context: &mut Context<'_>, into: &mut Vec<u32>) -> Poll<()> {
        let mut list = self.shared.lock();
        if list.connections.is_empty() {
            let waker = context.waker();
            if !list.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
                list.task = Some(waker.clone());
            }
            return Poll::Pending;
        }
        std::mem::swap(&mut list.connections, into);
        Poll::Ready(())
    }
}

impl Bells {
    /// For whoever is to wake it. It can be woken anew from now on.
    pub fn waker(&self) -> &Waker {
        self.bell.rung.store(false, Ordering::Release);
        &self.waker
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut list = self.shared.lock();
        list.connections.push(self.connection);
        let task = list.task.clone();
        drop(list);
        if let Some(task) = task {
            task.wake();
        }
    }
}
