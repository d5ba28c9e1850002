//! A recording of random requests to a real etcd, played back: at every revision it
//! says what etcd says.

use std::path::PathBuf;

use bytes::Bytes;
use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp, WatchOptions};
use etcdtap::etcd::schema::etcdserverpb::kv_client::KvClient;
use etcdtap::etcd::schema::etcdserverpb::request_op::Request;
use etcdtap::etcd::schema::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest,
};
use tonic::transport::Channel;

use super::differential::Rng;
use super::player::Player;
use crate::live::etcd::{Etcd, Version};
use crate::live::patience::soon;
use crate::live::proxy::Arguments;

/// An etcd, and a recording of all that was done to it.
struct Recorded {
    etcd: Etcd,
    path: PathBuf,
    _folder: tempfile::TempDir,
    revision: i64,
}

async fn channel(url: &str) -> Channel {
    let endpoint = Channel::from_shared(url.to_owned()).unwrap();
    soon("a connection", endpoint.connect()).await.unwrap()
}

async fn recorded(version: Version) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.mcap");
    let etcd = Etcd::of(version, 1).start().await;
    let mut proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--record", &path)
        .start()
        .await;
    let mut kv = KvClient::new(channel(&proxy.urls("http")[0]).await);
    let mut rng = Rng(5);
    for revision in 1..=200 {
        // Refused ones belong to it.
        match rng.0 % 4 {
            0 => drop(kv.put(telling_put(rng.put())).await),
            1 => drop(kv.delete_range(telling_delete(rng.delete())).await),
            2 => drop(kv.range(rng.range(revision)).await),
            _ => drop(kv.txn(telling(rng.txn(revision, 2))).await),
        }
    }
    let now = kv.range(everything(0)).await.unwrap().into_inner();
    drop(kv);
    assert_eq!(proxy.terminate().await, Some(0), "{}", proxy.errors.text());
    Recorded {
        etcd,
        path,
        _folder: folder,
        revision: now.header.unwrap().revision,
    }
}

/// A Put says itself what it puts.
fn telling_put(asked: PutRequest) -> PutRequest {
    PutRequest {
        ignore_value: false,
        ignore_lease: false,
        ..asked
    }
}

/// The answer of a delete says what it deleted.
fn telling_delete(asked: DeleteRangeRequest) -> DeleteRangeRequest {
    DeleteRangeRequest {
        prev_kv: true,
        ..asked
    }
}

fn telling(mut asked: TxnRequest) -> TxnRequest {
    for op in asked.success.iter_mut().chain(&mut asked.failure) {
        op.request = op.request.take().map(|request| match request {
            Request::RequestPut(put) => Request::RequestPut(telling_put(put)),
            Request::RequestDeleteRange(delete) => {
                Request::RequestDeleteRange(telling_delete(delete))
            }
            Request::RequestTxn(txn) => Request::RequestTxn(telling(txn)),
            range @ Request::RequestRange(_) => range,
        });
    }
    asked
}

fn everything(revision: i64) -> RangeRequest {
    RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        revision,
        ..RangeRequest::default()
    }
}

#[tokio::test]
async fn a_playback_of_etcd_3_4_says_at_every_revision_what_etcd_said() {
    says_what_etcd_said(Version::V3_4).await;
}

#[tokio::test]
async fn a_playback_of_etcd_3_5_says_at_every_revision_what_etcd_said() {
    says_what_etcd_said(Version::V3_5).await;
}

async fn says_what_etcd_said(version: Version) {
    let recorded = recorded(version).await;
    assert!(recorded.revision > 30, "{}", recorded.revision);
    let player = Player::start(&recorded.path, &[]).await;
    let mut etcd = KvClient::new(channel(&recorded.etcd.urls()[0]).await);
    let mut played = KvClient::new(channel(&player.url).await);
    for revision in 1..=recorded.revision {
        let theirs = etcd.range(everything(revision)).await.unwrap().into_inner();
        let ours = played
            .range(everything(revision))
            .await
            .unwrap()
            .into_inner();
        // Header and all: it says that it is the same etcd.
        assert_eq!(ours, theirs, "revision {revision}");
    }
    player.end().await;
}

#[tokio::test]
async fn the_rust_client_writes_and_watches_on_top_of_a_recording() {
    let recorded = recorded(Version::V3_5).await;
    let player = Player::start(&recorded.path, &[]).await;
    let mut client = Client::connect([&player.url], None).await.unwrap();

    let options = WatchOptions::new().with_start_revision(recorded.revision + 1);
    let mut watch = client.watch("top", Some(options)).await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    let put = client.put("top", "one", Some(options)).await.unwrap();
    assert_eq!(put.header().unwrap().revision(), recorded.revision + 1);
    let txn = Txn::new()
        .when([Compare::value("top", CompareOp::Equal, "one")])
        .and_then([TxnOp::put("top", "two", None)]);
    assert!(client.txn(txn).await.unwrap().succeeded());
    client.lease_revoke(lease).await.unwrap();
    client.put("top", "three", None).await.unwrap();

    let mut told = Vec::new();
    while told.len() < 3 {
        let answer = soon("an event", watch.message()).await.unwrap().unwrap();
        for event in answer.events() {
            let kv = event.kv().unwrap();
            told.push((kv.mod_revision(), kv.value_str().unwrap().to_owned()));
        }
    }
    let expected = [(1, "one"), (2, "two"), (3, "three")];
    let expected = expected.map(|(after, value)| (recorded.revision + after, value.to_owned()));
    assert_eq!(told, expected);
    player.end().await;
}

#[tokio::test]
async fn a_recording_goes_on_at_its_own_pace() {
    let recorded = recorded(Version::V3_5).await;
    let player = Player::start(&recorded.path, &["--pace", "recorded"]).await;
    player
        .errors
        .wait_for(|line| line.contains("the recording is over"))
        .await;
    let mut etcd = KvClient::new(channel(&recorded.etcd.urls()[0]).await);
    let mut played = KvClient::new(channel(&player.url).await);
    let theirs = etcd.range(everything(0)).await.unwrap().into_inner();
    let ours = played.range(everything(0)).await.unwrap().into_inner();
    assert_eq!(ours, theirs);
    player.end().await;
}

#[tokio::test]
async fn without_pace_the_store_stands_where_the_recording_begins() {
    let recorded = recorded(Version::V3_4).await;
    let player = Player::start(&recorded.path, &["--pace", "none"]).await;
    let etcdctl = player.etcdctl(Version::V3_4);
    let json = etcdctl
        .run(["get", "--from-key", "\u{1}", "-w", "json"])
        .await
        .ok();
    assert!(json.contains("\"revision\":1,"), "{json}");
    assert!(!json.contains("kvs"), "{json}");
    etcdctl.run(["put", "a", "b"]).await.ok();
    player.end().await;
}

#[tokio::test]
async fn what_a_recording_does_not_know_is_refused_and_told_in_the_end() {
    // An etcd that was there before, and a recording that saw one key of it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.mcap");
    let etcd = Etcd::of(Version::V3_5, 1).start().await;
    let mut direct = Client::connect(etcd.urls(), None).await.unwrap();
    direct.put("seen", "1", None).await.unwrap();
    direct.put("unseen", "2", None).await.unwrap();
    let mut proxy = Arguments::new()
        .pair(&etcd.urls()[0])
        .flag("--record", &path)
        .start()
        .await;
    let mut tapped = Client::connect(proxy.urls("http"), None).await.unwrap();
    tapped.get("seen", None).await.unwrap();
    drop(tapped);
    assert_eq!(proxy.terminate().await, Some(0));

    let player = Player::start(&path, &[]).await;
    let etcdctl = player.etcdctl(Version::V3_5);
    assert_eq!(etcdctl.run(["get", "seen"]).await.ok(), "seen\n1\n");
    for command in [["get", "unseen"].as_slice(), &["put", "unseen", "3"]] {
        let refused = etcdctl.run(command.iter().copied()).await;
        let sentence = "FailedPrecondition desc = etcdtap: the recording does not know unseen at";
        assert!(refused.error().contains(sentence), "{refused:?}");
    }
    let said = player.end().await;
    assert!(
        said.contains("2 times the recording did not know"),
        "{said}"
    );
    assert!(said.contains("2x unseen at revision 3"), "{said}");

    let player = Player::start(&path, &["--unknown", "absent"]).await;
    let etcdctl = player.etcdctl(Version::V3_5);
    assert_eq!(etcdctl.run(["get", "unseen"]).await.ok(), "");
    etcdctl.run(["put", "unseen", "3"]).await.ok();
    player.end().await;
}

#[tokio::test]
async fn a_revision_that_is_not_in_the_recording_is_refused_in_words() {
    let recorded = recorded(Version::V3_5).await;
    let run = |at: &'static str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_etcdtap"))
            .arg("playback")
            .arg(&recorded.path)
            .args(["--listen", "127.0.0.1:0", "--at", at])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run("1000000");
    let expected = format!("the recording knows revisions 1 to {}", recorded.revision);
    assert!(said.contains(&expected), "{said}");
    assert!(run("soon").contains("a whole number is a revision"));
}
