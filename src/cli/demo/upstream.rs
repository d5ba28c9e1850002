//! What stands behind the proxy: an etcd, or a playback of the recording.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::bundled::Bundled;
use super::etcd::{Etcd, EtcdError};
use crate::cli::{Failure, io_reason};
use crate::mvcc::Future;
use crate::playback::{Shared, World, server};

/// What stands behind the proxy. It ends with this value.
#[derive(Debug)]
pub(super) enum Behind {
    /// A real one.
    Etcd(Box<Etcd>),
    /// One that is made of the recording, in this process.
    Playback {
        endpoint: String,
        server: JoinHandle<()>,
    },
}

impl Behind {
    /// The etcd that was named, or else the one that `PATH` finds, or else a
    /// playback. Without `etcd_wanted` a playback in any case.
    ///
    /// # Errors
    /// If an etcd is there and does not start.
    pub async fn start(named: Option<&Path>, etcd_wanted: bool) -> Result<Behind, Failure> {
        if !etcd_wanted {
            return Behind::playback().await;
        }
        match Etcd::start(named).await {
            Ok(etcd) => Ok(Behind::Etcd(Box::new(etcd))),
            Err(EtcdError::NotFound(_)) if named.is_none() => Behind::playback().await,
            Err(error) => Err(Failure::failed(format!(
                "{error}\netcdtap demo --no-etcd needs none"
            ))),
        }
    }

    async fn playback() -> Result<Behind, Failure> {
        let told = Bundled::told()?;
        // It begins where the recording does, and the calls make it go on.
        let from = told.past.stood().map_or(1, |stood| stood.from);
        let (store, _) = told.past.store_at(from, from);
        let mut world = World::new(store, Future::default(), told.identity);
        if let Some(version) = told.version {
            world.version = version;
        }
        // It began with an empty etcd, so what it does not tell of was not there.
        world.store.take_unknown_as_absent();
        let shared = Arc::new(Shared::new(world));
        shared.with(|world| world.store.leases_mut().start(0));
        let listening = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listening.await.map_err(|error: std::io::Error| {
            let reason = io_reason(&error);
            Failure::failed(format!("there is no port on loopback: {reason}"))
        })?;
        let server = tokio::spawn(async move {
            // Nobody can be told but by what the calls meet.
            let _ = server::serve(shared, listener).await;
        });
        Ok(Behind::Playback {
            endpoint: format!("http://{address}"),
            server,
        })
    }

    /// Where it is reached, as `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        match self {
            Behind::Etcd(etcd) => etcd.endpoint(),
            Behind::Playback { endpoint, .. } => endpoint,
        }
    }

    /// What it is, in words.
    pub fn says(&self) -> String {
        match self {
            Behind::Etcd(etcd) => format!(
                "Behind it is an etcd {} at {}, whose folder is removed at the end",
                etcd.version(),
                etcd.endpoint()
            ),
            Behind::Playback { endpoint, .. } => {
                format!("Behind it is no etcd: at {endpoint} one is played back from the recording")
            }
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Behind::Playback { server, .. } = self {
            server.abort();
        }
    }
}
