//! A request that is executed a second time, over a connection of our own: a
//! second stream on the client's connection would renumber all its later ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::dial::{UpstreamEnd, dial};
use super::lane::Lane;
use super::tls::H2;
use crate::etcd::verdict::{Errand, FaultId};
use crate::grpc::Code;
use crate::http2::StreamId;

/// How long a second execution may take in all.
const WITHIN: Duration = Duration::from_secs(10);

/// How many may be under way for one listener.
pub(super) const MOST_AT_ONCE: usize = 64;

/// What became of an errand.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) stream: StreamId,
    pub(super) faults: Vec<FaultId>,
    /// `Ok` once etcd has executed it.
    pub(super) outcome: Result<(), String>,
}

/// Executes `errand`.
pub(super) async fn execute(lane: Arc<Lane>, errand: Errand) -> Report {
    let (stream, faults) = (errand.stream, errand.faults.clone());
    let outcome = match lane.doubles.try_acquire() {
        Ok(_permit) => match timeout(WITHIN, over_a_connection(&lane, errand)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let seconds = WITHIN.as_secs();
                Err(format!("etcd did not answer it within {seconds} s"))
            }
        },
        Err(_) => Err(format!("{MOST_AT_ONCE} are under way already")),
    };
    if let Err(why) = &outcome
        && let Some(more) = lane.about_doubles.about(why, Instant::now())
    {
        tracing::warn!("a request was not executed a second time: {why}{more}");
    }
    Report {
        stream,
        faults,
        outcome,
    }
}

async fn over_a_connection(lane: &Lane, errand: Errand) -> Result<(), String> {
    let tls = lane.tls.load_full();
    let name = lane.server_name.as_deref();
    let end = dial(&lane.upstream, name, &tls, &[H2.to_vec()])
        .await
        .map_err(|error| error.how())?;
    match end {
        UpstreamEnd::Plain(stream) => call(stream, errand).await,
        UpstreamEnd::Tls(stream) => call(*stream, errand).await,
    }
}

async fn call<S>(stream: S, errand: Errand) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broke = |error: h2::Error| error.to_string();
    let request = request(&errand)?;
    let (sender, connection) = client::handshake(stream).await.map_err(broke)?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let mut sender = sender.ready().await?;
        let (response, mut body) = sender.send_request(request, false)?;
        body.send_data(Bytes::from(errand.message), true)?;
        let (head, mut answer) = response.await?.into_parts();
        while let Some(chunk) = answer.data().await {
            answer.flow_control().release_capacity(chunk?.len())?;
        }
        // An error without an answer has its status in the head.
        Ok(answer.trailers().await?.unwrap_or(head.headers))
    };
    let outcome = answered.await.map_err(broke);
    driver.abort();
    status(&outcome?)
}

/// Whether etcd executed it.
fn status(trailers: &HeaderMap) -> Result<(), String> {
    let status = trailers
        .get("grpc-status")
        .and_then(|status| Code::parse(status.as_bytes()));
    match status {
        Some(Code::OK) => Ok(()),
        Some(code) => Err(format!("etcd answered {code}")),
        None => Err("etcd answered without a status".to_owned()),
    }
}

/// The client's request, with its own path and metadata: a token has to be
/// there a second time, too.
fn request(errand: &Errand) -> Result<Request<()>, String> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    let (mut scheme, mut authority, mut path) = ("http".to_owned(), String::new(), String::new());
    for field in &errand.fields {
        let text = || String::from_utf8_lossy(&field.value).into_owned();
        match &*field.name {
            b":scheme" => scheme = text(),
            b":authority" => authority = text(),
            b":path" => path = text(),
            [b':', ..] => {}
            name => {
                let (Ok(name), Ok(mut value)) = (
                    HeaderName::from_bytes(name),
                    HeaderValue::from_bytes(&field.value),
                ) else {
                    continue;
                };
                // It may be a token, and goes only once.
                value.set_sensitive(true);
                request.headers_mut().append(name, value);
            }
        }
    }
    let uri = Uri::builder()
        .scheme(scheme.as_str())
        .authority(authority)
        .path_and_query(path)
        .build();
    *request.uri_mut() = uri.map_err(|error| format!("its path or authority is odd: {error}"))?;
    Ok(request)
}
