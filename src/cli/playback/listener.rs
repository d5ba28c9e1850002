//! Where clients reach a playback, in the clear or over TLS.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::proxy::address::parse_listen;
use crate::cli::{Failure, io_reason};
use crate::net::{Acceptor, ClientAuth, KeyPair, ListenerTls};
use crate::playback::{Shared, server};

/// Connections whose handshake is done and that are not yet served.
const WAITING: usize = 64;

/// Kinds of failed handshakes that are told of.
const MOST_TOLD: usize = 10;

/// Where clients reach it.
#[derive(Debug, Args)]
pub(super) struct ListenFlags {
    /// Where clients reach it
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    listen: SocketAddr,

    /// Certificate that the listener shows (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,

    /// Authority that signs the clients' certificates (PEM); without it none is asked for
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_client_ca: Option<PathBuf>,
}

impl ListenFlags {
    /// Reads the certificates.
    pub(super) fn acceptor(&self) -> Result<Option<Acceptor>, Failure> {
        let Some((cert, key)) = self.tls_cert.clone().zip(self.tls_key.clone()) else {
            return Ok(None);
        };
        let tls = ListenerTls {
            identity: KeyPair { cert, key },
            client_ca: self.tls_client_ca.clone(),
            client_auth: match self.tls_client_ca {
                Some(_) => ClientAuth::Require,
                None => ClientAuth::None,
            },
        };
        Ok(Some(Acceptor::new(&tls)?))
    }

    /// Opens the listener. Within a runtime.
    pub(super) async fn bind(&self) -> Result<(TcpListener, SocketAddr), Failure> {
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            let reason = io_reason(&error);
            Failure::asked(format!("--listen {}: {reason}", self.listen))
        })?;
        let address = listener.local_addr().unwrap_or(self.listen);
        Ok((listener, address))
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    acceptor: Option<Acceptor>,
) -> Result<(), Failure> {
    let served = match acceptor {
        None => server::serve(shared, listener).await,
        Some(acceptor) => {
            let (send, incoming) = mpsc::channel(WAITING);
            tokio::select! {
                served = server::serve_on(shared, ReceiverStream::new(incoming)) => served,
                never = accept(listener, acceptor, send) => never,
            }
        }
    };
    served.map_err(|error| Failure::failed(format!("the server ended: {error}")))
}

/// Does the handshakes, each on its own: a silent client keeps nobody waiting.
fn accept<E>(
    listener: TcpListener,
    acceptor: Acceptor,
    send: mpsc::Sender<io::Result<crate::net::TlsClient>>,
) -> impl Future<Output = Result<(), E>> {
    let acceptor = Arc::new(acceptor);
    let told = Arc::new(Mutex::new(BTreeSet::new()));
    async move {
        loop {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tell(&told, io_reason(&error));
                    // No room for more may last.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Where it does not help, it does no harm.
            let _ = client.set_nodelay(true);
            let (acceptor, send) = (Arc::clone(&acceptor), send.clone());
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                match acceptor.accept(client).await {
                    Ok(client) => drop(send.send(Ok(client)).await),
                    Err(none) if none.matters => tell(&told, none.to_string()),
                    Err(_) => {}
                }
            });
        }
    }
}

/// Says what went wrong with a client, each sentence once.
fn tell(told: &Mutex<BTreeSet<String>>, sentence: String) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MOST_TOLD && told.insert(sentence.clone()) {
        eprintln!("etcdtap: {sentence}");
    }
}
