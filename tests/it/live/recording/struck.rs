//! Recordings of calls that faults struck: what each side sent stands in the
//! messages, and what the client saw in the line.

use std::path::PathBuf;
use std::time::Duration;

use etcd_client::WatchOptions;
use etcdtap::etcd::schema::etcdserverpb::{TxnResponse, WatchResponse};
use etcdtap::record::reader::Item;
use prost::Message as _;
use tonic::Code;

use super::tape::{Tape, Taped, files};
use crate::live::faults::arm::{arm_with, refused, timed};
use crate::live::faults::objects::{Truth, create};
use crate::live::patience::soon;
use crate::live::proxy::Arguments;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    what_faults_did_is_told_and_what_was_sent_is_there: PLAIN_34, MTLS_35;
}

const PLAN: &str = "
faults:
  - name: lost
    match: {verb: create, name: lost}
    action: lose_reply
  - name: refused
    match: {verb: create, name: refused}
    action: {error: no-space}
  - name: late
    match: {verb: create, name: late}
    action: {delay: {response: 400ms}}
  - name: unseen
    match: {resource: pods, event: delete}
    action: {watch: drop_events}
";

const LATE: Duration = Duration::from_millis(400);

async fn what_faults_did_is_told_and_what_was_sent_is_there(mut stack: Stack) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = Arguments::new()
        .flag("--record", folder.path().join("calls.mcap"))
        .flag("--record-flush", "100ms");
    arm_with(&mut stack, PLAN, arguments).await;
    let mut truth = Truth::of(&stack).await;
    let key = |name: &str| format!("/registry/configmaps/lab/{name}");
    let mut client = stack.client().await;
    let (code, _) = refused(client.txn(create(&key("lost"), "1")).await);
    assert_eq!(code, Code::Unavailable);
    let (code, _) = refused(client.txn(create(&key("refused"), "1")).await);
    assert_eq!(code, Code::ResourceExhausted);
    let (answer, took) = timed(client.txn(create(&key("late"), "1"))).await;
    assert!(answer.unwrap().succeeded() && took >= LATE);
    let lost = truth.key(&key("lost")).await.unwrap();
    assert!(truth.key(&key("refused")).await.is_none());

    let pod = "/registry/pods/lab/web-0";
    let prefix = Some(WatchOptions::new().with_prefix());
    let mut watch = client.watch("/registry/pods/", prefix).await.unwrap();
    soon("its creation", watch.message()).await.unwrap();
    truth.put(pod, "seen").await;
    truth.client().delete(pod, None).await.unwrap();
    truth.put(pod, "again").await;
    for value in ["seen", "again"] {
        let message = soon("an event", watch.message()).await.unwrap().unwrap();
        let kv = message.events()[0].kv().unwrap();
        assert_eq!(kv.value(), value.as_bytes(), "the delete is never told");
    }
    drop((watch, client));
    assert_eq!(stack.proxy.terminate().await, Some(0));

    let tape = Tape::of(&files(folder.path()).into_iter().collect::<Vec<PathBuf>>());
    assert!(tape.wholeness.is_whole());
    let calls = tape.calls();
    let of = |name: &str| -> &Taped {
        let is = |call: &&Taped| {
            let line = call.line.as_ref();
            line.is_some_and(|line| line.key.as_deref() == Some(key(name).as_bytes()))
        };
        calls.values().find(is).unwrap()
    };
    let answer = |call: &Taped| TxnResponse::decode(call.answered[0].as_slice()).unwrap();

    let taped = of("lost");
    let line = taped.line.as_ref().unwrap();
    assert_eq!(
        line.status.as_deref(),
        Some("UNAVAILABLE"),
        "what the client saw"
    );
    assert_eq!(line.fault[0].name, "lost");
    let said = answer(taped);
    assert!(said.succeeded, "what etcd said");
    assert_eq!(said.header.unwrap().revision, lost.mod_revision);
    assert_eq!((taped.asked.len(), taped.answered.len()), (1, 1));

    let taped = of("refused");
    let line = taped.line.as_ref().unwrap();
    assert_eq!(line.status.as_deref(), Some("RESOURCE_EXHAUSTED"));
    assert_eq!(line.fault[0].name, "refused");
    assert_eq!(taped.asked.len(), 1, "what the client sent");
    assert_eq!(taped.answered.len(), 0, "etcd sent nothing");

    let taped = of("late");
    let line = taped.line.as_ref().unwrap();
    assert_eq!(line.status.as_deref(), Some("OK"));
    assert_eq!(line.fault[0].did, "response delayed by 400 ms");
    assert!(answer(taped).succeeded);
    // The message has the time of its arrival, and the line that of the call's end.
    let arrived = tape.items.iter().find_map(|item| match item {
        Item::Message(message) if message.data == taped.answered[0] => Some(message.times.whole),
        _ => None,
    });
    let ended = tape.items.iter().find_map(|item| match item {
        Item::Line(told) if told.line == *line => Some(told.at),
        _ => None,
    });
    let held = Duration::from_nanos(ended.unwrap() - arrived.unwrap());
    // The clocks are compared again with every flush.
    assert!(held >= LATE - Duration::from_millis(50), "{held:?}");

    let watch = calls.values().find(|call| call.path.ends_with("/Watch"));
    let events: Vec<_> = watch
        .unwrap()
        .answered
        .iter()
        .flat_map(|bytes| WatchResponse::decode(bytes.as_slice()).unwrap().events)
        .map(|event| (event.r#type, event.kv.unwrap().value))
        .collect();
    let sent = [(0, &b"seen"[..]), (1, b""), (0, b"again")];
    let sent = sent.map(|(kind, value)| (kind, value.to_vec()));
    assert_eq!(
        events
            .into_iter()
            .map(|(kind, value)| (kind, value.to_vec()))
            .collect::<Vec<_>>(),
        sent,
        "all that etcd sent"
    );
    let unseen: Vec<_> = tape
        .lines()
        .filter(|line| line.event == "watch_event" && line.delivered == Some(false))
        .collect();
    assert_eq!(unseen.len(), 1, "and what of it the client never got");
    assert_eq!(unseen[0].fault[0].name, "unseen");
}
