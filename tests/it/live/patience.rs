//! Waiting for conditions, with an end to it.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long a condition that must come true is waited for. Generous, for slow
/// machines: a test that passes never waits that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The outcome of something that must not take for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
