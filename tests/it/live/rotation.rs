//! Certificates that change on disk are taken up without a restart.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::certs::{Pki, replace};
use super::patience::{soon, until};
use super::proxy::Arguments;
use super::stack::{Setup, with_mtls};
use super::tls::{TlsClient, acceptor, certificate, shown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_server_certificate_is_shown_and_a_broken_one_is_not() {
    let stack = Setup::MTLS_35.start().await;
    let pki = stack.etcd.pki.as_ref().unwrap();
    let proxy = stack.proxy.address();
    let client = TlsClient::trusting(&pki.authority).showing(pki.authority.client("me"));
    let first = shown(&client.connect(proxy).await.unwrap());
    let mut old_connection = stack.client().await;
    old_connection.put("/a", "1", None).await.unwrap();

    let second = pki.authority.server();
    pki.write_server(&second);
    until("the second certificate is shown", async || {
        let stream = client.connect(proxy).await.unwrap();
        (shown(&stream) == certificate(&second.cert)).then_some(())
    })
    .await;
    assert_ne!(first, certificate(&second.cert));
    old_connection.put("/a", "2", None).await.unwrap();
    stack.etcdctl().run(["put", "/a", "3"]).await.ok();

    let said = |line: &str| line.contains("server.crt") && !line.contains("INFO");
    assert_eq!(stack.proxy.errors.count(said), 0);
    replace(&pki.server_cert(), "-----BEGIN CERTIFICATE-----\nno\n");
    stack.proxy.errors.wait_for(said).await;
    let stream = client.connect(proxy).await.unwrap();
    assert_eq!(shown(&stream), certificate(&second.cert));

    // And from there it still finds the way back.
    let third = pki.authority.server();
    pki.write_server(&third);
    until("the third certificate is shown", async || {
        let stream = client.connect(proxy).await.unwrap();
        (shown(&stream) == certificate(&third.cert)).then_some(())
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
