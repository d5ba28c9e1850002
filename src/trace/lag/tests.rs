use super::super::fixtures::{Time, event, write};
use super::*;

/// What came out: revision and lag.
fn told(out: &mut Vec<Resolved>) -> Vec<(i64, Option<i64>)> {
    out.drain(..)
        .map(|(note, lag)| match note.watched {
            Watched::Event { kv, .. } => (kv.mod_revision, lag),
            _ => (-1, lag),
        })
        .collect()
}

fn setup() -> (Time, Lag, Vec<Resolved>) {
    (Time::new(), Lag::default(), Vec::new())
}

#[test]
fn an_event_after_its_write_lags_by_what_lies_between() {
    let (time, mut lag, mut out) = setup();
    lag.handle_call(&write(time, 7, 100, 10), &mut out);
    lag.handle_event(event(time, 7, 100, 12), &mut out);
    lag.handle_event(event(time, 7, 100, 15), &mut out);
    assert_eq!(told(&mut out), [(100, Some(2_000)), (100, Some(5_000))]);
    assert_eq!(lag.poll_timeout(), None);
}

#[test]
fn an_event_before_its_write_waits_and_its_lag_is_negative() {
    let (time, mut lag, mut out) = setup();
    lag.handle_event(event(time, 7, 100, 12), &mut out);
    lag.handle_event(event(time, 7, 101, 13), &mut out);
    lag.handle_event(event(time, 7, 100, 14), &mut out);
    assert_eq!(told(&mut out), []);
    assert_eq!(lag.poll_timeout(), Some(time.millis(12 + 50)));
    lag.handle_call(&write(time, 7, 100, 15), &mut out);
    assert_eq!(told(&mut out), [(100, Some(-3_000)), (100, Some(-1_000))]);
    lag.handle_call(&write(time, 7, 101, 15), &mut out);
    assert_eq!(told(&mut out), [(101, Some(-2_000))]);
    assert_eq!(lag.poll_timeout(), None);
}

#[test]
fn times_count_and_not_the_order_of_arrival() {
    let (time, mut lag, mut out) = setup();
    // Another connection's thread handed the event over first.
    lag.handle_event(event(time, 7, 100, 12), &mut out);
    lag.handle_call(&write(time, 7, 100, 10), &mut out);
    assert_eq!(told(&mut out), [(100, Some(2_000))]);
}

#[test]
fn an_event_whose_write_went_elsewhere_waits_for_nothing_but_a_while() {
    let (time, mut lag, mut out) = setup();
    lag.handle_event(event(time, 7, 100, 12), &mut out);
    lag.handle_event(event(time, 7, 101, 20), &mut out);
    lag.handle_timeout(time.millis(61), &mut out);
    assert_eq!(told(&mut out), []);
    lag.handle_timeout(time.millis(62), &mut out);
    assert_eq!(told(&mut out), [(100, None)]);
    lag.handle_timeout(time.millis(70), &mut out);
    assert_eq!(told(&mut out), [(101, None)]);
    // Its answer comes at last, and finds nobody.
    lag.handle_call(&write(time, 7, 100, 80), &mut out);
    assert_eq!(told(&mut out), []);
}

#[test]
fn history_does_not_wait() {
    let (time, mut lag, mut out) = setup();
    // Far behind what an answer showed.
    lag.handle_call(&write(time, 7, 5_000, 10), &mut out);
    lag.handle_event(event(time, 7, 4_000, 12), &mut out);
    assert_eq!(told(&mut out), [(4_000, None)]);
    // Caught up from a store that is far ahead.
    let mut behind = event(time, 8, 10, 12);
    behind.revision = 9_000;
    lag.handle_event(behind, &mut out);
    assert_eq!(told(&mut out), [(10, None)]);
    // A little behind, but what came after it is long answered.
    lag.handle_call(&write(time, 7, 5_010, 70), &mut out);
    lag.handle_call(&write(time, 7, 5_011, 130), &mut out);
    lag.handle_event(event(time, 7, 4_999, 131), &mut out);
    assert_eq!(told(&mut out), [(4_999, None)]);
}

#[test]
fn history_whose_write_was_seen_still_has_its_lag() {
    let (time, mut lag, mut out) = setup();
    for revision in 1..=3_000 {
        lag.handle_call(&write(time, 7, revision, revision as u64), &mut out);
    }
    lag.handle_event(event(time, 7, 1_000, 3_500), &mut out);
    assert_eq!(told(&mut out), [(1_000, Some(2_500_000))]);
}

#[test]
fn two_clusters_have_the_same_revisions_and_nothing_else_in_common() {
    let (time, mut lag, mut out) = setup();
    lag.handle_call(&write(time, 7, 100, 10), &mut out);
    lag.handle_event(event(time, 8, 100, 11), &mut out);
    assert_eq!(told(&mut out), []);
    lag.handle_call(&write(time, 8, 100, 14), &mut out);
    assert_eq!(told(&mut out), [(100, Some(-3_000))]);
}

#[test]
fn reads_and_failed_writes_answer_no_event() {
    let (time, mut lag, mut out) = setup();
    let mut conflict = write(time, 7, 100, 10);
    conflict.response = crate::etcd::Response::Txn {
        succeeded: false,
        puts: 0,
        deleted: 0,
        kvs: 1,
        first: None,
    };
    lag.handle_call(&conflict, &mut out);
    lag.handle_event(event(time, 7, 100, 11), &mut out);
    assert_eq!(told(&mut out), []);
}

#[test]
fn only_so_many_wait() {
    let (time, mut lag, mut out) = setup();
    for revision in 0..WAITING_MAX as i64 {
        // One and the same revision for many watches, as is usual.
        lag.handle_event(event(time, 7, 100 + revision / 100, 12), &mut out);
    }
    assert_eq!(told(&mut out), []);
    lag.handle_event(event(time, 7, 200, 12), &mut out);
    assert_eq!(told(&mut out), [(200, None)]);
    lag.handle_call(&write(time, 7, 100, 13), &mut out);
    assert_eq!(told(&mut out).len(), 100);
    lag.handle_event(event(time, 7, 200, 13), &mut out);
    assert_eq!(told(&mut out), []);
    lag.give_up(&mut out);
    assert_eq!(told(&mut out).len(), WAITING_MAX - 100 + 1);
    assert_eq!(lag.poll_timeout(), None);
}

#[test]
fn a_cluster_that_was_wiped_starts_anew() {
    let (time, mut lag, mut out) = setup();
    for revision in 1..=500 {
        lag.handle_call(&write(time, 7, revision, revision as u64), &mut out);
    }
    lag.handle_call(&write(time, 7, 2, 5_000), &mut out);
    lag.handle_event(event(time, 7, 2, 5_001), &mut out);
    assert_eq!(told(&mut out), [(2, Some(1_000))]);
    lag.handle_event(event(time, 7, 3, 5_001), &mut out);
    lag.handle_call(&write(time, 7, 3, 5_003), &mut out);
    assert_eq!(told(&mut out), [(3, Some(-2_000))]);
}

#[test]
fn numbers_from_the_wire_may_be_anything() {
    let (time, mut lag, mut out) = setup();
    for revision in [i64::MIN, -1, 0, i64::MAX, i64::MIN, 5] {
        lag.handle_call(&write(time, 7, revision, 10), &mut out);
        lag.handle_event(event(time, 7, revision, 10), &mut out);
    }
    for cluster in 0..100 {
        lag.handle_event(event(time, cluster, 1, 10), &mut out);
    }
    assert!(lag.clusters.len() <= CLUSTERS_MAX);
}
