//! `kill -9`, at a hundred random moments: what had been over for longer than the
//! flush interval is in the file, as a whole.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use etcd_client::Client;
use rustix::process::Signal;

use super::tape::{Tape, files, is, noise};
use crate::live::etcd::{Etcd, Version};
use crate::live::proxy::{Arguments, program, run};

/// Proxies that are killed one after the other, side by side.
const LANES: u64 = 4;
const KILLS_PER_LANE: u64 = 25;

/// As `--record-flush` says.
const FLUSH: Duration = Duration::from_millis(100);

/// What the machine is allowed besides, for threads to get their turn. How long one
/// of the test's own had to wait for its turn and for the disk, at worst, comes on
/// top of it, twice.
const ALLOWANCE: Duration = Duration::from_millis(400);

/// When calls were over, by their keys.
type Finished = Arc<Mutex<Vec<(String, Instant)>>>;

/// Writes to keys of their own until it is told to stop or has nobody to ask.
async fn write(mut client: Client, name: String, finished: Finished) {
    for n in 0.. {
        let key = format!("/registry/configmaps/{name}/{n}");
        let value = noise(200 + n % 7 * 300, n as u64);
        if client.put(key.as_str(), value, None).await.is_err() {
            return;
        }
        finished.lock().unwrap().push((key, Instant::now()));
    }
}

/// The longest that a thread of this process had to wait for its turn, and for the
/// disk, beyond what it asked for.
struct Lag {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Lag {
    fn watch(folder: &Path) -> Lag {
        const TURN: Duration = Duration::from_millis(10);
        let (most, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let lag = Lag {
            most: Arc::clone(&most),
            over: Arc::clone(&over),
        };
        let mut file = std::fs::File::create(folder.join("lag")).unwrap();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(TURN);
                file.write_all(&[0; 512]).unwrap();
                let late = before.elapsed().saturating_sub(TURN);
                most.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
            }
        });
        lag
    }

    fn most(&self) -> Duration {
        Duration::from_millis(self.most.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What a lane found.
#[derive(Debug, Default)]
struct Found {
    /// Calls that had to be there, and were.
    calls: usize,
    /// Kills after which there were such calls.
    kills: u64,
    /// Files that broke off.
    cut: u64,
}

async fn lane(lane: u64, seed: u64, upstream: String) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let lag = Lag::watch(folder.path());
    let record = folder.path().join("calls.mcap");
    let mut found = Found::default();
    // Files follow one another in every second lane, so that this is hit, too.
    let turns = lane % 2 == 1;
    let mut before = files(folder.path());
    for kill in 0..KILLS_PER_LANE {
        let chance = noise(2, seed ^ (lane << 32) ^ (kill + 1));
        let chance = u64::from(u16::from_be_bytes([chance[0], chance[1]]));
        let life = Duration::from_millis(50 + chance % 950);

        let mut arguments = Arguments::new().pair(&upstream);
        arguments = arguments
            .flag("--record", &record)
            .flag("--record-flush", "100ms");
        if turns {
            arguments = arguments.flag("--record-rotate-size", "128KiB");
        }
        let mut proxy = arguments.start().await;
        // What the one before left behind has its finished name now.
        let left = files(folder.path());
        let partial: Vec<&PathBuf> = left.iter().filter(|path| is(path, ".partial")).collect();
        assert_eq!(partial.len(), 1, "{left:?}");
        let number = left.len() - 1;
        let name = match number {
            0 => "calls.mcap.partial".to_owned(),
            _ => format!("calls.{number:04}.mcap.partial"),
        };
        assert!(is(partial[0], &name), "{left:?}");
        for path in &before {
            let finished = path.with_extension("");
            let now = if is(path, ".partial") {
                &finished
            } else {
                path
            };
            assert!(left.contains(now), "{path:?} is gone: {left:?}");
        }

        let finished = Finished::default();
        let mut writers = tokio::task::JoinSet::new();
        lag.most();
        for writer in 0..3 {
            let client = Client::connect(proxy.urls("http"), None).await.unwrap();
            let name = format!("lane{lane}-{kill}-{writer}");
            writers.spawn(write(client, name, Arc::clone(&finished)));
        }
        tokio::time::sleep(life).await;
        let killed = Instant::now();
        proxy.signal(Signal::KILL);
        proxy.wait().await;
        let old = FLUSH + ALLOWANCE + 2 * lag.most();
        writers.shutdown().await;

        let after = files(folder.path());
        let new: Vec<PathBuf> = after
            .iter()
            .filter(|path| number == 0 || !before.contains(*path))
            .filter(|path| !before.contains(&PathBuf::from(format!("{}.partial", path.display()))))
            .cloned()
            .collect();
        let tape = Tape::of(&new);
        let keys = tape.whole_keys("Put");
        let mut due = 0;
        for (key, at) in finished.lock().unwrap().iter() {
            if killed.saturating_duration_since(*at) > old {
                let ago = killed.saturating_duration_since(*at);
                assert!(
                    keys.contains(key),
                    "seed {seed}, lane {lane}, kill {kill}: {key} was over {ago:?} before and is not in {new:?}"
                );
                due += 1;
            }
        }
        found.calls += due;
        found.kills += u64::from(due > 0);

        // Everybody else opens it, too, and hears what is missing.
        let last = new.iter().find(|path| is(path, ".partial")).unwrap();
        let whole = tape.wholeness.is_whole();
        found.cut += u64::from(!whole);
        if kill % 5 == 0 || !whole {
            let shown = run(&mut program(["show", last.to_str().unwrap()])).await;
            // Now and then it was begun that very moment.
            let (code, says) = match last.metadata().unwrap().len() {
                0 => (2, "is empty"),
                _ if whole => (0, "missing"),
                _ => (1, "missing"),
            };
            assert_eq!(shown.code, Some(code), "{}", shown.stderr);
            assert!(shown.stderr.contains(says), "{}", shown.stderr);
        }
        before = after;
        // One without bytes gives its number to the next.
        before.retain(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_the_flush_interval_survives_a_hundred_kills() {
    let seed = match std::env::var("ETCDTAP_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap().as_micros() as u64
        }
    };
    eprintln!("ETCDTAP_TEST_SEED={seed}");
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let upstream = etcd.urls().remove(0);
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..LANES {
        lanes.spawn(lane(number, seed, upstream.clone()));
    }
    let mut found = Found::default();
    while let Some(one) = lanes.join_next().await {
        let one = one.unwrap();
        found.calls += one.calls;
        found.kills += one.kills;
        found.cut += one.cut;
    }
    eprintln!("{found:?}");
    // Else nothing was proven.
    assert!(found.kills > LANES * KILLS_PER_LANE / 4, "{found:?}");
    assert!(found.calls > 500, "{found:?}");
}
