//! A real etcd for the demonstration: alone, on loopback, gone afterwards.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fmt, io, thread};

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use crate::etcd::schema::etcdserverpb::StatusRequest;
use crate::etcd::schema::etcdserverpb::maintenance_client::MaintenanceClient;

const START_TIMEOUT: Duration = Duration::from_secs(15);
const LOG_LINES: usize = 12;
/// A port that was free a moment ago may be taken by now.
const ATTEMPTS: usize = 3;

/// A running etcd. Dropping it ends the process and removes its data.
#[derive(Debug)]
pub struct Etcd {
    // Before the folder: the process ends first.
    child: Child,
    folder: Folder,
    endpoint: String,
    version: String,
}

impl Etcd {
    /// Starts etcd and waits until it answers. Without a path, the `etcd` that
    /// `PATH` finds.
    pub async fn start(program: Option<&Path>) -> Result<Etcd, EtcdError> {
        let program = program.unwrap_or(Path::new("etcd"));
        let version = version_of(program).await?;
        let mut attempt = 1;
        loop {
            match Etcd::try_start(program, &version).await {
                Err(EtcdError::Ended { log, .. })
                    if attempt < ATTEMPTS && log.contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(program: &Path, version: &str) -> Result<Etcd, EtcdError> {
        let folder = Folder::create()?;
        let log = File::create(folder.log()).map_err(EtcdError::Folder)?;
        let errors = log.try_clone().map_err(EtcdError::Folder)?;
        let [client, peer] = free_ports()?;
        let client = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");

        let mut command = Command::new(program);
        command
            .arg("--name=etcdtap-demo")
            .arg(flag("--data-dir=", folder.path.join("data").as_os_str()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=etcdtap-demo={peer}"))
            .args(logging(version))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true);
        // etcd takes its flags from the environment too and refuses to start
        // when both name one. The exception is no flag: some processors need it.
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD_") && name != "ETCD_UNSUPPORTED_ARCH" {
                command.env_remove(name);
            }
        }
        let child = command
            .spawn()
            .map_err(|error| EtcdError::cannot_run(program, error))?;

        let mut etcd = Etcd {
            child,
            folder,
            endpoint: client,
            version: version.to_owned(),
        };
        etcd.wait_until_it_answers().await?;
        Ok(etcd)
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), EtcdError> {
        let channel = Endpoint::from_shared(self.endpoint.clone())
            .expect("a port on loopback is an endpoint")
            .connect_timeout(Duration::from_secs(1))
            .connect_lazy();
        let mut client = MaintenanceClient::new(channel);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().map_err(EtcdError::Process)? {
                let log = self.folder.log_tail();
                return Err(EtcdError::Ended { status, log });
            }
            // Without a leader it answers, but takes no writes yet.
            let asked = timeout(Duration::from_secs(1), client.status(StatusRequest {})).await;
            if let Ok(Ok(answer)) = asked
                && answer.get_ref().leader != 0
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let log = self.folder.log_tail();
                return Err(EtcdError::Silent { log });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where clients reach it, as `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its version, as `3.5.1`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It must be gone before its folder is, or it writes into it again.
        let _ = self.child.start_kill();
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                _ => break,
            }
        }
    }
}

/// Asks the program itself, which also tells whether there is one.
async fn version_of(program: &Path) -> Result<String, EtcdError> {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(START_TIMEOUT, asked).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(EtcdError::cannot_run(program, error)),
        Err(_) => return Err(EtcdError::NotEtcd(program.to_owned())),
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: "))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| EtcdError::NotEtcd(program.to_owned()))
}

/// Errors only, where etcd can be told so: since 3.4, which has two loggers.
fn logging(version: &str) -> &'static [&'static str] {
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match (major, minor) {
        (0..3, _) | (3, 0..4) => &[],
        (3, 4) => &["--logger=zap", "--log-outputs=stderr", "--log-level=error"],
        (3, 5..) | (4.., _) => &["--log-outputs=stderr", "--log-level=error"],
    }
}

fn flag(name: &str, value: &OsStr) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value);
    flag
}

/// Both are held until both are known, so that they differ.
fn free_ports() -> Result<[u16; 2], EtcdError> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).map_err(EtcdError::Ports);
    let port = |socket: TcpListener| {
        let address = socket.local_addr().map_err(EtcdError::Ports)?;
        Ok(address.port())
    };
    let (one, other) = (bind()?, bind()?);
    Ok([port(one)?, port(other)?])
}

/// A folder of our own that goes away with us.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> Result<Folder, EtcdError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let name = format!(
            "etcdtap-demo-{}-{}",
            std::process::id(),
            now.unwrap_or_default().as_nanos()
        );
        let path = env::temp_dir().join(name);
        // Fails when there is something by that name: nobody else's folder is
        // written to, and none is removed.
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(EtcdError::Folder)?;
        Ok(Folder { path })
    }

    fn log(&self) -> PathBuf {
        self.path.join("etcd.log")
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Why there is no etcd to show.
#[derive(Debug)]
pub enum EtcdError {
    /// There is no such program.
    NotFound(PathBuf),
    /// The program is not etcd.
    NotEtcd(PathBuf),
    /// The program cannot be run.
    CannotRun(PathBuf, io::Error),
    /// The temporary folder cannot be made or written to.
    Folder(io::Error),
    /// There are no free ports on loopback.
    Ports(io::Error),
    /// The process cannot be watched.
    Process(io::Error),
    /// It ended before it answered.
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// It runs and does not answer.
    Silent {
        /// The end of its log.
        log: String,
    },
}

impl EtcdError {
    fn cannot_run(program: &Path, error: io::Error) -> EtcdError {
        match error.kind() {
            io::ErrorKind::NotFound => EtcdError::NotFound(program.to_owned()),
            _ => EtcdError::CannotRun(program.to_owned(), error),
        }
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EtcdError::NotFound(program) if program == Path::new("etcd") => f.write_str(
                "there is no etcd on PATH, and the demo needs a real one. \
                 On Debian and Ubuntu: apt-get install etcd-server; elsewhere: a release from \
                 https://github.com/etcd-io/etcd/releases; or name the program with --etcd PATH",
            ),
            EtcdError::NotFound(program) => {
                write!(f, "there is no program at {}", program.display())
            }
            EtcdError::NotEtcd(program) => write!(
                f,
                "{} does not give an etcd version when it is run with --version; is it etcd?",
                program.display()
            ),
            EtcdError::CannotRun(program, error) => {
                write!(f, "{} cannot be run: {error}", program.display())
            }
            EtcdError::Folder(error) => write!(
                f,
                "no temporary folder in {} for etcd's data: {error}",
                env::temp_dir().display()
            ),
            EtcdError::Ports(error) => {
                write!(f, "no free port on 127.0.0.1 for etcd: {error}")
            }
            EtcdError::Process(error) => write!(f, "etcd cannot be watched: {error}"),
            EtcdError::Ended { status, log } => {
                write!(f, "etcd ended before it answered ({status})")?;
                write_log(f, log)
            }
            EtcdError::Silent { log } => {
                let seconds = START_TIMEOUT.as_secs();
                write!(f, "etcd runs, but was not ready within {seconds} s")?;
                write_log(f, log)
            }
        }
    }
}

fn write_log(f: &mut fmt::Formatter<'_>, log: &str) -> fmt::Result {
    if log.is_empty() {
        return f.write_str("; it logged nothing");
    }
    f.write_str("; the end of its log:\n")?;
    f.write_str(log)
}

impl std::error::Error for EtcdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EtcdError::CannotRun(_, error)
            | EtcdError::Folder(error)
            | EtcdError::Ports(error)
            | EtcdError::Process(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_the_flags_it_knows() {
        assert!(logging("3.3.27").is_empty());
        assert!(logging("main").is_empty());
        assert!(logging("3.4.23").contains(&"--logger=zap"));
        assert!(!logging("3.5.1").contains(&"--logger=zap"));
        assert!(logging("3.6.0-rc.1").contains(&"--log-level=error"));
        assert!(logging("4.0.0").contains(&"--log-level=error"));
    }

    #[test]
    fn a_folder_goes_away_with_its_owner() {
        let folder = Folder::create().expect("a folder");
        let path = folder.path.clone();
        fs::write(folder.log(), "one\ntwo\n").expect("a log");
        assert_eq!(folder.log_tail(), "one\ntwo");
        drop(folder);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_missing_program_is_said_to_be_missing() {
        let missing = Path::new("/no/such/etcd");
        let error = Etcd::start(Some(missing)).await.expect_err("no program");
        assert_eq!(error.to_string(), "there is no program at /no/such/etcd");

        let error = EtcdError::NotFound("etcd".into()).to_string();
        assert!(error.contains("apt-get install etcd-server"), "{error}");
        assert!(error.contains("--etcd PATH"), "{error}");
    }
}
