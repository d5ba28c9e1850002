//! Faults that are taken away, and calls that are let go, in the middle of what
//! was decided: what the referee and the fuzzer found.

use std::time::Duration;

use etcdtap::etcd::SessionOptions;
use etcdtap::etcd::verdict::{Close, Loss, Portion, RequestFate, ResponseFate, Sees, Verdict};
use etcdtap::http2::{ErrorCode, Side};
use etcdtap::relay::HoldBudget;

use super::script::{PUT, id};
use super::stand::Stand;

fn lost(loss: Loss) -> Verdict {
    Verdict {
        response: ResponseFate::Lose(loss),
        ..Verdict::default()
    }
}

#[test]
fn a_reply_that_begins_after_its_fault_went_is_not_lost() {
    let mut stand = Stand::new(|_| Some(lost(Loss::Reset(ErrorCode::INTERNAL_ERROR))));
    stand.ask(1, PUT);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    stand.answer(1, 10);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 15",
            "HEADERS 1 grpc-status=0 END"
        ]
    );
}

#[test]
fn what_is_ordered_for_a_call_befalls_no_other() {
    let mut stand = Stand::new(|call| (call.stream.number() == 1).then(|| lost(Loss::Silence)));
    stand.ask(1, PUT);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.client_got();
    stand.ask(3, PUT);
    stand.answer(3, 10);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 3 :status=200",
            "DATA 3 15",
            "HEADERS 3 grpc-status=0 END"
        ]
    );
}

#[test]
fn a_reply_that_has_begun_when_its_fault_goes_is_reset() {
    let mut stand = Stand::new(|_| Some(lost(Loss::Silence)));
    stand.ask(1, PUT);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    assert_eq!(stand.client_got(), ["RST 1 CANCEL"]);
}

#[test]
fn what_was_answered_and_broken_off_is_executed_again_all_the_same() {
    let mut stand = Stand::new(|_| {
        Some(Verdict {
            request: RequestFate::Duplicate(Sees::First),
            response: ResponseFate::CutShort(Portion::Bytes(3), Close::Trailers),
            ..Verdict::default()
        })
    });
    stand.ask(1, PUT);
    assert!(stand.session.poll_errand().is_none());
    stand.answer(1, 10);
    assert!(stand.session.poll_errand().is_some());
    assert!(stand.session.poll_errand().is_none());
}

#[test]
fn what_ends_a_call_is_not_disturbed_by_too_much_that_is_held() {
    let options = SessionOptions {
        hold: HoldBudget::new(10, 1 << 20),
        ..SessionOptions::default()
    };
    let mut stand = Stand::with(options, |_| {
        Some(Verdict {
            response: ResponseFate::CutShort(Portion::Percent(50), Close::Trailers),
            ..Verdict::default()
        })
    });
    stand.ask(1, PUT);
    stand.answer(1, 95);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 50",
            "HEADERS 1 grpc-status=0 END"
        ]
    );
}

#[test]
fn header_blocks_count_as_held() {
    let hold = HoldBudget::new(1000, 1 << 20);
    let options = SessionOptions {
        hold: hold.clone(),
        ..SessionOptions::default()
    };
    let mut stand = Stand::with(options, |_| {
        Some(Verdict {
            response_delay: Duration::from_secs(60),
            ..Verdict::default()
        })
    });
    stand.ask(1, PUT);
    let long = "x".repeat(600);
    stand.headers(Side::Server, 1, &[("x-first", &long)], false);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    assert_eq!(hold.held(), 7 + 600 + 32);
    stand.headers(Side::Server, 1, &[("x-second", &long)], true);
    assert_eq!(stand.client_got().len(), 2, "both are let go");
    assert_eq!(hold.held(), 0);
    assert_eq!(stand.bench.lock().unwrap().gave_up.len(), 1);
}

#[test]
fn what_is_kept_for_a_second_execution_counts_as_held() {
    let hold = HoldBudget::new(2500, 1 << 20);
    let options = SessionOptions {
        hold: hold.clone(),
        ..SessionOptions::default()
    };
    let mut stand = Stand::with(options, |_| {
        Some(Verdict {
            request: RequestFate::Duplicate(Sees::Second),
            ..Verdict::default()
        })
    });
    let fields = (":method".len() + "POST".len())
        + (":path".len() + PUT.len())
        + ("content-type".len() + "application/grpc".len());
    stand.open(1, PUT);
    stand.message(Side::Client, 1, 1000, true);
    assert_eq!(
        hold.held(),
        fields as u64 + 1005 + 1005,
        "kept, and waiting"
    );
    // Another one finds no room: it is executed once, and says so.
    stand.open(3, PUT);
    stand.message(Side::Client, 3, 1000, true);
    assert_eq!(stand.bench.lock().unwrap().gave_up.len(), 1);
    let errand = stand.session.poll_errand().expect("the first one's");
    assert_eq!(errand.stream, id(1));
    assert!(stand.session.poll_errand().is_none());
    drop(errand);
    stand.answer(3, 10);
    assert!(stand.calls()[0].faults[0].did.contains("executed once"));
    assert_eq!(hold.held(), 1005, "only what waits");
}
