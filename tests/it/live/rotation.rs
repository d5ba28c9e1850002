//! Certificates that change on disk are taken up without a restart.

use std::net::SocketAddr;
use std::sync::Arc;

use etcd_client::{Client, ConnectOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::certs::{Pki, replace};
use super::etcd::{Etcd, Version};
use super::etcdctl::Etcdctl;
use super::patience::{soon, until};
use super::proxy::Arguments;
use super::stack::with_mtls;
use super::tls::{TlsClient, acceptor, certificate, shown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_server_certificate_is_shown_and_a_broken_one_is_not() {
    // Two folders: etcd reads its certificate anew for each connection, and
    // shall not be the one to stumble over the broken file.
    let behind = Arc::new(Pki::new());
    let pki = Pki::new();
    let etcd = Etcd::of(Version::V3_5, 1)
        .tls(Arc::clone(&behind))
        .start()
        .await;
    let proxy = Arguments::new()
        .flag("--tls-cert", pki.server_cert())
        .flag("--tls-key", pki.server_key())
        .flag("--tls-client-ca", pki.ca())
        .flag("--upstream-ca", behind.ca())
        .flag("--upstream-cert", behind.client_cert())
        .flag("--upstream-key", behind.client_key())
        .pair(&etcd.urls()[0])
        .start()
        .await;
    let client = TlsClient::trusting(&pki.authority).showing(pki.authority.client("me"));
    let shown_now = async || {
        let stream = client.connect(proxy.address()).await;
        shown(&stream.unwrap())
    };
    let first = shown_now().await;
    let options = ConnectOptions::new().with_tls(pki.client_options());
    let connecting = Client::connect(proxy.urls("https"), Some(options));
    let mut old_connection = connecting.await.unwrap();
    old_connection.put("/a", "1", None).await.unwrap();

    let second = pki.authority.server();
    pki.write_server(&second);
    until("the second certificate is shown", async || {
        (shown_now().await == certificate(&second.cert)).then_some(())
    })
    .await;
    assert_ne!(first, certificate(&second.cert));
    old_connection.put("/a", "2", None).await.unwrap();
    let etcdctl = Etcdctl::of(etcd.version, &proxy.urls("https")).tls(&pki);
    etcdctl.run(["put", "/a", "3"]).await.ok();

    let said = |line: &str| line.contains("server.crt") && !line.contains("INFO");
    let before = proxy.errors.count(said);
    replace(
        &pki.server_cert(),
        "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
    );
    until("the broken file is complained of", async || {
        (proxy.errors.count(said) > before).then_some(())
    })
    .await;
    assert_eq!(shown_now().await, certificate(&second.cert));

    // And from there it still finds the way back.
    let third = pki.authority.server();
    pki.write_server(&third);
    until("the third certificate is shown", async || {
        (shown_now().await == certificate(&third.cert)).then_some(())
    })
    .await;
    old_connection.put("/a", "4", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_certificate_is_shown_to_etcd() {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let acceptor = acceptor(&pki.authority, &pki.authority.server());
    let (seen, mut certificates) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let chain = stream.get_ref().1.peer_certificates().unwrap();
            let _ = seen.send(chain[0].clone().into_owned());
            let _ = stream.shutdown().await;
        }
    });
    let proxy = with_mtls(Arguments::new(), &pki)
        .pair(&format!("https://localhost:{}", upstream.port()))
        .start()
        .await;
    let client = TlsClient::trusting(&pki.authority).showing(pki.authority.client("me"));
    let knock = async |proxy: SocketAddr| drop(client.version(proxy).await);

    knock(proxy.address()).await;
    let first = soon("a certificate", certificates.recv()).await.unwrap();
    let second = pki.authority.client("kube-apiserver-etcd-client");
    assert_ne!(first, certificate(&second.cert));
    pki.write_client(&second);
    until("the second certificate is shown", async || {
        knock(proxy.address()).await;
        let shown = certificates.recv().await.unwrap();
        (shown == certificate(&second.cert)).then_some(())
    })
    .await;
}
