//! The door: whether a client that was accepted is let in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::establish::{Failure, client_hello};
use super::lane::Lane;
use super::presence::while_present;
use super::wire::Wire;
use crate::etcd::Event;
use crate::etcd::verdict::Hit;
use crate::etcd::warden::{Admission, Warden};
use crate::http2::Side;
use crate::relay::Peers;

/// A fatal alert, internal_error (RFC 8446, section 6): what Go's TLS, and so
/// etcd, sends when its certificate cannot be read. Before the server's hello
/// alerts are plain.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// How long a client may take to take the alert.
const ALERT_WITHIN: Duration = Duration::from_millis(500);

/// A client that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    Enters,
    /// And whose TLS handshake fails then.
    FailsTls,
}

impl Lane {
    /// Asks the warden until the client is let in. What strikes meanwhile is told
    /// and put among `hits`.
    pub(super) async fn let_in(
        &self,
        client: &TcpStream,
        peers: &Arc<Peers>,
        warden: &mut dyn Warden,
        hits: &mut Vec<Hit>,
    ) -> Result<Entrance, Failure> {
        loop {
            // Before the look, so that no change falls in between.
            let changed = self.rules_changed.next();
            let now = Instant::now();
            let admitted = warden.admit(now);
            if !admitted.hits.is_empty() {
                hits.extend_from_slice(&admitted.hits);
                self.events.send(Event::Fault {
                    peers: Arc::clone(peers),
                    at: now,
                    hits: admitted.hits,
                });
            }
            match admitted.admission {
                Admission::Enter => return Ok(Entrance::Enters),
                Admission::FailTls => return Ok(Entrance::FailsTls),
                Admission::Refuse => {
                    client.reset_on_drop();
                    return Err(Failure::fault("a fault refused the connection"));
                }
                Admission::Wait => {}
            }
            let until = admitted.look_at.map(tokio::time::Instant::from_std);
            let wait = async {
                let due = async {
                    match until {
                        Some(until) => sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = changed => {}
                    () = due => {}
                }
            };
            if while_present(client, wait).await.is_none() {
                return Err(Failure {
                    how: "client left while a fault kept it waiting".to_owned(),
                    by: Some(Side::Client),
                    matters: false,
                });
            }
        }
    }
}

/// Answers the client's hello with an alert.
pub(super) async fn fail_handshake(client: TcpStream) -> Failure {
    let start = match client_hello(client).await {
        Ok(start) => start,
        Err(failure) => return failure,
    };
    let mut io = start.io;
    let told = async {
        io.write_all(&ALERT).await?;
        io.shutdown().await
    };
    // One that does not take it is gone.
    let _ = timeout(ALERT_WITHIN, told).await;
    Failure::fault("a fault failed the client's TLS handshake")
}
