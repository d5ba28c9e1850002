//! Faults that are taken away, and calls that are let go, in the middle of what
//! was decided: what the referee and the fuzzer found.

use etcdtap::etcd::SessionOptions;
use etcdtap::etcd::verdict::{Close, Loss, Portion, RequestFate, ResponseFate, Sees, Verdict};
use etcdtap::http2::{ErrorCode, Side};
use etcdtap::relay::HoldBudget;

use super::script::PUT;
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
    assert_eq!(stand.session.poll_errand(), None);
    stand.answer(1, 10);
    assert!(stand.session.poll_errand().is_some());
    assert_eq!(stand.session.poll_errand(), None);
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
