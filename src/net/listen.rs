//! Opening a listener.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use tokio::net::{TcpListener, TcpSocket};

use super::BindError;

/// Connections that the kernel completes ahead of us. A restarted API server
/// farm arrives all at once.
const BACKLOG: u32 = 4096;

/// Listens on the first address of `listen` (`host:port`) that can be had.
pub(super) fn listen(listen: &str) -> Result<(TcpListener, SocketAddr), BindError> {
    let cannot = |error| BindError::Listen {
        address: listen.to_owned(),
        error,
    };
    let mut last = None;
    for address in addresses(listen)? {
        match open(address).and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((address, socket)) => return Ok((socket, address)),
            Err(error) => last = Some(error),
        }
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    Err(cannot(last.unwrap_or_else(none)))
}

fn addresses(listen: &str) -> Result<Vec<SocketAddr>, BindError> {
    let Some((host, port)) = listen.rsplit_once(':') else {
        return Err(BindError::Configuration(format!(
            "the address to listen on `{listen}` has no port: write HOST:PORT"
        )));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(BindError::Configuration(format!(
            "the address to listen on `{listen}` has a bad port: `{port}` is not 0 to 65535"
        )));
    };
    if host.is_empty() {
        // The IPv6 wildcard takes IPv4 too, where the machine has IPv6 at all.
        return Ok(vec![
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        ]);
    }
    listen
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| BindError::Listen {
            address: listen.to_owned(),
            error,
        })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
