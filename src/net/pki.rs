//! Certificates where kubeadm puts them.

use std::path::{Path, PathBuf};

use super::{BindError, KeyPair};

/// A folder of certificates in kubeadm's layout (`/etc/kubernetes/pki`).
///
/// A file is looked for when it is asked for; whether it is any good shows when
/// the proxy is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// The files in `dir`.
    pub fn in_dir(dir: &Path) -> Pki {
        Pki {
            dir: dir.to_owned(),
        }
    }

    /// The CA that signs etcd's members and clients.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn ca(&self) -> Result<PathBuf, BindError> {
        self.find("etcd's CA", "etcd/ca.crt")
    }

    /// Towards clients: etcd's own server certificate.
    ///
    /// # Errors
    /// When one of its files is not there.
    pub fn server(&self) -> Result<KeyPair, BindError> {
        Ok(KeyPair {
            cert: self.find("etcd's server certificate", "etcd/server.crt")?,
            key: self.find("etcd's server key", "etcd/server.key")?,
        })
    }

    /// Towards etcd: the API server's client certificate.
    ///
    /// # Errors
    /// When one of its files is not there.
    pub fn client(&self) -> Result<KeyPair, BindError> {
        Ok(KeyPair {
            cert: self.find("the API server's certificate", "apiserver-etcd-client.crt")?,
            key: self.find("the API server's key", "apiserver-etcd-client.key")?,
        })
    }

    fn find(&self, role: &'static str, name: &str) -> Result<PathBuf, BindError> {
        let path = self.dir.join(name);
        match std::fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(BindError::Unreadable { role, path, error }),
        }
    }
}
