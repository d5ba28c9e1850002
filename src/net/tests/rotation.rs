//! Certificates that change while the proxy runs.

use std::time::Duration;

use tokio_rustls::client;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificates::{Authority, handshake};
use super::stage::{self, SOON, Stage, start, with_tls};
use crate::net::{ClientAuth, UpstreamTls};

/// The common name of the certificate that the proxy shows now.
async fn shown(stage: &Stage, authority: &Authority) -> String {
    let client = authority.client(None, &["h2"]);
    let stream = handshake(client, stage.connect().await)
        .await
        .expect("a handshake");
    name_of(&stream)
}

fn name_of<T>(stream: &client::TlsStream<T>) -> String {
    let chain = stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("a certificate");
    let (_, leaf) = X509Certificate::from_der(&chain[0]).expect("a certificate");
    let name = leaf.subject().iter_common_name().next().expect("a name");
    name.as_str().expect("text").to_owned()
}

async fn until_shown(stage: &Stage, authority: &Authority, name: &str) {
    let deadline = tokio::time::Instant::now() + SOON;
    while shown(stage, authority).await != name {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{name} is never shown"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn new_files_are_taken_up_and_broken_ones_are_not() {
    let authority = Authority::new();
    // Keeps the connections of the test waiting in its queue.
    let (_listener, url) = stage::upstream().await;
    let tls = authority.listener(ClientAuth::None);
    let pair = tls.identity.clone();
    let stage = start(with_tls(&url, Some(tls), UpstreamTls::default()));
    assert_eq!(shown(&stage, &authority).await, "etcdtap");

    authority.issue("listener", "renewed");
    until_shown(&stage, &authority, "renewed").await;

    // A certificate that its key does not fit, then no certificate at all.
    let good = std::fs::read(&pair.cert).expect("a file");
    let other = authority.issue("other", "other");
    for bad in [
        std::fs::read(other.cert).expect("a file"),
        b"garbage".to_vec(),
    ] {
        std::fs::write(&pair.cert, bad).expect("a written file");
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(shown(&stage, &authority).await, "renewed");
    }
    std::fs::remove_file(&pair.cert).expect("a removed file");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(shown(&stage, &authority).await, "renewed");

    // And it goes on from there.
    std::fs::write(&pair.cert, good).expect("a written file");
    authority.issue("listener", "renewed again");
    until_shown(&stage, &authority, "renewed again").await;
}
