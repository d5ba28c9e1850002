//! etcdctl, as an administrator runs it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::certs::Pki;
use super::etcd::Version;
use super::lines::Lines;
use super::patience::soon;

/// An etcdctl with its endpoints and its identity.
#[derive(Debug, Clone)]
pub struct Etcdctl {
    program: PathBuf,
    flags: Vec<OsString>,
}

/// What a run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a run that must have gone well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "etcdctl failed: {}", self.stderr);
        self.stdout
    }

    /// The sentence that says why the run failed. etcdctl also prints its
    /// client library's log, which has times and addresses in it.
    pub fn error(&self) -> &str {
        let mut lines = self.stderr.lines().rev();
        lines.find(|line| line.starts_with("Error: ")).unwrap_or("")
    }
}

impl Etcdctl {
    /// One that talks to these URLs.
    pub fn of(version: Version, urls: &[String]) -> Etcdctl {
        Etcdctl {
            program: version.etcdctl(),
            flags: vec![format!("--endpoints={}", urls.join(",")).into()],
        }
    }

    /// With a client certificate.
    pub fn tls(self, pki: &Pki) -> Etcdctl {
        self.trusting(pki)
            .flag("--cert", pki.client_cert())
            .flag("--key", pki.client_key())
    }

    /// Trusting the CA, without a certificate of its own.
    pub fn trusting(self, pki: &Pki) -> Etcdctl {
        self.flag("--cacert", pki.ca())
    }

    /// With a name and a password, `name:password`.
    pub fn user(self, user: &str) -> Etcdctl {
        self.flag("--user", user)
    }

    /// With another flag.
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Etcdctl {
        let mut flag = OsString::from(name);
        flag.push("=");
        flag.push(value.into());
        self.flags.push(flag);
        self
    }

    /// Runs a command to its end.
    pub async fn run<'a>(&self, command: impl IntoIterator<Item = &'a str>) -> Output {
        let output = soon("etcdctl", self.command(command).output()).await;
        let output = output.unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command with something on its standard input.
    pub async fn run_with_input<'a>(
        &self,
        command: impl IntoIterator<Item = &'a str>,
        input: &[u8],
    ) -> Output {
        // A file, so that nobody has to feed it.
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, input).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut command = self.command(command);
        let output = soon("etcdctl", command.stdin(Stdio::from(file)).output()).await;
        let output = output.unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a command that does not end of its own.
    pub fn spawn<'a>(&self, command: impl IntoIterator<Item = &'a str>) -> Ongoing {
        let mut command = self.command(command);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        Ongoing {
            output: Lines::follow(child.stdout.take().unwrap()),
            child,
        }
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.flags)
            .args(arguments)
            .env_clear()
            .env("ETCDCTL_API", "3")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// An etcdctl that goes on until it is killed.
#[derive(Debug)]
pub struct Ongoing {
    /// What it prints.
    pub output: Lines,
    child: Child,
}

impl Ongoing {
    /// Types a line into it.
    pub async fn type_line(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        input.flush().await.unwrap();
    }

    /// Ends it without giving it a chance to say goodbye.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
