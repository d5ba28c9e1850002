//! The etcd that a recording is driven against.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::time::timeout;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::raw::RawCodec;
use super::reach::{Badge, Connector, Reach, User};
use crate::etcd::schema::etcdserverpb as pb;
use crate::grpc::Code;
use crate::record::redact::scrub_text;
use pb::auth_client::AuthClient;
use pb::maintenance_client::MaintenanceClient;

/// A channel on which each call shows who asks.
pub(super) type Carrier = InterceptedService<Channel, Badge>;

/// An etcd that is there.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) channel: Carrier,
    badge: Badge,
    user: Option<User>,
    pub(super) name: Box<str>,
    /// Its revision.
    pub revision: i64,
    /// How many keys it has.
    pub keys: i64,
    /// The version that it says it is.
    pub version: Box<str>,
}

/// The target cannot be used; in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost(pub String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

impl Target {
    /// Connects, says who asks, and asks what is there.
    ///
    /// # Errors
    /// If nothing answers there in time, it is no etcd, or it does not know the user.
    pub async fn connect(reach: &Reach, patience: Duration) -> Result<Target, Lost> {
        let name = &reach.name;
        // Whether TLS is spoken, the connector knows; a client that was built with TLS
        // of its own would take `https` for its own business.
        let authority = name.split_once("://").map_or(&**name, |(_, rest)| rest);
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|_| {
            Lost(format!(
                "{name} is no address, as http://127.0.0.1:2379 is one"
            ))
        })?;
        let endpoint = match name.parse() {
            Ok(origin) => endpoint.origin(origin),
            Err(_) => endpoint,
        };
        let channel = endpoint
            .connect_timeout(patience)
            .connect_with_connector(Connector(reach.clone()))
            .await
            .map_err(|error| Lost(format!("{name} cannot be reached: {}", innermost(&error))))?;
        let badge = Badge::default();
        let mut target = Target {
            channel: InterceptedService::new(channel, badge.clone()),
            badge,
            user: reach.user.clone(),
            name: name.clone(),
            revision: 0,
            keys: 0,
            version: "".into(),
        };
        target.log_in(patience).await?;
        let all = pb::RangeRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            count_only: true,
            ..pb::RangeRequest::default()
        };
        let asked = all.encode_to_vec().into();
        let refused =
            |status: &Status| Lost(format!("{name} refuses: {}{}", words(status), hint(status)));
        let answer = target
            .unary("/etcdserverpb.KV/Range", asked, patience)
            .await?;
        let answer = answer.map_err(|status| refused(&status))?;
        let answer = pb::RangeResponse::decode(answer)
            .map_err(|_| Lost(format!("{name} answers, but not as etcd does")))?;
        target.keys = answer.count;
        target.revision = answer.header.map_or(0, |header| header.revision);
        let mut client = MaintenanceClient::new(target.channel.clone());
        let asked = timeout(patience, client.status(pb::StatusRequest {})).await;
        if let Ok(Ok(status)) = asked {
            target.version = scrub_text(&status.into_inner().version).as_ref().into();
        }
        Ok(target)
    }

    /// The token that calls show, if a user was logged in.
    pub(super) fn token(&self) -> Option<Box<str>> {
        self.badge.shown()
    }

    /// Asks for a token, if there is somebody to ask for. An etcd that wants none
    /// is as good.
    async fn log_in(&self, patience: Duration) -> Result<(), Lost> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let name = &self.name;
        let mut client = AuthClient::new(self.channel.clone());
        let asked = client.authenticate(pb::AuthenticateRequest {
            name: user.name.clone(),
            password: user.password.clone(),
        });
        match timeout(patience, asked).await {
            Err(_) => Err(self.silent("Authenticate", patience)),
            Ok(Ok(answer)) => {
                self.badge.take(&answer.into_inner().token);
                Ok(())
            }
            Ok(Err(status)) => match status.source() {
                Some(cause) => Err(self.gone(cause)),
                None if is_without_users(&status) => Ok(()),
                None => Err(Lost(format!(
                    "{name} does not take the user {:?}: {}",
                    user.name,
                    words(&status)
                ))),
            },
        }
    }

    fn silent(&self, method: &str, patience: Duration) -> Lost {
        Lost(format!(
            "{} did not answer {method} within {} s",
            self.name,
            patience.as_secs_f64()
        ))
    }

    fn gone(&self, cause: &(dyn std::error::Error + 'static)) -> Lost {
        let cause = innermost(cause);
        let hint = match cause.contains("CertificateRequired") || cause.contains("BadCertificate") {
            true => "; it wants to be shown a client certificate that it trusts",
            false => "",
        };
        Lost(format!("{} is gone: {cause}{hint}", self.name))
    }

    /// Makes a call. What the target says to it is no error.
    pub(super) async fn unary(
        &self,
        path: &str,
        message: Bytes,
        patience: Duration,
    ) -> Result<Result<Bytes, Status>, Lost> {
        let answered = self.once(path, message.clone(), patience).await?;
        match &answered {
            // A token does not live for ever.
            Err(status) if self.user.is_some() && is_of_the_token(status) => {
                self.log_in(patience).await?;
                self.once(path, message, patience).await
            }
            _ => Ok(answered),
        }
    }

    async fn once(
        &self,
        path: &str,
        message: Bytes,
        patience: Duration,
    ) -> Result<Result<Bytes, Status>, Lost> {
        let method = path.rsplit('.').next().unwrap_or(path);
        let path: PathAndQuery = path
            .parse()
            .map_err(|_| Lost(format!("{path} is no path of a method")))?;
        let mut client = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let call = async {
            client.ready().await.map_err(|error| self.gone(&error))?;
            Ok(client.unary(Request::new(message), path, RawCodec).await)
        };
        match timeout(patience, call).await {
            Err(_) => Err(self.silent(method, patience)),
            Ok(Err(lost)) => Err(lost),
            Ok(Ok(Ok(answer))) => Ok(Ok(answer.into_inner())),
            // What etcd itself says has no cause on this side.
            Ok(Ok(Err(status))) => match status.source() {
                Some(cause) => Err(self.gone(cause)),
                None => Ok(Err(status)),
            },
        }
    }
}

/// It has no users, and lets everybody do all.
fn is_without_users(status: &Status) -> bool {
    status.message() == "etcdserver: authentication is not enabled"
}

/// The token is not known, or no longer.
fn is_of_the_token(status: &Status) -> bool {
    matches!(
        status.message(),
        "etcdserver: invalid auth token" | "etcdserver: revision of auth store is old"
    )
}

/// What would help, where that is known.
fn hint(status: &Status) -> &'static str {
    match status.message() {
        "etcdserver: user name is empty" => "; it wants to know who asks, give --user",
        _ => "",
    }
}

/// gRPC's name of a status.
pub(super) fn code(status: &Status) -> String {
    Code(status.code() as i32 as u32).to_string()
}

/// A status in words, without what must not be shown.
pub(super) fn words(status: &Status) -> String {
    format!("{}, {:?}", code(status), scrub_text(status.message()))
}

/// The cause that says most: the last.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
