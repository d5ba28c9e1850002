//! Targets that want TLS, certificates and passwords.

use std::path::Path;
use std::sync::Arc;

use super::{Recorded, alike, etcdtap_with};
use crate::live::certs::{Authority, Pki};
use crate::live::etcd::{Etcd, Version};
use crate::live::etcdctl::Etcdctl;
use crate::pcap::NAME_0_36;
use serde_json::Value;

const PASSWORD: &str = "root's own password";

struct Secured {
    recorded: Recorded,
    etcd: Etcd,
    pki: Arc<Pki>,
}

impl Secured {
    /// An etcd that wants certificates, and has users.
    async fn start(version: Version) -> Secured {
        let recorded = Recorded::of_capture(NAME_0_36).await;
        let pki = Arc::new(Pki::new());
        let etcd = Etcd::of(version, 1).tls(Arc::clone(&pki)).start().await;
        let etcdctl = Etcdctl::of(version, &etcd.urls()).tls(&pki);
        let add = format!("root:{PASSWORD}");
        etcdctl.run(["user", "add", &add]).await.ok();
        // etcd 3.4 has no root role until one is added.
        etcdctl.run(["role", "add", "root"]).await;
        let grant = ["user", "grant-role", "root", "root"];
        etcdctl.run(grant).await.ok();
        etcdctl.run(["auth", "enable"]).await.ok();
        Secured {
            recorded,
            etcd,
            pki,
        }
    }

    fn certificates(&self) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            "--target-ca".into(),
            text(&self.pki.ca()),
            "--target-cert".into(),
            text(&self.pki.client_cert()),
            "--target-key".into(),
            text(&self.pki.client_key()),
        ]
    }

    async fn replay(&self, flags: &[String], password: &str) -> (Value, String, Option<i32>) {
        self.run(&["--compare"], flags, password).await
    }

    async fn run(
        &self,
        how: &[&str],
        flags: &[String],
        password: &str,
    ) -> (Value, String, Option<i32>) {
        let file = self.recorded.path();
        let url = self.etcd.urls()[0].clone();
        let mut args = vec!["replay", file.to_str().unwrap(), "--target", &url, "--json"];
        args.extend(how);
        args.extend(flags.iter().map(String::as_str));
        let password = [("ETCDTAP_PASSWORD", password)];
        let (output, errors, code) = etcdtap_with(&args, &password).await;
        assert!(!(output.clone() + &errors).contains(PASSWORD));
        let report = serde_json::from_str(&output).unwrap_or(Value::Null);
        (report, errors, code)
    }

    /// Refused with a sentence that has these words.
    async fn refused(&self, flags: &[String], password: &str, words: &str) {
        let (_, errors, code) = self.replay(flags, password).await;
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(words), "{words}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

async fn with_certificates_and_a_password(version: Version) {
    let secured = Secured::start(version).await;
    let mut flags = secured.certificates();
    let certificates = flags.clone();
    let user = ["--user".to_owned(), "root".to_owned()];

    secured.refused(&[], PASSWORD, "add --target-ca FILE").await;
    let other = tempfile::tempdir().unwrap();
    let other_ca = other.path().join("ca.crt");
    std::fs::write(&other_ca, Authority::new("another").cert).unwrap();
    let mut wrong = certificates.clone();
    wrong[1] = other_ca.to_str().unwrap().to_owned();
    secured
        .refused(&wrong, PASSWORD, "is not signed by the authority")
        .await;
    secured
        .refused(&certificates[..2], PASSWORD, "client certificate")
        .await;
    let mut named = certificates.clone();
    named.extend(["--target-server-name".to_owned(), "etcd.invalid".to_owned()]);
    secured.refused(&named, PASSWORD, "etcd.invalid").await;
    // The certificate names a user that there is not.
    secured.refused(&certificates, PASSWORD, "refuses: ").await;
    flags.extend(user);
    secured
        .refused(&flags, "wrong", "does not take the user \"root\"")
        .await;
    let empty = other.path().join("nowhere");
    let mut unread = flags.clone();
    unread.extend([
        "--password-file".to_owned(),
        empty.to_str().unwrap().to_owned(),
    ]);
    secured.refused(&unread, PASSWORD, "cannot be read").await;
    flags[7] = format!("root:{PASSWORD}x");
    let (_, errors, code) = secured.replay(&flags, "").await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("write the name alone"), "{errors}");
    flags[7] = "root".to_owned();

    let (report, errors, code) = secured.replay(&flags, PASSWORD).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(report["different"], 0, "{report:#}");
    assert_eq!(report["steps"], report["steps_planned"]);
    assert_eq!(alike(&report, "KV/Txn"), 1612);
    assert_eq!(alike(&report, "watch event"), 1612);
}

#[tokio::test]
async fn a_3_4_with_certificates_and_users_is_driven_like_any_other() {
    with_certificates_and_a_password(Version::V3_4).await;
}

#[tokio::test]
async fn a_3_5_with_certificates_and_users_is_driven_like_any_other() {
    with_certificates_and_a_password(Version::V3_5).await;
}

#[tokio::test]
async fn load_goes_over_tls_and_shows_the_users_token() {
    let secured = Secured::start(Version::V3_5).await;
    let mut flags = secured.certificates();
    flags.extend(["--user", "root"].map(str::to_owned));
    let how = ["--speed", "max", "--timeout", "60s"];
    let (report, errors, code) = secured.run(&how, &flags, PASSWORD).await;
    assert_eq!((errors.as_str(), code), ("", Some(0)), "{report:#}");
    assert_eq!(report["ended"], "complete", "{report:#}");
    assert_eq!(report["new_errors"], 0, "{report:#}");
    assert_eq!(report["guards"]["held"], 1612, "{report:#}");
    assert_eq!(report["connections"], report["connections_planned"]);
}
