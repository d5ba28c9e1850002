//! Watches that end and go on: what they missed, and what made it good.

use super::*;

/// The watch ends, two pods are written, and the client comes back.
pub(super) fn broken(cause: &str) -> Script {
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
