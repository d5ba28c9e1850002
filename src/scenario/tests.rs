use std::time::Duration;

use super::*;

const GOOD: &str = r#"
scenario: late-lists
summary: lists are late
about: All of them.
healthy: |
  Waits.
parameters:
  for: {default: 4s, kind: duration, about: how long}
  late: {default: 1s, kind: duration, about: how late}
  share: {default: 0.5, about: how many}
  resource: {default: null, kind: list, about: which}
  prefix: {example: /registry, about: below which}
length: ${for}
faults:
  - name: late
    match: {verb: list, resource: "${resource}"}
    action: {delay: {response: "${late}"}}
    probability: ${share}
    duration: 2s
  - name: torn
    match: {key_prefix: "${prefix}/pods/"}
    action: {error: {code: ABORTED, message: "$${not} a parameter"}}
    start: 3s
"#;

fn good() -> Scenario {
    Scenario::from_yaml("good.yaml", GOOD).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is said of a text with one piece changed.
fn wrong(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    match Scenario::from_yaml("s.yaml", &GOOD.replace(from, to)) {
        Ok(scenario) => panic!("{to}: {scenario:?}"),
        Err(errors) => errors.to_string(),
    }
}

fn refused(settings: &[(&str, &str)]) -> String {
    match good().with(settings.iter().copied()) {
        Ok(incident) => panic!("{incident:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn parameters_have_their_defaults_or_what_is_set() {
    let incident = good().with([("prefix", "/x")]).expect("an incident");
    assert_eq!(incident.length, Duration::from_secs(4));
    assert_eq!(incident.settle, Duration::from_secs(30));
    let json = serde_json::to_value(&incident.plan).expect("JSON");
    assert_eq!(
        json["faults"],
        serde_json::json!([
            {
                "name": "late", "match": {"verb": "list"}, "duration": "2s",
                "action": {"delay": {"response": "1s"}}, "probability": 0.5
            },
            {
                "name": "torn", "match": {"key_prefix": "/x/pods/"}, "start": "3s",
                "action": {"error": {"code": "ABORTED", "message": "${not} a parameter"}}
            }
        ])
    );
    let set = [
        ("prefix", "/y"),
        ("resource", "pods, secrets"),
        ("share", "1"),
        ("late", "0.25s"),
        ("for", "1m"),
    ];
    let incident = good().with(set).expect("an incident");
    assert_eq!(incident.length, Duration::from_secs(60));
    let json = serde_json::to_value(&incident.plan.faults[0]).expect("JSON");
    assert_eq!(
        json["match"]["resource"],
        serde_json::json!(["pods", "secrets"])
    );
    assert_eq!(json["action"]["delay"]["response"], "250ms");
    let shown: Vec<String> = (incident.settings.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        shown,
        [
            "for=1m",
            "late=250ms",
            "share=1",
            "resource=pods,secrets",
            "prefix=/y"
        ]
    );
}

#[test]
fn wrong_settings_are_refused_with_a_hint() {
    for (settings, said) in [
        (
            &[][..],
            "--set: prefix has no default and is not set; it says below which; give it with --set prefix=/registry",
        ),
        (
            &[("prefx", "/a")],
            "--set: late-lists has no parameter \"prefx\"; did you mean prefix?",
        ),
        (
            &[("prefix", "/a"), ("for", "soon")],
            "--set: for: \"soon\" is no duration; write a duration such as 250us, 100ms, 5s or 1m30s",
        ),
        (
            &[("prefix", "/a"), ("share", "half")],
            "--set: share: here should stand a number, not \"half\"",
        ),
        (
            &[("prefix", "/a"), ("share", "2")],
            "good.yaml:18:18: faults[0].probability: 2 is no probability (${share} is \"2\" here); write a number above 0 and up to 1; 0.1 is one of ten",
        ),
        (
            &[("prefix", "/a"), ("for", "3s")],
            "good.yaml:20:5: faults[1].start: torn would begin after 3s, when all is over (3s); let it begin sooner, or write a longer \"length\"",
        ),
    ] {
        assert_eq!(refused(settings), said);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (from, to, said) in [
        (
            "length: ${for}",
            "length: ${fro}",
            "s.yaml:8:3: parameters.for: nothing uses the parameter \"for\"; write ${for} where it \
             counts, or leave it out\n\
             s.yaml:13:9: length: there is no parameter \"fro\"; did you mean \"for\"?",
        ),
        (
            "probability: ${share}",
            "probability: 0.5",
            "s.yaml:10:3: parameters.share: nothing uses the parameter \"share\"; write ${share} where it counts, or leave it out",
        ),
        (
            "about: All of them.",
            "abuot: All of them.",
            "s.yaml:4:1: there is no key \"abuot\" here; did you mean \"about\"?",
        ),
        (
            "{verb: list, ",
            "{\"${late}\": list, ",
            "s.yaml:16:13: faults[0].match: a parameter cannot be a key; let it be the value of a key",
        ),
        (
            "\"${prefix}/pods/\"",
            "\"${resource}/pods/\"",
            "s.yaml:21:25: faults[1].match.key_prefix: \"resource\" is a list and cannot stand within a text; let it be the whole value",
        ),
        (
            "\"${prefix}/pods/\"",
            "\"${prefix/pods/\"",
            "s.yaml:21:25: faults[1].match.key_prefix: a \"${\" has no \"}\"; write ${NAME}, or $${ for the letters themselves",
        ),
        (
            "\"${late}\"",
            "\"${share}\"",
            "s.yaml:9:3: parameters.late: nothing uses the parameter \"late\"",
        ),
        (
            "default: 4s, kind: duration",
            "default: 4, kind: duration",
            "s.yaml:8:18: parameters.for.default: 4 is a number without a unit",
        ),
        (
            "{example: /registry, about",
            "{about",
            "s.yaml:12:11: parameters.prefix: there is neither a default nor an example; write default: VALUE",
        ),
        (
            "default: 0.5, about: how many",
            "default: 0.5",
            "s.yaml:10:10: parameters.share: there is no \"about\" here; say what it is for",
        ),
        (
            "start: 3s",
            "start: 5s",
            "s.yaml:20:5: faults[1].start: torn would begin after 5s, when all is over (4s); let it",
        ),
        (
            "length: ${for}",
            "settle: ${for}",
            "s.yaml:2:1: nothing says when it is over; write \"length\", or give every fault a \"duration\"",
        ),
    ] {
        let told = wrong(from, to);
        assert!(told.contains(said), "{told}");
    }
    // Braces within braces are no YAML.
    let told = wrong("\"${late}\"", "${late}");
    assert!(told.ends_with("put \"${NAME}\" in quotes"), "{told}");
}

#[test]
fn it_is_as_long_as_its_last_fault_where_nothing_else_is_said() {
    let text = "{scenario: a, summary: b, about: c, healthy: d, faults: [\
                {name: e, action: hang, start: 2s, duration: 3s}, \
                {name: f, action: hang, duration: 4s}]}";
    let incident = Scenario::from_yaml("", text).map(|scenario| scenario.with([]));
    let incident = incident.expect("a scenario").expect("an incident");
    assert_eq!(incident.length, Duration::from_secs(5));
}

#[test]
fn faults_are_drawn_over_time() {
    let text = "{scenario: a, summary: b, about: c, healthy: d, length: 20s, faults: [\
                {name: e, action: hang, start: 10s}, \
                {name: f, action: hang, duration: 2s, repeat: 5s}, \
                {name: g, action: hang, duration: 1ms}]}";
    let incident = Scenario::from_yaml("", text).map(|scenario| scenario.with([]));
    let incident = incident.expect("a scenario").expect("an incident");
    let drawn = incident.timeline(20);
    assert_eq!(drawn.axis, "0s        10s       20s");
    let bars: Vec<_> = drawn.rows.iter().map(|row| row.bar.as_str()).collect();
    assert_eq!(
        bars,
        [
            "··········██████████",
            "██···██···██···██···",
            "▒···················"
        ]
    );
    for (length, axis) in [
        ("60s", "0s             30s            1m"),
        ("7s", "0s"),
        ("250ms", "0s"),
        ("3h", "0s"),
    ] {
        let text = text.replace("20s", length).replace("10s", "1ms");
        let incident = Scenario::from_yaml("", &text).map(|scenario| scenario.with([]));
        let incident = incident.expect("a scenario").expect("an incident");
        let drawn = incident.timeline(30).axis;
        assert!(drawn.starts_with(axis), "{drawn}");
        assert!((30..40).contains(&drawn.len()), "{drawn}");
    }
}

#[test]
fn the_library_is_right() {
    for shipped in LIBRARY {
        let scenario = shipped
            .scenario()
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(*scenario.name, *shipped.name);
        let needed = scenario
            .parameters
            .iter()
            .filter(|one| one.default().is_none());
        let needed: Vec<_> = needed
            .map(|one| (one.name.to_string(), one.example().unwrap_or_default()))
            .collect();
        let settings = needed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let incident = scenario
            .with(settings)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let seconds = incident.length.as_secs();
        assert!((5..=60).contains(&seconds), "{}: {seconds} s", shipped.name);
        for fault in &incident.plan.faults {
            assert!(fault.name.starts_with(shipped.name), "{}", fault.name);
        }
        for line in shipped.text.lines() {
            assert!(line.chars().count() <= 90, "{}: {line}", shipped.name);
        }
    }
}

const PAGE: &str = include_str!("../../docs/scenarios.md");

#[test]
fn the_pages_example_is_right() {
    let examples: Vec<&str> = PAGE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end"))
        .collect();
    assert!(!examples.is_empty());
    for text in examples {
        let scenario = Scenario::from_yaml("docs/scenarios.md", text);
        let scenario = scenario.unwrap_or_else(|errors| panic!("{errors}"));
        let incident = scenario.with([("resource", "pods,secrets")]);
        incident.unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn the_page_names_what_ships() {
    let named: Vec<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, _)| name)
        .take(LIBRARY.len())
        .collect();
    let ships: Vec<&str> = LIBRARY.iter().map(|shipped| shipped.name).collect();
    assert_eq!(named, ships);
    assert!(PAGE.contains("Eighteen ship") && ships.len() == 18);
}

mod whatever {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a text says, it is taken or refused; so is what is set.
        #[test]
        fn nothing_is_too_strange(
            cut in 0usize..2000,
            put in "[${}a-z:\\[\\] \n\"'-]{0,12}",
            name in "[a-z]{0,6}",
            value in "[ -~]{0,12}",
            columns in 0usize..200,
        ) {
            for text in LIBRARY.iter().map(|shipped| shipped.text).chain([GOOD]) {
                let at = cut % text.len();
                if !text.is_char_boundary(at) {
                    continue;
                }
                let text = format!("{}{put}{}", &text[..at], &text[at..]);
                let Ok(scenario) = Scenario::from_yaml("s.yaml", &text) else {
                    continue;
                };
                for name in scenario.parameters.iter().map(|one| &*one.name).chain([&*name]) {
                    if let Ok(incident) = scenario.with([(name, &*value), ("prefix", "/a")]) {
                        incident.timeline(columns);
                    }
                }
            }
        }
    }
}
