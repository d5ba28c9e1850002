//! Certificates where kubeadm puts them.

use std::path::Path;

use super::{BindError, ClientAuth, KeyPair, ListenerTls, UpstreamTls};

/// Both sides' TLS, found in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    /// Towards clients: etcd's own server certificate, and only clients that
    /// etcd's CA signed.
    pub listener: ListenerTls,
    /// Towards etcd: the API server's client certificate.
    pub upstream: UpstreamTls,
}

impl Pki {
    /// Takes the files from kubeadm's layout in `dir` (`/etc/kubernetes/pki`).
    ///
    /// # Errors
    /// When one of the files is not there; whether they are any good shows when
    /// the proxy is bound.
    pub fn from_dir(dir: &Path) -> Result<Pki, BindError> {
        let find = |role, name| {
            let path = dir.join(name);
            match std::fs::metadata(&path) {
                Ok(_) => Ok(path),
                Err(error) => Err(BindError::Unreadable { role, path, error }),
            }
        };
        let ca = find("etcd's CA", "etcd/ca.crt")?;
        Ok(Pki {
            listener: ListenerTls {
                identity: KeyPair {
                    cert: find("etcd's server certificate", "etcd/server.crt")?,
                    key: find("etcd's server key", "etcd/server.key")?,
                },
                client_ca: Some(ca.clone()),
                client_auth: ClientAuth::Require,
            },
            upstream: UpstreamTls {
                ca: Some(ca),
                identity: Some(KeyPair {
                    cert: find("the API server's certificate", "apiserver-etcd-client.crt")?,
                    key: find("the API server's key", "apiserver-etcd-client.key")?,
                }),
                server_name: None,
            },
        })
    }
}
