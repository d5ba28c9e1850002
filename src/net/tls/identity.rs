//! What a client's handshake showed.

use rustls::ServerConnection;

use crate::relay::{TlsSeen, certificate_name};

/// What the finished handshake of `connection` showed.
pub(in crate::net) fn seen(connection: &ServerConnection) -> TlsSeen {
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    TlsSeen {
        version: version(connection.protocol_version()).into(),
        sni: connection.server_name().map(Into::into),
        alpn: connection
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into()),
        identity: leaf.and_then(|certificate| certificate_name(certificate)),
    }
}

/// How the log names a protocol version.
pub(in crate::net) fn version(version: Option<rustls::ProtocolVersion>) -> &'static str {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    }
}
