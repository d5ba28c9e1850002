//! Whom the commands ask.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cli::{Failure, proxy};
use crate::control::{Address, Asked, Client, ClientError, ClientTls, Method};

const HEADING: &str = "The proxy to ask";

/// Which proxy is asked, and what is shown to it.
#[derive(Debug, Args)]
pub(in crate::cli) struct AdminFlags {
    /// Where the proxy's --admin answers [default: 127.0.0.1:12382]
    #[arg(long, value_name = "ADDR", env = "ETCDTAP_ADMIN", hide_env_values = true,
          help_heading = HEADING)]
    admin: Option<OsString>,

    /// File with the proxy's token
    #[arg(long, value_name = "FILE", env = "ETCDTAP_ADMIN_TOKEN_FILE", hide_env_values = true,
          help_heading = HEADING)]
    admin_token_file: Option<PathBuf>,

    /// Authority that signs the admin API's certificate (PEM); asks over TLS
    #[arg(long, value_name = "FILE", env = "ETCDTAP_ADMIN_CA", hide_env_values = true,
          help_heading = HEADING)]
    admin_ca: Option<PathBuf>,

    /// Client certificate to show to the admin API (PEM)
    #[arg(long, value_name = "FILE", env = "ETCDTAP_ADMIN_CERT", hide_env_values = true,
          help_heading = HEADING)]
    admin_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "ETCDTAP_ADMIN_KEY", hide_env_values = true,
          help_heading = HEADING)]
    admin_key: Option<PathBuf>,
}

/// The admin API of one proxy.
pub(in crate::cli) struct Admin {
    client: Client,
    local: bool,
    runtime: Runtime,
}

impl Admin {
    /// The one that the flags name.
    pub(in crate::cli) fn new(flags: &AdminFlags) -> Result<Admin, Failure> {
        let (client, local) = client(flags)?;
        let runtime = proxy::current_thread()?;
        Ok(Admin {
            client,
            local,
            runtime,
        })
    }

    /// Whether it is on this machine, and has its clock.
    pub(in crate::cli) fn is_local(&self) -> bool {
        self.local
    }

    /// Who asks.
    pub(in crate::cli) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks once.
    pub(in crate::cli) fn ask(
        &self,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> Result<Value, Failure> {
        let answer = self.block_on(self.asked(method, target, body));
        answer.map_err(Failure::from)
    }

    /// Asks once; what is wrong is left as it is.
    pub(in crate::cli) async fn asked(
        &self,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> Result<Value, ClientError> {
        let asked = Asked {
            method,
            target,
            body,
        };
        self.client.ask(asked).await
    }

    /// Runs what asks several times, and waits in between.
    pub(in crate::cli) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused { status, sentence } if status < 500 => Failure::asked(sentence),
            error => Failure::failed(error.to_string()),
        }
    }
}

/// Who asks, and whether that is on this machine.
fn client(flags: &AdminFlags) -> Result<(Client, bool), Failure> {
    let address = match given(flags.admin.as_ref()) {
        None => Address::DEFAULT,
        Some(address) => address.to_str().ok_or_else(|| {
            Failure::asked("--admin: the value is no UTF-8 text; write it in UTF-8")
        })?,
    };
    let address =
        Address::parse(address).map_err(|why| Failure::asked(format!("--admin: {why}")))?;
    let identity = match (
        given(flags.admin_cert.as_ref()),
        given(flags.admin_key.as_ref()),
    ) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Failure::asked(
                "--admin-cert: a certificate needs its private key; add --admin-key FILE",
            ));
        }
        (None, Some(_)) => {
            return Err(Failure::asked(
                "--admin-key: a private key needs its certificate; add --admin-cert FILE",
            ));
        }
    };
    let tls = match (given(flags.admin_ca.as_ref()), identity) {
        (Some(ca), identity) => Some(ClientTls {
            ca: ca.clone(),
            identity,
        }),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Failure::asked(
                "--admin-cert: the admin API's own certificate is checked against an authority; add --admin-ca FILE",
            ));
        }
    };
    if tls.is_some() && matches!(address, Address::Unix(_)) {
        return Err(Failure::asked(
            "--admin-ca: a Unix socket has no TLS; leave it out",
        ));
    }
    let token_file = given(flags.admin_token_file.as_ref()).map(PathBuf::as_path);
    let local = address.is_local();
    Ok((Client::new(address, token_file, tls.as_ref())?, local))
}

/// An empty variable counts as absent.
fn given<T: AsRef<std::ffi::OsStr>>(value: Option<&T>) -> Option<&T> {
    value.filter(|value| !value.as_ref().is_empty())
}
