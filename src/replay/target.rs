//! The etcd that a recording is driven against.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::time::timeout;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::raw::RawCodec;
use crate::etcd::schema::etcdserverpb as pb;
use crate::grpc::Code;
use crate::record::redact::scrub_text;
use pb::maintenance_client::MaintenanceClient;

/// An etcd that is there.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) channel: Channel,
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
    /// Connects to `http://HOST:PORT`, and asks what is there.
    ///
    /// # Errors
    /// If nothing answers there in time, or it is no etcd.
    pub async fn connect(name: &str, patience: Duration) -> Result<Target, Lost> {
        let endpoint = Endpoint::from_shared(name.to_owned()).map_err(|_| {
            Lost(format!(
                "{name} is no address, as http://127.0.0.1:2379 is one"
            ))
        })?;
        let channel = endpoint
            .connect_timeout(patience)
            .connect()
            .await
            .map_err(|error| Lost(format!("{name} cannot be reached: {}", innermost(&error))))?;
        let mut target = Target {
            channel,
            name: name.into(),
            revision: 0,
            keys: 0,
            version: "".into(),
        };
        let all = pb::RangeRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            count_only: true,
            ..pb::RangeRequest::default()
        };
        let asked = all.encode_to_vec().into();
        let refused = |status: &Status| Lost(format!("{name} refuses: {}", words(status)));
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

    /// Makes a call. What the target says to it is no error.
    pub(super) async fn unary(
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
        let name = &self.name;
        let call = async {
            client
                .ready()
                .await
                .map_err(|error| Lost(format!("{name} is gone: {}", innermost(&error))))?;
            Ok(client.unary(Request::new(message), path, RawCodec).await)
        };
        match timeout(patience, call).await {
            Err(_) => Err(Lost(format!(
                "{name} did not answer {method} within {} s",
                patience.as_secs_f64()
            ))),
            Ok(Err(lost)) => Err(lost),
            Ok(Ok(Ok(answer))) => Ok(Ok(answer.into_inner())),
            // What etcd itself says has no cause on this side.
            Ok(Ok(Err(status))) => match status.source() {
                Some(cause) => Err(Lost(format!("{name} is gone: {}", innermost(cause)))),
                None => Ok(Err(status)),
            },
        }
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
