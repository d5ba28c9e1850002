//! How clients took what happened: measured by a running proxy, and read from
//! its log afterwards.

use std::path::Path;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp, WatchOptions, WatchStream};
use etcdtap::control::{self, Address};
use etcdtap::score::{Expectation, Moment, Scorecard};

use super::patience::{soon, until};
use super::proxy::{Arguments, Exit, program, run};
use super::stack::{Setup, Stack};

const PODS: &str = "/registry/pods/";

/// etcd behind a proxy that can measure.
struct Measured {
    stack: Stack,
    admin: control::Client,
}

impl Measured {
    /// With a plan of faults, which may be empty.
    async fn start(plan: &str) -> Measured {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.yaml");
        std::fs::write(&path, plan).unwrap();
        let arguments = Arguments::new()
            .flag("--admin", "127.0.0.1:0")
            .flag("--faults", &path);
        let stack = Setup::PLAIN_35.start_with(arguments).await;
        let line = |line: &str| line.contains("the admin API answers on ");
        let line = stack.proxy.errors.wait_for(line).await;
        let (_, address) = line.split_once("--admin ").unwrap();
        let address = Address::parse(address).unwrap();
        let admin = control::Client::new(address, None, None).unwrap();
        Measured { stack, admin }
    }

    async fn begin(&self) {
        self.admin.begin_measurement("a-test").await.unwrap();
    }

    async fn card(&self) -> Scorecard {
        self.admin.measurement().await.unwrap()
    }

    /// The card, once it is as it should be.
    async fn card_when(&self, what: &str, is: impl Fn(&Scorecard) -> bool) -> Scorecard {
        until(what, async || {
            let card = self.card().await;
            is(&card).then_some(card)
        })
        .await
    }

    /// `etcdtap scorecard` on the log, with more arguments.
    async fn read(&self, more: &[&str]) -> Exit {
        scorecard(self.stack.proxy.log.path(), more).await
    }
}

async fn scorecard(log: &Path, more: &[&str]) -> Exit {
    let mut command = program(["scorecard"]);
    run(command.arg(log).args(more)).await
}

/// What an API server's cache does: a list, and a watch from there on.
async fn list_and_watch(client: &mut Client) -> (i64, WatchStream) {
    let all = GetOptions::new().with_prefix();
    let listed = client.get(PODS, Some(all)).await.unwrap();
    let revision = listed.header().unwrap().revision();
    (revision, watch_from(client, revision + 1).await)
}

async fn watch_from(client: &mut Client, revision: i64) -> WatchStream {
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(revision);
    let mut stream = client.watch(PODS, Some(options)).await.unwrap();
    let created = soon("its creation", stream.message()).await;
    assert!(created.unwrap().unwrap().created());
    stream
}

/// The revisions of the next events, `count` of them.
async fn events(stream: &mut WatchStream, count: usize) -> Vec<i64> {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        let message = soon("an event", stream.message()).await.unwrap().unwrap();
        let events = message.events().iter();
        revisions.extend(events.map(|event| event.kv().unwrap().mod_revision()));
    }
    revisions
}

fn create(name: &str) -> Txn {
    let key = format!("{PODS}lab/{name}");
    Txn::new()
        .when([Compare::mod_revision(key.as_str(), CompareOp::Equal, 0)])
        .and_then([TxnOp::put(key.as_str(), "1", None)])
        .or_else([TxnOp::get(key.as_str(), None)])
}

fn meets(card: &Scorecard, text: &str) -> bool {
    let expectation: Expectation = text.parse().unwrap();
    expectation.check(card).met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_run_is_clean() {
    let measured = Measured::start("faults: []").await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    for n in 0..20 {
        client.txn(create(&format!("p{n}"))).await.unwrap();
    }
    let seen = events(&mut stream, 20).await;
    assert!(seen.is_sorted());
    let card = measured.card().await;
    assert!(card.is_clean(), "{card}");
    assert_eq!(card.name.as_deref(), Some("a-test"));
    assert_eq!((card.total.events, card.total.watches), (20, 1));
    assert!(card.total.behind_us.is_some());
    assert_eq!(card.failure, None);
    drop((stream, client));
    // The last card; and then there is none.
    let last = measured.admin.end_measurement(None).await.unwrap();
    assert!(last.is_clean(), "{last}");
    measured.admin.measurement().await.unwrap_err();

    // The log says the same.
    let read = measured.read(&["--expect", "events_lost == 0", "--expect", "events == 20"]);
    let read = read.await;
    assert_eq!(read.code, Some(0), "{read:?}");
    assert!(read.stdout.contains("\nclean: "), "{}", read.stdout);
    assert!(read.stdout.contains("met: events_lost == 0 (it was 0)"));
    let read = measured
        .read(&["--expect", "recovery < 10s", "--json"])
        .await;
    assert_eq!(read.code, Some(1), "{read:?}");
    let json: serde_json::Value = serde_json::from_str(&read.stdout).unwrap();
    assert_eq!(json["expectations"][0]["met"], false);
    assert_eq!(
        json["expectations"][0]["was"],
        "unknown: there was no failure"
    );
    let read: Scorecard = serde_json::from_value(json).unwrap();
    assert_eq!(read.total.events, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_injected_lost_event_shows_up_as_lost() {
    let measured = Measured::start(
        "faults: [{name: lossy, match: {resource: pods}, every: 5, at_most: 2, \
          action: {watch: drop_events}}]",
    )
    .await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    for n in 0..12 {
        client.txn(create(&format!("p{n}"))).await.unwrap();
    }
    events(&mut stream, 10).await;
    let card = measured.card().await;
    assert_eq!(
        (card.total.events, card.total.events_lost),
        (10, 2),
        "{card}"
    );
    assert!(!card.is_clean());
    let watch = &card.clients[0].watches[0];
    assert!(watch.lost_events[0].key.starts_with("/registry/pods/lab/p"));
    let failure = card.failure.as_ref().unwrap();
    assert_eq!(&*failure.faults[0].name, "lossy");
    assert!(!meets(&card, "events_lost == 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_measurement_that_begins_late_knows_what_is_open() {
    let measured = Measured::start("faults: []").await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    client.txn(create("a")).await.unwrap();
    events(&mut stream, 1).await;
    measured.begin().await;
    client.txn(create("b")).await.unwrap();
    events(&mut stream, 1).await;
    let card = measured.card().await;
    assert!(card.is_clean(), "{card}");
    assert_eq!((card.total.watches, card.total.events), (1, 1));
    assert_eq!(card.source.unknown_watch_events, 0);
    let twice = measured
        .admin
        .begin_measurement("another")
        .await
        .unwrap_err();
    assert_eq!(
        twice.to_string(),
        "the measurement a-test is running already; end it with DELETE /v1/measurement"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_is_told_otherwise_and_written_again() {
    let measured = Measured::start(
        "faults: [{name: lost, match: {verb: create, resource: pods}, at_most: 1, \
          action: lose_reply}]",
    )
    .await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    client.txn(create("a")).await.unwrap_err();
    let card = measured.card().await;
    let total = &card.total;
    assert_eq!(
        (total.told_otherwise, total.written_again),
        (1, 0),
        "{card}"
    );
    // It tries again, and finds its own write.
    let again = client.txn(create("a")).await.unwrap();
    assert!(!again.succeeded());
    let card = measured.card().await;
    let total = &card.total;
    assert_eq!(
        (total.told_otherwise, total.written_again),
        (1, 1),
        "{card}"
    );
    assert_eq!((total.failed_calls, total.retries), (1, 1));
    assert_eq!(total.noticed_by.as_deref(), Some("retry"));
    let told = &card.clients[0].told_otherwise[0];
    assert_eq!(
        (&*told.key, &*told.status),
        ("/registry/pods/lab/a", "UNAVAILABLE")
    );
    let read = measured.read(&["--expect", "told_otherwise==0"]).await;
    assert_eq!(read.code, Some(1));
    let not = "NOT MET: told_otherwise == 0 (it was 1)";
    assert!(read.stdout.contains(not), "{}", read.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_counted_with_their_spacing() {
    let measured = Measured::start(
        "faults: [{name: election, match: {verb: get}, at_most: 3, action: {error: no-leader}}]",
    )
    .await;
    measured.begin().await;
    // clientv3 asks again by itself.
    let etcdctl = measured.stack.etcdctl();
    etcdctl.run(["get", "/registry/pods/lab/a"]).await.ok();
    let card = measured.card().await;
    let total = &card.total;
    assert_eq!((total.failed_calls, total.retries), (3, 3), "{card}");
    assert_eq!(total.retries_max, 3);
    assert!(total.retry_spacing_min_us <= total.retry_spacing_median_us);
    assert!(total.retry_spacing_median_us <= total.retry_spacing_max_us);
    assert!(total.retry_spacing_max_us > Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_watch_is_created_anew_and_all_is_as_before() {
    let measured = Measured::start("faults: []").await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    client.txn(create("a")).await.unwrap();
    let had = events(&mut stream, 1).await[0];
    let fault = serde_json::json!({ "name": "broken", "match": { "resource": "pods" },
        "at_most": 1, "action": { "watch": { "drop_stream": {} } } });
    let add = control::Asked {
        method: control::Method::POST,
        target: "/v1/faults",
        body: Some(fault.to_string()),
    };
    measured.admin.ask(add).await.unwrap();
    while soon("its end", stream.message())
        .await
        .is_ok_and(|m| m.is_some())
    {}
    client.txn(create("b")).await.unwrap();
    let card = measured.card().await;
    assert_eq!(card.total.watches_missing, 1, "{card}");
    assert_eq!(card.total.recovery_us, None);
    let mut stream = watch_from(&mut client, had + 1).await;
    assert_eq!(events(&mut stream, 1).await, [had + 1]);
    let is_known = |card: &Scorecard| card.total.recovery_us.is_some();
    let card = measured.card_when("all is as before", is_known).await;
    let total = &card.total;
    assert_eq!(
        (total.watches_recreated, total.watches_missing),
        (1, 0),
        "{card}"
    );
    assert_eq!((total.events_lost, total.watch_gaps), (0, 0), "{card}");
    assert_eq!(total.noticed_by.as_deref(), Some("rewatch"));
    let again = &card.clients[0].watches[0].recreations[0];
    assert_eq!((again.start_revision, again.last_revision), (had + 1, had));
    assert!(meets(&card, "recovery < 30s"), "{card}");
    // Whoever ran the failure knows best when it was.
    let began = card.failure.as_ref().unwrap().began;
    let until_now = (began, Moment::of(std::time::SystemTime::now()));
    let last = measured
        .admin
        .end_measurement(Some(until_now))
        .await
        .unwrap();
    let failure = last.failure.as_ref().unwrap();
    assert_eq!((failure.began, failure.ended), until_now);
    assert!(failure.given);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_watch_is_behind() {
    let measured = Measured::start(
        "faults: [{name: late, match: {resource: pods}, \
          action: {watch: {delay_events: 400ms}}}]",
    )
    .await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    client.txn(create("a")).await.unwrap();
    events(&mut stream, 1).await;
    let card = measured.card().await;
    let behind = Duration::from_micros(card.total.behind_us.unwrap());
    assert!(behind >= Duration::from_millis(350), "{card}");
    assert_eq!(card.total.events_lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_measured_at_the_end_is_printed() {
    let mut measured = Measured::start("faults: []").await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    client.txn(create("a")).await.unwrap();
    drop(client);
    assert_eq!(measured.stack.proxy.terminate().await, Some(0));
    let said = measured.stack.proxy.errors.text();
    assert!(said.contains("what was still being measured"), "{said}");
    assert!(said.contains("clean: nothing was lost"), "{said}");
}

#[tokio::test]
async fn wrong_usage_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("calls.ndjson");
    std::fs::write(&log, "").unwrap();
    for (more, said) in [
        (
            &["--expect", "recovry < 10s"][..],
            "etcdtap: --expect: there is no metric \"recovry\"; did you mean recovery?\n",
        ),
        (
            &["--from", "noon"],
            "etcdtap: --from: \"noon\" is no time; write it as the log does, such as 2026-11-03T08:05:32Z\n",
        ),
        (
            &[
                "--from",
                "2026-11-03T08:05:32Z",
                "--to",
                "2026-11-03T08:05:31Z",
            ],
            "etcdtap: --to: 2026-11-03T08:05:31.000000Z is before --from 2026-11-03T08:05:32.000000Z; write the later time as --to\n",
        ),
    ] {
        let exit = scorecard(&log, more).await;
        assert_eq!((exit.code, exit.stderr.as_str()), (Some(2), said));
    }
    let exit = scorecard(&dir.path().join("absent"), &[]).await;
    assert_eq!(exit.code, Some(2));
    assert!(
        exit.stderr.contains("absent cannot be read: No such file"),
        "{}",
        exit.stderr
    );
    std::fs::write(&log, "this is no log\n").unwrap();
    let exit = scorecard(&log, &[]).await;
    assert_eq!(exit.code, Some(2));
    assert!(
        exit.stderr.contains("no line of it is JSON"),
        "{}",
        exit.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_reset_is_opened_again() {
    let measured = Measured::start("faults: []").await;
    measured.begin().await;
    let mut client = measured.stack.client().await;
    let (_, mut stream) = list_and_watch(&mut client).await;
    let fault = serde_json::json!({ "name": "broken", "at_most": 1,
        "action": { "connection": "reset" } });
    let add = control::Asked {
        method: control::Method::POST,
        target: "/v1/faults",
        body: Some(fault.to_string()),
    };
    measured.admin.ask(add).await.unwrap();
    while soon("its end", stream.message())
        .await
        .is_ok_and(|m| m.is_some())
    {}
    // The client dials anew by itself; the first calls may still fail.
    let mut stream = until("it is there again", async || {
        let all = GetOptions::new().with_prefix();
        client.get(PODS, Some(all)).await.ok()?;
        Some(list_and_watch(&mut client).await.1)
    })
    .await;
    client.txn(create("a")).await.unwrap();
    events(&mut stream, 1).await;
    let is_known = |card: &Scorecard| card.total.recovery_us.is_some();
    let card = measured.card_when("all is as before", is_known).await;
    let total = &card.total;
    assert!(total.connections_closed >= 1, "{card}");
    assert!(total.reconnected_us.is_some(), "{card}");
    assert!(total.noticed_us.is_some(), "{card}");
    assert_eq!((total.watches, total.watches_missing), (1, 0), "{card}");
    assert_eq!((total.events_lost, total.watch_gaps), (0, 0), "{card}");
    // It listed before it watched again, twice.
    assert!(total.relists >= 1, "{card}");
    assert_eq!(&*card.failure.as_ref().unwrap().faults[0].name, "broken");
}
