//! Each figure by a log that is made for it.

use serde_json::json;

use super::script::Script;
use super::{Expectation, Moment, Options, Scorecard};

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
fn an_event_that_a_fault_dropped_is_lost() {
    let mut log = healthy();
    log.update(300, 1, "c", 13)
        .event(301, 1, "c", 13)
        .with(json!({ "delivered": false }))
        .struck("lossy");
    // It is lost whether or not anything comes after it.
    assert_eq!(log.card().total.events_lost, 1);
    log.update(400, 1, "d", 14).event(401, 1, "d", 14);
    let card = log.card();
    assert_eq!(card.total.events_lost, 1);
    let watch = &card.clients[0].watches[0];
    assert_eq!(watch.lost_events[0].key, "/registry/pods/lab/c");
    assert_eq!(watch.lost_events[0].revision, 13);
    assert_eq!(card.failure.as_ref().expect("a failure").faults[0].lines, 1);
    assert!(!card.is_clean());
}

#[test]
fn an_event_that_never_came_is_lost_whatever_faults_say() {
    let mut log = healthy();
    log.update(300, 1, "c", 13);
    // It may still come.
    assert_eq!(log.card().total.events_lost, 0);
    log.update(400, 1, "d", 14).event(401, 1, "d", 14);
    assert_eq!(log.card().total.events_lost, 1);
    // It came after all, late.
    log.event(500, 1, "c", 13);
    let total = log.card().total;
    assert_eq!((total.events_lost, total.events_disordered), (0, 1));
}

#[test]
fn an_event_that_only_another_watch_was_given_is_lost_too() {
    let mut log = healthy();
    log.opened(210, 2).watch(220, 2, 13, 12);
    // Nobody saw the write: it went around etcdtap.
    log.event(300, 2, "c", 13);
    log.update(400, 1, "d", 14)
        .event(401, 1, "d", 14)
        .event(401, 2, "d", 14);
    let card = log.card();
    assert_eq!(card.total.events_lost, 1);
    // What was there before the second watch began it does not lack.
    assert_eq!(card.clients[0].watches[1].lost, 0);
}

#[test]
fn progress_must_not_claim_what_was_not_delivered() {
    for id in [0, -1] {
        let mut log = healthy();
        log.update(300, 1, "c", 13).progress(400, 1, id, 13);
        let total = log.card().total;
        assert_eq!((total.events_lost, total.progress_ahead), (1, 1));
        // The event that it overtook comes.
        log.event(500, 1, "c", 13);
        let total = log.card().total;
        assert_eq!((total.events_lost, total.progress_ahead), (0, 1));
    }
    // In order it claims nothing.
    let mut log = healthy();
    log.update(300, 1, "c", 13)
        .event(301, 1, "c", 13)
        .progress(400, 1, 0, 13);
    assert!(log.card().is_clean());
}

#[test]
fn an_event_that_comes_twice_is_counted_once_as_such() {
    let mut log = healthy();
    log.event(300, 1, "b", 12).struck("echo");
    let total = log.card().total;
    assert_eq!((total.events_duplicated, total.events_disordered), (1, 0));
    assert_eq!(total.events, 3);
}

#[test]
fn several_keys_of_one_transaction_are_in_order() {
    let mut log = healthy();
    log.event(300, 1, "c", 13)
        .event(300, 1, "d", 13)
        .event(300, 1, "e", 13);
    assert!(log.card().is_clean());
}

#[test]
fn lines_in_another_order_than_their_times_are_no_disorder() {
    let mut log = healthy();
    // The event of 13 waited for its write in the log, that of 14 did not.
    log.update(301, 1, "d", 14)
        .event(300, 1, "d", 14)
        .update(302, 1, "c", 13)
        .event(299, 1, "c", 13);
    let total = log.card().total;
    assert_eq!((total.events_disordered, total.events_lost), (0, 0));
    let mut log = healthy();
    log.event(300, 1, "d", 14).event(301, 1, "c", 13);
    assert_eq!(log.card().total.events_disordered, 1);
}

#[test]
fn a_watch_that_is_held_is_behind() {
    let mut log = healthy();
    log.update(300, 1, "c", 13)
        .event(2300, 1, "c", 13)
        .with(json!({ "held_us": 1_999_000 }))
        .struck("slow");
    let card = log.card();
    assert_eq!(card.total.behind_us, Some(2_000_000));
    // The failure began when the event was held back first.
    let failure = card.failure.expect("a failure");
    assert_eq!(failure.duration_us, 1_999_000);
    // The same if the log's own lag says it.
    let mut log = healthy();
    log.event(2300, 1, "c", 13)
        .with(json!({ "lag_us": 1_500_000 }));
    assert_eq!(log.card().total.behind_us, Some(1_500_000));
    // One that is not given anything is behind as long as it lasts.
    let mut log = healthy();
    log.update(300, 1, "c", 13).get(4300, 1, "c", 1000);
    assert_eq!(log.card().total.behind_us, Some(4_000_000));
}

/// The watch ends, two pods are written, and the client comes back.
fn broken(cause: &str) -> Script {
    let mut log = healthy();
    log.canceled(1000, 1, cause)
        .struck("broken")
        .stream_end(
            1000,
            1,
            json!({ "ending": "injected_reset", "reset": "INTERNAL_ERROR" }),
        )
        .struck("broken")
        .update(1100, 1, "c", 13)
        .update(1200, 1, "d", 14);
    log
}

#[test]
fn a_watch_that_goes_on_where_it_was_misses_nothing() {
    let mut log = broken("stream_ended");
    assert_eq!(log.card().total.watches_missing, 1);
    log.watch(1500, 1, 13, 14)
        .event(1501, 1, "c", 13)
        .event(1501, 1, "d", 14)
        .get(4000, 1, "a", 1000);
    let card = log.card();
    let total = &card.total;
    assert_eq!((total.events_lost, total.watch_gaps), (0, 0), "{card}");
    assert_eq!((total.watches, total.watches_recreated), (1, 1));
    assert_eq!(total.watch_away_us, Some(500_000));
    assert_eq!(total.relists, 0);
    let again = &card.clients[0].watches[0].recreations[0];
    assert_eq!((again.start_revision, again.last_revision), (13, 12));
    // The failure ended at 1.0 s, the watch was back at 1.5 s.
    assert_eq!(total.recovery_us, Some(500_000));
    assert!(meets(&card, "recovery < 10s"));
}

#[test]
fn a_watch_that_goes_on_later_without_a_list_has_a_gap() {
    let mut log = broken("stream_ended");
    log.watch(1500, 1, 14, 14).event(1501, 1, "d", 14);
    let card = log.card();
    assert_eq!((card.total.watch_gaps, card.total.events_lost), (1, 1));
    assert_eq!(card.clients[0].watches[0].lost_events[0].revision, 13);
}

#[test]
fn a_compacted_watch_is_made_good_by_a_list() {
    let mut log = broken("compacted");
    log.list(1400, 1, 14, 5000)
        .watch(1500, 1, 15, 14)
        .get(4000, 1, "a", 1000);
    let card = log.card();
    let total = &card.total;
    assert_eq!((total.relists, total.relist_bytes), (1, 5000));
    assert_eq!((total.events_lost, total.watch_gaps), (0, 0), "{card}");
    assert!(card.clients[0].watches[0].recreations[0].relisted);
    assert_eq!(total.recovery_us, Some(500_000));
}

/// The watch is cancelled at 1 s in etcd's name, and the client leaves its
/// stream; etcd does not know of it.
fn cancelled() -> Script {
    let mut log = healthy();
    log.canceled(1000, 1, "compacted")
        .struck("compacted-watch")
        .stream_end(
            1002,
            1,
            json!({ "ending": "reset", "reset_by": "client", "reset": "CANCEL" }),
        );
    log
}

#[test]
fn what_etcd_sends_to_a_watch_that_has_ended_is_not_lost_by_that() {
    // The old watch's event of 13 before and after each step by which the client
    // gets it.
    for told_at in 0..4 {
        for known in [false, true] {
            let mut log = cancelled();
            if known {
                log.update(1000, 1, "c", 13);
            }
            let stray = |log: &mut Script, step: usize| {
                if step == told_at {
                    log.event(1001, 1, "c", 13).undelivered();
                }
            };
            stray(&mut log, 0);
            // A list as of before it.
            log.list(1100, 1, 12, 100);
            stray(&mut log, 1);
            log.watch(1200, 1, 13, 13).on_stream(11);
            stray(&mut log, 2);
            if told_at < 3 {
                // It may still come.
                assert_eq!(log.card().total.events_lost, 0, "{told_at} {known}");
            }
            log.event(1201, 1, "c", 13).on_stream(11);
            stray(&mut log, 3);
            log.event(1300, 1, "d", 14).on_stream(11);
            let total = log.card().total;
            assert_eq!((total.events_lost, total.events), (0, 4));
            assert_eq!((total.watches, total.watch_gaps), (1, 0));
        }
    }
}

#[test]
fn what_a_list_shows_is_not_lost_though_a_watch_that_had_ended_did_not_bring_it() {
    for told_at in 0..4 {
        for known in [false, true] {
            let mut log = cancelled();
            if known {
                log.update(1000, 1, "c", 13);
            }
            let stray = |log: &mut Script, step: usize| {
                if step == told_at {
                    log.event(1000, 1, "c", 13).undelivered();
                }
            };
            stray(&mut log, 0);
            log.list(1100, 1, 13, 100);
            stray(&mut log, 1);
            log.watch(1200, 1, 14, 13).on_stream(11);
            stray(&mut log, 2);
            log.event(1300, 1, "d", 14).on_stream(11);
            stray(&mut log, 3);
            let total = log.card().total;
            assert_eq!(
                (total.events_lost, total.watch_gaps),
                (0, 0),
                "{told_at} {known}"
            );
        }
    }
}

#[test]
fn what_neither_the_next_watch_nor_a_list_brings_is_lost() {
    // Told before, and after, the watch that goes on behind it.
    for told_at in 0..3 {
        for listed in [false, true] {
            let mut log = cancelled();
            let stray = |log: &mut Script, step: usize| {
                if step == told_at {
                    log.event(1001, 1, "c", 13).undelivered();
                }
            };
            stray(&mut log, 0);
            if listed {
                log.list(1100, 1, 12, 100);
            }
            log.watch(1200, 1, 14, 13).on_stream(11);
            stray(&mut log, 1);
            log.event(1300, 1, "d", 14).on_stream(11);
            stray(&mut log, 2);
            assert_eq!(log.card().total.events_lost, 1, "{told_at} {listed}");
        }
    }
    // The next watch is to bring it, and goes on behind it.
    let mut log = cancelled();
    log.event(1001, 1, "c", 13)
        .undelivered()
        .watch(1200, 1, 13, 13)
        .on_stream(11)
        .event(1300, 1, "d", 14)
        .on_stream(11);
    assert_eq!(log.card().total.events_lost, 1);
}

#[test]
fn an_event_that_was_dropped_before_the_watch_ended_is_lost_whenever_it_is_told() {
    let mut log = cancelled();
    log.event(900, 1, "c", 13)
        .undelivered()
        .struck("lossy")
        .list(1100, 1, 13, 100)
        .watch(1200, 1, 14, 13)
        .on_stream(11);
    let total = log.card().total;
    assert_eq!((total.events_lost, total.events_lost_relisted), (1, 1));
}

/// A connection that died at 1 s; the client watches on another from 4 s on, and
/// the dead one is seen to end at 9 s.
fn half_open(start: i64, meanwhile: impl Fn(&mut Script)) -> Script {
    let mut log = healthy();
    log.fault(1000, 1, "half-open");
    meanwhile(&mut log);
    log.opened(4000, 2).watch(4001, 2, start, 14);
    log
}

fn dead_one_ends(log: &mut Script) {
    log.canceled(9000, 1, "stream_ended")
        .stream_end(
            9000,
            1,
            json!({ "ending": "connection_lost", "lost_by": "client" }),
        )
        .closed(9000, 1, "client")
        .struck("half-open");
}

#[test]
fn a_watch_that_goes_on_before_its_dead_connection_ends_is_the_same() {
    let mut log = half_open(13, |log| {
        log.update(1100, 3, "c", 13).update(1200, 3, "d", 14);
    });
    log.event(4002, 2, "c", 13).event(4002, 2, "d", 14);
    // Until the old one ends there are two.
    assert_eq!(log.card().total.watches, 2);
    // What lay in the dead connection is told as it ends, and has come already.
    log.event(9000, 1, "c", 13).event(9000, 1, "d", 14);
    dead_one_ends(&mut log);
    log.event(9500, 2, "e", 15).get(12_000, 2, "a", 1000);
    let card = log.card();
    let total = &card.total;
    assert_eq!((total.watches, total.watches_recreated), (1, 1), "{card}");
    assert_eq!((total.watches_missing, total.watches_ended), (0, 0));
    assert_eq!((total.watch_gaps, total.watch_overlaps), (0, 0));
    assert_eq!((total.events_lost, total.events_duplicated), (0, 0));
    // A change waited from 1.1 s on.
    assert_eq!(total.watch_away_us, Some(2_901_000));
    assert_eq!(total.behind_us, Some(2_902_000));
    assert_eq!(total.reconnected_us, Some(0));
    // It was back at 4.001 s.
    assert_eq!(total.recovery_us, Some(3_001_000));
    let again = &card.clients[0].watches[0].recreations[0];
    assert_eq!((again.start_revision, again.last_revision), (13, 12));
    assert!(!again.relisted && !again.gap);
    // It goes on like any other.
    log.canceled(13_000, 2, "server").watch(13_500, 2, 16, 15);
    let total = log.card().total;
    assert_eq!((total.watches, total.watches_recreated), (1, 2));
}

#[test]
fn how_long_a_watch_was_away_is_unknown_where_nothing_waited() {
    let mut log = half_open(13, |_| {});
    dead_one_ends(&mut log);
    let card = log.card();
    let total = &card.total;
    assert_eq!((total.watches, total.watches_recreated), (1, 1));
    assert_eq!(total.watch_away_us, None);
    let text = card.to_string();
    assert!(text.contains("created anew from @13, had @12"), "{text}");
}

#[test]
fn a_watch_that_goes_on_beside_its_old_one_is_judged() {
    // From what it had been given.
    let mut log = half_open(12, |_| {});
    log.event(4002, 2, "b", 12);
    dead_one_ends(&mut log);
    let total = log.card().total;
    assert_eq!((total.watches, total.watch_overlaps), (1, 1));
    assert_eq!((total.watch_gaps, total.events_duplicated), (0, 0));
    // Behind a list.
    let mut log = half_open(15, |log| {
        log.update(1100, 3, "c", 13)
            .update(1200, 3, "d", 14)
            .list(3900, 2, 14, 100);
    });
    log.event(4002, 2, "e", 15);
    dead_one_ends(&mut log);
    let card = log.card();
    let total = &card.total;
    assert_eq!((total.watches, total.watch_gaps), (1, 0), "{card}");
    assert_eq!((total.events_lost, total.watches_missing), (0, 0));
    assert!(card.clients[0].watches[0].recreations[0].relisted);
    // What was dropped on the old one, and what the new one is not given, is lost.
    let mut log = half_open(13, |log| {
        log.event(1100, 1, "c", 13).undelivered();
    });
    log.event(4002, 2, "d", 14);
    dead_one_ends(&mut log);
    assert_eq!(log.card().total.events_lost, 1);
    // And is not, if the new one brings it.
    let mut log = half_open(13, |log| {
        log.event(1100, 1, "c", 13).undelivered();
    });
    log.event(4002, 2, "c", 13);
    dead_one_ends(&mut log);
    assert_eq!(log.card().total.events_lost, 0);
    // What was dropped before it began it does not bring.
    let mut log = half_open(14, |log| {
        log.event(900, 1, "c", 13).undelivered();
        log.event(901, 1, "d", 14);
    });
    log.event(4002, 2, "d", 14);
    dead_one_ends(&mut log);
    assert_eq!(log.card().total.events_lost, 1);
}

#[test]
fn a_watch_that_leaves_a_dead_stream_goes_on_beside_it_too() {
    let mut log = half_open(13, |_| {});
    log.canceled(5000, 1, "stream_ended")
        .stream_end(5000, 1, json!({ "ending": "reset", "reset_by": "client" }))
        .event(5100, 2, "c", 13);
    let total = log.card().total;
    assert_eq!((total.watches, total.watches_recreated), (1, 1));
    // One that was given all, and was left long afterwards, was another.
    let mut log = half_open(13, |_| {});
    log.event(4100, 1, "c", 13)
        .event(4100, 2, "c", 13)
        .canceled(8000, 1, "stream_ended")
        .stream_end(8000, 1, json!({ "ending": "reset", "reset_by": "client" }));
    let total = log.card().total;
    assert_eq!((total.watches, total.watches_recreated), (2, 0));
    assert_eq!(total.watches_missing, 0);
}

#[test]
fn watches_side_by_side_are_several() {
    // From now on, from where the other is, and from beyond that.
    for start in [0, 13, 20] {
        let mut log = half_open(start, |_| {});
        log.event(5000, 1, "c", 13);
        if start == 13 {
            log.event(5000, 2, "c", 13);
        }
        log.event(5100, 1, "u", 20).event(5100, 2, "u", 20);
        let total = log.card().total;
        assert_eq!((total.watches, total.watches_recreated), (2, 0), "{start}");
        assert_eq!(total.watches_missing, 0);
    }
    // One that begins from now on is not the one that ends.
    let mut log = half_open(0, |_| {});
    dead_one_ends(&mut log);
    assert_eq!(log.card().total.watches, 2);
    // etcd ends one: it is that which is created anew.
    let mut log = half_open(13, |_| {});
    log.canceled(5000, 1, "server").watch(5500, 1, 13, 12);
    let total = log.card().total;
    assert_eq!((total.watches, total.watches_recreated), (2, 1));
    assert_eq!(total.watch_away_us, Some(500_000));
}

#[test]
fn several_dead_connections_in_a_row_are_one_watch() {
    for first_to_end in [1, 2] {
        let mut log = half_open(13, |_| {});
        log.event(4100, 2, "c", 13)
            .opened(6000, 3)
            .watch(6001, 3, 14, 13)
            .event(6100, 3, "d", 14);
        for conn in [first_to_end, 3 - first_to_end] {
            log.canceled(9000, conn, "stream_ended")
                .stream_end(
                    9000,
                    conn,
                    json!({ "ending": "connection_lost", "lost_by": "client" }),
                )
                .closed(9000, conn, "client");
        }
        log.event(9100, 3, "e", 15).event(9100, 3, "e", 15);
        let total = log.card().total;
        assert_eq!((total.watches, total.watches_recreated), (1, 2));
        assert_eq!((total.watches_missing, total.events_lost), (0, 0));
        // What the last one tells is still told of it.
        assert_eq!((total.events, total.events_duplicated), (6, 1));
    }
}

#[test]
fn a_connection_that_was_opened_before_the_old_one_ended_is_the_new_one() {
    // It stood when the failure began: none was opened for it.
    let mut log = healthy();
    log.opened(300, 2)
        .get(310, 2, "a", 1000)
        .fault(1000, 1, "dead")
        .closed(9000, 1, "client");
    assert_eq!(log.card().total.reconnected_us, None);
    // It was opened after the failure began, and is itself lost.
    let mut log = healthy();
    log.fault(1000, 1, "dead")
        .opened(2000, 2)
        .get(2010, 2, "a", 1000)
        .closed(3000, 2, "server")
        .opened(3500, 3)
        .get(3510, 3, "a", 1000);
    assert_eq!(log.card().total.reconnected_us, Some(500_000));
    // It was opened after the failure began, which is told in the end.
    let at = |text: &str| Moment::parse(text).expect(text);
    let mut log = healthy();
    log.opened(2000, 2)
        .get(2010, 2, "a", 1000)
        .closed(9000, 1, "client");
    let card = log.card_with(Options {
        from: Some(at("2026-11-03T08:00:01Z")),
        to: Some(at("2026-11-03T08:00:02Z")),
        ..Options::default()
    });
    assert_eq!(card.total.reconnected_us, Some(0));
}

#[test]
fn what_went_on_before_the_failure_does_not_hide_a_reconnection() {
    let mut log = healthy();
    for turn in 0..300 {
        log.list(300 + turn, 1, 12, 10);
    }
    log.closed(2000, 1, "server")
        .opened(2500, 2)
        .get(2510, 2, "a", 1000);
    let at = |text: &str| Moment::parse(text).expect(text);
    let card = log.card_with(Options {
        from: Some(at("2026-11-03T08:00:01Z")),
        ..Options::default()
    });
    assert_eq!(card.total.reconnected_us, Some(500_000));
}

#[test]
fn all_pages_of_a_list_are_one_list() {
    let mut log = broken("compacted");
    log.list(1400, 1, 14, 5000)
        .with(json!({ "verb": "list_page" }))
        .list(1410, 1, 14, 700)
        .with(
            json!({ "verb": "list_page", "key": "/registry/pods/lab/m\u{0}", "continue": "lab/m" }),
        );
    let total = log.card().total;
    assert_eq!((total.relists, total.relist_bytes), (1, 5700));
}

#[test]
fn a_lost_event_that_a_list_makes_good_is_said_to_be() {
    let mut log = healthy();
    log.update(300, 1, "c", 13)
        .event(301, 1, "c", 13)
        .with(json!({ "delivered": false }))
        .struck("lossy")
        .canceled(400, 1, "requested")
        .list(500, 1, 13, 10)
        .watch(600, 1, 14, 13);
    let total = log.card().total;
    assert_eq!((total.events_lost, total.events_lost_relisted), (1, 1));
}

#[test]
fn a_watch_from_an_earlier_revision_overlaps_and_repeats_nothing() {
    let mut log = broken("server");
    log.watch(1500, 1, 12, 14)
        .event(1501, 1, "b", 12)
        .event(1501, 1, "c", 13)
        .event(1502, 1, "d", 14);
    let total = log.card().total;
    assert_eq!((total.watch_overlaps, total.events_duplicated), (1, 0));
    assert_eq!(total.events_lost, 0);
}

#[test]
fn a_watch_that_its_client_ends_is_not_missing() {
    let mut log = healthy();
    log.canceled(300, 1, "requested").update(400, 1, "c", 13);
    let mut reset = healthy();
    reset
        .canceled(300, 1, "stream_ended")
        .stream_end(
            300,
            1,
            json!({ "ending": "reset", "reset": "CANCEL", "reset_by": "client" }),
        )
        .update(400, 1, "c", 13);
    let mut gone = healthy();
    gone.canceled(300, 1, "stream_ended")
        .stream_end(
            300,
            1,
            json!({ "ending": "connection_lost", "lost_by": "client" }),
        )
        .closed(300, 1, "client");
    for log in [log, reset, gone] {
        let card = log.card();
        assert!(card.is_clean(), "{card}");
        assert_eq!(card.clients[0].watches[0].state, "ended");
    }
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
