//! A proxy on a free port, and what a test wants of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::etcd::{ConnectionEnded, Event, SessionOptions};
use crate::net::{ListenerTls, Proxy, ProxyConfig, Route, Served, Shutdown, Upstream, UpstreamTls};
use crate::trace;

/// No test waits longer for anything.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// A running proxy with one route.
pub(super) struct Stage {
    pub(super) address: SocketAddr,
    pub(super) shutdown: Shutdown,
    events: Receiver<Event>,
    run: JoinHandle<Served>,
}

/// A proxy's configuration for tests: one route to `upstream`, plaintext.
pub(super) fn to(upstream: &str) -> ProxyConfig {
    ProxyConfig {
        workers: None,
        routes: vec![Route {
            listen: "127.0.0.1:0".to_owned(),
            upstream: Upstream::parse(upstream).expect("a good URL"),
        }],
        listener_tls: None,
        upstream_tls: UpstreamTls::default(),
        drain: Duration::from_millis(300),
        reload_every: Duration::from_millis(50),
        session: Arc::new(SessionOptions::default()),
        judges: None,
        rules_changed: crate::net::Alarm::default(),
    }
}

/// The same with TLS on either side.
pub(super) fn with_tls(
    upstream: &str,
    listener: Option<ListenerTls>,
    upstream_tls: UpstreamTls,
) -> ProxyConfig {
    ProxyConfig {
        listener_tls: listener,
        upstream_tls,
        ..to(upstream)
    }
}

pub(super) fn start(config: ProxyConfig) -> Stage {
    let (sender, events) = sync_channel(1000);
    let sender = trace::Sender::new(sender, Arc::default());
    let proxy = Proxy::bind(config).expect("the proxy binds");
    let address = proxy.listening()[0];
    let shutdown = Shutdown::new();
    let run = tokio::spawn(proxy.run(shutdown.clone(), sender));
    Stage {
        address,
        shutdown,
        events,
        run,
    }
}

impl Stage {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("the proxy accepts")
    }

    /// Waits for the proxy's own end.
    pub(super) async fn ended(self) -> Served {
        timeout(SOON, self.run)
            .await
            .expect("the proxy ends")
            .expect("without a panic")
    }

    /// The summary of the next connection that ends.
    pub(super) async fn connection_ended(&self) -> ConnectionEnded {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            match self.events.try_recv() {
                Ok(Event::ConnectionEnded(ended)) => return *ended,
                Ok(_) => {}
                Err(_) => {
                    assert!(
                        tokio::time::Instant::now() < deadline,
                        "no connection ended"
                    );
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
}

/// A listener on a free port, and its URL.
pub(super) async fn upstream() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, format!("http://{address}"))
}

pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(SOON, listener.accept())
        .await
        .expect("the proxy calls");
    accepted.expect("an accepted connection").0
}

/// Sends back what comes, then its end.
pub(super) async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

/// Reads to the end, within bounds.
pub(super) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes))
        .await
        .expect("an end")?;
    Ok(bytes)
}

/// Reads `n` bytes, within bounds.
pub(super) async fn read_n(stream: &mut (impl AsyncRead + Unpin), n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    timeout(SOON, stream.read_exact(&mut bytes))
        .await
        .expect("bytes in time")
        .expect("bytes before the end");
    bytes
}

/// Bytes without a pattern that a mistake could hide in.
pub(super) fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(n)
    .collect()
}
