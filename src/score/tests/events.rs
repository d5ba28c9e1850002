//! Single events: lost, repeated, out of order, late.

use super::*;

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
