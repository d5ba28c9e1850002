//! Where connections to the admin API come from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::access::Through;
use super::socket_file::{self, SocketFile};
use super::{Address, StartError};
use crate::notation::io_reason;

/// Connections that the kernel completes ahead of us.
const BACKLOG: u32 = 64;

/// A listener of either kind.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "dropping it removes the file")] SocketFile,
    ),
}

impl Listener {
    /// Listens at `address`. Has to be called within a runtime.
    ///
    /// Returns the address too, where a port 0 has become a real one.
    pub(super) fn open(address: &Address) -> Result<(Listener, Address), StartError> {
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "; end what listens there, or choose another one",
                _ => "",
            };
            let reason = io_reason(&error);
            StartError::Failed(format!(
                "the admin API cannot listen on {address}: {reason}{hint}"
            ))
        };
        match address {
            Address::Tcp(tcp) => {
                let open = || {
                    let socket = match tcp.is_ipv4() {
                        true => TcpSocket::new_v4()?,
                        false => TcpSocket::new_v6()?,
                    };
                    socket.set_reuseaddr(true)?;
                    socket.bind(*tcp)?;
                    let listener = socket.listen(BACKLOG)?;
                    let address = Address::Tcp(listener.local_addr()?);
                    Ok((Listener::Tcp(listener), address))
                };
                open().map_err(failed)
            }
            Address::Unix(path) => {
                let (listener, file) = socket_file::listen(path)?;
                let listener = UnixListener::from_std(listener).map_err(failed)?;
                Ok((Listener::Unix(listener, file), address.clone()))
            }
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self, tls: bool) -> io::Result<(Stream, Through)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let own = stream.local_addr()?;
                Ok((Stream::Tcp(stream), Through::Tcp { own, tls }))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Through::Unix))
            }
        }
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects to `address`.
    pub(super) async fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => TcpStream::connect(address).await.map(Stream::Tcp),
            Address::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
