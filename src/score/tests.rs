//! Each figure by a log that is made for it.

mod events;
mod watches;

use serde_json::json;

use super::script::Script;
use super::{Expectation, Moment, Options, Scorecard};
use watches::broken;

/// One connection, a watch of pods from revision 11 on, and two pods that are
/// written and seen.
fn healthy() -> Script {
    let mut log = Script::default();
    log.opened(0, 1)
        .list(10, 1, 10, 1000)
        .watch(20, 1, 11, 10)
        .update(100, 1, "a", 11)
        .event(101, 1, "a", 11)
        .update(200, 1, "b", 12)
        .event(203, 1, "b", 12);
    log
}

fn meets(card: &Scorecard, text: &str) -> bool {
    let expectation: Expectation = text.parse().expect(text);
    expectation.check(card).met
}

#[test]
fn a_healthy_run_is_clean() {
    let card = healthy().card();
    assert!(card.is_clean(), "{card}");
    assert_eq!(card.failure, None);
    let total = &card.total;
    assert_eq!((total.events, total.events_lost), (2, 0));
    assert_eq!((total.calls, total.failed_calls), (3, 0));
    // The list came before the watch.
    assert_eq!((total.watches, total.relists), (1, 0));
    assert_eq!(total.behind_us, Some(3000));
    assert_eq!(total.recovery_us, None);
    assert!(!meets(&card, "recovery < 10s"));
    assert!(meets(&card, "events_lost == 0"));
}

#[test]
fn a_lost_reply_is_told_otherwise_and_written_again_or_not() {
    let mut log = healthy();
    log.update(300, 1, "c", 13)
        .with(json!({ "status": "UNAVAILABLE", "ending": "injected", "committed": true }))
        .struck("lost")
        .event(301, 1, "c", 13);
    let card = log.card();
    assert_eq!(
        (card.total.told_otherwise, card.total.written_again),
        (1, 0)
    );
    log.update(350, 1, "c", 13)
        .with(json!({ "verb": "conflict", "count": 1, "mod_revision": 13 }));
    let card = log.card();
    assert_eq!(
        (card.total.told_otherwise, card.total.written_again),
        (1, 1)
    );
    let told = &card.clients[0].told_otherwise[0];
    assert_eq!((told.revision, &*told.known_by), (13, "answer"));
    assert_eq!(told.again_revision, None);
    assert_eq!(card.total.retries, 1);
}

#[test]
fn a_write_without_an_answer_is_known_by_its_event() {
    let refused = json!({ "status": "UNAVAILABLE", "ending": "connection_lost", "revision": null });
    // Before the client gave up, and after.
    for (event, call) in [(310, 320), (330, 320)] {
        let mut log = healthy();
        if event < call {
            log.event(event, 1, "c", 13);
        }
        log.update(call, 1, "c", 0)
            .with(refused.clone())
            .with(json!({ "duration_us": 15_000 }));
        if event > call {
            log.event(event, 1, "c", 13);
        }
        let card = log.card();
        assert_eq!(card.total.told_otherwise, 1, "{event}");
        assert_eq!(card.clients[0].told_otherwise[0].known_by, "event");
        // Somebody else turns out to have written it.
        log.update(340, 1, "c", 13);
        assert_eq!(log.card().total.told_otherwise, 0, "{event}");
    }
}

#[test]
fn a_write_that_was_refused_was_told_the_truth() {
    let mut log = healthy();
    log.update(300, 1, "c", 0)
        .with(json!({ "status": "UNAVAILABLE", "ending": "injected", "revision": null }))
        .struck("refusing")
        .update(400, 1, "c", 13)
        .event(401, 1, "c", 13);
    let total = log.card().total;
    assert_eq!((total.told_otherwise, total.failed_calls), (0, 1));
    assert_eq!((total.retries, total.retries_max), (1, 1));
}

#[test]
fn retries_are_counted_with_their_pauses() {
    let mut log = healthy();
    let failed = json!({ "status": "UNAVAILABLE" });
    log.get(1000, 1, "x", 1000).with(failed.clone()).struck("e");
    for at in [1101, 1202, 1403] {
        log.get(at, 1, "x", 1000).with(failed.clone());
    }
    log.get(1504, 1, "x", 1000);
    // Another call, and a late one, are no retries.
    log.get(1510, 1, "y", 1000).get(1600, 1, "x", 1000);
    let card = log.card();
    let total = &card.total;
    assert_eq!(
        (total.failed_calls, total.retries, total.retries_max),
        (4, 4, 4)
    );
    assert_eq!(total.retry_spacing_min_us, Some(100_000));
    assert_eq!(total.retry_spacing_max_us, Some(200_000));
    let median = total.retry_spacing_median_us.expect("a median");
    assert!((100_000..102_000).contains(&median), "{median}");
    assert_eq!(total.noticed_by.as_deref(), Some("retry"));
    assert_eq!(total.noticed_us, Some(101_000));
}

#[test]
fn the_peak_of_requests_is_before_during_and_after() {
    let mut log = Script::default();
    log.opened(0, 1)
        .get(100, 1, "a", 50_000)
        .get(101, 1, "b", 10_000);
    log.fault(1000, 1, "slow");
    for at in 0..5 {
        log.get(1500 + at, 1, "a", 400_000);
    }
    log.fault(2000, 1, "slow");
    for at in 0..3 {
        log.get(3000 + at, 1, "a", 500_000);
    }
    let total = log.card().total;
    assert_eq!(total.requests_peak_before, 2);
    assert_eq!(total.requests_peak_during, 5);
    assert_eq!(total.requests_peak_after, 3);
    assert_eq!(total.requests_peak, 5);
}

#[test]
fn a_lost_connection_is_noticed_and_opened_again() {
    let mut log = healthy();
    log.fault(1000, 1, "dead");
    log.with(json!({})).get(1001, 1, "a", 500);
    log.canceled(11_000, 1, "stream_ended")
        .stream_end(
            11_000,
            1,
            json!({ "ending": "connection_lost", "lost_by": "client" }),
        )
        .closed(11_000, 1, "client")
        .failed(11_500, 2)
        .opened(12_000, 3);
    let card = log.card();
    assert_eq!(card.total.noticed_us, Some(10_000_000));
    assert_eq!(card.total.noticed_by.as_deref(), Some("close"));
    assert_eq!(card.total.watches_missing, 1);
    assert_eq!(card.total.connections_failed, 1);
    assert!(card.total.not_recovered.is_some());
    log.get(12_100, 3, "a", 500)
        .watch(12_200, 3, 13, 12)
        .get(20_000, 3, "a", 500);
    let card = log.card();
    assert_eq!(card.total.reconnected_us, Some(1_000_000), "{card}");
    assert_eq!(card.total.recovery_us, Some(11_200_000));
    assert_eq!(card.total.recovery_from_begin_us, Some(11_200_000));
    assert_eq!(card.total.not_recovered, None);
}

#[test]
fn a_ping_is_a_sign() {
    let mut log = healthy();
    log.fault(1000, 1, "dead").other(
        r#"{"ts":"2026-11-03T08:00:06.000000Z","event":"ping","conn":1,"client":"10.0.0.7:40001"}"#,
    );
    let total = log.card().total;
    assert_eq!(total.noticed_by.as_deref(), Some("ping"));
    assert_eq!(total.noticed_us, Some(5_000_000));
}

#[test]
fn nothing_is_as_before_until_it_has_been_for_a_second() {
    let mut log = healthy();
    log.fault(1000, 1, "e").get(1500, 1, "a", 1000);
    let card = log.card();
    assert_eq!(card.total.recovery_us, None);
    assert_eq!(
        card.total.not_recovered.as_deref(),
        Some("less than a second has passed since the failure's end")
    );
    // A call that fails later puts it off.
    log.get(1600, 1, "a", 1000)
        .with(json!({ "status": "UNAVAILABLE" }))
        .get(1700, 1, "a", 1000)
        .get(3000, 1, "a", 1000);
    assert_eq!(log.card().total.recovery_us, Some(600_000));
    // What fails when all was as before is another story.
    log.get(9000, 1, "a", 1000)
        .with(json!({ "status": "UNAVAILABLE" }))
        .get(9100, 1, "a", 1000);
    assert_eq!(log.card().total.recovery_us, Some(600_000));
    // A fault that strikes again goes on with the failure.
    log.fault(9200, 1, "e").get(9300, 1, "a", 1000);
    assert_eq!(log.card().total.recovery_us, None);
}

#[test]
fn a_watch_that_is_behind_is_not_as_before() {
    let mut log = healthy();
    log.fault(250, 1, "stall")
        .update(300, 1, "c", 13)
        .get(5000, 1, "a", 1000);
    let card = log.card();
    assert_eq!(
        card.total.not_recovered.as_deref(),
        Some("1 watch is behind")
    );
    log.event(6000, 1, "c", 13).get(9000, 1, "a", 1000);
    let card = log.card();
    assert_eq!(card.total.recovery_us, Some(5_750_000), "{card}");
    assert_eq!(card.total.events_lost, 0);
}

#[test]
fn the_failures_times_can_be_given() {
    let at = |text: &str| Moment::parse(text).expect(text);
    let log = healthy();
    let card = log.card_with(Options {
        from: Some(at("2026-11-03T08:00:00.050Z")),
        to: Some(at("2026-11-03T08:00:00.150Z")),
        ..Options::default()
    });
    let failure = card.failure.expect("it was given");
    assert_eq!((failure.duration_us, failure.given), (100_000, true));
}

#[test]
fn only_the_clients_that_are_asked_for_are_measured() {
    let mut log = healthy();
    log.update(300, 2, "c", 13)
        .with(json!({ "client": "10.0.0.8:4000", "status": "UNAVAILABLE", "committed": true }));
    log.update(400, 1, "d", 14).event(401, 1, "d", 14);
    let only = |text: &str| {
        log.card_with(Options {
            clients: vec![text.into()],
            ..Options::default()
        })
    };
    let card = only("10.0.0.7");
    assert_eq!(card.clients.len(), 1);
    // What others write has to reach it all the same.
    assert_eq!((card.total.events_lost, card.total.failed_calls), (1, 0));
    assert_eq!(only("grpc-go").clients.len(), 2);
    assert_eq!(only("nobody").clients.len(), 0);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut log = healthy();
    let lines = log.text().lines().count() as u64;
    log.other("").other("{\"ts\":").other("null").other("[]");
    log.other(
        r#"{"ts":"2026-11-03T08:00:06Z","event":"something_new","conn":1,"client":"10.0.0.7:1"}"#,
    );
    log.other(&"x".repeat(3 << 20));
    log.update(300, 1, "c", 13).event(301, 1, "c", 13);
    let card = log.card();
    assert_eq!(card.source.lines, lines + 8);
    assert_eq!(card.source.broken, 5);
    assert_eq!(card.total.events, 3);
    assert!(
        card.to_string().contains("5 of 15 lines could not be read"),
        "{card}"
    );
}

#[test]
fn a_log_that_begins_in_the_middle_says_so() {
    let mut log = Script::default();
    log.event(0, 1, "a", 11).event(10, 1, "b", 12);
    let card = log.card();
    assert_eq!(card.source.unknown_watch_events, 2);
    assert_eq!(card.total.events_lost, 0);
}

#[test]
fn the_memory_of_a_long_log_is_bounded_and_nothing_is_lost_by_it() {
    let mut log = Script::default();
    log.opened(0, 1).watch(1, 1, 1, 0);
    for revision in 1..5000_i64 {
        let at = 10 + revision as u64 * 2;
        log.update(at, 1, &format!("p{}", revision % 7), revision);
        if revision != 2500 {
            log.event(at + 1, 1, &format!("p{}", revision % 7), revision);
        }
    }
    let card = log.card();
    assert_eq!(card.total.events, 4998);
    assert_eq!(card.total.events_lost, 1);
    assert_eq!(card.clients[0].watches[0].lost_events[0].revision, 2500);
}

/// The card that docs/scorecard.md shows.
fn documented() -> Scorecard {
    let mut log = broken("compacted");
    let lost = json!({ "verb": "create", "status": "UNAVAILABLE", "ending": "injected",
        "committed": true });
    log.update(1300, 1, "web", 15)
        .with(lost)
        .struck("lost-reply")
        .list(1400, 1, 15, 812_344)
        .update(1450, 1, "web", 15)
        .with(json!({ "verb": "conflict", "count": 1, "mod_revision": 15 }))
        .watch(1500, 1, 16, 15)
        .update(2000, 1, "c", 16)
        .event(2001, 1, "c", 16)
        .with(json!({ "delivered": false }))
        .struck("lossy")
        .update(2100, 1, "d", 17)
        .event(2101, 1, "d", 17)
        .get(4000, 1, "a", 1000);
    log.card()
}

const DOCS: &str = include_str!("../../docs/scorecard.md");

#[test]
fn the_page_shows_what_is_printed() {
    let card = documented().to_string();
    let shown = DOCS.split("```text\n").nth(1).expect("there is one");
    let shown = shown.split("```").next().expect("it ends");
    assert_eq!(shown, card, "docs/scorecard.md should show:\n{card}");
}

#[test]
fn every_metric_is_on_the_page_and_no_other() {
    for metric in super::Metric::ALL {
        let named = format!("`{}`", metric.name);
        let row = DOCS
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&named));
        assert!(row.is_some(), "{named} has no row in docs/scorecard.md");
    }
    let figures = DOCS.split("| name |").nth(1).expect("the table");
    let names = figures
        .lines()
        .take_while(|line| line.starts_with('|') || line.starts_with(" is"));
    for row in names.filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).expect("a cell");
        for name in cell.split(',') {
            let name = name.trim().trim_matches('`');
            assert!(super::Metric::find(name).is_some(), "{name} is no metric");
        }
    }
}

#[test]
fn metrics_are_the_fields_of_the_json() {
    let json = serde_json::to_value(&documented().total).expect("JSON");
    for (field, value) in json.as_object().expect("an object") {
        let name = field.trim_end_matches("_us");
        if ["noticed_by", "not_recovered"].contains(&name) {
            continue;
        }
        let metric = super::Metric::find(name).unwrap_or_else(|| panic!("no metric {name}"));
        assert_eq!(metric.value(&documented().total), value.as_u64(), "{name}");
    }
}

#[test]
fn a_card_survives_its_json() {
    let card = documented();
    let text = serde_json::to_string(&card).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Scorecard>(&text).expect("a card"),
        card
    );
}

#[test]
fn a_connection_that_is_not_read_any_more_owes_nothing() {
    let mut log = healthy();
    log.other(
        r#"{"ts":"2026-11-03T08:00:00.250000Z","event":"connection","state":"tracing_stopped","conn":1,"client":"10.0.0.7:40001"}"#,
    );
    log.update(300, 2, "c", 13).get(9000, 2, "a", 1000);
    let card = log.card();
    assert!(card.is_clean(), "{card}");
    assert_eq!(card.total.behind_us, Some(3000));
}

#[test]
fn a_log_that_goes_on_with_another_process_has_new_connections() {
    let mut log = healthy();
    log.opened(1000, 1)
        .list(1010, 1, 20, 10)
        .watch(1020, 1, 21, 20)
        .update(1100, 1, "c", 21)
        .event(1101, 1, "c", 21);
    let card = log.card();
    assert!(card.is_clean(), "{card}");
    assert_eq!((card.total.watches, card.total.watches_recreated), (1, 1));
}

proptest::proptest! {
    #[test]
    fn any_log_gives_a_card(steps in proptest::collection::vec(
        (0..12_usize, 0..3000_u64, 1..4_u64, -1..3_i64, proptest::bool::ANY), 0..200))
    {
        const ODD: [i64; 4] = [i64::MAX, i64::MIN, 0, 13];
        let mut log = Script::default();
        for (step, at, conn, n, odd) in steps {
            let revision = if odd { ODD[(n + 1) as usize] } else { 10 + n + at as i64 / 100 };
            let name = ["a", "b"][(at % 2) as usize];
            let end = match odd {
                true => json!({ "ending": "connection_lost", "lost_by": "client" }),
                false => json!({ "ending": "reset", "reset_by": "client" }),
            };
            match step {
                0 => log.opened(at, conn),
                1 => log.closed(at, conn, "client"),
                2 => log.failed(at, conn),
                3 => log.watch(at, conn, revision, 10),
                4 => log.event(at, conn, name, revision),
                5 => log.event(at, conn, name, revision).with(json!({ "delivered": odd })),
                6 => log.progress(at, conn, n, revision),
                7 => log.canceled(at, conn, ["compacted", "stream_ended", "requested"][conn as usize - 1]),
                8 => log.canceled(at, conn, "stream_ended").stream_end(at, conn, end),
                9 => log.update(at, conn, name, revision).with(json!({ "duration_us": u64::MAX })),
                10 => log.list(at, conn, revision, u64::MAX),
                _ => log.update(at, conn, name, 0).with(json!({ "status": "UNAVAILABLE", "revision": null })),
            };
            if odd && n == 0 {
                log.struck("odd");
            }
        }
        let card = log.card();
        let text = serde_json::to_string(&card).expect("JSON");
        proptest::prop_assert_eq!(serde_json::from_str::<Scorecard>(&text).expect("a card"), card);
    }
}
