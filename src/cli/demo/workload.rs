//! What an API server does to etcd in a few quiet seconds, step by step.
//!
//! Every answer is checked. A demonstration over a proxy that changed or lost
//! something would fail here.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use crate::etcd::schema::mvccpb::event::EventType;

mod api_server;
mod objects;
mod pod_watch;

pub use objects::PASSWORD;

use api_server::{ApiServer, Outcome, connect};
use pod_watch::PodWatch;

const NAMESPACE: &str = "shop";
const CONFIG_MAPS: usize = 32;
const PAGE: i64 = 10;
const PODS: &str = "/registry/pods/";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadReport {
    /// Calls, the watch included.
    pub calls: u32,
    /// Transactions that wrote.
    pub writes: u32,
    /// Events that the watch told of.
    pub watch_events: u32,
    /// The revision of the first write.
    pub first_revision: i64,
    /// The revision of the last write.
    pub last_revision: i64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Drives the workload through `endpoint` (`http://HOST:PORT`), which leads to
/// an etcd without data of its own. `progress` hears of each step as it begins.
pub async fn run(
    endpoint: &str,
    progress: impl FnMut(&str) + Send,
) -> Result<WorkloadReport, WorkloadError> {
    let start = Instant::now();
    let mut workload = Workload {
        api: ApiServer::new(connect(endpoint).await?),
        progress,
    };
    let first_revision = workload.start_up().await?;
    workload.config_maps().await?;

    workload.step("watch the pods, on a connection of its own");
    let pods = workload.api.list(PODS, PODS.into(), 500, 0).await?;
    let mut watch = PodWatch::open(connect(endpoint).await?, PODS, pods.revision + 1).await?;
    pause().await;

    let [web_0, web_1] = workload.pods(&mut watch).await?;
    workload.conflict(web_0).await?;
    workload.secret_and_custom_resource().await?;
    let pinned = workload.list_in_pages().await?;
    workload.leases().await?;

    workload.step("ask the watch how far it is");
    let seen = watch.progress().await?;
    ensure(seen >= web_1, || {
        format!("the watch is at {seen} and has told of {web_1}")
    })?;
    pause().await;

    workload.delete_pod(&mut watch, web_1).await?;
    workload.step("cancel the watch");
    let watch_events = watch.cancel().await?;
    pause().await;

    workload.compact(pinned).await?;
    Ok(WorkloadReport {
        calls: workload.api.calls + 1,
        writes: workload.api.writes,
        watch_events,
        first_revision,
        last_revision: workload.api.revision,
        elapsed: start.elapsed(),
    })
}

struct Workload<P> {
    api: ApiServer,
    progress: P,
}

impl<P: FnMut(&str) + Send> Workload<P> {
    fn step(&mut self, what: &str) {
        (self.progress)(what);
    }

    async fn start_up(&mut self) -> Result<i64, WorkloadError> {
        const IP: &str = "10.0.0.1";

        self.step("start up: ask for health, take a lease, create namespaces");
        let health = self.api.get("/registry/health").await?;
        ensure(health.is_none(), || {
            "this etcd already holds /registry/health; the demo wants one without data".to_owned()
        })?;
        let lease = self.api.grant(15).await?;
        let key = format!("/registry/masterleases/{IP}");
        let value = objects::master_lease(IP);
        let first = self.api.create(&key, value, lease).await?;
        for name in ["default", "kube-system", NAMESPACE] {
            let key = format!("/registry/namespaces/{name}");
            self.api.create(&key, objects::namespace(name), 0).await?;
            pause().await;
        }
        Ok(first)
    }

    async fn config_maps(&mut self) -> Result<(), WorkloadError> {
        self.step("create 32 configmaps");
        for number in 0..CONFIG_MAPS {
            let name = format!("settings-{number:02}");
            let value = objects::config_map(NAMESPACE, &name);
            self.api.create(&config_map_key(&name), value, 0).await?;
            pause().await;
        }
        Ok(())
    }

    /// Two pods run; the revisions they were last changed at.
    async fn pods(&mut self, watch: &mut PodWatch) -> Result<[i64; 2], WorkloadError> {
        self.step("create two pods and run them; the watch tells of each change");
        let mut running = [0; 2];
        for (number, running) in running.iter_mut().enumerate() {
            let name = format!("web-{number}");
            let key = pod_key(&name);
            let pending = objects::pod(NAMESPACE, &name, "Pending", None);
            let created = self.api.create(&key, pending, 0).await?;
            watch.expect(EventType::Put, &key, created).await?;
            pause().await;

            let value = objects::pod(NAMESPACE, &name, "Running", Some("node-1"));
            let outcome = self.api.update(&key, value, created).await?;
            *running = written(&key, outcome)?;
            watch.expect(EventType::Put, &key, *running).await?;
            pause().await;
        }
        Ok(running)
    }

    async fn conflict(&mut self, revision: i64) -> Result<(), WorkloadError> {
        self.step("update a pod from a stale copy: a conflict, and nothing is written");
        let key = pod_key("web-0");
        let value = objects::pod(NAMESPACE, "web-0", "Failed", Some("node-1"));
        match self.api.update(&key, value, revision - 1).await? {
            Outcome::Conflict(Some(kv)) if kv.mod_revision == revision => {}
            other => {
                return Err(WorkloadError::Unexpected(format!(
                    "a stale update of {key} ended as {other:?}"
                )));
            }
        }
        pause().await;
        Ok(())
    }

    async fn secret_and_custom_resource(&mut self) -> Result<(), WorkloadError> {
        self.step("create and read a secret and a custom resource");
        let secret = format!("/registry/secrets/{NAMESPACE}/database");
        let cron_tab = format!("/registry/stable.example.com/crontabs/{NAMESPACE}/nightly");
        for (key, value) in [
            (secret, objects::secret(NAMESPACE, "database")),
            (cron_tab, objects::cron_tab(NAMESPACE, "nightly")),
        ] {
            let revision = self.api.create(&key, value.clone(), 0).await?;
            pause().await;
            let kv = self.api.get(&key).await?;
            ensure(
                kv.is_some_and(|kv| kv.value == value && kv.mod_revision == revision),
                || format!("{key} does not read as it was written"),
            )?;
            pause().await;
        }
        Ok(())
    }

    /// The revision that the list was read at.
    async fn list_in_pages(&mut self) -> Result<i64, WorkloadError> {
        self.step("list the configmaps, ten a page, all of one revision");
        let prefix = config_map_key("");
        let mut page = self
            .api
            .list(&prefix, prefix.clone().into(), PAGE, 0)
            .await?;
        let pinned = page.revision;
        ensure(page.count == CONFIG_MAPS as i64, || {
            format!(
                "a page tells of {} configmaps, not {CONFIG_MAPS}",
                page.count
            )
        })?;
        let mut listed = page.kvs.len();
        while let (true, Some(last)) = (page.more, page.kvs.last()) {
            // The next key there can be.
            let from: Bytes = [&last.key[..], b"\0"].concat().into();
            pause().await;
            page = self.api.list(&prefix, from, PAGE, pinned).await?;
            listed += page.kvs.len();
            ensure(!page.kvs.is_empty() || !page.more, || {
                format!("a page of {prefix} is empty, and more is to come")
            })?;
        }
        ensure(listed == CONFIG_MAPS, || {
            format!("{listed} configmaps were listed of {CONFIG_MAPS}")
        })?;

        self.step("count them");
        let count = self.api.count(&prefix).await?;
        ensure(count == CONFIG_MAPS as i64, || {
            format!("{count} configmaps were counted of {CONFIG_MAPS}")
        })?;
        pause().await;
        Ok(pinned)
    }

    async fn leases(&mut self) -> Result<(), WorkloadError> {
        self.step("renew a node's heartbeat");
        let key = "/registry/leases/kube-node-lease/node-1";
        let value = objects::node_lease("node-1");
        let created = self.api.create(key, value, 0).await?;
        pause().await;
        let value = objects::node_lease("node-1");
        let outcome = self.api.update(key, value, created).await?;
        written(key, outcome)?;
        pause().await;

        self.step("store an event on a lease, keep the lease alive, revoke it");
        let lease = self.api.grant(3600).await?;
        let name = "web-0.18a4c27d5c0e91f3";
        let key = format!("/registry/events/{NAMESPACE}/{name}");
        let value = objects::event(NAMESPACE, name, "web-0");
        self.api.create(&key, value, lease).await?;
        pause().await;
        let ttl = self.api.keep_alive(lease).await?;
        ensure(ttl == 3600, || {
            format!("a lease of 3600 s was renewed to {ttl} s")
        })?;
        pause().await;
        self.api.revoke(lease).await?;
        ensure(self.api.get(&key).await?.is_none(), || {
            format!("{key} is there, though its lease was revoked")
        })?;
        pause().await;
        Ok(())
    }

    async fn delete_pod(
        &mut self,
        watch: &mut PodWatch,
        revision: i64,
    ) -> Result<(), WorkloadError> {
        self.step("delete a pod");
        let key = pod_key("web-1");
        let outcome = self.api.delete(&key, revision).await?;
        let deleted = written(&key, outcome)?;
        watch.expect(EventType::Delete, &key, deleted).await?;
        pause().await;
        Ok(())
    }

    async fn compact(&mut self, revision: i64) -> Result<(), WorkloadError> {
        self.step("compact the history; what is older cannot be read any more");
        let outcome = self.api.claim_compaction(0).await?;
        written("compact_rev_key", outcome)?;
        self.api.compact(revision).await?;
        pause().await;
        self.api
            .read_compacted(&pod_key("web-0"), revision - 1)
            .await
    }
}

fn pod_key(name: &str) -> String {
    format!("{PODS}{NAMESPACE}/{name}")
}

fn config_map_key(name: &str) -> String {
    format!("/registry/configmaps/{NAMESPACE}/{name}")
}

/// For the eye: whoever reads the trace sees one line come after another.
async fn pause() {
    sleep(Duration::from_millis(30)).await;
}

fn written(key: &str, outcome: Outcome) -> Result<i64, WorkloadError> {
    match outcome {
        Outcome::Written(revision) => Ok(revision),
        Outcome::Conflict(_) => Err(WorkloadError::Unexpected(format!(
            "somebody else changed {key} meanwhile"
        ))),
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), WorkloadError> {
    match holds {
        true => Ok(()),
        false => Err(WorkloadError::Unexpected(otherwise())),
    }
}

/// Why the workload did not come to its end.
#[derive(Debug)]
pub enum WorkloadError {
    /// There is no connection.
    Connect {
        /// Where to.
        endpoint: String,
        /// Why not.
        error: tonic::transport::Error,
    },
    /// A call failed.
    Call {
        /// What it was for.
        what: String,
        /// How it ended.
        status: Box<tonic::Status>,
    },
    /// Something did not come in time.
    Late(String),
    /// etcd, or something on the way, did not do as etcd does.
    Unexpected(String),
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadError::Connect { endpoint, error } => {
                write!(f, "no connection to {endpoint}: {}", innermost(error))
            }
            WorkloadError::Call { what, status } => {
                write!(
                    f,
                    "{what} failed: {:?}: {}",
                    status.code(),
                    status.message()
                )
            }
            WorkloadError::Late(what) => write!(f, "waited in vain for {what}"),
            WorkloadError::Unexpected(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for WorkloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WorkloadError::Connect { error, .. } => Some(error),
            WorkloadError::Call { status, .. } => Some(status),
            _ => None,
        }
    }
}

/// "Connection refused", not "transport error".
fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_connection_is_said_with_its_cause() {
        // Bound and not listened on: refuses.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a port");
        let address = socket.local_addr().expect("an address");
        let port = address.as_socket().expect("an IP address").port();

        let endpoint = format!("http://127.0.0.1:{port}");
        let error = run(&endpoint, |_| {}).await.expect_err("no etcd");
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("no connection to {endpoint}: ")),
            "{said}"
        );
        assert!(said.contains("refused"), "{said}");
    }
}
