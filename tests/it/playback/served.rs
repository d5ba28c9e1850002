//! How a playback is reached, and what it says of itself.

use std::path::PathBuf;
use std::sync::Arc;

use etcd_client::{Client, ConnectOptions};
use serde_json::Value;

use super::player::Player;
use crate::live::certs::Pki;
use crate::live::etcd::{Etcd, Version};
use crate::live::etcdctl::Etcdctl;
use crate::live::http;
use crate::live::proxy::Arguments;
use crate::pcap::NAME_0_36;

struct Recorded {
    folder: tempfile::TempDir,
    version: String,
}

impl Recorded {
    /// Of an etcd, one of whose values is hidden; with a question for its version or
    /// without.
    async fn of(version: Version, asks: bool) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let etcd = Etcd::of(version, 1).start().await;
        let mut proxy = Arguments::new()
            .pair(&etcd.urls()[0])
            .flag("--record", folder.path().join("calls.mcap"))
            .start()
            .await;
        let mut client = Client::connect(proxy.urls("http"), None).await.unwrap();
        client.put("/registry/pods/lab/a", "1", None).await.unwrap();
        let secret = "/registry/secrets/lab/password";
        client.put(secret, "what is hidden", None).await.unwrap();
        client.get(secret, None).await.unwrap();
        let mut version = String::new();
        if asks {
            version = client.status().await.unwrap().version().to_owned();
        }
        drop(client);
        assert_eq!(proxy.terminate().await, Some(0));
        Recorded { folder, version }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("calls.mcap")
    }
}

async fn told(player: &Player, path: &str) -> (u16, Value) {
    let address = player.url.trim_start_matches("http://").parse().unwrap();
    let answer = http::once(address, "GET", path, "").await.unwrap();
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn the_recorded_version_is_told_by_status_and_over_http() {
    let recorded = Recorded::of(Version::V3_4, true).await;
    let player = Player::start(&recorded.path(), &[]).await;
    let started = player.errors.text();
    assert!(started.contains("; 1 value is hidden"), "{started}");
    let mut client = Client::connect([&player.url], None).await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.version(), recorded.version);
    let (code, version) = told(&player, "/version").await;
    assert_eq!(
        (code, &version["etcdserver"]),
        (200, &recorded.version.into())
    );
    assert_eq!(version["etcdcluster"], "3.4.0");
    let (code, health) = told(&player, "/health").await;
    assert_eq!((code, &health["health"]), (200, &"true".into()));
    let (code, nothing) = told(&player, "/metrics").await;
    assert_eq!(code, 404);
    assert!(nothing["error"].as_str().unwrap().contains("/metrics"));
    drop(client);
    player.end().await;
}

#[tokio::test]
async fn without_a_recorded_version_it_says_whose_it_is() {
    let recorded = Recorded::of(Version::V3_5, false).await;
    let player = Player::start(&recorded.path(), &[]).await;
    let mut client = Client::connect([&player.url], None).await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.version(), "3.5.0+etcdtap");
    for version in [Version::V3_4, Version::V3_5] {
        let etcdctl = player.etcdctl(version);
        let said = etcdctl.run(["endpoint", "status"]).await.ok();
        assert!(said.contains("3.5.0+etcdtap"), "{said}");
        etcdctl.run(["endpoint", "health"]).await.ok();
    }
    drop(client);
    player.end().await;
}

#[tokio::test]
async fn a_part_of_a_recording_is_played_and_ends_with_its_own_code() {
    let recorded = crate::replay::Recorded::of_capture(NAME_0_36).await;
    let whole = std::fs::read(recorded.path()).unwrap();
    let part = recorded.folder.path().join("part.mcap");
    std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    let player = Player::start(&part, &[]).await;
    let said = player.end_with(1).await;
    assert!(said.contains("missing"), "{said}");
}

#[tokio::test]
async fn over_tls_it_asks_for_certificates_as_etcd_does() {
    let recorded = Recorded::of(Version::V3_5, false).await;
    let pki = Arc::new(Pki::new());
    let (cert, key, ca) = (pki.server_cert(), pki.server_key(), pki.ca());
    let flags = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
        "--tls-client-ca",
        ca.to_str().unwrap(),
    ];
    let player = Player::start(&recorded.path(), &flags).await;
    let url = player.url.replace("http://", "https://");
    for version in [Version::V3_4, Version::V3_5] {
        let etcdctl = Etcdctl::of(version, std::slice::from_ref(&url));
        let get = ["get", "/registry/pods/lab/a"];
        let got = etcdctl.clone().tls(&pki).run(get).await.ok();
        assert_eq!(got, "/registry/pods/lab/a\n1\n");
        let stranger = etcdctl.trusting(&pki).flag("--command-timeout", "2s");
        assert_ne!(stranger.run(get).await.code, Some(0));
    }
    let tls = ConnectOptions::new().with_tls(pki.client_options());
    let mut client = Client::connect([&url], Some(tls)).await.unwrap();
    assert_eq!(
        client
            .get("/registry/pods/lab/a", None)
            .await
            .unwrap()
            .count(),
        1
    );
    drop(client);
    let said = player.end().await;
    assert!(
        said.contains("TLS handshake with the client failed"),
        "{said}"
    );

    let nowhere = recorded.folder.path().join("nowhere.crt");
    let wrong = ["--tls-cert", nowhere.to_str().unwrap(), flags[2], flags[3]];
    let file = recorded.path();
    let mut args = vec![
        "playback",
        file.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ];
    args.extend(wrong);
    let (_, errors, code) = crate::replay::etcdtap(&args).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("cannot read the listener's certificate"),
        "{errors}"
    );
}
