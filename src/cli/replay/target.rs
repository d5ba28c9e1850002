//! The flags that say how the target is reached, and as whom.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::{Failure, environment, io_reason};
use crate::net::{Dialer, KeyPair, Pki, Upstream, UpstreamEnd, UpstreamTls};
use crate::replay::reach::{Duplex, Reach, User};
use crate::replay::target::Lost;

const HEADING: &str = "How the target is reached";

/// The variable that a password may stand in.
const PASSWORD: &str = "ETCDTAP_PASSWORD";

/// How the target is reached.
#[derive(Debug, Args)]
pub(super) struct TargetFlags {
    /// The etcd to drive it against: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    target: String,

    /// Take the certificates from this folder, laid out as kubeadm does
    #[arg(long, value_name = "DIR", help_heading = HEADING)]
    pki: Option<PathBuf>,

    /// Authority that signs the target's certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    target_ca: Option<PathBuf>,

    /// Client certificate to show to the target (PEM)
    #[arg(long, value_name = "FILE", requires = "target_key", help_heading = HEADING)]
    target_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "target_cert", help_heading = HEADING)]
    target_key: Option<PathBuf>,

    /// Name that the target's certificate must carry [default: the URL's host]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    target_server_name: Option<String>,

    /// User of etcd's, whose password stands in ETCDTAP_PASSWORD or --password-file
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    user: Option<String>,

    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "user", help_heading = HEADING)]
    password_file: Option<PathBuf>,
}

impl TargetFlags {
    /// Reads the certificates and the password.
    pub(super) fn reach(&self) -> Result<Reach, Failure> {
        let url = match self.target.contains("://") {
            true => self.target.clone(),
            false => format!("http://{}", self.target),
        };
        let upstream =
            Upstream::parse(&url).map_err(|wrong| Failure::asked(format!("--target: {wrong}")))?;
        let tls = self.tls(&upstream)?;
        reach(upstream, &tls, self.user()?)
    }

    /// What may be why a target is gone as soon as it is there. In TLS 1.3 a server
    /// looks at certificates when the client thinks that all is well, and what it says
    /// then may be lost.
    pub(super) fn advice(&self, lost: &Lost) -> &'static str {
        let shows_none = self.target_cert.is_none() && self.pki.is_none();
        let said = lost.0.contains("client certificate");
        match self.target.starts_with("https") && shows_none && lost.0.contains(" is gone: ") {
            true if !said => "; it may want to be shown a client certificate, give --target-cert",
            _ => "",
        }
    }

    fn tls(&self, upstream: &Upstream) -> Result<UpstreamTls, Failure> {
        if !upstream.tls {
            let given = [
                ("pki", self.pki.is_some()),
                ("target-ca", self.target_ca.is_some()),
                ("target-cert", self.target_cert.is_some()),
                ("target-server-name", self.target_server_name.is_some()),
            ];
            return match given.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Failure::asked(format!(
                    "--{flag}: the target does not speak TLS; write its URL as https://, or \
                     leave this out"
                ))),
                None => Ok(UpstreamTls::default()),
            };
        }
        let pki = self.pki.as_deref().map(Pki::in_dir);
        let own = self.target_cert.clone().zip(self.target_key.clone());
        let identity = match (own, &pki) {
            (Some((cert, key)), _) => Some(KeyPair { cert, key }),
            (None, Some(pki)) => Some(pki.client()?),
            (None, None) => None,
        };
        let ca = match (&self.target_ca, &pki) {
            (Some(ca), _) => ca.clone(),
            (None, Some(pki)) => pki.ca()?,
            (None, None) => {
                return Err(Failure::asked(format!(
                    "--target: {upstream}: its certificate is checked against an authority; \
                     add --target-ca FILE, or --pki"
                )));
            }
        };
        Ok(UpstreamTls {
            ca: Some(ca),
            identity,
            server_name: self.target_server_name.clone(),
        })
    }

    fn user(&self) -> Result<Option<User>, Failure> {
        let Some(name) = &self.user else {
            return Ok(None);
        };
        if name.contains(':') {
            return Err(Failure::asked(format!(
                "--user: write the name alone; its password would be seen by everybody on this \
                 machine, put it into {PASSWORD} or a file that --password-file names"
            )));
        }
        let password = match &self.password_file {
            Some(file) => {
                let shown = file.display();
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let reason = io_reason(&error);
                    Failure::asked(format!("--password-file {shown} cannot be read: {reason}"))
                })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).to_owned()
            }
            None => {
                let given = environment(PASSWORD).ok_or_else(|| {
                    Failure::asked(format!(
                        "--user: there is no password for {name}; put it into {PASSWORD}, or a \
                         file that --password-file names"
                    ))
                })?;
                given
                    .into_string()
                    .map_err(|_| Failure::asked(format!("{PASSWORD} is not UTF-8")))?
            }
        };
        Ok(Some(User {
            name: name.clone(),
            password,
        }))
    }
}

/// How an etcd is reached.
pub(in crate::cli) fn reach(
    upstream: Upstream,
    tls: &UpstreamTls,
    user: Option<User>,
) -> Result<Reach, Failure> {
    let name = upstream.to_string().into();
    let dialer =
        Dialer::new(upstream, tls).map_err(|error| Failure::asked(format!("--target: {error}")))?;
    let dialer = Arc::new(dialer);
    Ok(Reach {
        name,
        dial: Arc::new(move || {
            let dialer = Arc::clone(&dialer);
            Box::pin(async move {
                let end = dialer.dial().await.map_err(io::Error::other)?;
                Ok::<Box<dyn Duplex>, _>(match end {
                    UpstreamEnd::Plain(tcp) => Box::new(tcp),
                    UpstreamEnd::Tls(tls) => tls,
                })
            })
        }),
        user,
    })
}
