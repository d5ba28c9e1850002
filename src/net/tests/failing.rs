//! Upstreams that do not answer, clients that leave, proxies that cannot start.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::certificates::Authority;
use super::stage::{self, read_all, start, to, with_tls};
use crate::http2::Side;
use crate::net::{ClientAuth, KeyPair, Pki, Proxy, ProxyConfig, UpstreamTls};

/// A reset at once is seen by whoever connects or by whoever reads.
async fn connect_and_read(stage: &stage::Stage) -> std::io::Result<Vec<u8>> {
    let mut client = TcpStream::connect(stage.address).await?;
    read_all(&mut client).await
}

#[tokio::test]
async fn refused_upstream_resets_the_client() {
    let (listener, url) = stage::upstream().await;
    drop(listener);
    let stage = start(to(&url));
    let error = connect_and_read(&stage).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let ended = stage.connection_ended().await;
    assert!(
        ended.how.starts_with("upstream refused the connection: "),
        "{}",
        ended.how
    );
    assert_eq!(ended.by, Some(Side::Server));
    assert_eq!(ended.bytes.client, 0);
}

#[tokio::test]
async fn unknown_upstream_is_named() {
    let stage = start(to("http://etcd.invalid:2379"));
    connect_and_read(&stage).await.expect_err("a reset");
    let ended = stage.connection_ended().await;
    assert!(ended.how.contains("etcd.invalid"), "{}", ended.how);
}

/// An upstream whose queue is full: the kernel answers no further SYN.
async fn silent() -> (TcpListener, Vec<TcpStream>, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("a free port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.expect("a queued connection"));
        assert!(waiting.len() < 100, "the queue never fills");
    }
    (listener, waiting, format!("http://{address}"))
}

#[tokio::test]
async fn silent_upstream_is_silence_until_the_client_leaves() {
    let (_listener, _waiting, url) = silent().await;
    let stage = start(to(&url));
    let mut client = stage.connect().await;
    client.write_all(b"anybody there?").await.expect("a write");
    let silence = timeout(Duration::from_millis(300), client.readable()).await;
    assert!(silence.is_err(), "something came");
    client.set_zero_linger().expect("an option");
    drop(client);
    let ended = stage.connection_ended().await;
    assert_eq!(&*ended.how, "client left before the upstream was there");
    assert_eq!(ended.by, Some(Side::Client));
}

#[tokio::test]
async fn a_client_that_said_all_it_has_to_say_is_served() {
    let (listener, url) = stage::upstream().await;
    let stage = start(to(&url));
    let mut client = stage.connect().await;
    client.write_all(b"GET /health").await.expect("a write");
    client.shutdown().await.expect("an end");
    let mut upstream = stage::accept(&listener).await;
    assert_eq!(
        read_all(&mut upstream).await.expect("an end"),
        b"GET /health"
    );
    upstream.write_all(b"true").await.expect("a write");
    drop(upstream);
    assert_eq!(read_all(&mut client).await.expect("an end"), b"true");
}

fn bind_error(config: ProxyConfig) -> (String, bool) {
    match Proxy::bind(config) {
        Ok(_) => panic!("the proxy started"),
        Err(error) => (error.to_string(), error.is_configuration()),
    }
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address");
    let mut config = to("http://127.0.0.1:1");
    config.routes[0].listen = address.to_string();
    let (error, configuration) = bind_error(config);
    assert_eq!(
        error,
        format!(
            "cannot listen on {address}: Address already in use; \
             end what listens there, or choose another one"
        )
    );
    assert!(!configuration);
}

#[tokio::test]
async fn bad_addresses_are_configuration() {
    for (listen, words) in [("localhost", "has no port"), ("localhost:x", "bad port")] {
        let mut config = to("http://127.0.0.1:1");
        config.routes[0].listen = listen.to_owned();
        let (error, configuration) = bind_error(config);
        assert!(error.contains(words) && error.contains(listen), "{error}");
        assert!(configuration);
    }
}

#[tokio::test]
async fn https_without_ca_is_configuration() {
    let (error, configuration) = bind_error(with_tls(
        "https://127.0.0.1:1",
        None,
        UpstreamTls::default(),
    ));
    assert!(
        error.contains("https://127.0.0.1:1 needs an upstream CA"),
        "{error}"
    );
    assert!(configuration);
}

#[tokio::test]
async fn bad_certificate_files_are_named() {
    let authority = Authority::new();
    let good = authority.listener(ClientAuth::Require);
    let other = authority.issue("other", "other");
    let empty = authority.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").expect("a written file");
    let missing = PathBuf::from("/nowhere/tls.crt");
    let pair = |cert: &PathBuf, key: &PathBuf| KeyPair {
        cert: cert.clone(),
        key: key.clone(),
    };
    for (identity, words) in [
        (
            pair(&missing, &other.key),
            "cannot read the listener's certificate /nowhere/tls.crt",
        ),
        (
            pair(&empty, &other.key),
            "empty.pem because it holds no certificate",
        ),
        (
            pair(&other.cert, &empty),
            "empty.pem because it holds no private key",
        ),
        (
            pair(&other.cert, &good.identity.key),
            "listener.key because it does not belong to",
        ),
    ] {
        let mut listener = good.clone();
        listener.identity = identity;
        let config = with_tls("http://127.0.0.1:1", Some(listener), UpstreamTls::default());
        let (error, configuration) = bind_error(config);
        assert!(error.contains(words), "{error}");
        assert!(!configuration);
    }
}

#[test]
fn kubeadm_layout() {
    let authority = Authority::new();
    let dir = authority.path();
    std::fs::create_dir(dir.join("etcd")).expect("a folder");
    for file in [
        "etcd/ca.crt",
        "etcd/server.crt",
        "etcd/server.key",
        "apiserver-etcd-client.crt",
    ] {
        std::fs::write(dir.join(file), "").expect("a written file");
    }
    let pki = Pki::in_dir(dir);
    let error = pki.client().expect_err("a missing file").to_string();
    assert!(
        error.contains("apiserver-etcd-client.key: No such file"),
        "{error}"
    );
    // The others are of use without it.
    assert_eq!(pki.ca().expect("a CA"), dir.join("etcd/ca.crt"));
    let server = pki.server().expect("a server certificate");
    assert_eq!(server.cert, dir.join("etcd/server.crt"));
    std::fs::write(dir.join("apiserver-etcd-client.key"), "").expect("a written file");
    let client = pki.client().expect("all files are there");
    assert_eq!(client.key, dir.join("apiserver-etcd-client.key"));
}
