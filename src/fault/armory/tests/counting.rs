//! When a fault strikes, and how often.

use super::*;

const POD: &str = "/registry/pods/lab/web-0";

/// Which of so many calls are struck.
fn struck(terms: &str, calls: usize) -> Vec<usize> {
    let mut stand = Stand::with(&format!("- {{name: a, action: hang, {terms}}}\n"));
    (1..=calls).filter(|_| stand.strikes(&get(POD))).collect()
}

#[test]
fn first_every_and_at_most() {
    assert_eq!(struck("first: 2", 5), [1, 2]);
    assert_eq!(struck("every: 3", 9), [3, 6, 9]);
    assert_eq!(struck("at_most: 2", 5), [1, 2]);
    assert_eq!(struck("first: 7, every: 3", 20), [3, 6]);
    assert_eq!(struck("every: 2, at_most: 2", 20), [2, 4]);
}

#[test]
fn what_is_used_up_arms_no_connection() {
    for (terms, why) in [
        ("at_most: 1", Over::AtMost),
        ("first: 1", Over::First),
        ("first: 1, every: 2", Over::First),
    ] {
        let mut stand = Stand::with(&format!("- {{name: a, action: hang, {terms}}}\n"));
        assert!(stand.armed());
        stand.strikes(&get(POD));
        assert!(!stand.armed(), "{terms}");
        assert_eq!(stand.status().state, FaultState::Over { why }, "{terms}");
    }
}

#[test]
fn chance_strikes_its_share() {
    let count = struck("probability: 0.1", 5000).len();
    assert!((400..600).contains(&count), "{count}");
    assert_eq!(struck("probability: 1", 10).len(), 10);
    let (one, other) = (
        struck("probability: 0.5", 100),
        struck("probability: 0.5", 100),
    );
    assert_eq!(one, other, "the same seed, the same calls");
}

#[test]
fn windows_open_and_close() {
    let mut stand =
        Stand::with("- {name: a, action: hang, start: 10s, duration: 5s, repeat: 20s}\n");
    for (millis, active) in [
        (0, false),
        (9_999, false),
        (10_000, true),
        (14_999, true),
        (15_000, false),
        (29_999, false),
        (30_000, true),
        (35_000, false),
        (1_000_010_000, true),
    ] {
        assert_eq!(stand.at(millis).armed(), active, "{millis}");
        assert_eq!(stand.strikes(&get(POD)), active, "{millis}");
    }
    assert_eq!(
        stand.at(18_000).status().state,
        FaultState::Waiting {
            starts_in: Duration::from_secs(12)
        }
    );
    assert_eq!(stand.status().time_left, None);

    let mut stand = Stand::with("- {name: a, action: hang, start: 10s, duration: 5s}\n");
    assert_eq!(stand.status().time_left, Some(Duration::from_secs(15)));
    assert!(stand.at(14_000).armed());
    assert!(!stand.at(15_000).armed());
    let why = Over::Duration;
    assert_eq!(stand.status().state, FaultState::Over { why });
    let mut stand = Stand::with("- {name: a, action: hang, start: 10s}\n");
    assert!(!stand.armed());
    assert!(stand.at(10_000_000).armed());
}

#[test]
fn counts_are_exact_under_many_threads() {
    let stand = Stand::with(
        "- {name: most, match: {key: /a}, action: {delay: {request: 1s}}, at_most: 777}\n\
         - {name: first, match: {key: /b}, action: {delay: {request: 1s}}, first: 333}\n\
         - {name: every, match: {key: /c}, action: {delay: {request: 1s}}, every: 7}\n",
    );
    let struck = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut judge = stand.armory.judge(&stand.peers, KeySpace::default());
                for _ in 0..500 {
                    judge.refresh(stand.now);
                    for key in ["/a", "/b", "/c"] {
                        let question = get(key);
                        let (method, name) = MethodName::parse(question.path.as_bytes());
                        let call = asked(&stand.peers, &question, method, &name, &question.request);
                        let verdict = judge.judge(&call, stand.now);
                        struck.fetch_add(usize::from(verdict.is_some()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let hits: Vec<u64> = stand
        .armory
        .list(stand.now)
        .iter()
        .map(|status| status.hits)
        .collect();
    assert_eq!(hits, [777, 333, 4000 / 7]);
    assert_eq!(struck.load(Ordering::Relaxed), 777 + 333 + 4000 / 7);
}

#[test]
fn two_connections_draw_what_one_would() {
    let delays = |order: &[usize]| {
        let stand = Stand::with(
            "- {name: a, action: {delay: {request: {uniform: {from: 1ms, to: 1s}}}}}\n",
        );
        let mut judges = [
            stand.armory.judge(&stand.peers, KeySpace::default()),
            stand.armory.judge(&stand.peers, KeySpace::default()),
        ];
        let mut delays: Vec<Duration> = order
            .iter()
            .map(|at| {
                let question = get(["/a", "/b"][*at]);
                let (method, name) = MethodName::parse(question.path.as_bytes());
                let call = asked(&stand.peers, &question, method, &name, &question.request);
                judges[*at].refresh(stand.now);
                let verdict = judges[*at].judge(&call, stand.now);
                verdict.expect("a verdict").request_delay
            })
            .collect();
        delays.sort();
        delays
    };
    let expected = delays(&[0, 0, 0, 1, 1, 1]);
    assert_eq!(delays(&[0, 1, 0, 1, 0, 1]), expected);
    assert_eq!(delays(&[1, 1, 0, 0, 1, 0]), expected);
}
