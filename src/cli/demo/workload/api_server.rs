//! The calls that kube-apiserver makes, in the shapes it makes them.

use std::time::Duration;

use bytes::Bytes;
use tonic::codegen::tokio_stream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::WorkloadError;
use crate::etcd::schema::etcdserverpb::{self as pb, compare, request_op, response_op};
use crate::etcd::schema::mvccpb::KeyValue;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;

/// The deadline that goes with each call.
const DEADLINE: Duration = Duration::from_secs(10);

/// Opens one connection.
pub(super) async fn connect(endpoint: &str) -> Result<Channel, WorkloadError> {
    let failed = |error| WorkloadError::Connect {
        endpoint: endpoint.to_owned(),
        error,
    };
    Endpoint::from_shared(endpoint.to_owned())
        .and_then(|e| e.user_agent(concat!("etcdtap-demo/", env!("CARGO_PKG_VERSION"))))
        .map_err(failed)?
        .connect_timeout(Duration::from_secs(5))
        .connect()
        .await
        .map_err(failed)
}

/// The first key behind all that begin with the prefix.
pub(super) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end.into();
        }
    }
    // One zero byte: no end.
    Bytes::from_static(b"\0")
}

/// How a guarded write ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// At this revision.
    Written(i64),
    /// The key was not as expected; this is how it is, if the answer tells.
    Conflict(Option<KeyValue>),
}

/// One page of a list.
pub(super) struct Page {
    pub kvs: Vec<KeyValue>,
    pub more: bool,
    pub count: i64,
    /// The revision that the whole list shows.
    pub revision: i64,
}

/// A client with the manners of an API server.
pub(super) struct ApiServer {
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    pub calls: u32,
    pub writes: u32,
    /// The newest revision any answer told of.
    pub revision: i64,
}

impl ApiServer {
    pub fn new(channel: Channel) -> ApiServer {
        ApiServer {
            kv: KvClient::new(channel.clone()),
            lease: LeaseClient::new(channel),
            calls: 0,
            writes: 0,
            revision: 0,
        }
    }

    /// Writes a key that must not exist yet.
    pub async fn create(
        &mut self,
        key: &str,
        value: Bytes,
        lease: i64,
    ) -> Result<i64, WorkloadError> {
        let txn = pb::TxnRequest {
            compare: vec![modified_at(key, 0)],
            success: vec![put(key, value, lease)],
            failure: vec![],
        };
        match self.txn(&format!("creating {key}"), txn).await? {
            Outcome::Written(revision) => Ok(revision),
            Outcome::Conflict(_) => Err(unexpected(format!("{key} exists already"))),
        }
    }

    /// Writes a key that was last changed at the revision.
    pub async fn update(
        &mut self,
        key: &str,
        value: Bytes,
        revision: i64,
    ) -> Result<Outcome, WorkloadError> {
        let txn = pb::TxnRequest {
            compare: vec![modified_at(key, revision)],
            success: vec![put(key, value, 0)],
            failure: vec![read(key)],
        };
        self.txn(&format!("updating {key}"), txn).await
    }

    /// Deletes a key that was last changed at the revision.
    pub async fn delete(&mut self, key: &str, revision: i64) -> Result<Outcome, WorkloadError> {
        let delete = pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        };
        let txn = pb::TxnRequest {
            compare: vec![modified_at(key, revision)],
            success: vec![operation(request_op::Request::RequestDeleteRange(delete))],
            failure: vec![read(key)],
        };
        self.txn(&format!("deleting {key}"), txn).await
    }

    /// Claims the next round of compaction, as one API server of several does:
    /// whoever finds the key at the version it saw last.
    pub async fn claim_compaction(&mut self, version: i64) -> Result<Outcome, WorkloadError> {
        const KEY: &str = "compact_rev_key";
        let value = self.revision.to_string();
        let txn = pb::TxnRequest {
            compare: vec![pb::Compare {
                target: compare::CompareTarget::Version.into(),
                target_union: Some(compare::TargetUnion::Version(version)),
                ..modified_at(KEY, 0)
            }],
            success: vec![put(KEY, value.into(), 0)],
            failure: vec![read(KEY)],
        };
        self.txn("claiming the compaction", txn).await
    }

    async fn txn(&mut self, what: &str, txn: pb::TxnRequest) -> Result<Outcome, WorkloadError> {
        self.calls += 1;
        let answer = self.kv.txn(request(txn)).await;
        let answer = self.answered(what, answer, |answer| answer.header.as_ref())?;
        let first = answer.responses.into_iter().next().and_then(|r| r.response);
        match first {
            Some(response_op::Response::ResponseRange(range)) => {
                Ok(Outcome::Conflict(range.kvs.into_iter().next()))
            }
            Some(_) if answer.succeeded => {
                self.writes += 1;
                Ok(Outcome::Written(self.revision))
            }
            _ => Ok(Outcome::Conflict(None)),
        }
    }

    /// Reads one key.
    pub async fn get(&mut self, key: &str) -> Result<Option<KeyValue>, WorkloadError> {
        let range = pb::RangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        };
        let answer = self.range(&format!("reading {key}"), range).await?;
        Ok(answer.kvs.into_iter().next())
    }

    /// Lists a prefix up to a limit, from a key on, as of a revision (0 for
    /// the newest).
    pub async fn list(
        &mut self,
        prefix: &str,
        from: Bytes,
        limit: i64,
        revision: i64,
    ) -> Result<Page, WorkloadError> {
        let range = pb::RangeRequest {
            key: from,
            range_end: prefix_end(prefix.as_bytes()),
            limit,
            revision,
            ..Default::default()
        };
        let answer = self.range(&format!("listing {prefix}"), range).await?;
        Ok(Page {
            revision: match revision {
                0 => self.revision,
                pinned => pinned,
            },
            kvs: answer.kvs,
            more: answer.more,
            count: answer.count,
        })
    }

    /// How many keys there are, for the API server's metrics.
    pub async fn count(&mut self, prefix: &str) -> Result<i64, WorkloadError> {
        let range = pb::RangeRequest {
            key: prefix.to_owned().into(),
            range_end: prefix_end(prefix.as_bytes()),
            count_only: true,
            ..Default::default()
        };
        let answer = self.range(&format!("counting {prefix}"), range).await?;
        Ok(answer.count)
    }

    /// A read that etcd must refuse because its revision is compacted.
    pub async fn read_compacted(&mut self, key: &str, revision: i64) -> Result<(), WorkloadError> {
        let range = pb::RangeRequest {
            key: key.to_owned().into(),
            revision,
            ..Default::default()
        };
        self.calls += 1;
        match self.kv.range(request(range)).await {
            Err(status) if status.code() == tonic::Code::OutOfRange => Ok(()),
            Err(status) => Err(failed(&format!("reading {key} at {revision}"), status)),
            Ok(_) => Err(unexpected(format!(
                "revision {revision} can still be read after its compaction"
            ))),
        }
    }

    async fn range(
        &mut self,
        what: &str,
        range: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, WorkloadError> {
        self.calls += 1;
        let answer = self.kv.range(request(range)).await;
        self.answered(what, answer, |answer| answer.header.as_ref())
    }

    /// Forgets what was superseded before the revision.
    pub async fn compact(&mut self, revision: i64) -> Result<(), WorkloadError> {
        self.calls += 1;
        let compaction = pb::CompactionRequest {
            revision,
            physical: false,
        };
        let answer = self.kv.compact(request(compaction)).await;
        self.answered("compacting", answer, |answer| answer.header.as_ref())?;
        Ok(())
    }

    /// Takes a lease of some seconds; its id.
    pub async fn grant(&mut self, ttl: i64) -> Result<i64, WorkloadError> {
        self.calls += 1;
        let grant = pb::LeaseGrantRequest { ttl, id: 0 };
        let answer = self.lease.lease_grant(request(grant)).await;
        let answer = self.answered("granting a lease", answer, |a| a.header.as_ref())?;
        Ok(answer.id)
    }

    /// Renews a lease; the seconds it has from now.
    pub async fn keep_alive(&mut self, id: i64) -> Result<i64, WorkloadError> {
        const WHAT: &str = "keeping a lease alive";
        self.calls += 1;
        let once = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
        let answers = self.lease.lease_keep_alive(request(once)).await;
        let mut answers = answers.map_err(|status| failed(WHAT, status))?.into_inner();
        match answers.message().await {
            Ok(Some(answer)) => {
                // The call ends where its trailers are read.
                let end = answers.message().await;
                end.map_err(|status| failed(WHAT, status))?;
                Ok(answer.ttl)
            }
            Ok(None) => Err(unexpected(format!("no answer to {WHAT}"))),
            Err(status) => Err(failed(WHAT, status)),
        }
    }

    /// Ends a lease, and with it the keys that hang on it.
    pub async fn revoke(&mut self, id: i64) -> Result<(), WorkloadError> {
        self.calls += 1;
        let revoke = pb::LeaseRevokeRequest { id };
        let answer = self.lease.lease_revoke(request(revoke)).await;
        self.answered("revoking a lease", answer, |a| a.header.as_ref())?;
        Ok(())
    }

    fn answered<T>(
        &mut self,
        what: &str,
        answer: Result<Response<T>, Status>,
        header: impl Fn(&T) -> Option<&pb::ResponseHeader>,
    ) -> Result<T, WorkloadError> {
        let answer = answer.map_err(|status| failed(what, status))?.into_inner();
        let header = header(&answer)
            .ok_or_else(|| unexpected(format!("the answer to {what} has no header")))?;
        self.revision = self.revision.max(header.revision);
        Ok(answer)
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn failed(what: &str, status: Status) -> WorkloadError {
    WorkloadError::Call {
        what: what.to_owned(),
        status: Box::new(status),
    }
}

fn unexpected(what: String) -> WorkloadError {
    WorkloadError::Unexpected(what)
}

fn modified_at(key: &str, revision: i64) -> pb::Compare {
    pb::Compare {
        result: compare::CompareResult::Equal.into(),
        target: compare::CompareTarget::Mod.into(),
        key: key.to_owned().into(),
        target_union: Some(compare::TargetUnion::ModRevision(revision)),
        ..Default::default()
    }
}

fn put(key: &str, value: Bytes, lease: i64) -> pb::RequestOp {
    operation(request_op::Request::RequestPut(pb::PutRequest {
        key: key.to_owned().into(),
        value,
        lease,
        ..Default::default()
    }))
}

fn read(key: &str) -> pb::RequestOp {
    operation(request_op::Request::RequestRange(pb::RangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    }))
}

fn operation(request: request_op::Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_sibling() {
        assert_eq!(prefix_end(b"/registry/pods/"), "/registry/pods0");
        assert_eq!(prefix_end(b"a\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), "\0");
    }
}
