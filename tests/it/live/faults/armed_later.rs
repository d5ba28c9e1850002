//! Faults that are added and removed while calls pass.

use std::time::Duration;

use etcd_client::{WatchOptions, WatchStream};

use super::arm::{arm_with_switch, struck, timed};
use super::objects::Truth;
use crate::live::log::Line;
use crate::live::patience::soon;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    streams_that_were_open_are_left_alone: PLAIN_34, MTLS_35;
    what_the_page_says_of_the_command_line_works: PLAIN_35;
}

async fn event(stream: &mut WatchStream) -> i64 {
    loop {
        let message = soon("an event", stream.message()).await.unwrap().unwrap();
        if let Some(event) = message.events().first() {
            return event.kv().unwrap().mod_revision();
        }
    }
}

async fn open(stack: &Stack) -> WatchStream {
    let options = Some(WatchOptions::new().with_prefix());
    let mut client = stack.client().await;
    let mut stream = client.watch("/registry/pods/", options).await.unwrap();
    let created = soon("its creation", stream.message()).await;
    assert!(created.unwrap().unwrap().created());
    stream
}

async fn streams_that_were_open_are_left_alone(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let mut truth = Truth::of(&stack).await;
    let mut before = open(&stack).await;
    let late =
        r#"{name: late, match: {verb: watch}, action: {delay: {each_response_message: 400ms}}}"#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.yaml");
    std::fs::write(&path, late).unwrap();
    let added = switch
        .fault(&format!("add --file {}", path.display()))
        .await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let mut after = open(&stack).await;

    let at = truth.put("/registry/pods/lab/a", "1").await;
    let ((), took) = timed(async {
        assert_eq!(event(&mut before).await, at);
        assert_eq!(event(&mut after).await, at);
    })
    .await;
    assert!(took >= Duration::from_millis(350), "{took:?}");
    let told = |line: &Line| line.is("watch_event") && line.number("revision") == Some(at);
    let told = stack.proxy.log.wait_for_count("the event", 2, told).await;
    assert_eq!(told.len(), 2);

    // Once it is removed, all watches are punctual again, and what was held
    // comes at once.
    let removed = switch.fault("remove late").await;
    assert_eq!(removed.stdout, "late: removed\n");
    let at = truth.put("/registry/pods/lab/a", "2").await;
    assert_eq!(event(&mut before).await, at);
    assert_eq!(event(&mut after).await, at);
    drop((before, after));
    struck(&stack, "late", 1).await;
}

/// Each `etcdtap fault` line of the page, but for those about files.
async fn what_the_page_says_of_the_command_line_works(mut stack: Stack) {
    let switch = arm_with_switch(&mut stack, "faults: []").await;
    let page = include_str!("../../../../docs/faults.md");
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix("etcdtap fault "));
    let mut ran = 0;
    for line in lines {
        let line = line.split('#').next().unwrap().trim();
        if line.contains("plan.yaml") {
            continue;
        }
        let done = switch.fault(line).await;
        assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
        ran += 1;
    }
    assert!(ran >= 5, "{ran}");
}
