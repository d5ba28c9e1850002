//! The gRPC server, and the clock that drives the store.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::service::Playback;
use super::world::Shared;
use crate::etcd::schema::etcdserverpb::cluster_server::ClusterServer;
use crate::etcd::schema::etcdserverpb::kv_server::KvServer;
use crate::etcd::schema::etcdserverpb::lease_server::LeaseServer;
use crate::etcd::schema::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::etcd::schema::etcdserverpb::watch_server::WatchServer;

/// The greatest request that is read, in bytes.
const MOST_REQUEST: usize = 64 * 1024 * 1024;

/// How often it is looked whether a lease is over: as often as etcd looks.
const LEASES_EVERY: Duration = Duration::from_millis(500);

/// Serves the store until it is dropped.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
) -> Result<(), tonic::transport::Error> {
    let leases = Arc::clone(&shared);
    let leases = async move {
        loop {
            sleep(LEASES_EVERY).await;
            let now = leases.now();
            leases.with(|world| world.store.expire(now));
        }
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let services = Services::of(&Playback(shared));
    let server = Server::builder().serve_with_incoming(services, incoming);
    tokio::select! {
        ended = server => ended,
        never = leases => never,
    }
}

/// Lets the recording go on as it did: `moments` are the times in nanoseconds since
/// 1970 at which it was at its revisions, and its first one is now.
pub async fn play(shared: Arc<Shared>, moments: Vec<(u64, i64)>) {
    let began = Instant::now();
    let first = moments.first().map_or(0, |(at, _)| *at);
    for (at, revision) in moments {
        sleep_until(began + Duration::from_nanos(at.saturating_sub(first))).await;
        shared.with(|world| world.store.play(&mut world.future, revision));
    }
}

/// All services on one port.
#[derive(Debug, Clone)]
struct Services {
    kv: KvServer<Playback>,
    watch: WatchServer<Playback>,
    lease: LeaseServer<Playback>,
    maintenance: MaintenanceServer<Playback>,
    cluster: ClusterServer<Playback>,
}

impl Services {
    fn of(playback: &Playback) -> Services {
        let own = || playback.clone();
        Services {
            kv: KvServer::new(own()).max_decoding_message_size(MOST_REQUEST),
            watch: WatchServer::new(own()).max_decoding_message_size(MOST_REQUEST),
            lease: LeaseServer::new(own()),
            maintenance: MaintenanceServer::new(own()),
            cluster: ClusterServer::new(own()),
        }
    }
}

fn name<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // None of them ever waits.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let service = service.map_or("", |(service, _)| service);
        match service {
            _ if service == name(&self.kv) => self.kv.call(request),
            _ if service == name(&self.watch) => self.watch.call(request),
            _ if service == name(&self.lease) => self.lease.call(request),
            _ if service == name(&self.maintenance) => self.maintenance.call(request),
            _ if service == name(&self.cluster) => self.cluster.call(request),
            _ => {
                let status = Status::unimplemented(format!("etcdtap: a playback has no {path}"));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}
