//! TLS on either side and on both.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, server};

use super::certificates::{Authority, handshake, picked, told};
use super::stage::{self, Stage, echo, noise, read_all, read_n, start, with_tls};
use crate::net::{ClientAuth, UpstreamTls};

/// A proxy with TLS on both sides before an etcd that speaks `protocols`.
async fn both_sides(
    authority: &Authority,
    protocols: &[&str],
) -> (Stage, TcpListener, TlsAcceptor) {
    let (listener, url) = stage::upstream().await;
    let url = url.replace("http://", "https://");
    let config = with_tls(
        &url,
        Some(authority.listener(ClientAuth::Require)),
        authority.upstream(),
    );
    (start(config), listener, authority.etcd(protocols))
}

async fn accept_tls(
    listener: &TcpListener,
    etcd: &TlsAcceptor,
) -> server::TlsStream<tokio::net::TcpStream> {
    etcd.accept(stage::accept(listener).await)
        .await
        .expect("etcd's handshake")
}

#[tokio::test]
async fn a_megabyte_comes_back_and_the_log_knows_the_client() {
    let authority = Authority::new();
    let (stage, listener, etcd) = both_sides(&authority, &["h2"]).await;
    let client = authority.client(Some("kube-apiserver-etcd-client"), &["h2"]);
    let serve = async { tokio::spawn(echo(accept_tls(&listener, &etcd).await)) };
    let (client, _) = tokio::join!(handshake(client, stage.connect().await), serve);
    let (mut read, mut write) = tokio::io::split(client.expect("a handshake"));
    let sent = noise(1_000_003);
    let (_, got) = tokio::join!(
        async {
            write.write_all(&sent).await.expect("the echo takes it");
            write.shutdown().await.expect("an end");
        },
        read_all(&mut read)
    );
    assert!(got.expect("a proper end") == sent);
    let ended = stage.connection_ended().await;
    assert_eq!(&*ended.how, "client closed");
    assert_eq!(
        (ended.bytes.client, ended.bytes.server),
        (1_000_003, 1_000_003)
    );
    let tls = ended.peers.tls.as_ref().expect("TLS was seen");
    assert_eq!(&*tls.version, "TLSv1.3");
    assert_eq!(tls.alpn.as_deref(), Some("h2"));
    assert_eq!(tls.identity.as_deref(), Some("kube-apiserver-etcd-client"));
    assert_eq!(tls.sni, None);
}

#[tokio::test]
async fn alpn_is_the_upstreams() {
    let authority = Authority::new();
    for (etcd_speaks, client_offers, pick) in [
        (&["h2", "http/1.1"][..], &["h2", "http/1.1"][..], Some("h2")),
        (&["h2", "http/1.1"], &["http/1.1"], Some("http/1.1")),
        (&["h2"], &[], None),
        (&[], &["h2", "http/1.1"], None),
        (&["odd"], &["h2", "odd"], Some("odd")),
    ] {
        let (stage, listener, etcd) = both_sides(&authority, etcd_speaks).await;
        let client = authority.client(Some("c"), client_offers);
        let (client, upstream) = tokio::join!(
            handshake(client, stage.connect().await),
            accept_tls(&listener, &etcd)
        );
        let client = client.expect("a handshake");
        assert_eq!(picked(&upstream), pick.map(str::as_bytes));
        assert_eq!(told(&client), pick.map(str::as_bytes), "{client_offers:?}");
    }
}

#[tokio::test]
async fn a_protocol_that_etcd_does_not_speak_is_refused_in_its_words() {
    let authority = Authority::new();
    let (stage, listener, etcd) = both_sides(&authority, &["h2"]).await;
    let client = authority.client(Some("c"), &["spdy/3"]);
    let (client, upstream) = tokio::join!(handshake(client, stage.connect().await), async {
        etcd.accept(stage::accept(&listener).await).await
    });
    assert!(upstream.is_err());
    let error = client.expect_err("a refusal").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn plaintext_upstream_gets_the_clients_first_choice() {
    let authority = Authority::new();
    for (offers, pick) in [
        (&["http/1.1", "h2"][..], Some("http/1.1")),
        (&["odd", "h2"], Some("h2")),
        (&[], None),
    ] {
        let (listener, url) = stage::upstream().await;
        let tls = authority.listener(ClientAuth::None);
        let stage = start(with_tls(&url, Some(tls), UpstreamTls::default()));
        let client = authority.client(None, offers);
        let (client, mut upstream) = tokio::join!(
            handshake(client, stage.connect().await),
            stage::accept(&listener)
        );
        let mut client = client.expect("a handshake");
        assert_eq!(told(&client), pick.map(str::as_bytes));
        client.write_all(b"hello").await.expect("a write");
        assert_eq!(read_n(&mut upstream, 5).await, b"hello");
    }
}

#[tokio::test]
async fn a_plain_clients_first_bytes_choose_the_offer() {
    let authority = Authority::new();
    for (first, rest, pick) in [
        ("PR", "I * HTTP/2.0\r\n", "h2"),
        ("GET /health", "", "http/1.1"),
        ("P", "OST", "http/1.1"),
    ] {
        let (listener, url) = stage::upstream().await;
        let url = url.replace("http://", "https://");
        let stage = start(with_tls(&url, None, authority.upstream()));
        let etcd = authority.etcd(&["h2", "http/1.1"]);
        let mut client = stage.connect().await;
        client.write_all(first.as_bytes()).await.expect("a write");
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.write_all(rest.as_bytes()).await.expect("a write");
        let mut upstream = accept_tls(&listener, &etcd).await;
        assert_eq!(picked(&upstream), Some(pick.as_bytes()));
        let all = [first, rest].concat();
        assert_eq!(read_n(&mut upstream, all.len()).await, all.as_bytes());
    }
}

#[tokio::test]
async fn client_certificates() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (auth, identity, welcome) in [
        (ClientAuth::Require, Some("somebody"), true),
        (ClientAuth::Require, None, false),
        (ClientAuth::Optional, Some("somebody"), true),
        (ClientAuth::Optional, None, true),
        (ClientAuth::None, None, true),
    ] {
        let (listener, url) = stage::upstream().await;
        let tls = authority.listener(auth);
        let stage = start(with_tls(&url, Some(tls), UpstreamTls::default()));
        tokio::spawn(async move { echo(stage::accept(&listener).await).await });
        let client = authority.client(identity, &["h2"]);
        let served = greet(&stage, client).await;
        assert_eq!(served.is_ok(), welcome, "{auth:?} {identity:?} {served:?}");
        let ended = stage.connection_ended().await;
        match welcome {
            true => {
                let tls = ended.peers.tls.as_ref().expect("TLS was seen");
                assert_eq!(tls.identity.as_deref(), identity);
            }
            false => assert_eq!(
                &*ended.how,
                "TLS handshake with the client failed: peer sent no certificates"
            ),
        }
    }
    // One that another CA signed.
    let (listener, url) = stage::upstream().await;
    let tls = authority.listener(ClientAuth::Optional);
    let stage = start(with_tls(&url, Some(tls), UpstreamTls::default()));
    tokio::spawn(async move { echo(stage::accept(&listener).await).await });
    let mut client = authority.client(None, &["h2"]);
    client.client_auth_cert_resolver = stranger
        .client(Some("stranger"), &[])
        .client_auth_cert_resolver
        .clone();
    greet(&stage, client).await.expect_err("a refusal");
    let how = stage.connection_ended().await.how;
    assert!(
        how.starts_with("TLS handshake with the client failed: invalid peer"),
        "{how}"
    );
}

/// A handshake, and a word back and forth: under TLS 1.3 a server's refusal
/// comes after the client's handshake is over.
async fn greet(stage: &Stage, client: rustls::ClientConfig) -> std::io::Result<()> {
    let mut client = handshake(client, stage.connect().await).await?;
    client.write_all(b"hello").await?;
    client.shutdown().await?;
    match read_all(&mut client).await?.as_slice() {
        b"hello" => Ok(()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

#[tokio::test]
async fn the_upstreams_refusal_of_our_certificate_is_told() {
    let authority = Authority::new();
    let (listener, url) = stage::upstream().await;
    let url = url.replace("http://", "https://");
    let anonymous = UpstreamTls {
        identity: None,
        ..authority.upstream()
    };
    let stage = start(with_tls(&url, None, anonymous));
    let mut client = stage.connect().await;
    client
        .write_all(b"GET /health HTTP/1.1\r\n\r\n")
        .await
        .expect("a write");
    let etcd = authority.etcd(&["h2", "http/1.1"]);
    etcd.accept(stage::accept(&listener).await)
        .await
        .expect_err("no certificate");
    read_all(&mut client).await.expect_err("a reset");
    let how = stage.connection_ended().await.how;
    assert_eq!(
        &*how,
        "upstream's TLS failed: received fatal alert: CertificateRequired"
    );
}

#[tokio::test]
async fn an_upstream_that_our_ca_did_not_sign_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let (listener, url) = stage::upstream().await;
    let url = url.replace("http://", "https://");
    let tls = authority.listener(ClientAuth::None);
    let stage = start(with_tls(&url, Some(tls), authority.upstream()));
    let etcd = stranger.etcd(&["h2"]);
    let client = authority.client(None, &["h2"]);
    let (client, _) = tokio::join!(handshake(client, stage.connect().await), async {
        etcd.accept(stage::accept(&listener).await).await
    });
    assert_eq!(
        client.expect_err("a reset").kind(),
        ErrorKind::ConnectionReset
    );
    let how = stage.connection_ended().await.how;
    let words = "TLS handshake with the upstream failed: invalid peer certificate: ";
    assert!(how.starts_with(words), "{how}");
}

#[tokio::test]
async fn an_end_without_close_notify_is_passed_on_as_one() {
    let authority = Authority::new();
    let (stage, listener, etcd) = both_sides(&authority, &["h2"]).await;
    for proper in [true, false] {
        let client = authority.client(Some("c"), &["h2"]);
        let (client, upstream) = tokio::join!(
            handshake(client, stage.connect().await),
            accept_tls(&listener, &etcd)
        );
        let (mut client, mut upstream) = (client.expect("a handshake"), upstream);
        client.write_all(b"hello").await.expect("a write");
        assert_eq!(read_n(&mut upstream, 5).await, b"hello");
        match proper {
            true => client.shutdown().await.expect("a close_notify"),
            false => client.get_mut().0.shutdown().await.expect("a FIN"),
        }
        match (proper, read_all(&mut upstream).await) {
            (true, Ok(rest)) => assert_eq!(rest, b""),
            (false, Err(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            (_, other) => panic!("{proper} {other:?}"),
        }
        // The other half still stands.
        upstream.write_all(b"goodbye").await.expect("a write");
        upstream.shutdown().await.expect("an end");
        assert_eq!(read_n(&mut client, 7).await, b"goodbye");
    }
}

#[tokio::test]
async fn a_reset_passes_through_tls() {
    let authority = Authority::new();
    let (stage, listener, etcd) = both_sides(&authority, &["h2"]).await;
    let client = authority.client(Some("c"), &["h2"]);
    let (client, upstream) = tokio::join!(
        handshake(client, stage.connect().await),
        accept_tls(&listener, &etcd)
    );
    let mut client = client.expect("a handshake");
    upstream.get_ref().0.set_zero_linger().expect("an option");
    drop(upstream);
    let error = read_all(&mut client).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(
        &*stage.connection_ended().await.how,
        "upstream reset the connection"
    );
}
