use proptest::prelude::*;

use super::*;

/// The plans of `fixtures/plans` that are right.
pub(super) const GOOD: [(&str, &str); 12] = [
    ("delay", include_str!("../../../fixtures/plans/delay.yaml")),
    ("rate", include_str!("../../../fixtures/plans/rate.yaml")),
    ("error", include_str!("../../../fixtures/plans/error.yaml")),
    (
        "lose-reply",
        include_str!("../../../fixtures/plans/lose-reply.yaml"),
    ),
    ("hang", include_str!("../../../fixtures/plans/hang.yaml")),
    ("reset", include_str!("../../../fixtures/plans/reset.yaml")),
    (
        "withhold-trailers",
        include_str!("../../../fixtures/plans/withhold-trailers.yaml"),
    ),
    (
        "cut-short",
        include_str!("../../../fixtures/plans/cut-short.yaml"),
    ),
    (
        "duplicate",
        include_str!("../../../fixtures/plans/duplicate.yaml"),
    ),
    (
        "connection",
        include_str!("../../../fixtures/plans/connection.yaml"),
    ),
    ("match", include_str!("../../../fixtures/plans/match.yaml")),
    ("watch", include_str!("../../../fixtures/plans/watch.yaml")),
];

#[test]
fn good_plans_are_read_and_come_back_from_json() {
    for (name, text) in GOOD {
        let plan = Plan::from_yaml(name, text).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!plan.faults.is_empty(), "{name}");
        let json = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(Plan::from_json(&json), Ok(plan.clone()), "{json}");
        for fault in &plan.faults {
            let json = serde_json::to_string(fault).expect("JSON");
            assert_eq!(FaultSpec::from_json(&json).as_ref(), Ok(fault), "{json}");
        }
    }
}

/// Compares with what stands beside the plan; `ETCDTAP_WRITE_GOLDEN=1` writes
/// it anew.
fn golden(name: &str, text: &str, expected: &str) {
    let told = match Plan::from_yaml(&format!("{name}.yaml"), text) {
        Ok(plan) => panic!("{name} was taken: {plan:?}"),
        Err(errors) => errors.to_string() + "\n",
    };
    if std::env::var_os("ETCDTAP_WRITE_GOLDEN").is_some() {
        let path = format!(
            "{}/fixtures/plans/{name}.expected",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::write(path, told).expect("written");
    } else {
        assert_eq!(told, expected);
    }
}

#[test]
fn names_that_do_not_exist_are_refused_with_those_that_were_meant() {
    golden(
        "bad-names",
        include_str!("../../../fixtures/plans/bad-names.yaml"),
        include_str!("../../../fixtures/plans/bad-names.expected"),
    );
}

#[test]
fn watch_faults_that_make_no_sense_are_refused() {
    golden(
        "bad-watches",
        include_str!("../../../fixtures/plans/bad-watches.yaml"),
        include_str!("../../../fixtures/plans/bad-watches.expected"),
    );
}

#[test]
fn impossible_values_are_refused() {
    golden(
        "bad-values",
        include_str!("../../../fixtures/plans/bad-values.yaml"),
        include_str!("../../../fixtures/plans/bad-values.expected"),
    );
}

#[test]
fn matches_that_can_never_hold_are_refused() {
    golden(
        "bad-matches",
        include_str!("../../../fixtures/plans/bad-matches.yaml"),
        include_str!("../../../fixtures/plans/bad-matches.expected"),
    );
}

#[test]
fn slips_about_connections_are_refused() {
    golden(
        "bad-connections",
        include_str!("../../../fixtures/plans/bad-connections.yaml"),
        include_str!("../../../fixtures/plans/bad-connections.expected"),
    );
}

#[test]
fn a_plan_may_say_nothing() {
    for text in ["", "# nothing yet\n", "faults: []\n", "seed: 5\n"] {
        let plan = Plan::from_yaml("p", text).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(plan.faults.is_empty());
    }
    let max = Plan::from_yaml("p", "seed: 18446744073709551615\n");
    assert_eq!(max.map(|plan| plan.seed), Ok(Some(u64::MAX)));
}

#[test]
fn json_errors_name_the_field() {
    let errors = FaultSpec::from_json(r#"{"name": "a", "action": {"error": "no-laeder"}}"#)
        .expect_err("a slip");
    assert_eq!(
        errors.to_string(),
        "action.error: etcd has no error \"no-laeder\"; did you mean \"no-leader\"?"
    );
    let errors = Plan::from_json(r#"{"faults": [{"name": "a", "action": "hagn"}, 5]}"#)
        .expect_err("two slips");
    assert_eq!(
        errors.to_string(),
        "faults[0].action: there is no action \"hagn\"; did you mean \"hang\"?\n\
         faults[1]: here should stand keys with values, not the number 5"
    );
}

#[test]
fn defaults_are_the_honest_ones() {
    let action = |text: &str| {
        let text = format!("name: a\naction: {text}\n");
        let spec = FaultSpec::from_yaml("p", &text).unwrap_or_else(|errors| panic!("{errors}"));
        spec.action
    };
    assert_eq!(action("hang"), action("{hang: {}}"));
    assert_eq!(action("lose_reply"), action("{lose_reply: {}}"));
    assert_eq!(
        action("lose_reply"),
        action("{lose_reply: {answer: request-timed-out}}")
    );
    for (text, code) in [
        ("{reset: {at: request}}", "REFUSED_STREAM"),
        ("{reset: {at: head}}", "INTERNAL_ERROR"),
        ("{reset: {at: message}}", "INTERNAL_ERROR"),
        ("{reset: {at: request, code: CANCEL}}", "CANCEL"),
        (
            "{reset: {at: head, code: REFUSED_STREAM, lying_server: true}}",
            "REFUSED_STREAM",
        ),
    ] {
        let Action::Reset(reset) = action(text) else {
            panic!("{text}");
        };
        assert_eq!(reset.sent_code().to_string(), code, "{text}");
    }
    let lie = action("{lose_reply: {reset: REFUSED_STREAM, lying_server: true}}");
    assert!(matches!(lie, Action::LoseReply(lose) if lose.lying_server));
}

#[test]
fn custom_resources_may_have_any_group() {
    for terms in [
        "{resource: widgets.example.com}",
        "{resource: widgets, group: example.com}",
        "{resource: pods.metrics.example.com}",
        "{resource: newthings, namespace: lab}",
        "{resource: nodes.example.com, namespace: lab}",
        "{resource: services, group: \"\"}",
        "{service: my.own.Service, method: my.own.Service/Do}",
        "{verb: compaction, key: compact_rev_key}",
        "{resource: compact_rev_key}",
        "{verb: watch, name: coredns}",
    ] {
        let text = format!("name: a\nmatch: {terms}\naction: hang\n");
        if let Err(errors) = FaultSpec::from_yaml("p", &text) {
            panic!("{terms}: {errors}");
        }
    }
}

#[test]
fn anchors_and_merges_are_yaml_as_usual() {
    let text = "faults:\n\
                - {name: a, match: &pods {resource: pods, verb: get}, action: hang}\n\
                - {name: b, match: *pods, action: hang}\n\
                - {name: c, match: {<<: *pods, namespace: lab}, action: hang}\n";
    let plan = Plan::from_yaml("p", text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.faults[0].matches, plan.faults[1].matches);
    assert_eq!(plan.faults[0].matches.verb, plan.faults[2].matches.verb);
    assert!(!plan.faults[2].matches.namespace.is_absent());
}

#[test]
fn missing_values_are_told() {
    for (fault, told) in [
        (
            "name: a\naction:\n",
            "p:2:7: action: it is not said what is done; write it here, such as action: hang",
        ),
        (
            "name: a\naction:\n  hang:\n",
            "p:3:7: action.hang: the value is missing; write hang: {}, or action: hang",
        ),
        (
            "name: a\nmatch:\naction: hang\n",
            "p:2:6: match: the value is missing; write keys with values, or leave the key out",
        ),
    ] {
        let errors = FaultSpec::from_yaml("p", fault).expect_err(fault);
        assert_eq!(errors.to_string(), told);
    }
}

proptest! {
    /// Whatever is cut out of a plan: it is read, or refused in words.
    #[test]
    fn mangled_plans_are_survived(
        which in 0..GOOD.len(),
        cut in any::<prop::sample::Index>(),
        len in 0..40_usize,
        put in "[a-z0-9 :{}\\[\\],*&%\n-]{0,6}",
    ) {
        let mut text: Vec<char> = GOOD[which].1.chars().collect();
        let from = cut.index(text.len());
        let to = (from + len).min(text.len());
        text.splice(from..to, put.chars());
        let text: String = text.into_iter().collect();
        match Plan::from_yaml("p", &text) {
            Ok(plan) => {
                let json = serde_json::to_string(&plan).expect("JSON");
                prop_assert_eq!(Plan::from_json(&json), Ok(plan), "{}", json);
            }
            Err(errors) => prop_assert!(!errors.0.is_empty()),
        }
    }
}
