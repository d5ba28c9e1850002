//! Numbering and comparing, without an etcd.

use bytes::Bytes;
use prost::Message as _;

use super::compare::{Likeness, answers, difference};
use super::numbering::Numbering;
use crate::etcd::schema::etcdserverpb::{RangeResponse, ResponseHeader};
use crate::etcd::schema::mvccpb::KeyValue;
use crate::record::redact::RecordingKey;

fn read(revision: i64, kv: KeyValue) -> Bytes {
    let answer = RangeResponse {
        header: Some(ResponseHeader {
            revision,
            cluster_id: revision as u64,
            ..ResponseHeader::default()
        }),
        kvs: vec![kv],
        count: 1,
        ..RangeResponse::default()
    };
    answer.encode_to_vec().into()
}

fn kv(created: i64, modified: i64, version: i64, value: &str) -> KeyValue {
    KeyValue {
        key: "/k".into(),
        create_revision: created,
        mod_revision: modified,
        version,
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease: 0,
    }
}

#[test]
fn revisions_between_writes_are_those_of_the_write_before() {
    let mut numbers = Numbering::new(1, None);
    numbers.wrote(100, 2);
    numbers.wrote(104, 3);
    let mapped: Vec<i64> = [0, 50, 100, 103, 104, 900]
        .map(|recorded| numbers.revision(recorded))
        .into();
    assert_eq!(mapped, [0, 1, 2, 2, 3, 3]);
    // A watch from after 100 begins with what was written at 104.
    let starts: Vec<i64> = [0, 100, 101, 104, 105]
        .map(|recorded| numbers.start(recorded))
        .into();
    assert_eq!(starts, [0, 2, 3, 3, 4]);
}

#[test]
fn where_writes_are_done_in_another_order_a_watch_begins_with_the_first_of_them() {
    let mut numbers = Numbering::new(1, None);
    for (recorded, target) in [(100, 2), (103, 3), (101, 4), (102, 5)] {
        numbers.wrote(recorded, target);
    }
    assert_eq!(numbers.start(101), 4);
    let starts: Vec<i64> = [0, 100, 101, 103, 104]
        .map(|recorded| numbers.start_of_all(recorded))
        .into();
    assert_eq!(starts, [0, 2, 3, 3, 4]);
}

#[test]
fn what_is_older_than_the_recording_is_learnt_once() {
    let mut numbers = Numbering::new(1, None);
    numbers.wrote(100, 2);
    let mut compare = |recorded, answered| {
        answers::<RangeResponse>(&recorded, &answered, &mut numbers, None).unwrap()
    };
    let recorded = read(100, kv(40, 100, 7, "v"));
    let first = compare(recorded.clone(), read(2, kv(2, 2, 1, "v")));
    assert_eq!(first, Likeness::UpToNumbering);
    // The same key cannot have begun elsewhere later.
    let second = compare(recorded.clone(), read(2, kv(1, 2, 1, "v")));
    let Likeness::Different(found) = second else {
        panic!("{second:?}")
    };
    assert_eq!(found.field, "kvs[0].create_revision");
    let third = compare(recorded, read(2, kv(2, 2, 2, "v")));
    let Likeness::Different(found) = third else {
        panic!("{third:?}")
    };
    assert_eq!(found.field, "kvs[0].version");
}

#[test]
fn what_a_snapshot_has_of_a_life_is_numbered_exactly() {
    let mut numbers = Numbering::new(1, None);
    // Compacted at 90; the key's versions 7 and 8 were left, and another key was
    // written at the revision that created it.
    for (recorded, target) in [(40, 2), (80, 3), (95, 4)] {
        numbers.wrote(recorded, target);
    }
    numbers.restored(&kv(40, 80, 7, "v"), 90);
    numbers.restored(&kv(40, 95, 8, "v"), 90);
    let key = Bytes::from("/k");
    assert_eq!(numbers.create_revision(&key, 40, None), 3);
    assert_eq!(numbers.version(&key, 40, 8, None), 2);
    // A wrong answer is not learnt from.
    assert_eq!(numbers.create_revision(&key, 40, Some(2)), 3);
    assert_eq!(numbers.version(&key, 40, 9, Some(9)), 3);
    // What was forgotten is asked for where nothing is left.
    numbers.compacted(90);
    assert_eq!([89, 90, 95].map(|at| numbers.read_at(at)), [2, 3, 4]);
    assert_eq!([0, 89, 91].map(|at| numbers.watched_from(at)), [0, 2, 4]);
    // A life that began after the compaction is whole.
    numbers.restored(&kv(95, 95, 1, "v"), 90);
    assert_eq!(numbers.create_revision(&key, 95, Some(7)), 4);
    assert_eq!(numbers.version(&key, 95, 2, Some(1)), 2);
}

#[test]
fn a_value_is_never_shown() {
    let mut numbers = Numbering::new(1, None);
    let recorded = read(1, kv(1, 1, 1, "what nobody may see"));
    let answered = read(1, kv(1, 1, 1, "what nobody may hear"));
    let likeness = answers::<RangeResponse>(&recorded, &answered, &mut numbers, None);
    let Some(Likeness::Different(found)) = likeness else {
        panic!("{likeness:?}")
    };
    assert_eq!(
        found.to_string(),
        "kvs[0].value: recorded 19 bytes, answered 20 bytes"
    );
}

#[test]
fn a_hidden_value_is_held_against_its_hash() {
    let key = RecordingKey::from_bytes([3; 32]);
    let value = "x".repeat(60);
    let tag = format!("redacted:{}", key.hash(value.as_bytes()));
    let hidden = format!("{}{tag}", "*".repeat(60 - tag.len()));
    let found = |answered: &str, key: Option<&RecordingKey>| {
        let hidden = read(1, kv(1, 1, 1, &hidden));
        let answered = read(1, kv(1, 1, 1, answered));
        difference("etcdserverpb.RangeResponse", &hidden, &answered, key)
            .map(|found| found.answered)
    };
    assert_eq!(found(&value, Some(&key)), None);
    let other = "y".repeat(60);
    assert_eq!(
        found(&other, Some(&key)).as_deref(),
        Some("60 bytes of another hash")
    );
    assert!(found(&value, None).is_some());
}
