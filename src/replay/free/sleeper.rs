//! A clock that wakes to the tenth of a millisecond. tokio's own ticks in whole
//! ones, and rounds up twice.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// It wakes so seldom at least: what is due in between goes together.
const BREATH: Duration = Duration::from_micros(50);

/// A thread that sleeps until something is due. It ends with this value.
#[derive(Debug)]
pub(super) struct Sleeper {
    shared: Arc<Shared>,
    /// What it was last told.
    set: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    until: Mutex<Until>,
    changed: Condvar,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Until {
    at: Option<Instant>,
    over: bool,
}

impl Sleeper {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start() -> std::io::Result<Sleeper> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        thread::Builder::new()
            .name("replay-clock".into())
            .spawn(move || its.sleep())?;
        Ok(Sleeper { shared, set: None })
    }

    /// Something is due then; it rings once.
    pub fn set(&mut self, at: Option<Instant>) {
        if self.set == at {
            return;
        }
        self.set = at;
        let mut until = self.shared.lock();
        // One that sleeps shorter looks again by itself.
        let sooner = match (at, until.at) {
            (Some(at), Some(was)) => at < was,
            (Some(_), None) => true,
            (None, _) => false,
        };
        until.at = at;
        drop(until);
        if sooner {
            self.shared.changed.notify_one();
        }
    }

    /// Resolves when what was set is due.
    pub async fn rung(&self) {
        self.shared.bell.notified().await;
    }

    /// It rang: what is set is nothing.
    pub fn heard(&mut self) {
        self.set = None;
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Until> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self) {
        let mut until = self.lock();
        while !until.over {
            let now = Instant::now();
            until = match until.at {
                Some(at) if at <= now => {
                    until.at = None;
                    drop(until);
                    self.bell.notify_one();
                    thread::sleep(BREATH);
                    self.lock()
                }
                Some(at) => {
                    let left = at - now;
                    let waited = self.changed.wait_timeout(until, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(until);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_something_is_due_and_not_before() {
        let mut sleeper = Sleeper::start().unwrap();
        let far = Instant::now() + Duration::from_secs(600);
        sleeper.set(Some(far));
        let near = Instant::now() + Duration::from_millis(5);
        sleeper.set(Some(near));
        sleeper.rung().await;
        assert!(Instant::now() >= near);
        sleeper.heard();
        sleeper.set(Some(near));
        sleeper.rung().await;
    }
}
