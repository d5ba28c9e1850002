//! An admin API of a test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use etcdtap::control::{Address, Client, Config, Server, ServerTls, StartError};
use etcdtap::fault::Armory;
use etcdtap::score::{Measurement, Probe};
use etcdtap::trace::{self, Anchor, Destination, Format};
use tokio::task::JoinHandle;

/// What a token file may hold.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running admin API; dropping it ends it.
pub struct Service {
    /// Where it answers.
    pub address: Address,
    /// What it changes.
    pub armory: Arc<Armory>,
    running: JoinHandle<()>,
    /// The token's file, and a socket's.
    pub dir: tempfile::TempDir,
}

/// How it is to be.
#[derive(Default)]
pub struct Options {
    /// Asks for [`TOKEN`].
    pub token: bool,
    /// Answers on a Unix socket.
    pub unix: bool,
    /// Refuses to add.
    pub no_faults: bool,
    /// Speaks TLS.
    pub tls: Option<ServerTls>,
}

impl Options {
    /// Starts it.
    pub fn start(self) -> Service {
        let dir = tempfile::tempdir().unwrap();
        let address = match self.unix {
            true => Address::Unix(dir.path().join("tap.sock")),
            false => Address::parse("127.0.0.1:0").unwrap(),
        };
        let token_file = dir.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let config = Config {
            address,
            token_file: self.token.then_some(token_file),
            tls: self.tls,
            adding: !self.no_faults,
        };
        let (armory, server) = bind(config);
        let server = server.unwrap();
        let address = server.address().clone();
        let running = tokio::spawn(async move { match server.run().await {} });
        Service {
            address,
            armory,
            running,
            dir,
        }
    }
}

/// Binds, with an armory of its own.
pub fn bind(config: Config) -> (Arc<Armory>, Result<Server, StartError>) {
    let armory = Armory::new(0, Instant::now());
    let server = Server::bind(config, Arc::clone(&armory), measured());
    (armory, server)
}

/// A measurement by the trace of a proxy that relays nothing.
fn measured() -> Measurement {
    let measurement = Measurement::default();
    let probe = Box::new(Probe::new(measurement.clone(), Anchor::now()));
    let options = trace::Options::new(Format::Off);
    let log = trace::start_observed(options, Destination::Stdout, Vec::new(), vec![probe]);
    measurement.attach(log.unwrap().sender());
    measurement
}

impl Service {
    /// Its TCP address.
    pub fn tcp(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => panic!("a socket: {}", path.display()),
        }
    }

    /// Its socket's file.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("tap.sock")
    }

    /// A client without a token.
    pub fn client(&self) -> Client {
        Client::new(self.address.clone(), None, None).unwrap()
    }

    /// A client that shows a token.
    pub fn client_with(&self, token: &Path) -> Client {
        Client::new(self.address.clone(), Some(token), None).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.running.abort();
    }
}
