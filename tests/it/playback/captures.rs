//! Both captures as etcds, asked by etcdctl.

use std::process::Command;

use crate::live::etcd::Version;
use crate::pcap;

use super::player::Player;

struct Imported {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn imported(capture: &str) -> Imported {
    let folder = tempfile::tempdir().unwrap();
    let packets = folder.path().join("etcd.pcap");
    std::fs::write(&packets, pcap::unpacked(capture)).unwrap();
    let path = folder.path().join("calls.mcap");
    let imported = Command::new(env!("CARGO_BIN_EXE_etcdtap"))
        .arg("import")
        .arg(&packets)
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap();
    assert!(imported.status.success(), "{imported:?}");
    Imported {
        _folder: folder,
        path,
    }
}

#[tokio::test]
async fn the_first_capture_is_an_etcd_for_etcdctl() {
    let recording = imported("kube-apiserver-1.20_etcd-3.4_startup-and-workload");
    is_an_etcd(&recording, 1785, 75, "/registry/events/").await;
}

#[tokio::test]
async fn the_second_capture_is_an_etcd_for_etcdctl() {
    let recording = imported("apiserver-0.36_etcd-3.5_startup-and-workload");
    is_an_etcd(&recording, 1613, 54, "/registry/services/").await;
}

async fn is_an_etcd(recording: &Imported, last: usize, keys: usize, prefix: &str) {
    let player = Player::start(&recording.path, &[]).await;
    for version in [Version::V3_4, Version::V3_5] {
        let etcdctl = player.etcdctl(version);
        let all = etcdctl
            .run(["get", "--prefix", "/", "--keys-only"])
            .await
            .ok();
        let listed: Vec<_> = all.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(listed.len(), keys);
        let some = etcdctl
            .run(["get", "--prefix", prefix, "--keys-only"])
            .await
            .ok();
        let some: Vec<_> = some.lines().filter(|line| !line.is_empty()).collect();
        let expected: Vec<_> = listed
            .iter()
            .filter(|key| key.starts_with(prefix))
            .collect();
        assert!(some.iter().eq(expected.into_iter()));
        // The namespace was deleted in the end, and its pods with it.
        let pods = etcdctl
            .run(["get", "--prefix", "/registry/pods/lab/"])
            .await
            .ok();
        assert_eq!(pods, "");
        etcdctl.run(["endpoint", "health"]).await.ok();
        etcdctl.run(["endpoint", "status"]).await.ok();
        etcdctl.run(["member", "list"]).await.ok();
        // Every write was recorded, so every revision has its event.
        let watch = etcdctl.spawn(["watch", "--prefix", "/", "--rev", "1"]);
        let is_event = |line: &str| line == "PUT" || line == "DELETE";
        crate::live::patience::until("all events were told", async || {
            (watch.output.count(is_event) >= last - 1).then_some(())
        })
        .await;
        watch.kill().await;
    }
    let said = player.end().await;
    assert!(
        said.contains(&format!("revision {last} of 1 to {last}, {keys} keys")),
        "{said}"
    );
    assert!(
        said.contains("nothing was asked for that the recording does not know"),
        "{said}"
    );

    // While the deployment was there.
    let player = Player::start(&recording.path, &["--at", "900"]).await;
    for version in [Version::V3_4, Version::V3_5] {
        let etcdctl = player.etcdctl(version);
        let pods = etcdctl.run(["get", "--prefix", "/registry/pods/lab/", "--keys-only"]);
        let pods = pods.await.ok();
        assert!(
            pods.lines()
                .any(|line| line.starts_with("/registry/pods/lab/web-")),
            "{pods}"
        );
        let refused = etcdctl.run(["put", "/registry/x", "y"]).await;
        assert!(
            refused.error().contains("cannot be written to"),
            "{refused:?}"
        );
        let later = etcdctl.run(["get", "/registry/x", "--rev", "901"]).await;
        assert!(
            later
                .error()
                .contains("required revision is a future revision")
        );
    }
    player.end().await;
}
