//! The server: connections, their time-outs and their number.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::access::{self, Through};
use super::api::{self, Api, MOST_BODY_BYTES};
use super::listener::{Listener, Stream};
use super::measuring;
use super::reply::Reply;
use super::routes;
use super::tls::Renewed;
use super::token::Token;
use super::{Address, ServerTls, StartError};
use crate::fault::Armory;
use crate::score::Measurement;

/// Connections at a time; more wait until one has ended.
const MOST_CONNECTIONS: usize = 64;
/// How long a handshake, a request's head or a body may take to come, and a
/// connection be without one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const MOST_HEAD_BYTES: usize = 64 << 10;
/// How long to wait after a connection could not be accepted: what is missing
/// (a file descriptor, memory) may be there again.
const RECOVERY: Duration = Duration::from_millis(100);

/// What the admin API is told before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it answers.
    pub address: Address,
    /// The file with the token that clients must show.
    pub token_file: Option<PathBuf>,
    /// TLS, on a TCP port.
    pub tls: Option<ServerTls>,
    /// Whether faults may be added. If not they still are listed, and removed.
    pub adding: bool,
}

/// The admin API, listening.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    address: Address,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    api: Api,
    measurement: Measurement,
    token: Option<Token>,
    tls: Option<Renewed>,
}

impl Server {
    /// Listens. Has to be called within a runtime. Orders for measurements are left
    /// at `measurement`.
    ///
    /// # Errors
    /// When a file or the address cannot be used, or when others than this
    /// machine could reach the API and nothing would keep them out.
    pub fn bind(
        config: Config,
        armory: Arc<Armory>,
        measurement: Measurement,
    ) -> Result<Server, StartError> {
        let mutual = config
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some());
        if !config.address.is_local() && config.token_file.is_none() && !mutual {
            return Err(StartError::Asked(format!(
                "the admin API on {} would obey everybody who can reach it; ask for a token or \
                 for client certificates, or answer on {} alone",
                config.address,
                Address::DEFAULT
            )));
        }
        let token = config.token_file.as_deref().map(Token::read).transpose()?;
        let tls = config.tls.map(Renewed::new).transpose()?;
        let (listener, address) = Listener::open(&config.address)?;
        if !address.is_local() && tls.is_none() {
            tracing::warn!(
                "the admin API on {address} has no TLS: its token can be read by whoever sees the traffic"
            );
        }
        Ok(Server {
            listener,
            address,
            shared: Arc::new(Shared {
                api: Api::new(armory, config.adding),
                measurement,
                token,
                tls,
            }),
        })
    }

    /// Where it answers, with the port that a 0 has become.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Answers until this future is dropped, and all connections with it.
    pub async fn run(self) -> Infallible {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                // Nobody closes the semaphore.
                sleep(RECOVERY).await;
                continue;
            };
            match self.listener.accept(self.shared.tls.is_some()).await {
                Ok((stream, through)) => {
                    let shared = Arc::clone(&self.shared);
                    connections.spawn(async move {
                        shared.serve(stream, through).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!("a connection to the admin API was not accepted: {error}");
                    sleep(RECOVERY).await;
                }
            }
        }
    }
}

impl Shared {
    async fn serve(&self, stream: Stream, through: Through) {
        let served = match &self.tls {
            None => self.serve_http(TokioIo::new(stream), through).await,
            Some(tls) => {
                let handshake = TlsAcceptor::from(tls.now()).accept(stream);
                match timeout(PATIENCE, handshake).await {
                    Ok(Ok(stream)) => self.serve_http(TokioIo::new(stream), through).await,
                    Ok(Err(error)) => {
                        tracing::debug!("a TLS handshake with the admin API failed: {error}");
                        return;
                    }
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!("a connection to the admin API failed: {error}");
        }
    }

    async fn serve_http<I>(&self, io: I, through: Through) -> hyper::Result<()>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let answer = service_fn(async |request| {
            let reply = self.reply(request, through).await;
            Ok::<Response<Full<Bytes>>, Infallible>(reply.into())
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MOST_HEAD_BYTES)
            .serve_connection(io, answer)
            .await
    }

    async fn reply(&self, request: Request<Incoming>, through: Through) -> Reply {
        match self.answer(request, through).await {
            Ok(reply) | Err(reply) => reply,
        }
    }

    async fn answer(&self, request: Request<Incoming>, through: Through) -> Result<Reply, Reply> {
        let (head, body) = request.into_parts();
        access::check_head(through, head.uri.authority(), &head.headers)?;
        let found = routes::find(&head.method, head.uri.path());
        if !found
            .as_ref()
            .is_ok_and(|(operation, _)| operation.is_open())
        {
            access::check_token(self.token.as_ref(), &head.headers)?;
        }
        let (operation, name) = found?;
        let body = match operation.takes_body() {
            true => {
                check_type(&head.headers)?;
                whole(&head.headers, body).await?
            }
            false => Bytes::new(),
        };
        let request = api::Request {
            operation,
            name,
            query: head.uri.query(),
            body: &body,
        };
        Ok(match measuring::answer(&self.measurement, &request).await {
            Some(reply) => reply,
            None => self.api.answer(&request, Instant::now()),
        })
    }
}

/// A form of a web page cannot send this type without asking first.
fn check_type(headers: &HeaderMap) -> Result<(), Reply> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|given| given.to_str().ok());
    let essence = given
        .and_then(|given| given.split(';').next())
        .map(str::trim);
    match essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        true => Ok(()),
        false => Err(Reply::refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not said to be JSON",
            "send `Content-Type: application/json`",
        )),
    }
}

async fn whole(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Reply> {
    let too_large = || {
        Reply::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 1 MiB",
            "send one fault at a time",
        )
    };
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|said| said.to_str().ok());
    let said = said.and_then(|said| said.parse::<usize>().ok());
    if said.is_some_and(|said| said > MOST_BODY_BYTES) {
        return Err(too_large());
    }
    match timeout(PATIENCE, Limited::new(body, MOST_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Reply::refused(
            StatusCode::BAD_REQUEST,
            "the body did not come whole",
            "send it again",
        )),
        Err(_) => Err(Reply::refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
            "send it again",
        )),
    }
}
