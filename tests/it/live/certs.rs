//! Certificates made for one test: a CA, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use etcd_client::{Certificate, Identity, TlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

/// A certificate authority. Dropping it forgets its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, as PEM.
    pub cert: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Authority { issuer, cert }
    }

    /// Signs a certificate for a server on this machine. etcd's JSON gateway
    /// uses it as a client too.
    pub fn server(&self) -> Pair {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign("etcd-server", names)
    }

    /// Signs a client's certificate with the common name that etcd takes for
    /// the user.
    pub fn client(&self, common_name: &str) -> Pair {
        self.sign(common_name, Vec::new())
    }

    fn sign(&self, common_name: &str, names: Vec<String>) -> Pair {
        let mut params = CertificateParams::new(names).unwrap();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Pair { cert, key }
    }
}

/// A CA and one certificate for each role, in files laid out as kubeadm does.
pub struct Pki {
    dir: tempfile::TempDir,
    /// Who signed them.
    pub authority: Authority,
    client: Pair,
}

impl Pki {
    /// New certificates in a new folder.
    pub fn new() -> Pki {
        let authority = Authority::new("etcd-ca");
        let client = authority.client("kube-apiserver-etcd-client");
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki {
            dir,
            authority,
            client,
        };
        fs::create_dir(pki.dir().join("etcd")).unwrap();
        fs::write(pki.ca(), &pki.authority.cert).unwrap();
        pki.write_server(&pki.authority.server());
        pki.write_client(&pki.client);
        pki
    }

    /// The folder, as `--pki` wants it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir().join("etcd/ca.crt")
    }

    /// The server's certificate.
    pub fn server_cert(&self) -> PathBuf {
        self.dir().join("etcd/server.crt")
    }

    /// The server's key.
    pub fn server_key(&self) -> PathBuf {
        self.dir().join("etcd/server.key")
    }

    /// The API server's certificate towards etcd.
    pub fn client_cert(&self) -> PathBuf {
        self.dir().join("apiserver-etcd-client.crt")
    }

    /// The API server's key towards etcd.
    pub fn client_key(&self) -> PathBuf {
        self.dir().join("apiserver-etcd-client.key")
    }

    /// Puts another certificate in the server's place.
    pub fn write_server(&self, pair: &Pair) {
        replace(&self.server_key(), &pair.key);
        replace(&self.server_cert(), &pair.cert);
    }

    /// Puts another certificate in the client's place.
    pub fn write_client(&self, pair: &Pair) {
        replace(&self.client_key(), &pair.key);
        replace(&self.client_cert(), &pair.cert);
    }

    /// What the Rust client needs to connect.
    pub fn client_options(&self) -> TlsOptions {
        TlsOptions::new()
            .ca_certificate(Certificate::from_pem(&self.authority.cert))
            .identity(Identity::from_pem(&self.client.cert, &self.client.key))
    }
}

/// Writes a file so that a reader finds either the old one or the new one.
pub fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::rename(&next, path).unwrap();
}
