//! Random requests to our store and to a real etcd: the same answers, the same
//! refusals, the same events. `ETCDTAP_SEEDS=50` runs more.

use bytes::Bytes;
use etcdtap::etcd::schema::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcdtap::etcd::schema::etcdserverpb::kv_client::KvClient;
use etcdtap::etcd::schema::etcdserverpb::lease_client::LeaseClient;
use etcdtap::etcd::schema::etcdserverpb::request_op::Request;
use etcdtap::etcd::schema::etcdserverpb::response_op::Response;
use etcdtap::etcd::schema::etcdserverpb::watch_client::WatchClient;
use etcdtap::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use etcdtap::etcd::schema::etcdserverpb::*;
use etcdtap::mvcc::{Refusal, Store, Watches};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::live::etcd::{Etcd, Version};
use crate::live::patience::soon;

/// Requests a seed.
const REQUESTS: usize = 400;

pub(super) struct Rng(pub u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn key(&mut self) -> Bytes {
        const KEYS: [&str; 9] = ["a", "a/b", "a/c", "a/c/d", "b", "b\0", "c", "\u{ff}", ""];
        let of = if self.one_in(40) { 9 } else { 8 };
        KEYS[self.below(of) as usize].into()
    }

    fn range_end(&mut self) -> Bytes {
        match self.below(6) {
            0 => Bytes::from_static(b"\0"),
            1 => "a0".into(),
            2 => self.key(),
            3 => "d".into(),
            _ => Bytes::new(),
        }
    }

    /// One of about now.
    fn revision(&mut self, now: i64) -> i64 {
        match self.below(8) {
            0 => now - self.below(30) as i64,
            1 => now + self.below(3) as i64,
            _ => 0,
        }
    }

    pub fn range(&mut self, now: i64) -> RangeRequest {
        let mut asked = RangeRequest {
            key: self.key(),
            range_end: self.range_end(),
            revision: self.revision(now),
            ..RangeRequest::default()
        };
        if self.one_in(3) {
            asked.limit = self.below(4) as i64;
        }
        if self.one_in(4) {
            // By mod revision or by key: others have equals, whose order is Go's.
            asked.sort_order = self.below(3) as i32;
            asked.sort_target = if self.one_in(2) { 3 } else { 0 };
        }
        asked.keys_only = self.one_in(5);
        asked.count_only = self.one_in(8);
        asked.serializable = self.one_in(5);
        if self.one_in(8) {
            asked.min_mod_revision = now - self.below(20) as i64;
        }
        if self.one_in(8) {
            asked.max_mod_revision = now - self.below(20) as i64;
        }
        if self.one_in(8) {
            asked.min_create_revision = now - self.below(20) as i64;
        }
        if self.one_in(8) {
            asked.max_create_revision = now - self.below(20) as i64;
        }
        asked
    }

    pub fn put(&mut self) -> PutRequest {
        let mut asked = PutRequest {
            key: self.key(),
            value: vec![b'v'; self.below(4) as usize].into(),
            prev_kv: self.one_in(2),
            ignore_value: self.one_in(10),
            ignore_lease: self.one_in(10),
            ..PutRequest::default()
        };
        if self.one_in(4) {
            asked.lease = self.below(4) as i64;
        }
        asked
    }

    pub fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest {
            key: self.key(),
            range_end: if self.one_in(3) {
                self.range_end()
            } else {
                Bytes::new()
            },
            prev_kv: self.one_in(2),
        }
    }

    fn compare(&mut self, now: i64) -> Compare {
        let near = now - self.below(10) as i64;
        let (target, union) = match self.below(5) {
            0 => (
                CompareTarget::Version,
                TargetUnion::Version(self.below(4) as i64),
            ),
            1 => (CompareTarget::Create, TargetUnion::CreateRevision(near)),
            2 => (
                CompareTarget::Mod,
                TargetUnion::ModRevision(if self.one_in(2) { 0 } else { near }),
            ),
            3 => (
                CompareTarget::Value,
                TargetUnion::Value(vec![b'v'; self.below(4) as usize].into()),
            ),
            _ => (
                CompareTarget::Lease,
                TargetUnion::Lease(self.below(3) as i64),
            ),
        };
        Compare {
            result: match self.below(4) {
                0 => CompareResult::Equal,
                1 => CompareResult::Greater,
                2 => CompareResult::Less,
                _ => CompareResult::NotEqual,
            } as i32,
            target: target as i32,
            key: self.key(),
            target_union: (!self.one_in(10)).then_some(union),
            range_end: if self.one_in(4) {
                self.range_end()
            } else {
                Bytes::new()
            },
        }
    }

    pub fn txn(&mut self, now: i64, depth: u32) -> TxnRequest {
        let compare = (0..self.below(3)).map(|_| self.compare(now)).collect();
        let success = (0..self.below(4)).map(|_| self.op(now, depth)).collect();
        let failure = (0..self.below(4)).map(|_| self.op(now, depth)).collect();
        TxnRequest {
            compare,
            success,
            failure,
        }
    }

    fn op(&mut self, now: i64, depth: u32) -> RequestOp {
        let request = match self.below(if depth > 0 { 8 } else { 7 }) {
            0 | 1 => Request::RequestRange(self.range(now)),
            2..=4 => Request::RequestPut(self.put()),
            5 | 6 => Request::RequestDeleteRange(self.delete()),
            _ => Request::RequestTxn(self.txn(now, depth - 1)),
        };
        RequestOp {
            request: Some(request),
        }
    }
}

#[test]
fn the_generator_reaches_what_it_is_for() {
    let mut rng = Rng(1);
    let mut nested = 0;
    for _ in 0..200 {
        let txn = rng.txn(10, 2);
        nested += txn
            .success
            .iter()
            .filter(|op| matches!(op.request, Some(Request::RequestTxn(_))))
            .count();
    }
    assert!(nested > 10);
}

#[tokio::test]
async fn random_requests_are_answered_as_etcd_3_4_answers_them() {
    against(Version::V3_4).await;
}

#[tokio::test]
async fn random_requests_are_answered_as_etcd_3_5_answers_them() {
    against(Version::V3_5).await;
}

async fn against(version: Version) {
    let seeds = std::env::var("ETCDTAP_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(3);
    for seed in 0..seeds {
        let etcd = Etcd::of(version, 1).start().await;
        let url = etcd.urls()[0].clone();
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        compare(seed, channel).await;
    }
}

type Both<T> = (Result<T, (Code, String)>, Result<T, (Code, String)>);

fn told<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, (Code, String)> {
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => Err((status.code(), status.message().to_owned())),
    }
}

fn ours<T>(answer: Result<T, Refusal>) -> Result<T, (Code, String)> {
    answer.map_err(|refusal| (Code::from_i32(refusal.code().0 as i32), refusal.to_string()))
}

/// Who answered differs, and nothing else may.
fn plain(header: &mut Option<ResponseHeader>) {
    if let Some(header) = header {
        *header = ResponseHeader {
            revision: header.revision,
            ..ResponseHeader::default()
        };
    }
}

fn plain_txn(answer: &mut TxnResponse) {
    plain(&mut answer.header);
    for op in &mut answer.responses {
        match &mut op.response {
            Some(Response::ResponseTxn(answer)) => plain_txn(answer),
            Some(Response::ResponseRange(answer)) => plain(&mut answer.header),
            Some(Response::ResponsePut(answer)) => plain(&mut answer.header),
            Some(Response::ResponseDeleteRange(answer)) => plain(&mut answer.header),
            None => {}
        }
    }
}

#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(
    seed: u64,
    n: usize,
    asked: &impl std::fmt::Debug,
    (theirs, ours): Both<T>,
) {
    assert_eq!(theirs, ours, "seed {seed}, request {n}: {asked:#?}");
}

async fn compare(seed: u64, channel: Channel) {
    let mut rng = Rng(seed);
    let mut store = Store::empty();
    let mut kv = KvClient::new(channel.clone());
    let mut lease = LeaseClient::new(channel.clone());
    let mut refused = 0;
    for n in 0..REQUESTS {
        let now = store.revision();
        let before = store.revision();
        match rng.below(40) {
            0..10 => {
                let asked = rng.range(now);
                let mut theirs = told(kv.range(asked.clone()).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                refused += usize::from(theirs.is_err());
                same(seed, n, &asked, (theirs, ours(store.range(&asked))));
            }
            10..18 => {
                let asked = rng.put();
                let mut theirs = told(kv.put(asked.clone()).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                refused += usize::from(theirs.is_err());
                same(seed, n, &asked, (theirs, ours(store.put(&asked))));
            }
            18..22 => {
                let asked = rng.delete();
                let mut theirs = told(kv.delete_range(asked.clone()).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                same(seed, n, &asked, (theirs, ours(store.delete_range(&asked))));
            }
            22..36 => {
                let asked = rng.txn(now, 2);
                let mut theirs = told(kv.txn(asked.clone()).await);
                if let Ok(answer) = &mut theirs {
                    plain_txn(answer);
                }
                refused += usize::from(theirs.is_err());
                same(seed, n, &asked, (theirs, ours(store.txn(&asked))));
            }
            36 => {
                let asked = LeaseGrantRequest {
                    id: 1 + rng.below(3) as i64,
                    ttl: 1000,
                };
                let mut theirs = told(lease.lease_grant(asked).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                same(
                    seed,
                    n,
                    &asked,
                    (theirs, ours(store.lease_grant(&asked, 0))),
                );
            }
            37 => {
                let asked = LeaseRevokeRequest {
                    id: 1 + rng.below(3) as i64,
                };
                let mut theirs = told(lease.lease_revoke(asked).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                same(seed, n, &asked, (theirs, ours(store.lease_revoke(&asked))));
            }
            38 => {
                let asked = LeaseTimeToLiveRequest {
                    id: 1 + rng.below(3) as i64,
                    keys: true,
                };
                let mut theirs = told(lease.lease_time_to_live(asked).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                    // Time goes on there; and their keys are in no order.
                    answer.ttl = answer.ttl.min(0);
                    answer.keys.sort();
                }
                let mut answer = ours(store.lease_time_to_live(&asked, 0));
                if let Ok(answer) = &mut answer {
                    answer.ttl = answer.ttl.min(0);
                }
                same(seed, n, &asked, (theirs, answer));
            }
            _ if rng.one_in(3) => {
                let asked = CompactionRequest {
                    revision: now - 10 + rng.below(12) as i64,
                    physical: true,
                };
                let mut theirs = told(kv.compact(asked).await);
                if let Ok(answer) = &mut theirs {
                    plain(&mut answer.header);
                }
                same(seed, n, &asked, (theirs, ours(store.compact(&asked))));
            }
            _ => {}
        }
        assert!(store.revision() >= before);
    }
    assert!(
        store.revision() > 50 && refused > 5,
        "seed {seed} did little"
    );
    for _ in 0..12 {
        let create = WatchCreateRequest {
            key: rng.key(),
            range_end: rng.range_end(),
            start_revision: (store.compacted() - 1 + rng.below(40) as i64).max(1),
            filters: if rng.one_in(4) {
                vec![rng.below(2) as i32]
            } else {
                Vec::new()
            },
            prev_kv: rng.one_in(2),
            ..WatchCreateRequest::default()
        };
        watch(seed, &store, channel.clone(), create).await;
    }
}

/// A watch over history: the same answers up to where history ends.
async fn watch(seed: u64, store: &Store, channel: Channel, create: WatchCreateRequest) {
    let mut watches = Watches::default();
    let mut expected = vec![watches.create(store, &create, 0)];
    loop {
        let told = watches.poll(store, 0);
        if told.responses.is_empty() {
            break;
        }
        expected.extend(told.responses);
    }
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create.clone())),
    };
    let (requests, stream) = tokio::sync::mpsc::channel(4);
    requests.send(request).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let mut client = WatchClient::new(channel);
    let mut answers = soon("a watch", client.watch(stream))
        .await
        .unwrap()
        .into_inner();
    let mut got = Vec::new();
    for _ in 0..expected.len() {
        let answer = soon("an answer of a watch", answers.message()).await;
        let mut answer = answer.unwrap().unwrap();
        plain(&mut answer.header);
        got.push(answer);
    }
    assert_eq!(got, expected, "seed {seed}: {create:#?}");
}
