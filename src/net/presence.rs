//! Noticing that a client has gone while its upstream is awaited.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// A client that closed its side may only have said all it has to say
/// (`nc -N`), so its upstream still gets this long to come.
const AFTER_FIN: Duration = Duration::from_secs(5);

/// Runs `work` for as long as the peer of `tcp` is there; `None` when it left
/// first. Reads nothing.
pub(super) async fn while_present<T>(tcp: &TcpStream, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = gone(tcp) => None,
    }
}

async fn gone(tcp: &TcpStream) {
    // What is readable stays readable, for we do not read: so wait for the ends
    // only. `PRIORITY` is tokio's name for "the peer's end or urgent data".
    match tcp.ready(Interest::PRIORITY | Interest::ERROR).await {
        Ok(ready) if !ready.is_error() && !ready.is_write_closed() => {
            let _ = tokio::time::timeout(AFTER_FIN, tcp.ready(Interest::ERROR)).await;
        }
        Ok(_) | Err(_) => {}
    }
}

/// The first bytes that the client sent, left where they are: whether they
/// begin HTTP/2's preface. `None` at an end before the first byte.
pub(super) async fn speaks_h2(tcp: &TcpStream) -> io::Result<Option<bool>> {
    /// No HTTP/1.1 method that etcd serves begins like the preface's `PRI `.
    const START: &[u8] = b"PRI";
    let mut first = [0; START.len()];
    loop {
        match tcp.peek(&mut first).await? {
            0 => return Ok(None),
            n if n < START.len() && START.starts_with(&first[..n]) => {
                // The socket stays readable, so there is nothing to wait for.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            n => return Ok(Some(first[..n] == *START)),
        }
    }
}
