//! The store with its holes, and its leases with a clock of the test's own.

use bytes::Bytes;

use super::knowledge::Revisions;
use super::{Past, PutSeen, Refusal, Span, Store, Watches};
use crate::etcd::schema::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    RangeResponse, WatchCreateRequest, WatchResponse,
};
use crate::etcd::schema::mvccpb::KeyValue;

const SECOND: u64 = 1_000_000_000;

fn kv(key: &'static str, created: i64, at: i64, version: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision: created,
        mod_revision: at,
        version,
        value: format!("{key}@{at}").into(),
        lease: 0,
    }
}

fn prefix(start: &'static str, end: &'static str) -> Span {
    Span::asked(&start.into(), &end.into())
}

fn range(
    store: &Store,
    key: &'static str,
    end: &'static str,
    revision: i64,
) -> Result<RangeResponse, Refusal> {
    store.range(&RangeRequest {
        key: key.into(),
        range_end: end.into(),
        revision,
        ..RangeRequest::default()
    })
}

/// The values in an answer; why there is none.
fn values(answer: Result<RangeResponse, Refusal>) -> Result<Vec<String>, String> {
    let values = |answer: RangeResponse| {
        let values = answer.kvs.into_iter().map(|kv| kv.value);
        values
            .map(|value| String::from_utf8(value.into()).unwrap())
            .collect()
    };
    answer.map(values).map_err(|refusal| refusal.to_string())
}

fn history(store: &Store, key: &'static str, end: &'static str, from: i64) -> Vec<WatchResponse> {
    let create = WatchCreateRequest {
        key: key.into(),
        range_end: end.into(),
        start_revision: from,
        ..WatchCreateRequest::default()
    };
    let mut watches = Watches::default();
    watches.create(store, &create, 0);
    watches.poll(store, 0).responses
}

/// Two pods listed at 10 of an etcd that is older; a watch from 11 that was told of
/// one change at 14, and of progress up to 20.
fn pods() -> Past {
    let mut past = Past::default();
    past.stood_at(10);
    past.seen(&kv("/pods/a", 3, 5, 2), false, true, 10, 0);
    past.seen(&kv("/pods/b", 8, 8, 1), false, true, 10, 0);
    past.listed(prefix("/pods/", "/pods0"), 10);
    past.seen(&kv("/pods/a", 3, 14, 3), false, true, 14, 0);
    past.watched(prefix("/pods/", "/pods0"), Revisions { from: 11, to: 14 });
    past.watched(prefix("/pods/", "/pods0"), Revisions { from: 15, to: 20 });
    past.reached(20);
    past
}

#[test]
fn a_list_and_its_watch_are_known_at_every_revision_between() {
    let (store, _) = pods().store_at(20, 20);
    for (at, expected) in [
        (10, ["/pods/a@5", "/pods/b@8"]),
        (13, ["/pods/a@5", "/pods/b@8"]),
        (14, ["/pods/a@14", "/pods/b@8"]),
        (20, ["/pods/a@14", "/pods/b@8"]),
    ] {
        let read = values(range(&store, "/pods/", "/pods0", at));
        assert_eq!(read.unwrap(), expected, "{at}");
    }
    assert_eq!(
        range(&store, "/pods/", "/pods0", 9),
        Err(Refusal::Compacted),
        "before the recording"
    );
    let told = history(&store, "/pods/", "/pods0", 11);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].events.len(), 1);
}

#[test]
fn what_nobody_told_is_refused_and_says_what_it_is() {
    let (store, _) = pods().store_at(20, 20);
    assert_eq!(
        values(range(&store, "/", "0", 20)).unwrap_err(),
        "etcdtap: the recording does not know the keys from / to /pods/ at revision 20"
    );
    assert_eq!(
        values(range(&store, "/nodes/a", "", 20)).unwrap_err(),
        "etcdtap: the recording does not know /nodes/a at revision 20"
    );
    // A part of what is known is known.
    assert_eq!(
        values(range(&store, "/pods/b", "/pods/c", 20))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(values(range(&store, "/pods/zzz", "", 20)).unwrap().len(), 0);
    let told = history(&store, "/", "0", 11);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].canceled
            && told[0]
                .cancel_reason
                .contains("does not know what revision 11 did")
    );
}

#[test]
fn nothing_is_known_past_the_end_of_a_watch() {
    let mut past = pods();
    past.reached(30);
    let (store, _) = past.store_at(30, 30);
    let unknown = values(range(&store, "/pods/", "/pods0", 30)).unwrap_err();
    assert!(unknown.contains("does not know /pods/a"), "{unknown}");
    assert_eq!(
        values(range(&store, "/pods/", "/pods0", 20)).unwrap().len(),
        2
    );
}

#[test]
fn versions_that_follow_one_another_leave_nothing_between() {
    let mut past = Past::default();
    past.stood_at(10);
    past.seen(&kv("/a", 3, 5, 2), false, true, 10, 0);
    past.seen(&kv("/a", 3, 40, 3), false, true, 40, 0);
    past.seen(&kv("/b", 3, 6, 2), false, true, 10, 0);
    past.seen(&kv("/b", 3, 40, 4), false, true, 41, 0);
    past.reached(41);
    let (store, _) = past.store_at(41, 41);
    assert_eq!(values(range(&store, "/a", "", 39)).unwrap(), ["/a@5"]);
    assert!(
        values(range(&store, "/b", "", 39)).is_err(),
        "a version is missing"
    );
    assert_eq!(values(range(&store, "/b", "", 10)).unwrap(), ["/b@6"]);
    assert!(
        values(range(&store, "/a", "", 41)).is_err(),
        "it may have gone on"
    );
    assert_eq!(values(range(&store, "/b", "", 41)).unwrap(), ["/b@40"]);
}

#[test]
fn a_key_that_is_created_did_not_exist_before_and_one_that_is_deleted_did() {
    let mut past = Past::default();
    past.stood_at(10);
    past.seen(&kv("/new", 15, 15, 1), false, true, 15, 0);
    past.deleted(&"/old".into(), 17, 0);
    past.absent(&"/old".into(), 18);
    past.reached(20);
    let (store, _) = past.store_at(18, 18);
    assert_eq!(values(range(&store, "/new", "", 14)).unwrap().len(), 0);
    assert!(values(range(&store, "/new", "", 13)).is_err());
    assert!(values(range(&store, "/old", "", 16)).is_err());
    assert_eq!(values(range(&store, "/old", "", 17)).unwrap().len(), 0);
    assert_eq!(values(range(&store, "/old", "", 18)).unwrap().len(), 0);
}

/// An etcd of which every write was recorded.
fn whole() -> Past {
    let mut past = Past::default();
    past.stood_at(1);
    for (revision, key, lease) in [(2, "/a", 0), (3, "/b", 7), (4, "/a", 0)] {
        let put = PutSeen {
            key: key.into(),
            value: Some(format!("{key}@{revision}").into()),
            hidden: false,
            lease,
        };
        past.put(put, revision, 0);
        past.stood_at(revision);
        past.whole(revision);
    }
    past
}

#[test]
fn an_etcd_whose_every_write_was_recorded_is_known_altogether() {
    let (mut store, _) = whole().store_at(4, 4);
    let read = range(&store, "\0", "\0", 0).unwrap();
    let lives: Vec<_> = read
        .kvs
        .iter()
        .map(|kv| (kv.create_revision, kv.version))
        .collect();
    assert_eq!(lives, [(2, 2), (3, 1)]);
    assert_eq!(values(range(&store, "\0", "\0", 1)).unwrap().len(), 0);
    assert_eq!(history(&store, "\0", "\0", 1)[0].events.len(), 3);
    let put = PutRequest {
        key: "/c".into(),
        ..PutRequest::default()
    };
    assert_eq!(store.put(&put).unwrap().header.unwrap().revision, 5);
    assert_eq!(range(&store, "\0", "\0", 0).unwrap().count, 3);
}

#[test]
fn a_recording_goes_on_around_writes_of_ones_own() {
    let (mut store, mut future) = whole().store_at(2, 4);
    let mut watches = Watches::default();
    let create = WatchCreateRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..WatchCreateRequest::default()
    };
    watches.create(&store, &create, 0);
    store.play(&mut future, 3);
    let put = PutRequest {
        key: "/a".into(),
        value: "own".into(),
        ..PutRequest::default()
    };
    store.put(&put).unwrap();
    store.play(&mut future, 4);
    assert!(future.is_empty());
    assert_eq!(store.revision(), 5);
    let read = range(&store, "/a", "", 0).unwrap();
    assert_eq!(read.kvs[0].value, "/a@4");
    assert_eq!(
        (read.kvs[0].create_revision, read.kvs[0].mod_revision),
        (2, 5)
    );
    assert_eq!(read.kvs[0].version, 3);
    let told = watches.poll(&store, 0).responses;
    let revisions: Vec<_> = told
        .iter()
        .map(|one| one.header.unwrap().revision)
        .collect();
    assert_eq!(revisions, [3, 4, 5]);
}

#[test]
fn a_value_that_was_not_told_is_no_empty_value() {
    let mut past = whole();
    past.put(
        PutSeen {
            key: "/c".into(),
            value: None,
            hidden: false,
            lease: 0,
        },
        5,
        0,
    );
    past.stood_at(5);
    past.whole(5);
    let (store, _) = past.store_at(5, 5);
    let refused = values(range(&store, "/c", "", 0)).unwrap_err();
    assert!(refused.contains("does not know the value of /c, put at revision 5"));
    let keys = store.range(&RangeRequest {
        key: "/c".into(),
        keys_only: true,
        ..RangeRequest::default()
    });
    assert_eq!(keys.unwrap().kvs[0].mod_revision, 5);
}

#[test]
fn leases_end_when_nobody_keeps_them_alive_and_take_their_keys_along() {
    let mut store = Store::empty();
    store
        .lease_grant(&LeaseGrantRequest { id: 7, ttl: 10 }, 0)
        .unwrap();
    let put = PutRequest {
        key: "/a".into(),
        lease: 7,
        ..PutRequest::default()
    };
    store.put(&put).unwrap();
    let kept = store.lease_keep_alive(&LeaseKeepAliveRequest { id: 7 }, 9 * SECOND);
    assert_eq!(kept.ttl, 10);
    assert_eq!(store.expire(18 * SECOND), 0);
    let asked = LeaseTimeToLiveRequest { id: 7, keys: true };
    let left = store.lease_time_to_live(&asked, 18 * SECOND).unwrap();
    assert_eq!((left.ttl, left.granted_ttl, left.keys.len()), (1, 10, 1));
    assert_eq!(store.expire(19 * SECOND), 1);
    assert_eq!(store.revision(), 3);
    assert_eq!(range(&store, "/a", "", 0).unwrap().count, 0);
    assert_eq!(store.lease_time_to_live(&asked, 0).unwrap().ttl, -1);
    assert_eq!(
        store
            .lease_keep_alive(&LeaseKeepAliveRequest { id: 7 }, 0)
            .ttl,
        0
    );
}

#[test]
fn a_lease_of_which_only_the_keys_are_known_does_not_end() {
    let (mut store, _) = whole().store_at(4, 4);
    store.leases_mut().start(0);
    assert_eq!(store.expire(u64::MAX), 0);
    let asked = LeaseTimeToLiveRequest { id: 7, keys: true };
    let refused = store.lease_time_to_live(&asked, 0).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("for how long lease 7 was granted")
    );
}

#[test]
fn a_store_of_the_past_takes_no_writes() {
    let (mut store, _) = whole().store_at(3, 3);
    store.close();
    let put = PutRequest {
        key: "/a".into(),
        ..PutRequest::default()
    };
    assert_eq!(store.put(&put), Err(Refusal::ReadOnly));
    assert_eq!(values(range(&store, "/a", "", 0)).unwrap(), ["/a@2"]);
    assert_eq!(range(&store, "/a", "", 4), Err(Refusal::FutureRevision));
}

#[test]
fn an_idle_watch_is_told_how_far_it_has_come() {
    let store = Store::empty();
    let mut watches = Watches::default();
    let create = WatchCreateRequest {
        key: "/a".into(),
        progress_notify: true,
        ..WatchCreateRequest::default()
    };
    watches.create(&store, &create, 0);
    assert_eq!(watches.next_progress(), Some(600 * SECOND));
    assert!(watches.poll(&store, 599 * SECOND).responses.is_empty());
    let told = watches.poll(&store, 600 * SECOND).responses;
    assert_eq!((told.len(), told[0].events.len()), (1, 0));
    assert!(watches.poll(&store, 601 * SECOND).responses.is_empty());
}

#[test]
fn a_great_answer_comes_in_fragments_to_those_who_allow_it() {
    let mut store = Store::empty();
    for n in 0..5 {
        let put = PutRequest {
            key: format!("/{n}").into(),
            value: vec![b'v'; 1 << 20].into(),
            ..PutRequest::default()
        };
        store.put(&put).unwrap();
    }
    let create = WatchCreateRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        start_revision: 1,
        fragment: true,
        ..WatchCreateRequest::default()
    };
    let mut watches = Watches::default();
    watches.create(&store, &create, 0);
    let told = watches.poll(&store, 0).responses;
    let fragments: Vec<_> = told
        .iter()
        .map(|one| (one.events.len(), one.fragment))
        .collect();
    assert_eq!(
        fragments,
        [(1, true), (1, true), (1, true), (1, true), (1, false)]
    );
}

/// Lists in chunks of ten keys, as a client asks for them with `limit`; each round at
/// another revision, and cut elsewhere.
#[test]
fn thousands_of_chunks_of_lists_make_the_whole() {
    const KEYS: i64 = 10_000;
    const ROUNDS: i64 = 3;
    let key = |n: i64| bytes::Bytes::from(format!("/k/{n:06}"));
    let began = std::time::Instant::now();
    let mut past = Past::default();
    for round in 0..ROUNDS {
        let at = 20_000 + 10 * round;
        past.stood_at(at);
        for n in 0..KEYS {
            let kv = KeyValue {
                key: key(n),
                create_revision: 2 + n,
                mod_revision: 2 + n,
                version: 1,
                value: "v".into(),
                lease: 0,
            };
            past.seen(&kv, false, true, at, 0);
        }
        let cuts = (0..=KEYS).filter(|n| n % 10 == round || *n == 0 || *n == KEYS);
        let cuts: Vec<bytes::Bytes> = cuts.map(key).collect();
        for pair in cuts.windows(2) {
            past.listed(Span::asked(&pair[0], &pair[1]), at);
        }
    }
    let (store, _) = past.store_at(20_000 + 10 * (ROUNDS - 1), i64::MAX);
    let made = began.elapsed();
    for round in 0..ROUNDS {
        let all = range(&store, "/k/", "/k/010000", 20_000 + 10 * round);
        // Before the first key nothing was listed.
        assert!(all.is_err(), "{all:?}");
        let all = range(&store, "/k/000000", "/k/010000", 20_000 + 10 * round).unwrap();
        assert_eq!(all.count, KEYS);
        let between = range(&store, "/k/000000", "/k/010000", 20_001 + 10 * round);
        assert!(between.is_err() || round == ROUNDS - 1);
    }
    println!("made in {made:?}, read in {:?}", began.elapsed() - made);
}
