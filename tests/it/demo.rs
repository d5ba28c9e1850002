//! `etcdtap demo`: without an etcd, with one, interrupted, and what it leaves behind.

use std::collections::HashSet;
use std::fs;
use std::process::Stdio;

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use etcdtap::etcd::schema::etcdserverpb::request_op::Request;
use etcdtap::etcd::schema::etcdserverpb::{RangeResponse, TxnRequest, WatchResponse};
use etcdtap::record::reader::{Item, Joined, Query, Recordings, Wants};
use etcdtap::record::redact::redacted_hash;
use etcdtap::record::traffic::{Book, Traffic};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::live::etcd::Version;
use crate::live::lines::Lines;
use crate::live::patience::soon;
use crate::redaction::beginnings;

const RECORDING: &str = "src/cli/demo/kube-apiserver.mcap";

/// A demo under way. It is killed with this value.
struct Demo {
    child: Child,
    out: Lines,
    errors: Lines,
    /// Where it may put files.
    folder: TempDir,
}

/// What a demo printed.
struct Printed {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Demo {
    /// Starts one that finds no etcd unless it is told of one.
    fn start(flags: &[&str]) -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
            .arg("demo")
            .args(flags)
            .env("PATH", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = Lines::follow(child.stdout.take().unwrap());
        let errors = Lines::follow(child.stderr.take().unwrap());
        Demo {
            child,
            out,
            errors,
            folder,
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().unwrap() as i32).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Waits for its end, at which it must have left nothing.
    async fn end(mut self) -> Printed {
        let status = self.child.wait().await.unwrap();
        self.out.wait_for_end().await;
        self.errors.wait_for_end().await;
        let left: Vec<_> = fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?} was left behind");
        Printed {
            code: status.code(),
            out: self.out.text(),
            errors: self.errors.text(),
        }
    }
}

/// The whole story, whatever etcd is behind it.
fn tells_the_story(out: &str) {
    let lines: Vec<&str> = out.lines().collect();
    let count = |has: &[&str]| {
        let all = |line: &&&str| has.iter().all(|word| line.contains(word));
        lines.iter().filter(all).count()
    };
    // The API server's start, its own calls and what comes of them.
    assert!(count(&["list_page", "secrets"]) >= 1, "{out}");
    assert!(count(&["count", "nodes"]) >= 1, "{out}");
    assert!(count(&["watch 0 created"]) >= 60, "{out}");
    assert!(count(&["create", "namespaces", "lab"]) >= 2, "{out}");
    assert!(count(&["▸ create", "pods lab/web-"]) == 12, "{out}");
    assert!(count(&[" delete ", "pods lab/web-", "ms "]) + count(&[" delete ", "µs "]) >= 10);
    // Faults strike one watch: three of ten deletions are lost, then it ends.
    let lost = [
        "▸ delete",
        "fault lost-deletes: event dropped",
        "never delivered",
    ];
    assert_eq!(count(&lost), 3, "{out}");
    assert_eq!(count(&["fault compacted: watch cancelled"]), 1, "{out}");
    assert_eq!(
        count(&["$ etcdtap fault add lost-deletes --watch drop_events"]),
        1
    );
    assert_eq!(
        count(&["etcd has 2 pods, and the API server's cache has 5"]),
        1,
        "{out}"
    );
    // It comes back by a list.
    assert_eq!(
        count(&["etcd has 2 pods, and so has the cache (2)"]),
        1,
        "{out}"
    );
    assert_eq!(
        count(&["/registry/pods/: 3 lost", "created anew after", "by a list"]),
        1,
        "{out}"
    );
    assert_eq!(count(&["3 events were never delivered"]), 1, "{out}");
    // The summary, and the end.
    assert_eq!(count(&["VERB", "RESOURCE", "CALLS"]), 1, "{out}");
    assert_eq!(count(&["connections: "]), 1, "{out}");
    assert_eq!(count(&["answers, each as it was recorded"]), 1, "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_etcd_a_recording_plays_it_and_the_story_is_told() {
    for flags in [&["--speed", "100"][..], &["--no-etcd", "--speed", "100"]] {
        let printed = Demo::start(flags).end().await;
        assert_eq!(printed.code, Some(0), "{}", printed.errors);
        assert_eq!(printed.errors, "");
        let out = &printed.out;
        assert!(
            out.contains("one is played back from the recording"),
            "{out}"
        );
        assert!(!out.contains('\u{1b}'), "a pipe gets no colours");
        tells_the_story(out);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_answers_as_it_was_recorded() {
    for (version, name) in [(Version::V3_4, "etcd 3.4."), (Version::V3_5, "etcd 3.5.")] {
        let program = version.etcd();
        let flags = ["--etcd", program.to_str().unwrap(), "--speed", "100"];
        let printed = Demo::start(&flags).end().await;
        assert_eq!(printed.code, Some(0), "{}", printed.errors);
        assert!(printed.out.contains(name), "{}", printed.out);
        tells_the_story(&printed.out);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_with_the_summary_of_what_was() {
    let etcd = Version::V3_5.etcd();
    let with_etcd = ["--etcd", etcd.to_str().unwrap()];
    for flags in [&["--no-etcd"][..], &with_etcd] {
        let demo = Demo::start(flags);
        demo.out
            .wait_for(|line| line.contains("watch 0 created"))
            .await;
        demo.interrupt();
        let printed = demo.end().await;
        assert_eq!(printed.code, Some(130), "{}", printed.errors);
        assert!(printed.out.contains("connections: "), "{}", printed.out);
        assert!(
            !printed.out.contains("as it was recorded"),
            "{}",
            printed.out
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_it_goes_on_until_ctrl_c() {
    let demo = Demo::start(&["--no-etcd", "--speed", "100", "--keep"]);
    let says = demo
        .out
        .wait_for(|line| line.starts_with("Both go on"))
        .await;
    let url = says
        .split(' ')
        .find(|word| word.starts_with("http"))
        .unwrap();
    let address = url.trim_start_matches("http://").to_owned();
    let etcdctl = crate::live::etcdctl::Etcdctl::of(Version::V3_5, &[address]);
    let keys = soon(
        "etcdctl's answer",
        etcdctl.run(["get", "--prefix", "--keys-only", "/registry/pods/"]),
    )
    .await
    .ok();
    assert_eq!(keys.matches("/registry/pods/lab/web-").count(), 2, "{keys}");
    demo.interrupt();
    let printed = demo.end().await;
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    tells_the_story(&printed.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_json_the_log_alone_is_on_standard_output() {
    let printed = Demo::start(&["--no-etcd", "--speed", "100", "--log", "json"])
        .end()
        .await;
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    let lines = printed
        .out
        .lines()
        .map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    let connections: HashSet<_> = lines.iter().map(|line| line["conn"].as_u64()).collect();
    assert!(connections.len() > 60, "as many as an API server has");
    let agents: HashSet<_> = lines
        .iter()
        .filter_map(|line| line["user_agent"].as_str())
        .collect();
    assert_eq!(agents, HashSet::from(["grpc-go/1.27.1"]), "as recorded");
    assert!(printed.errors.contains("3 events were never delivered"));
    assert!(printed.errors.contains("connections: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let address = taken.1.to_string();
    for (flags, code, says) in [
        (
            &["--no-etcd", "--listen", &address][..],
            1,
            "already in use",
        ),
        (&["--no-etcd", "--etcd", "/bin/etcd"], 2, "--etcd"),
        (
            &["--etcd", "/no/such/etcd"],
            1,
            "there is no program at /no/such/etcd",
        ),
        (&["--speed", "0"], 2, "--speed"),
        (&["--speed", "fast"], 2, "--speed"),
        (&["--log", "off"], 2, "--log"),
        (&["--log", "xml"], 2, "--log"),
    ] {
        let printed = Demo::start(flags).end().await;
        assert_eq!(printed.code, Some(code), "{flags:?}: {}", printed.errors);
        assert!(
            printed.errors.contains(says),
            "{flags:?}: {}",
            printed.errors
        );
        assert!(!printed.out.contains("watch"), "{flags:?}: {}", printed.out);
    }
}

/// Runs it on a pseudo-terminal; what that showed.
async fn on_a_terminal(no_color: Option<&str>) -> String {
    let program =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new("python3");
    command
        .args(["-c", program, env!("CARGO_BIN_EXE_etcdtap"), "demo"])
        .args(["--no-etcd", "--speed", "1000"])
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_colours_unless_it_wants_none() {
    assert!(on_a_terminal(None).await.contains("\u{1b}["));
    assert!(!on_a_terminal(Some("1")).await.contains("\u{1b}["));
}

#[test]
fn the_recording_is_whole_and_holds_no_secret() {
    let bytes = fs::read(RECORDING).unwrap();
    assert!(bytes.len() < 600 * 1024, "{} bytes", bytes.len());
    let tokens = AhoCorasick::new(beginnings()).unwrap();
    assert!(!tokens.is_match(&bytes));

    let recordings = Recordings::open(&[RECORDING.into()]).unwrap();
    let mut items = Joined::new(recordings.read(Query::all(Wants::ALL)), usize::MAX / 8);
    for item in items.by_ref() {
        let shown = match item.unwrap() {
            Item::Message(message) => message.data.to_vec(),
            Item::Part(part) => part.data.to_vec(),
            other => format!("{other:?}").into_bytes(),
        };
        assert!(!tokens.is_match(&shown), "a token is in it");
    }
    let wholeness = items.items().wholeness();
    assert!(wholeness.is_whole(), "{:?}", wholeness.sentence());

    let mut traffic = Traffic::of(recordings.read(Query::all(Wants::ALL)));
    let book = Book::read(&mut traffic).unwrap();
    let mut secrets = 0;
    let mut hidden = |kv_key: &[u8], value: &Bytes| {
        if !kv_key.starts_with(b"/registry/secrets/") || value.is_empty() {
            return;
        }
        secrets += 1;
        assert!(redacted_hash(value).is_some(), "a value was not hidden");
    };
    for call in &book.calls {
        let Some(request) = &call.request else {
            continue;
        };
        for op in request.decode::<TxnRequest>().unwrap_or_default().success {
            if let Some(Request::RequestPut(put)) = op.request {
                hidden(&put.key, &put.value);
            }
        }
        let answer = call.response.as_ref();
        let listed = answer.and_then(|answer| answer.decode::<RangeResponse>());
        for kv in listed.unwrap_or_default().kvs {
            hidden(&kv.key, &kv.value);
        }
    }
    for stream in &book.streams {
        for (_, said) in &stream.messages {
            for event in said.decode::<WatchResponse>().unwrap_or_default().events {
                for kv in event.kv.into_iter().chain(event.prev_kv) {
                    hidden(&kv.key, &kv.value);
                }
            }
        }
    }
    assert_eq!(secrets, 2 * 5, "five were written, and told on a watch");
}
