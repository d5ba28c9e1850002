//! An etcd's etcdtap is put in the place of one with faults, and what it and its
//! clients say of them is read.

use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, Error};
use tonic::Code;

use crate::live::etcdctl::{Etcdctl, Output};
use crate::live::log::Line;
use crate::live::patience::until;
use crate::live::proxy::{Arguments, Exit, program, run};
use crate::live::stack::{Stack, with_mtls};

/// Puts an etcdtap with this plan in front of etcd; the one before it ends.
pub async fn arm(stack: &mut Stack, plan: &str) {
    arm_with(stack, plan, Arguments::new()).await;
}

/// [`arm`], with more arguments.
pub async fn arm_with(stack: &mut Stack, plan: &str, mut arguments: Arguments) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.yaml");
    std::fs::write(&path, plan).unwrap();
    if let Some(pki) = &stack.etcd.pki {
        arguments = with_mtls(arguments, pki);
    }
    for upstream in stack.etcd.urls() {
        arguments = arguments.pair(&upstream);
    }
    stack.proxy = arguments.flag("--faults", &path).start().await;
}

/// `etcdtap fault`, towards an etcdtap that was armed with an admin API.
pub struct Switch {
    address: String,
    _dir: tempfile::TempDir,
}

/// [`arm`], with an admin API.
pub async fn arm_with_switch(stack: &mut Stack, plan: &str) -> Switch {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/admin", dir.path().display());
    arm_with(stack, plan, Arguments::new().flag("--admin", &address)).await;
    Switch { address, _dir: dir }
}

impl Switch {
    /// Runs `etcdtap fault` with the words of `line`.
    pub async fn fault(&self, line: &str) -> Exit {
        let words = ["fault"].into_iter().chain(line.split_whitespace());
        run(&mut program(words.chain(["--admin", &self.address]))).await
    }

    /// Waits until each fault has struck once.
    pub async fn all_have_struck(&self) {
        until("all faults have struck", async || {
            let listed = self.fault("list --json").await.stdout;
            let listed: serde_json::Value = serde_json::from_str(&listed).ok()?;
            let faults = listed["faults"].as_array()?;
            faults.iter().all(|fault| fault["hits"] == 1).then_some(())
        })
        .await;
    }
}

/// etcdctl through etcdtap, with the patience of somebody who waits for tests.
pub fn hasty(stack: &Stack) -> Etcdctl {
    stack.etcdctl().flag("--command-timeout", "700ms")
}

/// How long [`hasty`] waits for an answer, at least.
pub const HASTE: Duration = Duration::from_millis(650);

/// The Rust client through etcdtap, which gives up on each call after a while.
pub async fn client_with_patience(stack: &Stack, patience: Duration) -> Client {
    let mut options = ConnectOptions::new().with_timeout(patience);
    let mut scheme = "http";
    if let Some(pki) = &stack.etcd.pki {
        options = options.with_tls(pki.client_options());
        scheme = "https";
    }
    let urls = stack.proxy.urls(scheme);
    Client::connect(urls, Some(options)).await.unwrap()
}

/// What a run of something took.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let outcome = future.await;
    (outcome, began.elapsed())
}

/// The code and the text that the Rust client was given.
pub fn refused<T>(outcome: Result<T, Error>) -> (Code, String) {
    match outcome {
        Ok(_) => panic!("it went well"),
        Err(Error::GRpcStatus(status)) => (status.code(), status.message().to_owned()),
        Err(other) => panic!("no status: {other}"),
    }
}

/// How often etcdctl's library sent the call again after it failed.
pub fn failures(output: &Output) -> usize {
    let lines = output.stderr.lines();
    lines
        .filter(|line| line.contains("retrying of unary invoker failed"))
        .count()
}

/// Whether the call was struck by the fault with this name.
pub fn is_struck(line: &Line, name: &str) -> bool {
    did(line, name).is_some()
}

/// What the fault with this name did to a call.
pub fn did<'a>(line: &'a Line, name: &str) -> Option<&'a str> {
    let faults = line.0.get("fault")?.as_array()?;
    let fault = faults.iter().find(|fault| fault["name"] == name)?;
    fault["did"].as_str()
}

/// The finished calls that the fault with this name struck, once there are so
/// many; there may not be more.
pub async fn struck(stack: &Stack, name: &str, count: usize) -> Vec<Line> {
    let is = |line: &Line| line.is("call") && is_struck(line, name);
    let what = format!("a call that {name} struck");
    let lines = stack.proxy.log.wait_for_count(&what, count, is).await;
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

/// Like [`struck`], of one call.
pub async fn struck_once(stack: &Stack, name: &str) -> Line {
    struck(stack, name, 1).await.remove(0)
}
