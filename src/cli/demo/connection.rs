//! A client's connection as the recorded one had it.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::Service;

/// A connection on which gRPC calls go. Clones are the same one; it is closed with
/// the last of them.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    requests: SendRequest<Body>,
    user_agent: HeaderValue,
    /// What the calls name as scheme and authority.
    pub origin: Uri,
}

/// There is no connection; in words.
#[derive(Debug)]
pub(super) struct NoConnection(String);

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Connection {
    /// Connects. Unlike tonic's own channels it says that it is `user_agent`, and
    /// nothing else.
    ///
    /// # Errors
    /// If nobody answers there.
    pub async fn open(address: SocketAddr, user_agent: &str) -> Result<Connection, NoConnection> {
        let refused = |why: String| NoConnection(format!("{address} cannot be reached: {why}"));
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| refused(error.to_string()))?;
        // Without it a call would wait for the acknowledgement of the one before.
        stream
            .set_nodelay(true)
            .map_err(|error| refused(error.to_string()))?;
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (requests, driver) = shaken.map_err(|error| refused(error.to_string()))?;
        // What ends it shows in the calls.
        tokio::spawn(driver);
        Ok(Connection {
            requests,
            user_agent: HeaderValue::from_str(user_agent)
                .map_err(|_| refused(format!("{user_agent:?} is no user-agent")))?,
            origin: format!("http://{address}")
                .parse()
                .map_err(|_| refused("it is no authority".to_owned()))?,
        })
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.requests.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, self.user_agent.clone());
        Box::pin(self.requests.send_request(request))
    }
}
