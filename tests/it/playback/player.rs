//! `etcdtap playback`, running.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::live::etcd::Version;
use crate::live::etcdctl::Etcdctl;
use crate::live::lines::Lines;
use crate::live::patience::soon;

/// A running playback. It is killed with this value.
pub struct Player {
    pub url: String,
    pub errors: Lines,
    child: Child,
}

impl Player {
    /// Starts one on a free port.
    pub async fn start(recording: &Path, flags: &[&str]) -> Player {
        let mut child = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
            .arg("playback")
            .arg(recording)
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let errors = Lines::follow(child.stderr.take().unwrap());
        let line = errors.wait_for(|line| line.contains("listening on")).await;
        let address = line.split("listening on ").nth(1).unwrap();
        let address = address.split(": ").next().unwrap();
        Player {
            url: format!("http://{address}"),
            errors,
            child,
        }
    }

    /// With the scheme in its endpoint, which etcdctl 3.4 sends as a part of `:authority`
    /// to some services.
    pub fn etcdctl(&self, version: Version) -> Etcdctl {
        Etcdctl::of(version, std::slice::from_ref(&self.url))
    }

    /// Ends it as Ctrl-C does, and takes what it said.
    pub async fn end(self) -> String {
        self.end_with(0).await
    }

    /// The same, of one that ends with this code.
    pub async fn end_with(mut self, code: i32) -> String {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = soon("the playback's end", self.child.wait()).await.unwrap();
        self.errors.wait_for_end().await;
        assert_eq!(status.code(), Some(code), "{}", self.errors.text());
        self.errors.text()
    }
}
