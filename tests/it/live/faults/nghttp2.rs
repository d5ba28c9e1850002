//! nghttp2, a strict peer that knows nothing of gRPC: what it receives, frame by
//! frame, and whether it has anything against it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::arm::{arm, struck};
use super::objects::Truth;
use crate::live::patience::soon;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    it_receives_what_was_meant: MTLS_34, PLAIN_35;
    under_load_no_call_is_lost_from_the_books: PLAIN_34, PLAIN_35;
}

/// A tool of Debian's `nghttp2-client`. Without it there is no test, but for CI,
/// where it has to be.
fn tool(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = found.find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no {name}: install nghttp2-client"
        );
        eprintln!("skipped: there is no {name}; install nghttp2-client");
    }
    let mut command = Command::new(found?);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Some(command)
}

/// A Put of one byte, as gRPC frames it.
fn put(folder: &Path, key: &str) -> PathBuf {
    let mut message = vec![0x0a, key.len() as u8];
    message.extend(key.as_bytes());
    message.extend([0x12, 1, b'1']);
    let mut file = vec![0];
    file.extend((message.len() as u32).to_be_bytes());
    file.extend(message);
    let path = folder.join("put");
    std::fs::write(&path, file).unwrap();
    path
}

/// What is received on the only stream after the head of the answer, in order:
/// fields, DATA, a reset, and where it ends.
fn received(output: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in output.lines() {
        if let Some((_, frame)) = line.split_once("] recv ") {
            let field = frame.strip_prefix("(stream_id=");
            if let Some((_, field)) = field.and_then(|field| field.split_once(") ")) {
                // Some of etcd's answers have an empty message, others none.
                let counts = !HEAD.iter().any(|head| field.starts_with(head));
                if counts && field != "grpc-message: " {
                    frames.push(field.to_owned());
                }
            } else if frame.starts_with("RST_STREAM") {
                frames.push("RST_STREAM".to_owned());
            } else if let Some(length) = frame.strip_prefix("DATA frame <length=") {
                let (length, _) = length.split_once(',').unwrap();
                frames.push(format!("DATA {length}"));
            }
            continue;
        }
        // Before anything was received it is the request's end.
        let Some(last) = frames.last_mut() else {
            continue;
        };
        if line.contains("; END_STREAM") {
            last.push_str(" END");
        } else if let Some((_, code)) = line.split_once("(error_code=")
            && last == "RST_STREAM"
        {
            let (code, _) = code.split_once('(').unwrap();
            *last = format!("RST_STREAM {code}");
        }
    }
    frames
}

const PLAN: &str = "faults:
  - {name: error, match: {key_prefix: /e/}, action: {error: no-leader}}
  - {name: refused, match: {key_prefix: /r/}, action: {reset: {at: request}}}
  - {name: crashed, match: {key_prefix: /h/}, action: {reset: {at: head}}}
  - {name: torn, match: {key_prefix: /m/}, action: {reset: {at: message, code: CANCEL, after: 7}}}
  - {name: short, match: {key_prefix: /c/}, action: {cut_short: {after: 7}}}
  - {name: endless, match: {key_prefix: /d/}, action: {cut_short: {after: 7, end: end-stream}}}
  - {name: late, match: {key_prefix: /l/}, action: {delay: {response: 100ms}}}
  - {name: lost, match: {key_prefix: /o/}, action: lose_reply}
  - {name: broken, match: {key_prefix: /b/}, action: {lose_reply: {reset: INTERNAL_ERROR}}}
  - {name: slow, match: {key_prefix: /s/}, action: {rate: {bytes_per_second: 200}}}
  - {name: twice, match: {key_prefix: /t/}, action: {duplicate: {client_sees: second}}}
";

/// The head of an answer. Over TLS etcd answers through Go's own HTTP server,
/// which says more.
const HEAD: [&str; 4] = [":status", "content-type", "access-control-", "trailer"];

/// The fault, its key, what is received after `:status` and `content-type`, and
/// how often etcd has written the key then.
const CASES: [(&str, &str, &[&str], i64); 11] = [
    (
        "error",
        "/e/a",
        &["grpc-status: 14", "grpc-message: etcdserver: no leader END"],
        0,
    ),
    ("refused", "/r/a", &["RST_STREAM REFUSED_STREAM"], 0),
    ("crashed", "/h/a", &["RST_STREAM INTERNAL_ERROR"], 1),
    ("torn", "/m/a", &["DATA 7", "RST_STREAM CANCEL"], 1),
    ("short", "/c/a", &["DATA 7", "grpc-status: 0 END"], 1),
    ("endless", "/d/a", &["DATA 7", "DATA 0 END"], 1),
    ("late", "/l/a", &["DATA", "grpc-status: 0 END"], 1),
    (
        "lost",
        "/o/a",
        &[
            "grpc-status: 14",
            "grpc-message: etcdserver: request timed out END",
        ],
        1,
    ),
    ("broken", "/b/a", &["RST_STREAM INTERNAL_ERROR"], 1),
    ("slow", "/s/a", &["DATA", "grpc-status: 0 END"], 1),
    ("twice", "/t/a", &["DATA", "grpc-status: 0 END"], 2),
];

async fn it_receives_what_was_meant(mut stack: Stack) {
    let folder = tempfile::tempdir().unwrap();
    for manners in [
        &[][..],
        &["--padding=100", "--continuation", "--header-table-size=0"],
    ] {
        arm(&mut stack, PLAN).await;
        let mut truth = Truth::of(&stack).await;
        let before = truth.revision().await;
        let mut writes = 0;
        for (name, key, expected, executions) in CASES {
            let Some(mut nghttp) = tool("nghttp") else {
                return;
            };
            nghttp.args(["-nv", "-t", "20", "-H:method: POST", "-Hte: trailers"]);
            nghttp.arg("-Hcontent-type: application/grpc").args(manners);
            let mut scheme = "http";
            if let Some(pki) = &stack.etcd.pki {
                nghttp.arg("--cert").arg(pki.client_cert());
                nghttp.arg("--key").arg(pki.client_key());
                scheme = "https";
            }
            nghttp.arg("-d").arg(put(folder.path(), key));
            nghttp.arg(format!(
                "{}/etcdserverpb.KV/Put",
                stack.proxy.urls(scheme)[0]
            ));
            let output = soon("nghttp", nghttp.output()).await.unwrap();
            let output = String::from_utf8_lossy(&output.stdout).into_owned();

            let told = received(&output);
            // Only how long a whole answer is differs, and in how many pieces a
            // slow one comes.
            let mut told: Vec<&str> = told
                .iter()
                .map(|frame| match frame.strip_prefix("DATA ") {
                    Some(_) if expected.contains(&"DATA") => "DATA",
                    _ => frame.as_str(),
                })
                .collect();
            told.dedup_by(|a, b| a == b && *a == "DATA");
            assert_eq!(told, expected, "{name}:\n{output}");

            // It found nothing wrong, and left of its own accord.
            for wrong in [
                "[ERROR]",
                "PROTOCOL_ERROR",
                "FLOW_CONTROL",
                "COMPRESSION",
                "recv GOAWAY",
            ] {
                assert!(!output.contains(wrong), "{name}:\n{output}");
            }
            let (_, left) = output.rsplit_once("send GOAWAY").unwrap();
            assert!(left.contains("error_code=NO_ERROR"), "{name}:\n{output}");
            writes += executions;
            struck(&stack, name, 1).await;
            assert_eq!(truth.revision().await, before + writes, "{name}");
        }
    }
}

async fn under_load_no_call_is_lost_from_the_books(mut stack: Stack) {
    let plan = "faults:
      - {name: refused, action: {error: too-many-requests}, every: 4}
      - {name: unprocessed, action: {reset: {at: request}}, every: 5}
      - {name: twice, action: duplicate, every: 10}
      - {name: late, action: {delay: {response: {uniform: {from: 1ms, to: 20ms}}}}, every: 2}
      - {name: lost, action: lose_reply, every: 3}
      - {name: crashed, action: {reset: {at: head}}, every: 4}
      - {name: narrow, action: {rate: {bytes_per_second: 1MiB}}, every: 2}";
    arm(&mut stack, plan).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut h2load) = tool("h2load") else {
        return;
    };
    h2load.args(["-n", "1000", "-c", "4", "-m", "32", "-Hte: trailers"]);
    h2load.arg("-Hcontent-type: application/grpc");
    h2load.arg("-d").arg(put(folder.path(), "/load"));
    h2load.arg(format!(
        "{}/etcdserverpb.KV/Put",
        stack.proxy.urls("http")[0]
    ));
    let output = soon("h2load", h2load.output()).await.unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    // Its counts: a fault counts the calls that were left for it to decide.
    let refused = 1000 / 4;
    let unprocessed = (1000 - refused) / 5;
    let executed = 1000 - refused - unprocessed;
    let twice = executed / 10;
    let lost = executed / 3;
    let crashed = (executed - lost) / 4;
    let broken = unprocessed + crashed;
    let told = format!(
        "requests: 1000 total, 1000 started, 1000 done, {} succeeded, {broken} failed, \
         {broken} errored, 0 timeout",
        1000 - broken
    );
    assert!(output.contains(&told), "{told}\n{output}");
    for (name, count) in [
        ("refused", refused),
        ("unprocessed", unprocessed),
        ("twice", twice),
        ("late", executed / 2),
        ("lost", lost),
        ("crashed", crashed),
        ("narrow", executed / 2),
    ] {
        struck(&stack, name, count).await;
    }
    let mut truth = Truth::of(&stack).await;
    let writes = (executed + twice) as i64;
    crate::live::patience::until("every write is there", async || {
        (truth.version("/load").await?.1 == writes).then_some(())
    })
    .await;
}
