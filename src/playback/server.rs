//! The gRPC server, and the clock that drives the store.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};

use super::authority::Authority;
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

/// Serves the store in the clear until it is dropped.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
) -> Result<(), tonic::transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    serve_on(shared, incoming).await
}

/// Serves the store on connections that are handed in, until it is dropped.
///
/// # Errors
/// If no more come because of an error.
pub async fn serve_on<C>(
    shared: Arc<Shared>,
    incoming: impl Stream<Item = io::Result<C>>,
) -> Result<(), tonic::transport::Error>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let leases = Arc::clone(&shared);
    let leases = async move {
        loop {
            sleep(LEASES_EVERY).await;
            let now = leases.now();
            leases.with(|world| world.store.expire(now));
        }
    };
    let incoming = incoming.map(|client| client.map(Client::new));
    let services = Services::of(&Playback(Arc::clone(&shared)), shared);
    // The same port answers plain HTTP, as etcd's does.
    let server = Server::builder()
        .accept_http1(true)
        .serve_with_incoming(services, incoming);
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

/// How much is read from a client at a time.
const PIECE: usize = 16 * 1024;

/// A client's connection: what it sends comes as the HTTP/2 library takes it.
#[derive(Debug)]
struct Client<C> {
    inner: C,
    authority: Authority,
    /// What came and was not yet asked for.
    ready: Vec<u8>,
    taken: usize,
}

impl<C> Client<C> {
    fn new(inner: C) -> Client<C> {
        Client {
            inner,
            authority: Authority::default(),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl<C> Connected for Client<C> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<C: AsyncRead + Unpin> AsyncRead for Client<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.taken == this.ready.len() {
            this.ready.clear();
            this.taken = 0;
            let mut piece = [0; PIECE];
            let mut came = ReadBuf::new(&mut piece);
            std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut came))?;
            if came.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.authority.pass(came.filled(), &mut this.ready);
        }
        let rest = &this.ready[this.taken..];
        let count = rest.len().min(into.remaining());
        into.put_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Client<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// All services on one port.
#[derive(Debug, Clone)]
struct Services {
    shared: Arc<Shared>,
    kv: KvServer<Playback>,
    watch: WatchServer<Playback>,
    lease: LeaseServer<Playback>,
    maintenance: MaintenanceServer<Playback>,
    cluster: ClusterServer<Playback>,
}

impl Services {
    fn of(playback: &Playback, shared: Arc<Shared>) -> Services {
        let own = || playback.clone();
        Services {
            shared,
            kv: KvServer::new(own()).max_decoding_message_size(MOST_REQUEST),
            watch: WatchServer::new(own()).max_decoding_message_size(MOST_REQUEST),
            lease: LeaseServer::new(own()),
            maintenance: MaintenanceServer::new(own()),
            cluster: ClusterServer::new(own()),
        }
    }
}

impl Services {
    /// What etcd answers to those that do not speak gRPC.
    fn plain(&self, path: &str) -> Response<Body> {
        let (status, answer) = match path {
            "/health" => (StatusCode::OK, json!({"health": "true", "reason": ""})),
            "/version" => {
                let version = self.shared.with(|world| world.version.clone());
                let mut parts = version.split('.');
                let (major, minor) = (parts.next().unwrap_or("3"), parts.next().unwrap_or("0"));
                let cluster = format!("{major}.{minor}.0");
                let answer = json!({"etcdserver": version, "etcdcluster": cluster});
                (StatusCode::OK, answer)
            }
            _ => {
                let error = format!("etcdtap: a playback has no {path}");
                (StatusCode::NOT_FOUND, json!({"error": error}))
            }
        };
        let body = Full::new(Bytes::from(answer.to_string()));
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = status;
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
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
        if request.method() == Method::GET {
            return Box::pin(ready(Ok(self.plain(path))));
        }
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
