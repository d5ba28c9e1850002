//! The threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with one thread for its life. A runtime that shares its
//! tasks among threads wakes a second one whenever two connections have
//! something at once; between two sockets that costs more than the relaying.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::lane::Lane;

/// The threads that serve connections; without any, the runtime that accepts
/// serves them too.
#[derive(Debug, Default)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// The threads end when this is gone.
    alive: watch::Sender<()>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Connections that it serves.
    present: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads; `None` for none.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn start(count: Option<NonZeroUsize>) -> io::Result<Workers> {
        let mut workers = Workers::default();
        for n in 0..count.map_or(0, NonZeroUsize::get) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let mut alive = workers.alive.subscribe();
            thread::Builder::new()
                .name(format!("etcdtap-net-{n}"))
                .spawn(move || runtime.block_on(alive.changed()))?;
            workers.workers.push(Worker {
                runtime: handle,
                present: Arc::default(),
            });
        }
        Ok(workers)
    }

    /// Has the worker with the fewest connections serve this one.
    ///
    /// # Errors
    /// When the socket cannot leave the runtime that accepted it.
    pub fn serve(&self, client: TcpStream, from: SocketAddr, lane: &Arc<Lane>) -> io::Result<()> {
        let lane = Arc::clone(lane);
        let idlest = self
            .workers
            .iter()
            .min_by_key(|worker| worker.present.load(Ordering::Relaxed));
        let Some(worker) = idlest else {
            tokio::spawn(lane.serve(client, from));
            return Ok(());
        };
        let client = client.into_std()?;
        let present = Present::enter(&worker.present);
        worker.runtime.spawn(async move {
            let _present = present;
            match TcpStream::from_std(client) {
                Ok(client) => lane.serve(client, from).await,
                Err(error) => tracing::warn!("the connection of {from} cannot be served: {error}"),
            }
        });
        Ok(())
    }
}

/// One connection of a worker, for as long as it lives.
struct Present(Arc<AtomicUsize>);

impl Present {
    fn enter(count: &Arc<AtomicUsize>) -> Present {
        count.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(count))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
