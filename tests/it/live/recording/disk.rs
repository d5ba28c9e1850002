//! Disks that take nothing for a while, or little at a time: traffic goes on or
//! waits, as it was told, what was whole can be read, and the sums come out even.
//!
//! The disk is full in that the process may write no file any further
//! (RLIMIT_FSIZE), which a test can take back; and once it is a real one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Client, WatchOptions};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::tape::{Tape, files, is, noise};
use crate::live::patience::{soon, until};
use crate::live::proxy::{Arguments, Proxy};
use crate::live::stack::{Setup, Stack};

const NO_ROOM: &str = "cannot be written: File too large";

/// No file of the proxy may get longer than `bytes`, or any may again. Sets what may
/// be set again: the soft limit.
fn limit(proxy: &Proxy, resource: Resource, most: Option<u64>) {
    let pid = Pid::from_raw(proxy.pid() as i32);
    let old = prlimit(
        pid,
        resource,
        Rlimit {
            current: most,
            maximum: None,
        },
    );
    // Whoever may not have no limit keeps the one there was.
    if old.is_err() {
        let now = rustix::process::getrlimit(resource);
        let limit = Rlimit {
            current: most.or(now.maximum),
            maximum: now.maximum,
        };
        prlimit(pid, resource, limit).unwrap();
    }
}

fn partial(folder: &Path) -> PathBuf {
    let files = files(folder);
    files
        .into_iter()
        .find(|path| is(path, ".partial"))
        .expect("one is being written")
}

async fn put(client: &mut Client, n: usize) {
    let key = format!("/registry/configmaps/lab/{n}");
    let value = noise(8 * 1024, n as u64);
    soon("a put", client.put(key, value, None)).await.unwrap();
}

/// Waits until so many puts stand in a file.
async fn all_written(file: &Path, puts: usize) {
    until("what passed is written", async || {
        let keys = Tape::of(&[file.to_owned()]).whole_keys("Put");
        (keys.len() == puts).then_some(())
    })
    .await;
}

/// The numbers before `calls` and `lines` in what the proxy said of losses at its
/// end.
fn said_lost(proxy: &Proxy) -> (u64, u64) {
    let text = proxy.errors.all();
    let Some(line) = text.iter().find(|line| line.contains("were not recorded")) else {
        return (0, 0);
    };
    let words: Vec<&str> = line.split([' ', '(']).collect();
    let before = |what: &str| {
        let at = words.iter().position(|word| *word == what).unwrap();
        words[at - 1].parse().unwrap()
    };
    (before("calls"), before("lines"))
}

/// Etcdtap records into a folder, with little room for what waits.
async fn recorded(folder: &Path, arguments: Arguments) -> Stack {
    let arguments = arguments
        .flag("--record", folder.join("calls.mcap"))
        .flag("--record-queue", "1MiB")
        .flag("--record-flush", "100ms");
    Setup::PLAIN_35.start_with(arguments).await
}

/// Ends the proxy and holds what stands in the files against what was said and
/// done: `puts` calls were made, and none is there by half.
async fn sums_come_out_even(stack: &mut Stack, folder: &Path, puts: usize) -> (Tape, u64) {
    assert_eq!(stack.proxy.terminate().await, Some(0));
    let errors = stack.proxy.errors.text();
    let files: Vec<PathBuf> = files(folder).into_iter().collect();
    assert!(!files.iter().any(|path| is(path, ".partial")), "{files:?}");
    let tape = Tape::of(&files);
    assert_eq!(tape.wholeness.places, 0, "{:?}", tape.wholeness);
    assert_eq!(tape.wholeness.unreadable, 0);
    let losses = &tape.wholeness.losses;
    assert_eq!((losses.calls, losses.lines), said_lost(&stack.proxy));

    let calls = tape.calls();
    let puts_taped = calls
        .values()
        .filter(|call| call.path == "/etcdserverpb.KV/Put");
    let mut whole = 0;
    for call in puts_taped {
        let halves = (call.asked.len(), call.answered.len());
        assert_eq!(halves, (1, 1), "never a half: {errors}");
        whole += 1;
    }
    let watches = calls.values().filter(|call| call.path.ends_with("Watch"));
    // A watch that missed something is one of the calls that did.
    let most_watches = watches.count() as u64;
    let missed = puts as u64 - whole;
    assert!(
        missed <= losses.calls && losses.calls <= missed + most_watches,
        "{puts} puts, {whole} of them whole, {losses:?}"
    );
    let lines = tape
        .lines()
        .filter(|line| line.method.as_deref() == Some("Put"));
    let lines = lines.filter(|line| line.event == "call").count() as u64;
    assert!(lines + losses.lines >= puts as u64, "{lines} {losses:?}");
    (tape, whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_on_without_a_disk_and_the_recording_with_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut stack = recorded(folder.path(), Arguments::new()).await;
    let mut client = stack.client().await;
    let mut watch = client
        .watch("/registry/pods/", Some(WatchOptions::new().with_prefix()))
        .await
        .unwrap();
    soon("the watch", watch.message()).await.unwrap().unwrap();
    for n in 0..20 {
        put(&mut client, n).await;
    }
    let file = partial(folder.path());
    all_written(&file, 20).await;
    let at = file.metadata().unwrap().len() + 20_000;
    limit(&stack.proxy, Resource::Fsize, Some(at));
    for n in 20..30 {
        put(&mut client, n).await;
    }
    stack
        .proxy
        .errors
        .wait_for(|line| line.contains(NO_ROOM))
        .await;
    // Everything goes on: far more than there is room for.
    for n in 30..300 {
        put(&mut client, n).await;
        if n % 10 == 0 {
            client
                .put("/registry/pods/lab/a", vec![b'x'; 9000], None)
                .await
                .unwrap();
            let event = soon("an event", watch.message()).await.unwrap().unwrap();
            assert_eq!(event.events().len(), 1);
        }
    }
    // What was whole can be read meanwhile.
    assert!(file.metadata().unwrap().len() <= at);
    let before = Tape::of(std::slice::from_ref(&file));
    assert!(before.whole_keys("Put").len() >= 20);
    let refusals = stack.proxy.errors.count(|line| line.contains(NO_ROOM));
    assert_eq!(
        refusals,
        1,
        "it is said once:\n{}",
        stack.proxy.errors.text()
    );

    limit(&stack.proxy, Resource::Fsize, None);
    let goes_on = |line: &str| line.contains("the recording goes on");
    stack.proxy.errors.wait_for(goes_on).await;
    let again = |line: &str| line.contains("keeps up with the traffic again");
    stack.proxy.errors.wait_for(again).await;
    for n in 300..320 {
        put(&mut client, n).await;
    }
    client
        .put("/registry/pods/lab/a", "at last", None)
        .await
        .unwrap();
    soon("an event", watch.message()).await.unwrap().unwrap();
    drop(watch);
    drop(client);

    let (tape, whole) = sums_come_out_even(&mut stack, folder.path(), 320 + 28).await;
    let losses = &tape.wholeness.losses;
    assert!(losses.calls > 50 && losses.messages > 100, "{losses:?}");
    assert!(
        losses.reason.contains("File too large") || losses.reason.is_empty(),
        "{losses:?}"
    );
    let keys = tape.whole_keys("Put");
    for n in (0..20).chain(300..320) {
        assert!(
            keys.contains(&format!("/registry/configmaps/lab/{n}")),
            "{n} of {whole}"
        );
    }
    // A watch that missed something goes on with what it tells next.
    let watch = tape
        .calls()
        .into_values()
        .find(|call| call.path.ends_with("Watch"));
    let told = watch.unwrap().answered;
    let last = told.last().unwrap();
    assert!(
        last.windows(7).any(|at| at == b"at last"),
        "{} messages",
        told.len()
    );
    let text = stack.proxy.errors.text();
    assert_eq!(
        text.matches("keeps up with the traffic again").count(),
        1,
        "{text}"
    );
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_waits_for_the_disk_where_it_is_told_to_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new().flag("--record-overflow", "block");
    let mut stack = recorded(folder.path(), arguments).await;
    let mut client = stack.client().await;
    for n in 0..20 {
        put(&mut client, n).await;
    }
    let file = partial(folder.path());
    let at = file.metadata().unwrap().len() + 20_000;
    limit(&stack.proxy, Resource::Fsize, Some(at));
    let going = tokio::spawn(async move {
        for n in 20..400 {
            put(&mut client, n).await;
        }
    });
    stack
        .proxy
        .errors
        .wait_for(|line| line.contains(NO_ROOM))
        .await;
    let mut direct = stack.client_direct().await;
    let everything = || {
        Some(
            etcd_client::GetOptions::new()
                .with_prefix()
                .with_count_only(),
        )
    };
    // It stands when nothing more arrives for long.
    let mut arrived = 0;
    let mut since = std::time::Instant::now();
    until("traffic stands", async || {
        let now = direct
            .get("/registry/", everything())
            .await
            .unwrap()
            .count();
        if now != arrived {
            (arrived, since) = (now, std::time::Instant::now());
        }
        (since.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    assert!(
        arrived < 400,
        "{arrived} passed, and 1 MiB was room for about 120"
    );
    assert!(!going.is_finished());
    limit(&stack.proxy, Resource::Fsize, None);
    soon("the rest", going).await.unwrap();

    let (tape, whole) = sums_come_out_even(&mut stack, folder.path(), 400).await;
    assert_eq!(whole, 400);
    assert!(tape.wholeness.is_whole(), "{:?}", tape.wholeness);
    assert_eq!(tape.whole_keys("Put").len(), 400);
    let waited = |line: &str| line.contains("traffic waited");
    assert_eq!(stack.proxy.errors.count(waited), 1);
}

/// Has the disk take `bytes` more every 100 ms, as long as it is waited for.
async fn trickle(proxy: &Proxy, file: &Path, bytes: u64) {
    let mut most = file.metadata().unwrap().len();
    loop {
        most += bytes;
        limit(proxy, Resource::Fsize, Some(most));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A disk that takes 200 KB a second, and a client that brings more; how long it took.
async fn on_a_slow_disk(folder: &Path, arguments: Arguments, puts: usize) -> (Stack, Duration) {
    let stack = recorded(folder, arguments).await;
    let mut client = stack.client().await;
    put(&mut client, 0).await;
    let file = partial(folder);
    all_written(&file, 1).await;
    let began = std::time::Instant::now();
    let going = async {
        for n in 1..puts {
            put(&mut client, n).await;
        }
    };
    tokio::select! {
        () = going => {}
        () = trickle(&stack.proxy, &file, 20_000) => unreachable!("it has no end"),
    }
    let took = began.elapsed();
    drop(client);
    limit(&stack.proxy, Resource::Fsize, None);
    (stack, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_slow_costs_whole_calls_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new();
    let (mut stack, took) = on_a_slow_disk(folder.path(), arguments, 400).await;
    // What the disk took while they ran is in the file, and 1 MiB waited.
    let (tape, whole) = sums_come_out_even(&mut stack, folder.path(), 400).await;
    let text = stack.proxy.errors.text();
    let room = (1 << 20) + 20_000 * (took.as_millis() as u64 / 100 + 1);
    assert!(
        whole >= 30 && whole * 8 * 1024 <= 2 * room,
        "{whole} in {took:?}: {text}"
    );
    assert!(tape.wholeness.losses.calls > 0, "{took:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_slow_slows_traffic_only_where_it_was_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new().flag("--record-overflow", "block");
    let (mut stack, took) = on_a_slow_disk(folder.path(), arguments, 400).await;
    let (tape, whole) = sums_come_out_even(&mut stack, folder.path(), 400).await;
    assert_eq!(whole, 400, "after {took:?}");
    assert!(tape.wholeness.is_whole(), "{:?}", tape.wholeness);
    // 3.2 MB came, of which 1 MiB could wait, at 200 KB a second.
    assert!(took > Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_file_that_cannot_be_created_is_tried_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new().flag("--record-rotate-size", "256KiB");
    let mut stack = recorded(folder.path(), arguments).await;
    let mut client = stack.client().await;
    for n in 0..5 {
        put(&mut client, n).await;
    }
    // What is open stays open, and nothing more can be opened.
    limit(&stack.proxy, Resource::Nofile, Some(3));
    for n in 5..300 {
        put(&mut client, n).await;
    }
    let cannot = |line: &str| line.contains("next file cannot be created");
    stack.proxy.errors.wait_for(cannot).await;
    for n in 300..500 {
        put(&mut client, n).await;
    }
    let finished: Vec<PathBuf> = files(folder.path()).into_iter().collect();
    assert_eq!(finished.len(), 1, "{finished:?}");
    assert!(Tape::of(&finished).wholeness.is_whole());
    assert_eq!(stack.proxy.errors.count(cannot), 1);
    limit(&stack.proxy, Resource::Nofile, Some(1024));
    let goes_on = |line: &str| line.contains("the recording goes on");
    stack.proxy.errors.wait_for(goes_on).await;
    let again = |line: &str| line.contains("keeps up with the traffic again");
    stack.proxy.errors.wait_for(again).await;
    for n in 500..520 {
        put(&mut client, n).await;
    }
    drop(client);
    let (tape, _) = sums_come_out_even(&mut stack, folder.path(), 520).await;
    assert!(tape.wholeness.losses.calls > 50, "{:?}", tape.wholeness);
    assert!(
        tape.whole_keys("Put")
            .contains("/registry/configmaps/lab/519")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_the_disk_does_not_take_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut stack = recorded(folder.path(), Arguments::new()).await;
    let mut client = stack.client().await;
    for n in 0..20 {
        put(&mut client, n).await;
    }
    let file = partial(folder.path());
    all_written(&file, 20).await;
    limit(
        &stack.proxy,
        Resource::Fsize,
        Some(file.metadata().unwrap().len() + 5_000),
    );
    for n in 20..300 {
        put(&mut client, n).await;
    }
    drop(client);
    assert_eq!(stack.proxy.terminate().await, Some(0));
    let text = stack.proxy.errors.text();
    assert!(text.contains("the recording is not whole"), "{text}");
    let (calls, lines) = said_lost(&stack.proxy);
    assert!(calls > 100 && lines > 0, "{text}");
    let files: Vec<PathBuf> = files(folder.path()).into_iter().collect();
    let tape = Tape::of(&files);
    assert!(!tape.wholeness.is_whole());
    assert!(tape.whole_keys("Put").len() >= 20);
}

/// A file system of 1 MiB, where this user may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output();
        mounted
            .is_ok_and(|ran| ran.status.success())
            .then(|| Small(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_disk_that_is_full_is_no_other() {
    let Some(small) = Small::mount() else {
        eprintln!("skipped: this user may mount no file system");
        return;
    };
    let folder = small.0.path();
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 700 * 1024]).unwrap();
    let mut stack = recorded(folder, Arguments::new()).await;
    let mut client = stack.client().await;
    for n in 0..20 {
        put(&mut client, n).await;
    }
    all_written(&partial(folder), 20).await;
    for n in 20..60 {
        put(&mut client, n).await;
    }
    let full = |line: &str| line.contains("No space left on device");
    stack.proxy.errors.wait_for(full).await;
    let before = Tape::of(&[partial(folder)]);
    assert!(before.whole_keys("Put").len() >= 20);
    std::fs::remove_file(&ballast).unwrap();
    let goes_on = |line: &str| line.contains("the recording goes on");
    stack.proxy.errors.wait_for(goes_on).await;
    for n in 60..70 {
        put(&mut client, n).await;
    }
    drop(client);
    let (_, whole) = sums_come_out_even(&mut stack, folder, 70).await;
    assert_eq!(whole, 70, "there was room in memory for all of it");
}
