//! Several faults on one call.

use super::*;

const POD: &str = "/registry/pods/lab/web-0";

fn verdict(faults: &str) -> Box<Verdict> {
    Stand::with(faults)
        .verdict(&get(POD))
        .expect("a fault strikes")
}

fn did(faults: &str) -> Vec<String> {
    Stand::with(faults).did(&get(POD))
}

#[test]
fn each_action_says_what_it_does() {
    for (action, words) in [
        ("{delay: {request: 212ms}}", "request delayed by 212 ms"),
        ("{delay: {response: 1.5s}}", "response delayed by 1.5 s"),
        (
            "{delay: {request: 1ms, response: 2ms, each_response_message: 3ms}}",
            "request delayed by 1 ms, response delayed by 2 ms, each message of the response delayed",
        ),
        (
            "{rate: {bytes_per_second: 1MiB}}",
            "response slowed to 1MiB a second",
        ),
        (
            "{error: no-leader}",
            "answered UNAVAILABLE \"etcdserver: no leader\" before execution",
        ),
        (
            "{error: {code: ABORTED, message: away}}",
            "answered ABORTED \"away\" before execution",
        ),
        (
            "lose_reply",
            "reply lost after execution, answered UNAVAILABLE \"etcdserver: request timed out\"",
        ),
        (
            "{lose_reply: {reset: CANCEL}}",
            "reply lost after execution, stream reset with CANCEL",
        ),
        (
            "{lose_reply: {silence: true}}",
            "reply lost after execution, nothing answered",
        ),
        ("hang", "request held"),
        (
            "{reset: {at: request}}",
            "stream reset with REFUSED_STREAM before execution",
        ),
        (
            "{reset: {at: head}}",
            "stream reset with INTERNAL_ERROR after the response's head",
        ),
        (
            "{reset: {at: message, after: 1KiB}}",
            "stream reset with INTERNAL_ERROR after 1KiB of the response's message",
        ),
        ("withhold_trailers", "trailers withheld"),
        (
            "cut_short",
            "response cut short after 50%, ended with trailers that say OK",
        ),
        (
            "{cut_short: {after: 1%, end: end-stream}}",
            "response cut short after 1%, ended without trailers",
        ),
        (
            "{duplicate: {client_sees: second}}",
            "to be executed twice, the client sees the second answer",
        ),
    ] {
        let told = did(&format!("- {{name: a, action: {action}}}\n"));
        assert_eq!(told, [format!("a: {words}")], "{action}");
    }
}

#[test]
fn fates_are_those_that_were_asked_for() {
    let fates = |action: &str| {
        let verdict = verdict(&format!("- {{name: a, action: {action}}}\n"));
        (verdict.request, verdict.response)
    };
    let (pass, passes) = (RequestFate::Pass, ResponseFate::Pass);
    assert_eq!(fates("hang"), (RequestFate::Hang, passes.clone()));
    assert_eq!(
        fates("{reset: {at: request, code: CANCEL}}"),
        (RequestFate::Reset(ErrorCode::CANCEL), passes.clone())
    );
    assert_eq!(
        fates("duplicate"),
        (RequestFate::Duplicate(Sees::First), passes)
    );
    assert_eq!(
        fates("{reset: {at: head}}"),
        (
            pass.clone(),
            ResponseFate::ResetAfterHead(ErrorCode::INTERNAL_ERROR)
        )
    );
    assert_eq!(
        fates("{reset: {at: message}}"),
        (
            pass.clone(),
            ResponseFate::ResetInMessage(ErrorCode::INTERNAL_ERROR, Portion::Percent(50))
        )
    );
    assert_eq!(
        fates("{lose_reply: {silence: true}}"),
        (pass.clone(), ResponseFate::Lose(Loss::Silence))
    );
    assert_eq!(
        fates("withhold_trailers"),
        (pass, ResponseFate::WithholdTrailers)
    );
}

#[test]
fn delays_add_up() {
    let mut verdict = verdict(
        "- {name: a, action: {delay: {request: 100ms, each_response_message: 1ms}}}\n\
         - {name: b, action: {delay: {request: 50ms, response: 10ms, each_response_message: 2ms}}}\n",
    );
    assert_eq!(verdict.request_delay, Duration::from_millis(150));
    assert_eq!(verdict.response_delay, Duration::from_millis(10));
    let each = verdict.response_messages.as_mut().expect("delays");
    assert_eq!(each.next(), Duration::from_millis(3));
    assert!(verdict.request_messages.is_none());
    assert_eq!(verdict.hits.len(), 2);
}

#[test]
fn the_first_in_the_plan_decides() {
    let faults = "- {name: a, action: {error: no-leader}}\n- {name: b, action: hang}\n\
                  - {name: c, action: duplicate}\n";
    let mut stand = Stand::with(faults);
    let told = stand.did(&get(POD));
    assert_eq!(told.len(), 1, "{told:?}");
    let counts: Vec<(u64, u64)> = stand
        .armory
        .list(stand.now)
        .iter()
        .map(|status| (status.matched, status.hits))
        .collect();
    assert_eq!(counts, [(1, 1), (0, 0), (0, 0)]);
    assert_eq!(
        did("- {name: a, action: cut_short}\n- {name: b, action: lose_reply}\n").len(),
        1
    );
    // A twice executed call may lose its reply, too.
    let both = did("- {name: a, action: lose_reply}\n- {name: b, action: duplicate}\n");
    assert!(
        both[0].starts_with("a: ") && both[1].starts_with("b: "),
        "{both:?}"
    );
}

#[test]
fn what_etcd_never_has_is_not_answered_by_it() {
    let told = did("- {name: a, action: lose_reply}\n\
         - {name: b, action: {delay: {response: 1s}}}\n\
         - {name: c, action: {rate: {bytes_per_second: 5}}}\n\
         - {name: d, action: {error: no-leader}}\n\
         - {name: e, action: {delay: {request: 1s, response: 2s}}}\n");
    assert_eq!(
        told,
        [
            "d: answered UNAVAILABLE \"etcdserver: no leader\" before execution",
            "e: request delayed by 1 s",
        ]
    );
}

#[test]
fn speeds_are_shared() {
    let mut stand = Stand::with("- {name: a, action: {rate: {calls_per_second: 5}}}\n");
    assert_eq!(stand.did(&get(POD)), Vec::<String>::new());
    assert_eq!(
        stand.did(&get(POD)),
        ["a: request waited 200 ms for its turn"]
    );
    let mut other = stand.armory.judge(&stand.peers, KeySpace::default());
    std::mem::swap(&mut stand.judge, &mut other);
    assert_eq!(
        stand.did(&get(POD)),
        ["a: request waited 400 ms for its turn"]
    );
    let status = stand.status();
    assert_eq!((status.matched, status.hits), (3, 2));

    let mut stand = Stand::with(
        "- {name: a, action: {rate: {bytes_per_second: 1000}}}\n\
         - {name: b, action: {rate: {bytes_per_second: 100}}}\n",
    );
    let now = stand.now;
    let first = stand.verdict(&get(POD)).expect("a verdict");
    let second = stand.verdict(&get(POD)).expect("a verdict");
    let paces = (first.pace.expect("a pace"), second.pace.expect("a pace"));
    assert_eq!(paces.0.reserve(100, now), now);
    assert_eq!(paces.1.reserve(100, now), now + Duration::from_secs(1));
}

#[test]
fn what_is_held_is_let_go_at_the_end_of_the_window() {
    let second = |stand: &Stand, n| Some(stand.began + Duration::from_secs(n));
    let mut stand = Stand::with("- {name: a, action: hang, duration: 30s}\n");
    let until = stand.verdict(&get(POD)).and_then(|verdict| verdict.until);
    assert_eq!(until, second(&stand, 30));
    let mut stand = Stand::with(
        "- {name: a, action: withhold_trailers, start: 5s, duration: 30s, repeat: 1m}\n",
    );
    let until = stand
        .at(66_000)
        .verdict(&get(POD))
        .and_then(|verdict| verdict.until);
    assert_eq!(until, second(&stand, 95));
    let mut stand = Stand::with("- {name: a, action: hang}\n");
    let until = stand.verdict(&get(POD)).and_then(|verdict| verdict.until);
    assert_eq!(until, None);
    let mut stand = Stand::new();
    let lives = Some(Duration::from_secs(7));
    let fault = spec("{name: a, action: {lose_reply: {silence: true}}, duration: 30s}");
    stand.armory.add(fault, lives, stand.now).expect("added");
    let until = stand.verdict(&get(POD)).and_then(|verdict| verdict.until);
    assert_eq!(until, second(&stand, 7));
}
