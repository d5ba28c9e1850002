//! A request that is executed a second time, over a connection of our own: a
//! second stream on the client's connection would renumber all its later ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::dial::{UpstreamEnd, dial};
use super::lane::Lane;
use super::tls::H2;
use crate::etcd::verdict::Errand;

/// How long a second execution may take in all.
const WITHIN: Duration = Duration::from_secs(10);

/// Executes `errand`: `Ok` once etcd has answered it whole, whatever it answered.
pub(super) async fn execute(lane: Arc<Lane>, errand: Errand) -> Result<(), String> {
    match timeout(WITHIN, over_a_connection(&lane, errand)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "etcd did not answer it within {} s",
            WITHIN.as_secs()
        )),
    }
}

async fn over_a_connection(lane: &Lane, errand: Errand) -> Result<(), String> {
    let tls = lane.tls.load_full();
    let name = lane.server_name.as_deref();
    let end = dial(&lane.upstream, name, &tls, &[H2.to_vec()])
        .await
        .map_err(|error| error.how)?;
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
        let mut answer = response.await?.into_body();
        while let Some(chunk) = answer.data().await {
            answer.flow_control().release_capacity(chunk?.len())?;
        }
        answer.trailers().await?;
        Ok(())
    };
    let outcome = answered.await.map_err(broke);
    driver.abort();
    outcome
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
                let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(name),
                    HeaderValue::from_bytes(&field.value),
                ) else {
                    continue;
                };
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
