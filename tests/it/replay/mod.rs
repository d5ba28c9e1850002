//! Recordings driven again, against real etcds.

mod captures;
mod ended;
mod free;
mod made;
mod secured;
mod snapshot;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use etcd_client::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;

use crate::live::etcd::Etcd;
use crate::live::patience::{soon, until};
use crate::pcap;

/// A capture as a recording, in a folder of its own.
pub struct Recorded {
    pub folder: tempfile::TempDir,
}

impl Recorded {
    pub async fn of_capture(name: &str) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("etcd.pcap");
        std::fs::write(&file, pcap::unpacked(name)).unwrap();
        let recorded = Recorded { folder };
        let (_, errors, code) = etcdtap(&[
            "import",
            file.to_str().unwrap(),
            "-o",
            recorded.path().to_str().unwrap(),
        ])
        .await;
        assert_eq!(code, Some(0), "{errors}");
        recorded
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("calls.mcap")
    }

    /// Drives it in order; the report, what was said on standard error, the exit code.
    pub async fn replay(&self, target: &str, flags: &[&str]) -> (Value, String, Option<i32>) {
        replay(&self.path(), target, flags).await
    }
}

/// In order, each answer compared.
pub async fn replay(file: &Path, target: &str, flags: &[&str]) -> (Value, String, Option<i32>) {
    let flags: Vec<&str> = ["--compare"].iter().chain(flags).copied().collect();
    run(file, target, &flags).await
}

/// As the flags say.
pub async fn run(file: &Path, target: &str, flags: &[&str]) -> (Value, String, Option<i32>) {
    let mut args = vec![
        "replay",
        file.to_str().unwrap(),
        "--target",
        target,
        "--json",
    ];
    args.extend(flags);
    let (output, errors, code) = etcdtap(&args).await;
    let report = serde_json::from_str(&output).unwrap_or(Value::Null);
    (report, errors, code)
}

pub async fn etcdtap(args: &[&str]) -> (String, String, Option<i32>) {
    etcdtap_with(args, &[]).await
}

/// With something in its environment.
pub async fn etcdtap_with(
    args: &[&str],
    environment: &[(&str, &str)],
) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("etcdtap runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

/// Compared and equal, in its own or in the target's numbers.
pub fn alike(report: &Value, what: &str) -> u64 {
    let row = &report["compared"][what];
    row["equal"].as_u64().unwrap_or(0) + row["up_to_numbering"].as_u64().unwrap_or(0)
}

/// Ctrl-C, once a drive has brought the target to a revision; what it printed then.
pub async fn interrupted(
    recorded: &Recorded,
    etcd: &Etcd,
    revision: i64,
    flags: &[&str],
) -> Output {
    let mut client = Client::connect(etcd.urls(), None).await.unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .arg("replay")
        .arg(recorded.path())
        .args(["--target", &etcd.urls()[0]])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("some of it is driven", async || {
        let got = client.get("compact_rev_key", None).await.ok()?;
        (got.header()?.revision() > revision).then_some(())
    })
    .await;
    let pid = Pid::from_raw(child.id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = soon("the report", child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output
}
