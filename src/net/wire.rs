//! What the pump needs of a transport, plain or TLS.

use std::net::Shutdown;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// One end of a relayed connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// The socket beneath.
    fn tcp(&self) -> &TcpStream;

    /// Ends our sending without a word from the layers above TCP.
    fn send_fin(&self) {
        // A socket that is not connected any more has nothing to end.
        let _ = SockRef::from(self.tcp()).shutdown(Shutdown::Write);
    }

    /// Makes the coming drop reset the connection.
    fn reset_on_drop(&self) {
        // Where it fails the peer sees a FIN: all that can still be done.
        let _ = self.tcp().set_zero_linger();
    }
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

// Boxed: the TLS state is large beside the task that holds it.

impl Wire for Box<server::TlsStream<TcpStream>> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Wire for Box<client::TlsStream<TcpStream>> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}
