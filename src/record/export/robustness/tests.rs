//! Calls and watches that no capture of ours has: lost answers, failures,
//! fragments, ends.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::etcd::schema::mvccpb;
use crate::etcd::schema::mvccpb::event::EventType;
use crate::record::container::Times;
use crate::record::schema::v1::{self, LogLine, Meta};

const SECOND: u64 = 1_000_000_000;

#[derive(Default)]
struct Script {
    robustness: Robustness,
}

impl Script {
    fn message(
        &mut self,
        at: u64,
        stream: u32,
        from: v1::Side,
        path: &str,
        message: &impl prost::Message,
    ) {
        let data = Bytes::from(message.encode_to_vec());
        let meta = Meta {
            connection: 7,
            stream,
            from: from.into(),
            size: data.len() as u64,
            ..Meta::default()
        };
        let times = Times {
            whole: at,
            began: at,
        };
        let passed = Passed {
            channel: None,
            times,
            meta: &meta,
            path,
            offset: 0,
            data: &data,
            last: true,
        };
        self.robustness.passed(&passed).unwrap();
    }

    fn asked(&mut self, at: u64, stream: u32, method: &str, message: &impl prost::Message) {
        let path = format!("/etcdserverpb.{method}");
        self.message(at, stream, v1::Side::Client, &path, message);
    }

    fn answered(&mut self, at: u64, stream: u32, method: &str, message: &impl prost::Message) {
        let path = format!("/etcdserverpb.{method}");
        self.message(at, stream, v1::Side::Server, &path, message);
    }

    fn ended(&mut self, at: u64, stream: u32, method: &str, status: &str, message: Option<&str>) {
        let (service, method) = method.split_once('/').unwrap();
        let line = LogLine {
            event: "call".to_owned(),
            conn: 7,
            stream: Some(stream),
            service: Some(format!("etcdserverpb.{service}")),
            method: Some(method.to_owned()),
            status: Some(status.to_owned()),
            message: message.map(str::to_owned),
            duration_us: Some(1000),
            ..LogLine::default()
        };
        self.robustness.line(&Line { at, line }).unwrap();
    }

    /// All files by name, and what was left out. Few scripts begin with an empty
    /// database; that this is said is for one test.
    fn finish(self) -> (Vec<(String, Vec<Value>)>, Vec<String>) {
        let (files, mut left_out) = self.finish_with_notes();
        left_out.retain(|words| words != NOT_EMPTY);
        (files, left_out)
    }

    fn finish_with_notes(mut self) -> (Vec<(String, Vec<Value>)>, Vec<String>) {
        self.robustness.finish().unwrap();
        let files = self.robustness.take(true).into_iter().map(|(name, bytes)| {
            let text = String::from_utf8(bytes).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            (name, lines.collect())
        });
        (files.collect(), self.robustness.left_out())
    }
}

fn put(value: &'static str) -> pb::PutRequest {
    pb::PutRequest {
        key: "a".into(),
        value: value.into(),
        ..pb::PutRequest::default()
    }
}

fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader {
        revision,
        ..pb::ResponseHeader::default()
    })
}

#[test]
fn a_write_whose_answer_was_lost_ends_after_all_others_on_a_client_of_its_own() {
    let mut script = Script::default();
    script.asked(SECOND, 1, "KV/Put", &put("1"));
    script.ended(
        SECOND + 5_000_000,
        1,
        "KV/Put",
        "UNAVAILABLE",
        Some("connection lost"),
    );
    script.asked(2 * SECOND, 3, "KV/Put", &put("2"));
    let answer = pb::PutResponse {
        header: header(2),
        ..pb::PutResponse::default()
    };
    script.answered(2 * SECOND + 500_000, 3, "KV/Put", &answer);
    script.ended(2 * SECOND + 1_000_000, 3, "KV/Put", "OK", None);
    let (files, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    let (name, operations) = &files[0];
    assert_eq!(name, "client-7/operations.json");
    let [ok, failed] = operations.as_slice() else {
        panic!("{operations:?}");
    };
    assert_eq!(ok["Output"]["Revision"], 2);
    assert_eq!(
        ok["Input"]["Txn"]["OperationsOnSuccess"][0]["Put"]["Value"]["Value"],
        "2"
    );
    assert_eq!(failed["Output"]["Error"], "connection lost");
    assert_ne!(ok["ClientId"], failed["ClientId"]);
    let returned = |operation: &Value| operation["Return"].as_i64().unwrap();
    assert_eq!(returned(failed), returned(ok) + SECOND as i64);
}

#[test]
fn a_failed_read_ends_when_it_did_and_a_refused_compaction_is_an_answer() {
    let mut script = Script::default();
    let range = pb::RangeRequest {
        key: "a".into(),
        ..pb::RangeRequest::default()
    };
    script.asked(SECOND, 1, "KV/Range", &range);
    script.ended(SECOND + 1_000_000, 1, "KV/Range", "DEADLINE_EXCEEDED", None);
    let compaction = pb::CompactionRequest {
        revision: 5,
        ..pb::CompactionRequest::default()
    };
    script.asked(2 * SECOND, 3, "KV/Compact", &compaction);
    let words = Some("etcdserver: mvcc: required revision has been compacted");
    script.ended(
        2 * SECOND + 1_000_000,
        3,
        "KV/Compact",
        "OUT_OF_RANGE",
        words,
    );
    script.asked(3 * SECOND, 5, "KV/Compact", &compaction);
    let words = Some("etcdserver: mvcc: required revision is a future revision");
    script.ended(
        3 * SECOND + 1_000_000,
        5,
        "KV/Compact",
        "OUT_OF_RANGE",
        words,
    );
    let (files, _) = script.finish();
    let [read, compacted, early] = files[0].1.as_slice() else {
        panic!("{files:?}");
    };
    assert_eq!(
        early["Output"]["ClientError"],
        "mvcc: required revision is a future revision"
    );
    assert_eq!(early["Output"]["Error"], "");
    assert_eq!(read["Output"]["Error"], "DEADLINE_EXCEEDED");
    assert_eq!(read["ClientId"], compacted["ClientId"]);
    assert_eq!(
        compacted["Output"]["ClientError"],
        "mvcc: required revision has been compacted"
    );
    assert_eq!(compacted["Output"]["Error"], "");
}

#[test]
fn a_lease_has_the_number_that_etcd_gave_it() {
    let mut script = Script::default();
    script.asked(
        SECOND,
        1,
        "Lease/LeaseGrant",
        &pb::LeaseGrantRequest::default(),
    );
    let granted = pb::LeaseGrantResponse {
        header: header(9),
        id: 77,
        ttl: 60,
        ..pb::LeaseGrantResponse::default()
    };
    script.answered(SECOND + 1, 1, "Lease/LeaseGrant", &granted);
    script.ended(SECOND + 2, 1, "Lease/LeaseGrant", "OK", None);
    let (files, _) = script.finish();
    let granted = &files[0].1[0];
    assert_eq!(granted["Input"]["LeaseGrant"]["LeaseID"], 77);
    assert_eq!(granted["Output"]["LeaseGrant"]["LeaseID"], 0);
}

#[test]
fn a_write_that_etcd_never_proposed_is_not_told() {
    let refusals = [
        (
            "INVALID_ARGUMENT",
            "etcdserver: request is too large",
            false,
        ),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", false),
        // It is in the WAL.
        ("NOT_FOUND", "etcdserver: requested lease not found", true),
        // It may say so of a write that it has applied.
        (
            "RESOURCE_EXHAUSTED",
            "etcdserver: mvcc: database space exceeded",
            true,
        ),
        ("UNAVAILABLE", "etcdserver: request timed out", true),
    ];
    for (status, message, perhaps) in refusals {
        let mut script = Script::default();
        script.asked(SECOND, 1, "KV/Put", &put("1"));
        script.ended(SECOND + 1, 1, "KV/Put", status, Some(message));
        let (files, left_out) = script.finish();
        let told = files
            .iter()
            .any(|(name, _)| name == "client-7/operations.json");
        assert_eq!(told, perhaps, "{message}");
        let said = ["1 writes that etcd refused before it proposed them"];
        assert_eq!(left_out == said, !perhaps, "{left_out:?}");
    }
}

/// A lease of ten seconds is granted, a watch sees two of its keys put at revision
/// 2 and 3, and deleted at revision 4 a minute later.
fn a_lease_that_ends(script: &mut Script) {
    const WATCH: &str = "Watch/Watch";
    let create = pb::WatchCreateRequest {
        key: "l/".into(),
        range_end: "l0".into(),
        ..pb::WatchCreateRequest::default()
    };
    let create = pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    };
    script.asked(SECOND, 1, WATCH, &create);
    let answer = |revision, events| pb::WatchResponse {
        header: header(revision),
        events,
        ..pb::WatchResponse::default()
    };
    let created = pb::WatchResponse {
        created: true,
        ..answer(1, Vec::new())
    };
    script.answered(SECOND + 1, 1, WATCH, &created);
    let ask = pb::LeaseGrantRequest {
        ttl: 10,
        ..pb::LeaseGrantRequest::default()
    };
    script.asked(2 * SECOND, 3, "Lease/LeaseGrant", &ask);
    let granted = pb::LeaseGrantResponse {
        header: header(1),
        id: 77,
        ttl: 10,
        ..pb::LeaseGrantResponse::default()
    };
    script.answered(2 * SECOND + 1, 3, "Lease/LeaseGrant", &granted);
    script.ended(2 * SECOND + 2, 3, "Lease/LeaseGrant", "OK", None);
    let event = |kind: EventType, key: &'static str, revision, lease| mvccpb::Event {
        r#type: kind.into(),
        kv: Some(mvccpb::KeyValue {
            key: key.into(),
            mod_revision: revision,
            lease,
            ..mvccpb::KeyValue::default()
        }),
        ..mvccpb::Event::default()
    };
    for (key, revision) in [("l/1", 2), ("l/2", 3)] {
        let put = event(EventType::Put, key, revision, 77);
        script.answered(3 * SECOND, 1, WATCH, &answer(revision, vec![put]));
    }
    let gone = ["l/1", "l/2"].map(|key| event(EventType::Delete, key, 4, 0));
    script.answered(60 * SECOND, 1, WATCH, &answer(4, gone.to_vec()));
}

#[test]
fn a_lease_that_expired_is_told_as_a_revocation() {
    let mut script = Script::default();
    a_lease_that_ends(&mut script);
    let (files, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    let (name, operations) = &files[0];
    assert_eq!(name, "client-7/operations.json");
    let [granted, revoked] = operations.as_slice() else {
        panic!("{operations:?}");
    };
    assert_eq!(revoked["Input"]["LeaseRevoke"], json!({"LeaseID": 77}));
    assert_eq!(revoked["Output"]["LeaseRevoke"], json!({}));
    assert_eq!(revoked["Output"]["Revision"], 4);
    assert_ne!(revoked["ClientId"], granted["ClientId"]);
    let time = |operation: &Value, field: &str| operation[field].as_i64().unwrap();
    // Not before its time, and not after a watch knew.
    assert_eq!(
        time(revoked, "Call"),
        time(granted, "Call") + 10 * SECOND as i64
    );
    assert_eq!(time(revoked, "Return"), 60 * SECOND as i64);
}

#[test]
fn a_lease_that_somebody_may_have_ended_did_not_expire() {
    let revoke = pb::LeaseRevokeRequest { id: 77 };
    let delete = pb::DeleteRangeRequest {
        key: "l/2".into(),
        ..pb::DeleteRangeRequest::default()
    };
    let revocations = |script: Script| {
        let (files, _) = script.finish();
        let operations = files[0].1.iter();
        operations
            .filter(|operation| operation["Input"]["Type"] == "leaseRevoke")
            .count()
    };

    // Asked for, and answered.
    let mut script = Script::default();
    a_lease_that_ends(&mut script);
    script.asked(59 * SECOND, 5, "Lease/LeaseRevoke", &revoke);
    let revoked = pb::LeaseRevokeResponse { header: header(4) };
    script.answered(60 * SECOND, 5, "Lease/LeaseRevoke", &revoked);
    script.ended(60 * SECOND, 5, "Lease/LeaseRevoke", "OK", None);
    assert_eq!(revocations(script), 1);

    // Asked for, and nobody knows.
    let mut script = Script::default();
    a_lease_that_ends(&mut script);
    script.asked(59 * SECOND, 5, "Lease/LeaseRevoke", &revoke);
    script.ended(60 * SECOND, 5, "Lease/LeaseRevoke", "UNAVAILABLE", None);
    assert_eq!(revocations(script), 1);

    // A key of its may have been deleted.
    let mut script = Script::default();
    a_lease_that_ends(&mut script);
    script.asked(59 * SECOND, 5, "KV/DeleteRange", &delete);
    script.ended(60 * SECOND, 5, "KV/DeleteRange", "UNAVAILABLE", None);
    assert_eq!(revocations(script), 0);
}

#[test]
fn it_is_said_when_no_read_saw_the_database_empty() {
    let range = pb::RangeRequest {
        key: "a".into(),
        ..pb::RangeRequest::default()
    };
    for (revision, said) in [(1, false), (2, true)] {
        let mut script = Script::default();
        script.asked(SECOND, 1, "KV/Range", &range);
        let answer = pb::RangeResponse {
            header: header(revision),
            ..pb::RangeResponse::default()
        };
        script.answered(SECOND, 1, "KV/Range", &answer);
        script.ended(SECOND, 1, "KV/Range", "OK", None);
        let (_, left_out) = script.finish_with_notes();
        assert_eq!(left_out == [NOT_EMPTY], said, "{left_out:?}");
    }
}

#[test]
fn what_the_model_has_no_words_for_is_counted() {
    let mut script = Script::default();
    let counted = pb::RangeRequest {
        key: "a".into(),
        range_end: "b".into(),
        count_only: true,
        ..pb::RangeRequest::default()
    };
    for stream in [1, 3] {
        script.asked(SECOND, stream, "KV/Range", &counted);
        script.answered(SECOND, stream, "KV/Range", &pb::RangeResponse::default());
        script.ended(SECOND, stream, "KV/Range", "OK", None);
    }
    script.ended(SECOND, 5, "KV/Put", "OK", None);
    script.ended(SECOND, 7, "Maintenance/Status", "OK", None);
    let (files, left_out) = script.finish();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        left_out,
        [
            "2 reads of keys only or of counts",
            "1 calls whose request was not recorded"
        ]
    );
}

fn event(revision: i64) -> mvccpb::Event {
    mvccpb::Event {
        kv: Some(mvccpb::KeyValue {
            key: "p/1".into(),
            value: "v".into(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            ..mvccpb::KeyValue::default()
        }),
        ..mvccpb::Event::default()
    }
}

#[test]
fn a_watch_is_told_with_all_that_came_on_it() {
    const WATCH: &str = "Watch/Watch";
    let mut script = Script::default();
    let create = pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(
            pb::WatchCreateRequest {
                key: "p/".into(),
                range_end: "p0".into(),
                start_revision: 4,
                ..pb::WatchCreateRequest::default()
            },
        )),
    };
    script.asked(SECOND, 1, WATCH, &create);
    let answer = |revision, events: Vec<mvccpb::Event>| pb::WatchResponse {
        header: header(revision),
        watch_id: 5,
        events,
        ..pb::WatchResponse::default()
    };
    let created = pb::WatchResponse {
        created: true,
        ..answer(3, Vec::new())
    };
    script.answered(SECOND + 1, 1, WATCH, &created);
    let fragment = pb::WatchResponse {
        fragment: true,
        ..answer(5, vec![event(4)])
    };
    script.answered(SECOND + 2, 1, WATCH, &fragment);
    script.answered(SECOND + 3, 1, WATCH, &answer(5, vec![event(5)]));
    let progress = pb::WatchResponse {
        watch_id: -1,
        ..answer(8, Vec::new())
    };
    script.answered(SECOND + 4, 1, WATCH, &progress);
    let compacted = pb::WatchResponse {
        canceled: true,
        compact_revision: 9,
        ..answer(12, Vec::new())
    };
    script.answered(SECOND + 5, 1, WATCH, &compacted);
    let (files, left_out) = script.finish();
    assert!(left_out.is_empty(), "{left_out:?}");
    let (name, watches) = &files[0];
    assert_eq!(name, "client-7/watch.json");
    assert_eq!(
        watches[0]["Request"],
        json!({"Key": "p/", "Revision": 4, "WithPrefix": true,
               "WithProgressNotify": false, "WithPrevKV": false})
    );
    let responses = watches[0]["Responses"].as_array().unwrap();
    assert_eq!(responses.len(), 3);
    let revisions: Vec<_> = responses[0]["Events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["Revision"].as_i64().unwrap())
        .collect();
    assert_eq!(revisions, [4, 5]);
    assert_eq!(responses[1]["IsProgressNotify"], true);
    assert_eq!(
        responses[2]["Error"],
        "etcdserver: mvcc: required revision has been compacted"
    );
}

#[test]
fn bytes_that_are_no_message_are_counted_and_nothing_more() {
    let mut script = Script::default();
    let meta = Meta {
        connection: 7,
        stream: 1,
        from: v1::Side::Server.into(),
        size: 3,
        ..Meta::default()
    };
    let times = Times {
        whole: SECOND,
        began: SECOND,
    };
    let data = Bytes::from_static(b"\xff\xff\xff");
    for path in [
        "/etcdserverpb.Watch/Watch",
        "/etcdserverpb.KV/Range",
        "",
        "/",
    ] {
        let passed = Passed {
            channel: None,
            times,
            meta: &meta,
            path,
            offset: 0,
            data: &data,
            last: true,
        };
        script.robustness.passed(&passed).unwrap();
    }
    script.ended(SECOND, 1, "KV/Range", "OK", None);
    let (_, left_out) = script.finish();
    assert_eq!(
        left_out,
        [
            "1 messages that cannot be read",
            "1 calls whose request was not recorded"
        ]
    );
}
