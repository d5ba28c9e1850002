//! The built program, running.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::lines::Lines;
use super::log::Log;
use super::patience::soon;

/// A running `etcdtap proxy`. It is killed with this value.
pub struct Proxy {
    /// Where it listens, in the order of its `--listen` flags.
    pub addresses: Vec<SocketAddr>,
    /// Its call log, unless a test sent that elsewhere.
    pub log: Log,
    /// Its diagnostics.
    pub errors: Lines,
    child: Child,
    _dir: TempDir,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The arguments of `etcdtap proxy`, being put together.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    list: Vec<OsString>,
    listeners: usize,
    log_elsewhere: bool,
}

impl Arguments {
    /// None yet.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    /// A listener on a free port, and its upstream.
    pub fn pair(self, upstream: &str) -> Arguments {
        self.pair_at(SocketAddr::from(([127, 0, 0, 1], 0)), upstream)
    }

    /// A listener at an address, and its upstream.
    pub fn pair_at(mut self, listen: SocketAddr, upstream: &str) -> Arguments {
        self.listeners += 1;
        self.flag("--listen", listen.to_string())
            .flag("--upstream", upstream)
    }

    /// A flag with a value.
    pub fn flag(mut self, name: &str, value: impl AsRef<OsStr>) -> Arguments {
        self.list.push(name.into());
        self.list.push(value.as_ref().into());
        self
    }

    /// A flag without one.
    pub fn switch(mut self, name: &str) -> Arguments {
        self.list.push(name.into());
        self
    }

    /// The call log goes somewhere else than into the harness's own file.
    pub fn log_file(mut self, path: &Path) -> Arguments {
        self.log_elsewhere = true;
        self.flag("--log-file", path)
    }

    /// Starts it and waits until it listens everywhere.
    pub async fn start(self) -> Proxy {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("calls.json");
        let mut command = program(["proxy", "--log", "json"]);
        if !self.log_elsewhere {
            command.arg("--log-file").arg(&log);
        }
        let mut child = command
            .args(&self.list)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = Lines::follow(child.stderr.take().unwrap());
        let mut addresses = Vec::new();
        while addresses.len() < self.listeners {
            let known = addresses.clone();
            let line = errors
                .wait_for(|line| listening(line).is_some_and(|address| !known.contains(&address)));
            addresses.extend(listening(&line.await));
        }
        Proxy {
            addresses,
            log: Log::at(&log),
            errors,
            child,
            _dir: dir,
        }
    }

    /// Runs it to its end, for arguments that it must refuse.
    pub async fn run(&self) -> Exit {
        let mut command = program(["proxy"]);
        run(command.args(&self.list)).await
    }
}

/// The address in a line that says where it listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || "[]:.".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// The program with arguments, away from whatever the environment sets.
pub fn program<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcdtap"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCDTAP_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command of the program to its end.
pub async fn run(command: &mut Command) -> Exit {
    let output = soon("the program's end", command.output()).await.unwrap();
    Exit {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Proxy {
    /// The only address, or the first.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The addresses as URLs.
    pub fn urls(&self, scheme: &str) -> Vec<String> {
        let addresses = self.addresses.iter();
        addresses.map(|a| format!("{scheme}://{a}")).collect()
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the program runs")
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; its exit code, or `None` if a signal ended it.
    pub async fn wait(&mut self) -> Option<i32> {
        let status = soon("the proxy's end", self.child.wait()).await.unwrap();
        self.errors.wait_for_end().await;
        status.code()
    }

    /// Asks it to end, and waits; its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().await
    }

    /// A figure of its process status in KiB, like `VmHWM` (the most memory it
    /// ever held).
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure));
        let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok()).unwrap()
    }
}

#[test]
fn the_harness_reads_the_listening_line() {
    let address = |line| listening(line).map(|address| address.to_string());
    let four = address("2026-01-01T00:00:00Z  INFO etcdtap: listening on 127.0.0.1:4 upstream=x");
    assert_eq!(four.as_deref(), Some("127.0.0.1:4"));
    assert_eq!(
        address("listening on [::1]:5, towards"),
        Some("[::1]:5".to_owned())
    );
    assert_eq!(
        address("INFO listening on 127.0.0.1:65535"),
        Some("127.0.0.1:65535".to_owned())
    );
    assert_eq!(address("INFO not yet"), None);
}
