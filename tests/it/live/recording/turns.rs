//! One file after the other: names, modes, what is kept, and that each stands for
//! itself, in other people's hands, too.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::tape::{Tape, files, is, noise};
use crate::live::patience::until;
use crate::live::proxy::Arguments;
use crate::live::stack::Setup;
use crate::record::python;

/// Reads one file as somebody does who has no etcdtap, and says how many records of
/// each kind it has.
const READ: &str = "
import sys
from collections import Counter
from mcap_protobuf.reader import read_protobuf_messages
from mcap.reader import make_reader

for name in sys.argv[1:]:
    kinds = Counter()
    for record in read_protobuf_messages(name):
        kinds['line' if record.topic == '/log' else record.topic] += 1
        if record.topic.endswith('/request') and record.proto_msg.meta.index == 0:
            assert record.proto_msg.meta.headers > 0
    with open(name, 'rb') as file:
        summary = make_reader(file).get_summary()
    assert summary.statistics.message_count == sum(kinds.values()), name
    print(kinds['line'], kinds['/etcdserverpb.KV/Put/request'], kinds['/etcdserverpb.KV/Put/response'])
";

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_follow_one_another_and_each_stands_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new()
        .flag("--record", folder.path().join("calls.mcap"))
        .flag("--record-flush", "100ms")
        .flag("--record-rotate-size", "128KiB")
        .flag("--record-rotate-every", "1s");
    let mut stack = Setup::PLAIN_34.start_with(arguments).await;
    let mut client = stack.client().await;
    let mut puts = 0;
    // By size: a file is full several times a second. By time: nothing much passes.
    let began = Instant::now();
    let mut seen = 0;
    while began.elapsed() < Duration::from_secs(6) || seen < 8 {
        assert!(began.elapsed() < Duration::from_secs(60), "{seen} files");
        let busy = began.elapsed() < Duration::from_secs(2);
        let length = if busy { 8000 } else { 10 };
        let key = format!("/registry/configmaps/lab/{puts}");
        client.put(key, noise(length, puts), None).await.unwrap();
        puts += 1;
        if !busy {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let now = files(folder.path());
        let finished: Vec<PathBuf> = now
            .into_iter()
            .filter(|path| !is(path, ".partial"))
            .collect();
        if finished.len() > seen {
            seen = finished.len();
            // What has its name is whole, at any moment.
            let whole = Tape::of(&[finished.last().unwrap().clone()]).wholeness;
            assert!(whole.is_whole() && whole.finished, "{whole:?}");
        }
    }
    drop(client);
    assert_eq!(stack.proxy.terminate().await, Some(0));

    let files: Vec<PathBuf> = files(folder.path()).into_iter().collect();
    let mut names: Vec<String> = (1..files.len())
        .map(|n| format!("calls.{n:04}.mcap"))
        .collect();
    names.push("calls.mcap".to_owned());
    let are: Vec<_> = files
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(are, names);
    for path in files.iter().chain([&folder.path().join("calls.mcap.key")]) {
        assert_eq!(mode(path), 0o600, "{path:?}");
    }
    let tape = Tape::of(&files);
    assert!(tape.wholeness.is_whole() && tape.wholeness.finished);
    assert_eq!(tape.whole_keys("Put").len() as u64, puts);

    let told = python::printed(READ, &files);
    let mut sums = [0; 3];
    for line in told.lines() {
        for (sum, number) in sums.iter_mut().zip(line.split(' ')) {
            *sum += number.parse::<u64>().unwrap();
        }
    }
    assert_eq!(told.lines().count(), files.len());
    assert_eq!(&sums[1..], [puts, puts]);
    assert!(
        sums[0] > puts,
        "lines of calls and of connections: {sums:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_go_and_nothing_that_says_nothing_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let record = |arguments: Arguments| {
        arguments
            .flag("--record", folder.path().join("calls.mcap"))
            .flag("--record-flush", "100ms")
            .flag("--record-rotate-size", "64KiB")
            .flag("--record-rotate-every", "1s")
            .flag("--record-keep-files", "3")
    };
    let mut stack = Setup::PLAIN_35.start_with(record(Arguments::new())).await;
    // Nothing passes: the first file stays the only one.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(files(folder.path()).len(), 1);
    let mut client = stack.client().await;
    let mut n = 0;
    until("the tenth file is there", async || {
        for _ in 0..10 {
            n += 1;
            client.put("/a", noise(4000, n), None).await.unwrap();
        }
        let now = files(folder.path());
        let finished = now.iter().filter(|path| !is(path, ".partial")).count();
        // One more while the oldest is about to go.
        assert!(finished <= 4, "{now:?}");
        now.iter()
            .any(|path| is(path, "calls.0009.mcap.partial") || is(path, "calls.0010.mcap.partial"))
            .then_some(())
    })
    .await;
    drop(client);
    assert_eq!(stack.proxy.terminate().await, Some(0));
    let kept: Vec<PathBuf> = files(folder.path()).into_iter().collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(Tape::of(&kept).wholeness.is_whole());

    // One that is started again and again keeps no more than that, either.
    let upstream = stack.etcd.urls().remove(0);
    for _ in 0..3 {
        let mut proxy = record(Arguments::new().pair(&upstream)).start().await;
        assert_eq!(proxy.terminate().await, Some(0));
        assert!(files(folder.path()).len() <= 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_do_not_take_each_others_files() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("calls.mcap");
    let first = Arguments::new().flag("--record", &record);
    let mut stack = Setup::PLAIN_35.start_with(first).await;
    let second = Arguments::new().flag("--record", &record);
    let upstream = stack.etcd.urls().remove(0);
    let mut second = second.pair(&upstream).start().await;
    let said = second.errors.text();
    assert!(
        said.contains("calls.mcap.partial is being written by another process"),
        "{said}"
    );
    stack.client().await.put("/a", "1", None).await.unwrap();
    let client = etcd_client::Client::connect(second.urls("http"), None).await;
    client.unwrap().put("/b", "1", None).await.unwrap();
    assert_eq!(second.terminate().await, Some(0));
    assert_eq!(stack.proxy.terminate().await, Some(0));
    for (name, key) in [("calls.mcap", "/a"), ("calls.0001.mcap", "/b")] {
        let tape = Tape::of(&[folder.path().join(name)]);
        assert!(tape.wholeness.is_whole());
        assert_eq!(
            tape.whole_keys("Put").into_iter().collect::<Vec<_>>(),
            [key]
        );
    }
}
