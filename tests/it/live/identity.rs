//! Who is let in over TLS, and what the handshake says on both sides.

use std::sync::Arc;

use super::certs::{Authority, Pki};
use super::etcd::{Etcd, Version};
use super::etcdctl::Etcdctl;
use super::log::Line;
use super::proxy::Arguments;
use super::stack::{Setup, with_mtls};
use super::tls::TlsClient;

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    for setup in [Setup::MTLS_34, Setup::MTLS_35] {
        let stack = setup.start().await;
        let pki = stack.etcd.pki.as_ref().unwrap();
        let stranger = |urls: &[String]| {
            let etcdctl = Etcdctl::of(stack.etcd.version, urls).trusting(pki);
            etcdctl
                .flag("--dial-timeout", "1s")
                .flag("--command-timeout", "1s")
        };
        let expected = stranger(&stack.etcd.urls()).run(["get", "a"]).await;
        let seen = stranger(&stack.proxy.urls("https")).run(["get", "a"]).await;
        assert_ne!(expected.code, Some(0));
        assert_eq!((seen.code, seen.error()), (expected.code, expected.error()));

        // One that another CA signed is no better.
        let impostor = Authority::new("etcd-ca").client("kube-apiserver-etcd-client");
        let impostor = TlsClient::trusting(&pki.authority).showing(impostor);
        impostor.version(stack.proxy.address()).await.unwrap_err();
        let known = TlsClient::trusting(&pki.authority).showing(pki.authority.client("me"));
        let version = known.version(stack.proxy.address()).await.unwrap();
        assert!(version.contains("etcdserver"), "{version}");

        assert!(stack.proxy.log.all(|line| line.is("call")).is_empty());
        let said = |line: &Line| line.is("connection") && !line.text("message").is_empty();
        stack.proxy.log.wait_for("the refusals", said).await;
    }
}

#[tokio::test]
async fn the_protocol_is_the_one_etcd_picks() {
    let stack = Setup::MTLS_35.start().await;
    let authority = &stack.etcd.pki.as_ref().unwrap().authority;
    let client = TlsClient::trusting(authority).showing(authority.client("me"));
    let offers: [&[&str]; 5] = [
        &["h2"],
        &["http/1.1"],
        &["h2", "http/1.1"],
        &["http/1.1", "h2"],
        &[],
    ];
    for offer in offers {
        let client = client.clone().offering(offer);
        let mut picked = Vec::new();
        for server in [stack.etcd.addresses()[0], stack.proxy.address()] {
            let stream = client.connect(server).await.unwrap();
            picked.push(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
        }
        assert_eq!(picked[1], picked[0], "{offer:?}");
    }
}

#[tokio::test]
async fn kubeadms_folder_is_all_it_takes() {
    let pki = Arc::new(Pki::new());
    let etcd = Etcd::of(Version::V3_5, 1)
        .tls(Arc::clone(&pki))
        .start()
        .await;
    let proxy = Arguments::new()
        .flag("--pki", pki.dir())
        .pair(&etcd.urls()[0])
        .start()
        .await;
    let etcdctl = Etcdctl::of(etcd.version, &proxy.urls("https")).tls(&pki);
    etcdctl
        .run(["put", "/registry/pods/default/web", "1"])
        .await
        .ok();
    let put = proxy
        .log
        .wait_for("the put", |line| line.is_call("Put"))
        .await;
    assert_eq!(put.text("name"), "web");
    let stranger = TlsClient::trusting(&pki.authority);
    stranger.version(proxy.address()).await.unwrap_err();
}

#[tokio::test]
async fn client_certificates_may_be_optional_or_not_wanted() {
    let pki = Arc::new(Pki::new());
    let etcd = Etcd::of(Version::V3_4, 1)
        .tls(Arc::clone(&pki))
        .start()
        .await;
    for mode in ["optional", "none"] {
        let arguments = Arguments::new().flag("--pki", pki.dir());
        let proxy = arguments
            .flag("--tls-client-auth", mode)
            .pair(&etcd.urls()[0])
            .start()
            .await;
        let stranger = TlsClient::trusting(&pki.authority);
        let version = stranger.version(proxy.address()).await.unwrap();
        assert!(version.contains("etcdserver"), "{mode}: {version}");
        let known = stranger.clone().showing(pki.authority.client("me"));
        known.version(proxy.address()).await.unwrap();
        let impostor = stranger.showing(Authority::new("other").client("me"));
        let outcome = impostor.version(proxy.address()).await;
        assert_eq!(outcome.is_ok(), mode == "none", "{mode}");
    }
}

#[tokio::test]
async fn each_side_may_be_plain_while_the_other_is_not() {
    let pki = Arc::new(Pki::new());
    let plain = Etcd::of(Version::V3_4, 1).start().await;
    let secure = Etcd::of(Version::V3_5, 1)
        .tls(Arc::clone(&pki))
        .start()
        .await;

    let towards_plain = Arguments::new()
        .flag("--tls-cert", pki.server_cert())
        .flag("--tls-key", pki.server_key())
        .pair(&plain.urls()[0])
        .start()
        .await;
    let etcdctl = Etcdctl::of(plain.version, &towards_plain.urls("https")).trusting(&pki);
    etcdctl.run(["put", "/a", "1"]).await.ok();
    towards_plain
        .log
        .wait_for("the put", |line| line.is_call("Put"))
        .await;

    let towards_secure = Arguments::new()
        .flag("--upstream-ca", pki.ca())
        .flag("--upstream-cert", pki.client_cert())
        .flag("--upstream-key", pki.client_key())
        .pair(&secure.urls()[0])
        .start()
        .await;
    let etcdctl = Etcdctl::of(secure.version, &towards_secure.urls("http"));
    etcdctl.run(["put", "/a", "1"]).await.ok();
    towards_secure
        .log
        .wait_for("the put", |line| line.is_call("Put"))
        .await;
    let version = super::http::once(towards_secure.address(), "GET", "/version", "").await;
    assert!(version.unwrap().body.contains("etcdserver"));
}

#[tokio::test]
async fn an_etcd_that_cannot_be_trusted_gets_no_bytes() {
    let pki = Arc::new(Pki::new());
    let etcd = Etcd::of(Version::V3_5, 1)
        .tls(Arc::clone(&pki))
        .start()
        .await;
    let elsewhere = Pki::new();
    let proxy = with_mtls(Arguments::new(), &elsewhere)
        .pair(&etcd.urls()[0])
        .start()
        .await;
    let authority = &elsewhere.authority;
    let client = TlsClient::trusting(authority).showing(authority.client("me"));
    client.version(proxy.address()).await.unwrap_err();
    let ended = proxy
        .log
        .wait_for("the end", |line| line.is("connection"))
        .await;
    assert!(ended.text("message").contains("certificate"), "{ended:?}");
}
