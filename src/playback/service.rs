//! etcd's services on the store that plays.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::watching;
use super::world::{Shared, World};
use crate::etcd::schema::etcdserverpb::cluster_server::Cluster;
use crate::etcd::schema::etcdserverpb::kv_server::Kv;
use crate::etcd::schema::etcdserverpb::lease_server::Lease;
use crate::etcd::schema::etcdserverpb::maintenance_server::Maintenance;
use crate::etcd::schema::etcdserverpb::watch_server::Watch;
use crate::etcd::schema::etcdserverpb::*;
use crate::mvcc::Refusal;

/// etcd, as far as a recording goes.
#[derive(Debug, Clone)]
pub(super) struct Playback(pub(super) Arc<Shared>);

/// Answers that wait for a client that reads slowly.
const WAITING: usize = 16;

type Stream<T> = Pin<Box<ReceiverStream<Result<T, Status>>>>;
type Answer<T> = Result<Response<T>, Status>;

fn unable<T>(what: &str) -> Answer<T> {
    Err(Status::unimplemented(format!(
        "etcdtap: a playback has no {what}"
    )))
}

impl Playback {
    /// Does a call; the answer says who gave it.
    fn answer<T: Headed>(
        &self,
        method: &'static str,
        what: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Answer<T> {
        let answer = self.0.call(method, |world| {
            let mut answer = what(world)?;
            world.sign(answer.header());
            Ok(answer)
        });
        answer.map(Response::new)
    }
}

/// An answer of etcd's that says who gives it.
trait Headed {
    fn header(&mut self) -> &mut Option<ResponseHeader>;
}

macro_rules! headed {
    ($($answer:ty),+ $(,)?) => {
        $(impl Headed for $answer {
            fn header(&mut self) -> &mut Option<ResponseHeader> {
                &mut self.header
            }
        })+
    };
}

headed!(
    AlarmResponse,
    CompactionResponse,
    DefragmentResponse,
    DeleteRangeResponse,
    LeaseGrantResponse,
    LeaseLeasesResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    MemberListResponse,
    PutResponse,
    RangeResponse,
    StatusResponse,
    TxnResponse,
);

#[tonic::async_trait]
impl Kv for Playback {
    async fn range(&self, request: Request<RangeRequest>) -> Answer<RangeResponse> {
        self.answer("Range", |world| world.store.range(request.get_ref()))
    }

    type RangeStreamStream = Stream<RangeStreamResponse>;

    async fn range_stream(&self, _: Request<RangeRequest>) -> Answer<Self::RangeStreamStream> {
        unable("RangeStream")
    }

    async fn put(&self, request: Request<PutRequest>) -> Answer<PutResponse> {
        self.answer("Put", |world| world.store.put(request.get_ref()))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Answer<DeleteRangeResponse> {
        self.answer("DeleteRange", |world| {
            world.store.delete_range(request.get_ref())
        })
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Answer<TxnResponse> {
        self.answer("Txn", |world| world.store.txn(request.get_ref()))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Answer<CompactionResponse> {
        self.answer("Compact", |world| world.store.compact(request.get_ref()))
    }
}

#[tonic::async_trait]
impl Watch for Playback {
    type WatchStream = Stream<WatchResponse>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Answer<Self::WatchStream> {
        let (answers, stream) = mpsc::channel(WAITING);
        let shared = Arc::clone(&self.0);
        tokio::spawn(watching::serve(shared, request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

#[tonic::async_trait]
impl Lease for Playback {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Answer<LeaseGrantResponse> {
        let now = self.0.now();
        self.answer("LeaseGrant", |world| {
            world.store.lease_grant(request.get_ref(), now)
        })
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Answer<LeaseRevokeResponse> {
        self.answer("LeaseRevoke", |world| {
            world.store.lease_revoke(request.get_ref())
        })
    }

    type LeaseKeepAliveStream = Stream<LeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let (answers, stream) = mpsc::channel(WAITING);
        let shared = Arc::clone(&self.0);
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let now = shared.now();
                let answer = shared.call("LeaseKeepAlive", |world| {
                    let mut answer = world.store.lease_keep_alive(&request, now);
                    world.sign(&mut answer.header);
                    Ok(answer)
                });
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Answer<LeaseTimeToLiveResponse> {
        let now = self.0.now();
        self.answer("LeaseTimeToLive", |world| {
            world.store.lease_time_to_live(request.get_ref(), now)
        })
    }

    async fn lease_leases(&self, _: Request<LeaseLeasesRequest>) -> Answer<LeaseLeasesResponse> {
        self.answer("LeaseLeases", |world| Ok(world.store.lease_leases()))
    }
}

#[tonic::async_trait]
impl Maintenance for Playback {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Answer<AlarmResponse> {
        if request.get_ref().action != alarm_request::AlarmAction::Get as i32 {
            return unable("alarms to raise or to end");
        }
        self.answer("Alarm", |world| {
            Ok(AlarmResponse {
                header: Some(world.store.header()),
                alarms: Vec::new(),
            })
        })
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        self.answer("Status", |world| {
            let (_, bytes) = world.store.size();
            let size = i64::try_from(bytes).unwrap_or(i64::MAX);
            // Its log's index is as good as the number of its writes.
            let index = u64::try_from(world.store.revision()).unwrap_or(0);
            Ok(StatusResponse {
                header: Some(world.store.header()),
                version: world.version.clone(),
                db_size: size,
                db_size_in_use: size,
                leader: world.identity.member,
                raft_index: index,
                raft_applied_index: index,
                raft_term: world.identity.term,
                ..StatusResponse::default()
            })
        })
    }

    async fn defragment(&self, _: Request<DefragmentRequest>) -> Answer<DefragmentResponse> {
        self.answer("Defragment", |world| {
            Ok(DefragmentResponse {
                header: Some(world.store.header()),
            })
        })
    }

    async fn hash(&self, _: Request<HashRequest>) -> Answer<HashResponse> {
        unable("database to hash")
    }

    async fn hash_kv(&self, _: Request<HashKvRequest>) -> Answer<HashKvResponse> {
        unable("database to hash")
    }

    type SnapshotStream = Stream<SnapshotResponse>;

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        unable("database to take a snapshot of")
    }

    async fn move_leader(&self, _: Request<MoveLeaderRequest>) -> Answer<MoveLeaderResponse> {
        unable("other members")
    }

    async fn downgrade(&self, _: Request<DowngradeRequest>) -> Answer<DowngradeResponse> {
        unable("other version to change to")
    }
}

#[tonic::async_trait]
impl Cluster for Playback {
    async fn member_add(&self, _: Request<MemberAddRequest>) -> Answer<MemberAddResponse> {
        unable("members to change")
    }

    async fn member_remove(&self, _: Request<MemberRemoveRequest>) -> Answer<MemberRemoveResponse> {
        unable("members to change")
    }

    async fn member_update(&self, _: Request<MemberUpdateRequest>) -> Answer<MemberUpdateResponse> {
        unable("members to change")
    }

    /// One member, without addresses: a client that goes by them stays here.
    async fn member_list(&self, _: Request<MemberListRequest>) -> Answer<MemberListResponse> {
        self.answer("MemberList", |world| {
            let member = Member {
                id: world.identity.member,
                name: "playback".into(),
                ..Member::default()
            };
            Ok(MemberListResponse {
                header: Some(world.store.header()),
                members: vec![member],
            })
        })
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Answer<MemberPromoteResponse> {
        unable("members to change")
    }
}
