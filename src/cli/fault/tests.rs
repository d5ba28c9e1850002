//! Faults by flags, the table, and what is refused.

use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};

use super::check::verdict;
use super::list::table;
use super::spec::SpecFlags;
use crate::cli::Failure;
use crate::fault::plan::FaultSpec;

fn fault(line: &[&str]) -> Result<Value, Failure> {
    let command = SpecFlags::augment_args(Command::new("add"));
    let line = std::iter::once(&"add").chain(line);
    let matches = command.try_get_matches_from(line).unwrap();
    SpecFlags::from_arg_matches(&matches).unwrap().fault()
}

fn refused(line: &[&str]) -> String {
    match fault(line) {
        Err(Failure::Asked(sentence)) => sentence,
        other => panic!("{line:?} gave {other:?}"),
    }
}

#[test]
fn flags_say_what_a_plan_says() {
    let watch = fault(&["one", "--watch", "stall: {for: 30s}"]).unwrap();
    assert_eq!(
        watch["action"],
        json!({ "watch": { "stall": { "for": "30s" } } })
    );
    let watch = fault(&["one", "--watch", "drop_events", "--resource", "pods"]).unwrap();
    assert_eq!(watch["action"], json!({ "watch": "drop_events" }));
    FaultSpec::from_json(&watch.to_string()).unwrap();
    for (line, action) in [
        (
            &["--delay-response", "250ms"][..],
            json!({ "delay": { "response": "250ms" } }),
        ),
        (
            &["--delay-request", "1ms..5ms", "--delay-response", "1s"],
            json!({ "delay": { "request": { "uniform": { "from": "1ms", "to": "5ms" } }, "response": "1s" } }),
        ),
        (&["--error", "no-leader"], json!({ "error": "no-leader" })),
        (
            &["--error", "UNAVAILABLE", "--message", "gone"],
            json!({ "error": { "code": "UNAVAILABLE", "message": "gone" } }),
        ),
        (&["--lose-reply"], json!({ "lose_reply": {} })),
        (&["--hang"], json!({ "hang": {} })),
        (&["--reset"], json!({ "reset": { "at": "request" } })),
        (
            &["--reset", "CANCEL", "--reset-at", "message"],
            json!({ "reset": { "at": "message", "code": "CANCEL" } }),
        ),
        (&["--withhold-trailers"], json!({ "withhold_trailers": {} })),
        (
            &["--cut-short", "10%"],
            json!({ "cut_short": { "after": "10%" } }),
        ),
        (&["--duplicate"], json!({ "duplicate": {} })),
        (
            &["--calls-per-second", "0.5"],
            json!({ "rate": { "calls_per_second": 0.5 } }),
        ),
        (
            &["--bytes-per-second", "64KiB"],
            json!({ "rate": { "bytes_per_second": "64KiB" } }),
        ),
        (
            &["--action", "delay: {each_response_message: 5ms}"],
            json!({ "delay": { "each_response_message": "5ms" } }),
        ),
        (&["--action", "hang"], json!("hang")),
    ] {
        // Some are refused for calls that go on for ever.
        let line = [&["one", "--method", "Txn"], line].concat();
        let written = fault(&line).unwrap();
        assert_eq!(written["action"], action, "{line:?}");
        if let Err(problems) = FaultSpec::from_json(&written.to_string()) {
            panic!("{line:?}: {problems}");
        }
    }
}

#[test]
fn flags_say_what_is_done_to_connections() {
    for (text, action) in [
        ("reset", json!({ "connection": "reset" })),
        (
            "half_open: {dead: to_client}",
            json!({ "connection": { "half_open": { "dead": "to_client" } } }),
        ),
        (
            "{latency: 50ms}",
            json!({ "connection": { "latency": "50ms" } }),
        ),
    ] {
        let line = ["one", "--listener", ":2379", "--connection", text];
        let written = fault(&line).unwrap();
        assert_eq!(written["action"], action);
        if let Err(problems) = FaultSpec::from_json(&written.to_string()) {
            panic!("{text}: {problems}");
        }
    }
}

#[test]
fn terms_and_times_are_put_together() {
    let line = [
        "one",
        "--hang",
        "--verb",
        "update",
        "--verb",
        "get",
        "--resource",
        "pods",
        "--namespace",
        "kube-*",
        "--object",
        "web*",
        "--key-prefix",
        "/registry/pods/",
        "--user-agent",
        "grpc-go*",
        "--client",
        "10.0.0.0/8",
        "--listener",
        ":12379",
        "--when",
        "limit > 100",
        "--match",
        "{request_size: {min: 1KiB}}",
        "--probability",
        "0.5",
        "--first",
        "9",
        "--every",
        "2",
        "--at-most",
        "3",
        "--start",
        "1s",
        "--duration",
        "2s",
        "--repeat",
        "5s",
    ];
    let written = fault(&line).unwrap();
    let expected = json!({
        "name": "one",
        "action": { "hang": {} },
        "match": {
            "verb": ["update", "get"], "resource": "pods", "namespace": "kube-*", "name": "web*",
            "key_prefix": "/registry/pods/", "user_agent": "grpc-go*", "client": "10.0.0.0/8",
            "listener": ":12379", "request_size": { "min": "1KiB" },
            "when": "limit > 100",
        },
        "probability": 0.5, "first": 9, "every": 2, "at_most": 3,
        "start": "1s", "duration": "2s", "repeat": "5s",
    });
    assert_eq!(written, expected);
    FaultSpec::from_json(&written.to_string()).unwrap();
}

#[test]
fn what_makes_no_fault_is_refused() {
    for (line, said) in [
        (&["--hang"][..], "the fault has no name"),
        (&["one"], "it is not said what is done"),
        (
            &["one", "--hang", "--lose-reply"],
            "--lose-reply and --hang are two faults",
        ),
        (
            &["one", "--hang", "--probability", "half"],
            "--probability: \"half\" is no number",
        ),
        (
            &["one", "--hang", "--first", "\"3\""],
            "--first: \"\"3\"\" is no number",
        ),
        (
            &["one", "--hang", "--match", "list"],
            "--match: \"list\" has no keys",
        ),
        (
            &["one", "--hang", "--verb", "get", "--match", "verb: list"],
            "--verb: --match says verb already",
        ),
        (
            &["one", "--hang", "--when", "x", "--match", "when: y"],
            "--when: --match says when already",
        ),
        (
            &["one", "--action", "delay: {"],
            "--action: \"delay: {\" is no YAML",
        ),
    ] {
        let sentence = refused(line);
        assert!(sentence.contains(said), "{line:?}: {sentence}");
    }
}

#[test]
fn the_table_is_aligned() {
    let faults = [
        json!({
            "id": 1, "state": "active", "hits": 12, "matched": 1200, "gave_up": 0, "age": "1s",
            "time_left": "9m59.731s",
            "fault": {
                "name": "slow-lists", "match": { "verb": "list", "resource": "pods" },
                "action": { "delay": { "response": "250ms" } }, "probability": 0.5,
            },
        }),
        json!({
            "id": 2, "state": "over", "why": "at_most", "hits": 1, "matched": 1, "gave_up": 2,
            "last_gave_up": "too much\u{1b}[2J", "age": "1s",
            "fault": { "name": "lost", "match": {}, "action": { "hang": {} } },
        }),
        json!({
            "id": 3, "state": "waiting", "starts_in": "500ms", "hits": 0, "matched": 0,
            "gave_up": 0, "age": "1s",
            "fault": { "name": "w", "match": {}, "action": { "error": "no-leader" } },
        }),
    ];
    assert_eq!(
        table(&faults),
        "NAME        STATE           HITS  MATCHED   LEFT  WHAT\n\
         slow-lists  active            12     1200  9m59s  delay: {response: 250ms}; resource: pods, verb: list; probability: 0.5\n\
         lost        over (at most)     1        1      -  hang\n\
         w           waiting 500ms      0        0      -  error: no-leader\n\
         lost could not be carried out 2 times: too much?[2J\n"
    );
}

#[test]
fn files_are_praised_or_told_what_is_wrong() {
    let plan = "faults:\n- {name: a, action: hang}\n- {name: b, action: hang}\n";
    assert_eq!(
        verdict("p.yaml", plan).unwrap(),
        "p.yaml: 2 faults, nothing wrong"
    );
    let single = verdict("one.yaml", "{name: a, action: hang}").unwrap();
    assert!(
        single.starts_with("one.yaml: a fault by itself, nothing wrong"),
        "{single}"
    );
    let wrong = verdict(
        "p.yaml",
        "faults:\n- {name: a, action: hagn}\n- {action: hang}\n",
    );
    let wrong = wrong.unwrap_err();
    let lines: Vec<&str> = wrong.lines().collect();
    assert_eq!(lines.len(), 2, "{wrong}");
    assert!(
        lines[0].starts_with("p.yaml:2:21: faults[0].action"),
        "{wrong}"
    );
    assert!(lines[1].starts_with("p.yaml:3:3: faults[1]"), "{wrong}");
}
