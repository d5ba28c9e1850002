//! How a target is reached, and as whom. Who connects is not of this layer: it is
//! handed in.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// A connection, in the clear or over TLS.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that is on its way.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// How a target is reached, and as whom.
#[derive(Clone)]
pub struct Reach {
    /// What it is called in words: its URL.
    pub name: Box<str>,
    /// Makes a connection to it, on which HTTP/2 is spoken.
    pub dial: Arc<dyn Fn() -> Dialing + Send + Sync>,
    /// Who asks, if the target wants to know.
    pub user: Option<User>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reach");
        shown.field("name", &self.name).field("user", &self.user);
        shown.finish_non_exhaustive()
    }
}

/// A user of etcd's.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, which is never shown.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("User").field(&self.name).finish()
    }
}

/// Connects for a gRPC client, whatever its address says.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub Reach);

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Duplex>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialing = (self.0.dial)();
        Box::pin(async { dialing.await.map(TokioIo::new) })
    }
}

/// The token that a user was given, shown in each call.
#[derive(Debug, Clone, Default)]
pub(super) struct Badge(Arc<ArcSwapOption<MetadataValue<Ascii>>>);

impl Badge {
    /// From now on this one is shown.
    pub fn take(&self, token: &str) {
        if let Ok(mut value) = token.parse::<MetadataValue<Ascii>>() {
            value.set_sensitive(true);
            self.0.store(Some(Arc::new(value)));
        }
    }
}

impl Badge {
    /// The one that is shown now.
    pub fn shown(&self) -> Option<Box<str>> {
        let token = self.0.load();
        token.as_ref()?.to_str().ok().map(Into::into)
    }
}

impl Interceptor for Badge {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &*self.0.load() {
            let token = MetadataValue::clone(token);
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }
}
