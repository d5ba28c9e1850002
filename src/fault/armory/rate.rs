//! Speeds that calls share. Each is one number, the instant from which on there
//! is room again, moved on by whoever takes room: no lock, and the order of
//! arrival is the order of service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::etcd::verdict::Pace;
use crate::fault::plan::{Action, Rate};

/// Nobody waits longer for a turn; see [`Rate`](crate::fault::plan::Rate).
pub(super) const LONGEST_QUEUE: Duration = Duration::from_secs(60);

/// What the calls that a fault is about share.
#[derive(Debug)]
pub(super) enum Shared {
    /// Nothing: it is no rate.
    Nothing,
    /// `calls_per_second`.
    Turns(Turns),
    /// `bytes_per_second`.
    Speed(Arc<Speed>),
}

impl Shared {
    pub fn new(action: &Action, began: Instant) -> Shared {
        match action {
            Action::Rate(Rate::CallsPerSecond(calls)) => Shared::Turns(Turns::new(*calls, began)),
            Action::Rate(Rate::BytesPerSecond(bytes)) => {
                Shared::Speed(Arc::new(Speed::new(bytes.0, began)))
            }
            _ => Shared::Nothing,
        }
    }
}

/// Turns, one after another.
#[derive(Debug)]
struct Track {
    began: Instant,
    /// Nanoseconds since `began`.
    free_from: AtomicU64,
}

impl Track {
    fn new(began: Instant) -> Track {
        Track {
            began,
            free_from: AtomicU64::new(0),
        }
    }

    /// Takes `room`, and says when it begins; `None` if that is further away
    /// than `patience`, and then nothing is taken.
    fn take(&self, room: Duration, patience: Duration, now: Instant) -> Option<Instant> {
        let now = nanos(now.saturating_duration_since(self.began));
        let taken =
            self.free_from
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free_from| {
                    let begins = free_from.max(now);
                    (begins - now <= nanos(patience)).then(|| begins.saturating_add(nanos(room)))
                });
        let begins = taken.ok()?.max(now);
        self.began.checked_add(Duration::from_nanos(begins))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// So many calls a second.
#[derive(Debug)]
pub(super) struct Turns {
    track: Track,
    apart: Duration,
}

impl Turns {
    pub fn new(calls_per_second: f64, began: Instant) -> Turns {
        Turns {
            track: Track::new(began),
            apart: Duration::try_from_secs_f64(1.0 / calls_per_second).unwrap_or(LONGEST_QUEUE),
        }
    }

    /// How long a call that comes now has to wait for its turn.
    pub fn wait(&self, now: Instant) -> Duration {
        self.track
            .take(self.apart, LONGEST_QUEUE, now)
            .map_or(LONGEST_QUEUE, |turn| turn.saturating_duration_since(now))
    }
}

/// So many bytes a second.
#[derive(Debug)]
pub(super) struct Speed {
    track: Track,
    bytes_per_second: u64,
}

impl Speed {
    pub fn new(bytes_per_second: u64, began: Instant) -> Speed {
        Speed {
            track: Track::new(began),
            bytes_per_second: bytes_per_second.max(1),
        }
    }
}

impl Pace for Speed {
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let room = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let room = Duration::from_nanos(u64::try_from(room).unwrap_or(u64::MAX));
        // Each stream asks for its next portion when the last one has passed, so
        // that the queue is never longer than there are streams.
        self.track
            .take(room, Duration::MAX, now)
            .unwrap_or(now + LONGEST_QUEUE)
    }

    fn portion(&self) -> u64 {
        // Twenty portions a second look smooth; frames of a full size are
        // enough.
        (self.bytes_per_second / 20).clamp(1, 16_384)
    }
}

/// Several speeds at once: the slowest tells.
#[derive(Debug)]
pub(super) struct Together(pub Vec<Arc<Speed>>);

impl Pace for Together {
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        self.0
            .iter()
            .map(|speed| speed.reserve(bytes, now))
            .max()
            .unwrap_or(now)
    }

    fn portion(&self) -> u64 {
        self.0
            .iter()
            .map(|speed| speed.portion())
            .min()
            .unwrap_or(16_384)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, millis: u64) -> Instant {
        began + Duration::from_millis(millis)
    }

    #[test]
    fn calls_take_turns_and_save_none_up() {
        let began = Instant::now();
        let turns = Turns::new(5.0, began);
        let waits: Vec<u128> = [0, 0, 0, 250, 2000, 2000]
            .into_iter()
            .map(|at| turns.wait(after(began, at)).as_millis())
            .collect();
        assert_eq!(waits, [0, 200, 400, 350, 0, 200]);
    }

    #[test]
    fn a_full_queue_lets_pass_after_a_minute() {
        let began = Instant::now();
        let turns = Turns::new(1.0, began);
        for second in 0..=60 {
            assert_eq!(turns.wait(began), Duration::from_secs(second));
        }
        assert_eq!(turns.wait(began), LONGEST_QUEUE);
        // Nothing was taken: a second later there is room for one again.
        assert_eq!(turns.wait(after(began, 1000)), LONGEST_QUEUE);
    }

    #[test]
    fn bytes_pass_at_their_speed_whoever_sends_them() {
        let began = Instant::now();
        let speed = Arc::new(Speed::new(1000, began));
        assert_eq!(speed.portion(), 50);
        assert_eq!(speed.reserve(500, began), began);
        assert_eq!(speed.reserve(500, began), after(began, 500));
        let slower = Arc::new(Speed::new(100, began));
        let both = Together(vec![Arc::clone(&speed), slower]);
        assert_eq!(both.portion(), 5);
        assert_eq!(both.reserve(100, began), after(began, 1000));
        assert_eq!(both.reserve(100, began), after(began, 1100));
    }

    #[test]
    fn many_threads_get_different_turns() {
        let began = Instant::now();
        let turns = Turns::new(1000.0, began);
        let mut waits: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).map(|_| turns.wait(began)).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        waits.sort();
        let expected: Vec<Duration> = (0..800).map(Duration::from_millis).collect();
        assert_eq!(waits, expected);
    }
}
