//! What every relayed socket is set to.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// What Go sets on both peers' own sockets. We stand between their kernels'
/// probes, so ours have to notice a machine that vanished.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// Sends what is written at once, and probes an idle peer's machine.
pub(super) fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_EVERY)
        .with_interval(PROBE_EVERY);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}
