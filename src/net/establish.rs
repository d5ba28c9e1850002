//! From an accepted socket to two ends that stand.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server};

use super::dial::{DialError, UpstreamEnd, dial};
use super::lane::Lane;
use super::presence::{speaks_h2, while_present};
use super::tls::{Answer, H2, HTTP_1_1, ListenerContext, TlsContext, seen};
use super::wire::Wire;
use crate::http2::Side;
use crate::relay::TlsSeen;

/// How long a client may take over each half of its TLS handshake: its hello,
/// and what follows our answer. The wait for the upstream between them is not
/// the client's.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// The client's end of a connection.
pub(super) enum ClientEnd {
    Plain(TcpStream),
    Tls(Box<server::TlsStream<TcpStream>>),
}

/// Both ends of a connection.
pub(super) struct Ends {
    pub(super) client: ClientEnd,
    pub(super) upstream: UpstreamEnd,
    pub(super) tls: Option<TlsSeen>,
}

/// Why a connection never came to stand.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words: `upstream refused the connection: …`.
    pub(super) how: String,
    /// Whose doing it was; `None` if a fault's.
    pub(super) by: Option<Side>,
    /// Whether an operator should hear of it.
    pub(super) matters: bool,
}

impl Failure {
    fn client(how: String, matters: bool) -> Failure {
        Failure {
            how,
            by: Some(Side::Client),
            matters,
        }
    }

    fn client_left() -> Failure {
        Failure::client(
            "client left before the upstream was there".to_owned(),
            false,
        )
    }

    /// A fault brought it about.
    pub(super) fn fault(how: &str) -> Failure {
        Failure {
            how: how.to_owned(),
            by: None,
            matters: false,
        }
    }

    fn upstream(error: DialError) -> Failure {
        Failure {
            how: error.how(),
            by: Some(Side::Server),
            matters: true,
        }
    }
}

/// Calls the upstream for `client`, with TLS on either side as configured.
///
/// The upstream comes first: what it picks by ALPN is what the client is told,
/// and where it refuses, the client is refused.
pub(super) async fn establish(
    lane: &Lane,
    tls: &TlsContext,
    client: TcpStream,
) -> Result<Ends, Failure> {
    match &tls.listener {
        None => plain(lane, tls, client).await,
        Some(listener) => encrypted(lane, tls, listener, client).await,
    }
}

async fn plain(lane: &Lane, tls: &TlsContext, client: TcpStream) -> Result<Ends, Failure> {
    let protocols = match lane.upstream.tls {
        false => Vec::new(),
        // The offer to the upstream has to be made before the client's bytes
        // are relayed, and only they say what the client will speak.
        true => match speaks_h2(&client).await {
            Ok(Some(true)) => vec![H2.to_vec()],
            Ok(Some(false)) => vec![HTTP_1_1.to_vec()],
            Ok(None) => return Err(Failure::client("client closed".to_owned(), false)),
            Err(error) => {
                return Err(Failure::client(format!("client was lost: {error}"), false));
            }
        },
    };
    match while_present(&client, call(lane, tls, &protocols)).await {
        Some(Ok(upstream)) => Ok(Ends {
            client: ClientEnd::Plain(client),
            upstream,
            tls: None,
        }),
        Some(Err(error)) => {
            client.reset_on_drop();
            Err(Failure::upstream(error))
        }
        None => Err(Failure::client_left()),
    }
}

async fn encrypted(
    lane: &Lane,
    tls: &TlsContext,
    listener: &ListenerContext,
    client: TcpStream,
) -> Result<Ends, Failure> {
    let start = client_hello(client).await?;
    let offered: Vec<Vec<u8>> = start
        .client_hello()
        .alpn()
        .map(|names| names.map(<[u8]>::to_vec).collect())
        .unwrap_or_default();
    let called = while_present(&start.io, call(lane, tls, &offered)).await;
    let upstream = match called {
        None => return Err(Failure::client_left()),
        Some(Ok(upstream)) => upstream,
        Some(Err(error)) if error.no_protocol => {
            // Say what the upstream said, in its words.
            let _ = answer(start, listener, Answer::Refuse).await;
            return Err(Failure::upstream(error));
        }
        Some(Err(error)) => {
            start.io.reset_on_drop();
            return Err(Failure::upstream(error));
        }
    };
    let pick = match lane.upstream.tls {
        true => upstream.alpn().map_or(Answer::None, Answer::Protocol),
        false => first_spoken(&offered),
    };
    let client = answer(start, listener, pick).await?;
    let tls = Some(seen(client.get_ref().1));
    Ok(Ends {
        client: ClientEnd::Tls(Box::new(client)),
        upstream,
        tls,
    })
}

async fn call(
    lane: &Lane,
    tls: &TlsContext,
    protocols: &[Vec<u8>],
) -> Result<UpstreamEnd, DialError> {
    dial(&lane.upstream, lane.server_name.as_deref(), tls, protocols).await
}

/// What a plaintext etcd, which has no ALPN, would pick of a client's offers.
pub(super) fn first_spoken(offered: &[Vec<u8>]) -> Answer<'_> {
    let spoken = |name: &&Vec<u8>| **name == H2 || **name == HTTP_1_1;
    match offered.iter().find(spoken) {
        Some(name) => Answer::Protocol(name),
        None if offered.is_empty() => Answer::None,
        None => Answer::Refuse,
    }
}

pub(super) async fn client_hello(client: TcpStream) -> Result<StartHandshake<TcpStream>, Failure> {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), client);
    match timeout(HANDSHAKE_WITHIN, acceptor).await {
        Ok(Ok(start)) => Ok(start),
        // Closed or reset without a word: a port scan, a load balancer's probe.
        Ok(Err(error)) if is_departure(&error) => Err(Failure::client(
            "client left before its TLS handshake".to_owned(),
            false,
        )),
        Ok(Err(error)) => Err(handshake_failed(&error)),
        Err(_) => Err(too_slow()),
    }
}

pub(super) async fn answer(
    start: StartHandshake<TcpStream>,
    listener: &ListenerContext,
    answer: Answer<'_>,
) -> Result<server::TlsStream<TcpStream>, Failure> {
    let deadline = Instant::now() + HANDSHAKE_WITHIN;
    match timeout_at(deadline, start.into_stream(listener.answering(answer))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(handshake_failed(&error)),
        Err(_) => Err(too_slow()),
    }
}

fn is_departure(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | UnexpectedEof)
}

fn handshake_failed(error: &io::Error) -> Failure {
    Failure::client(
        format!("TLS handshake with the client failed: {error}"),
        true,
    )
}

fn too_slow() -> Failure {
    let seconds = HANDSHAKE_WITHIN.as_secs();
    Failure::client(
        format!("TLS handshake with the client took over {seconds} s"),
        true,
    )
}
