use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

mod mistakes;
mod page;

/// Facts that were put down by hand.
#[derive(Debug, Default)]
struct Sheet {
    facts: BTreeMap<Name, Fact<'static>>,
    faults: Vec<&'static str>,
}

impl Facts for Sheet {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        self.facts.get(&name).copied()
    }

    fn any_fault(&self, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        self.faults.iter().any(|name| holds(name))
    }
}

impl Sheet {
    fn of(facts: impl IntoIterator<Item = (Name, Fact<'static>)>) -> Sheet {
        Sheet {
            facts: facts.into_iter().collect(),
            faults: Vec::new(),
        }
    }
}

/// 2026-11-03T08:05:32Z
const THEN: i64 = 1_793_693_132_000_000_000;

fn call() -> Sheet {
    Sheet::of([
        (Name::Event, Fact::Text("call")),
        (Name::Time, Fact::Time(THEN)),
        (Name::Client, Fact::Made(Made::of("10.0.0.7:40312"))),
        (Name::Service, Fact::Text("etcdserverpb.KV")),
        (Name::Method, Fact::Text("Range")),
        (Name::Verb, Fact::Text("list")),
        (Name::Key, Fact::Bytes(b"/registry/deployments/lab/")),
        (Name::Resource, Fact::Text("deployments")),
        (Name::Group, Fact::Text("apps")),
        (Name::Status, Fact::Text("OK")),
        (Name::Failed, Fact::Flag(false)),
        (Name::Slow, Fact::Flag(true)),
        (Name::Duration, Fact::micros(150_000)),
        (Name::FirstByte, Fact::micros(30_000)),
        (Name::ResponseBytes, Fact::Number(2 << 20)),
        (Name::Count, Fact::Number(500)),
        (Name::Revision, Fact::Number(10_231)),
        (Name::Lag, Fact::micros(-3)),
    ])
}

#[track_caller]
fn passes(text: &str, facts: &Sheet) -> bool {
    match Filter::parse(text, &Vocabulary::LOG) {
        Ok(filter) => filter.passes(facts),
        Err(mistake) => panic!("{text}: {mistake}\n{}", mistake.picture()),
    }
}

#[test]
fn conditions_are_joined_and_turned_around() {
    for text in [
        r#"resource == "deployments" && duration > 100ms"#,
        r#"resource == "pods" || duration > 100ms"#,
        r#"!(resource == "pods")"#,
        "!failed",
        "!!slow",
        "slow",
        "slow == true && failed == false && failed != true && true != failed",
        "true",
        "!false && (true || false)",
        r#"resource == "pods" ? failed : slow"#,
        r#"(verb == "list" || verb == "get") && !(status != "OK") // as it was"#,
        "slow\n  && // on several lines\n  !failed",
    ] {
        assert!(passes(text, &call()), "{text}");
        assert!(!passes(&format!("!({text}\n)"), &call()), "!({text})");
    }
}

#[test]
fn texts_are_compared_and_searched() {
    for text in [
        r#"verb == "list""#,
        r#"'list' == verb"#,
        r#"verb != "get""#,
        r#"verb in ["get", "list"]"#,
        r#"!(verb in ["get"])"#,
        r#"verb in ['get', r"list"]"#,
        r#"key.startsWith("/registry/deployments/")"#,
        r#"key.endsWith("lab/")"#,
        r#"key.contains("/lab")"#,
        r#"key.contains("")"#,
        r#"!key.contains("/labs")"#,
        r#"key.matches("^/registry/[a-z]+/lab/$")"#,
        r#"key.matches(r"\w+/lab")"#,
        r#"key == "/registry/deployments/lab\u002f""#,
        r#"key >= "/registry/deployments/" && key < "/registry/deployments0""#,
        r#""/registry/e" > key"#,
        r#"client.startsWith("10.0.0.7:") && client == "10.0.0.7:40312""#,
        r#"method != verb && verb > resource || verb == method"#,
    ] {
        assert!(passes(text, &call()), "{text}");
    }
    let odd = Sheet::of([
        (Name::Key, Fact::Bytes(b"/a\xff\x00")),
        (Name::ObjectName, Fact::Text("schön \\ 🦀")),
    ]);
    for text in [
        r#"key == b"/a\xff\x00""#,
        r#"key.startsWith("/a") && !key.startsWith("/aÿ")"#,
        r#"name == "schön \\ 🦀" && name == r'schön \ 🦀'"#,
        r#"name.contains("ö") && name.contains(b"ö") && name.matches("^sch.n")"#,
        r#"name == "sch\u00f6n \\ \U0001f980""#,
    ] {
        assert!(passes(text, &odd), "{text}");
    }
}

#[test]
fn a_resource_may_be_named_with_its_group_and_a_service_without_its_package() {
    for text in [
        r#"resource == "deployments""#,
        r#"resource == "deployments.apps""#,
        r#"resource != "deployments.extensions""#,
        r#"resource in ["pods", "deployments.apps"]"#,
        r#"!(resource in ["pods", "deployments.extensions"])"#,
        r#"service == "KV" && service == "etcdserverpb.KV" && service in ["Watch", "KV"]"#,
        r#"service != "V" && service != "Watch""#,
    ] {
        assert!(passes(text, &call()), "{text}");
    }
    let core = Sheet::of([(Name::Resource, Fact::Text("deployments"))]);
    assert!(!passes(r#"resource == "deployments.apps""#, &core));
    assert!(passes(r#"resource != "deployments.apps""#, &core));
}

#[test]
fn numbers_durations_and_times_are_compared_and_reckoned_with() {
    for text in [
        "duration > 100ms",
        "duration == 150ms && duration == 0.15s && duration == 150000us && 150000µs == duration",
        "100ms < duration && duration <= 1m30s",
        "duration > duration(\"100ms\")",
        "duration != 0 && duration > 0",
        "duration - first_byte > 100ms",
        "duration > first_byte * 4 && first_byte / 2 == 15ms && 2 * first_byte == 60ms",
        "duration / first_byte == 5",
        "lag < 0 && lag > -5us && lag == -3us",
        "response_bytes > 1MiB && response_bytes == 2MiB && response_bytes < 0x7fffffff",
        "response_bytes / count > 4KiB && count % 3 == 2",
        "count in [1, 500] && !(count in [501])",
        "count == 500u && count in [1 + 499]",
        "duration in [150ms, 2s]",
        r#"time > timestamp("2026-11-03T08:00:00Z")"#,
        r#"time > "2026-11-03T08:00:00Z" && time < "2026-11-03T10:00:00+01:00""#,
        r#"time == "2026-11-03T08:05:32" && time > "2026-11-03" && time < "2026-11-04""#,
        r#"time > "08:05" && time < "08:05:32.5" && "08:05:32" == time"#,
        r#"time - timestamp("2026-11-03") > 8h"#,
        r#"timestamp("2026-11-03") + 8h < time"#,
    ] {
        assert!(passes(text, &call()), "{text}");
    }
    // What has no value compares to nothing.
    for text in [
        "count / 0 == 0 || count / 0 != 0",
        "response_bytes * 9223372036854775807 > 0",
        "9223372036854775807 + count > 0",
        "count % (count - count) == 0",
        "limit + count > 0",
    ] {
        assert!(!passes(text, &call()), "{text}");
    }
}

#[test]
fn a_comparison_with_what_is_absent_does_not_hold() {
    let nothing = Sheet::default();
    for text in [
        r#"resource == "pods""#,
        r#"resource != "pods""#,
        r#"resource in ["pods"]"#,
        r#"resource < "pods""#,
        r#"name != "a""#,
        r#"key.startsWith("")"#,
        r#"key.matches("")"#,
        r#"verb == method || verb != method"#,
        "duration > 1s || duration <= 1s",
        "duration != 1s",
        "count in [0]",
        r#"time > "2020-01-01" || time < "12:00" || time >= "12:00""#,
        "slow || slow == true",
        "has(duration) || has(slow) || has(fault)",
        r#"fault == "a" || fault != "a" || "a" in fault"#,
    ] {
        assert!(!passes(text, &nothing), "{text}");
        assert!(passes(&format!("!({text})"), &nothing), "!({text})");
    }
    // Yes or no: what is not said is no.
    assert!(passes("slow == false && slow != true && !slow", &nothing));
    assert!(passes(
        "has(failed) && has(duration) && !has(lease)",
        &call()
    ));
    // A fact of the wrong kind is none.
    let wrong = Sheet::of([
        (Name::Duration, Fact::Text("1s")),
        (Name::Verb, Fact::Number(1)),
        (Name::Slow, Fact::Number(1)),
    ]);
    assert!(!passes(r#"duration > 0 || verb != "get" || slow"#, &wrong));
}

#[test]
fn faults_are_asked_by_name() {
    let struck = Sheet {
        faults: vec!["slow-lists", "drop"],
        ..Sheet::default()
    };
    for text in [
        "has(fault)",
        r#"fault == "drop""#,
        r#""slow-lists" in fault"#,
        r#"fault in ["other", "drop"]"#,
        r#"fault.startsWith("slow-")"#,
        r#"fault.matches("^d")"#,
        r#"fault != "other""#,
        r#"!(fault == "other")"#,
    ] {
        assert!(passes(text, &struck), "{text}");
    }
    assert!(!passes(r#"fault != "drop""#, &struck));
}

#[test]
fn an_index_gets_what_has_to_be_so() {
    let terms = |text: &str| {
        Filter::parse(text, &Vocabulary::LOG)
            .expect(text)
            .requires()
    };
    let text = |text: &str| Literal::Text(text.as_bytes().into());
    let of = terms(
        r#"resource == "deployments.apps" && (verb == "get" || verb == "list" || verb in ["count"])
           && key.startsWith("/registry/") && time >= "2026-11-03T08:00:00Z" && revision == 7
           && "2026-11-03T09:00:00Z" > time && time > "2026-11-03" && time < "12:00"
           && name != "a" && !(namespace == "b") && duration > 1s && (failed || status == "OK")"#,
    );
    assert_eq!(of.values(Name::Resource), Some(&[text("deployments")][..]));
    assert_eq!(of.values(Name::Group), Some(&[text("apps")][..]));
    assert_eq!(
        of.values(Name::Verb),
        Some(&[text("get"), text("list"), text("count")][..])
    );
    assert_eq!(of.values(Name::Revision), Some(&[Literal::Number(7)][..]));
    assert_eq!(of.any_of.len(), 4, "{:?}", of.any_of);
    assert_eq!(of.key_prefixes, [b"/registry/".as_slice().into()]);
    let eight = THEN - 5 * 60_000_000_000 - 32_000_000_000;
    assert_eq!(of.from, Some(eight));
    assert_eq!(of.until, Some(eight + 3_600_000_000_000));

    for nothing in [
        r#"resource == "pods" || verb == "get""#,
        r#"!(resource == "pods")"#,
        r#"resource != "pods""#,
        r#"failed ? verb == "get" : verb == "list""#,
        "true",
        "duration > 1s",
    ] {
        assert_eq!(terms(nothing), Terms::default(), "{nothing}");
    }
    let fault = terms(r#""drop" in fault && key == "/a""#);
    assert_eq!(fault.values(Name::Fault), Some(&[text("drop")][..]));
    assert_eq!(fault.values(Name::Key), Some(&[text("/a")][..]));
}

#[test]
fn a_filter_knows_what_it_asks_about() {
    let filter: Filter = r#"resource == "pods" && lag > 1s"#.parse().expect("a filter");
    assert!(filter.asks(Name::Resource) && filter.asks(Name::Lag));
    assert!(!filter.asks(Name::Duration));
    assert_eq!(filter.text(), r#"resource == "pods" && lag > 1s"#);
    assert_eq!(filter, filter.text().parse().expect("the same"));
}

#[test]
fn long_and_deep_filters_are_read_or_refused_and_never_end_the_program() {
    for n in [1, 16, 31, 32] {
        let deep = format!("{}slow{}", "(".repeat(n), ")".repeat(n));
        assert!(passes(&deep, &call()), "{n}");
        let deep = format!("{}slow{}", "!(".repeat(n), ")".repeat(n));
        assert_eq!(passes(&deep, &call()), n % 2 == 0, "{n}");
    }
    let names: Vec<String> = (0..900).map(|n| format!("\"n{n}\"")).collect();
    let list = format!("name in [{}]", names.join(","));
    let named = Sheet::of([(Name::ObjectName, Fact::Text("n899"))]);
    assert!(passes(&list, &named));
    assert!(passes(&format!("slow{}", " && slow".repeat(900)), &call()));
    assert!(passes(&format!("{}slow", "!".repeat(1000)), &call()));
    assert!(passes(&format!("count > 0{}", " + 1".repeat(100)), &call()));
    assert!(passes(&format!("count > {}1", "- ".repeat(1000)), &call()));
    for refused in [
        format!("{}slow{}", "(".repeat(33), ")".repeat(33)),
        "(".repeat(5000),
        "[".repeat(5000),
        format!("count > 0{}", " + 1".repeat(900)),
        format!("{}slow", "slow ? slow : ".repeat(40)),
        format!("slow{}", " == slow".repeat(900)),
        format!("name{}", ".name".repeat(900)),
        format!("name{}", "[0]".repeat(600)),
        "x".repeat(20_000),
        "a ".repeat(4000),
    ] {
        let mistake = Filter::parse(&refused, &Vocabulary::LOG).expect_err("too much");
        assert!(mistake.picture().len() < 500, "{mistake}");
    }
}

fn words() -> impl Strategy<Value = String> {
    let words = [
        "resource",
        "duration",
        "slow",
        "has",
        "fault",
        "count",
        "time",
        "namespace",
        "true",
        "null",
        "in",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "?",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "100ms",
        "1MiB",
        "0x1F",
        "7u",
        "3",
        "\"pods\"",
        "'a\\n'",
        "r\"\\d\"",
        "b'\\xff'",
        "startsWith",
        "matches",
        "timestamp",
        "\"2026-11-03\"",
        "\"é\"",
        "\"\\",
        "//",
        "\n",
        "é",
        "1.5",
        "all",
        "map",
        "{",
        "`",
        "=",
        "0",
        "q1",
        "_",
        "__x",
    ];
    let word = proptest::sample::select(words.to_vec());
    proptest::collection::vec((word, any::<bool>()), 0..24).prop_map(|words| {
        let mut text = String::new();
        for (word, apart) in words {
            text.push_str(word);
            if apart {
                text.push(' ');
            }
        }
        text
    })
}

/// Reads it, and runs it or draws its mistake.
fn try_out(text: &str) {
    for vocabulary in [Vocabulary::LOG, Vocabulary::ASKED] {
        match Filter::parse(text, &vocabulary) {
            Ok(filter) => {
                filter.passes(&call());
                filter.passes(&Sheet::default());
                filter.requires();
            }
            Err(mistake) => {
                let _ = (mistake.picture(), mistake.to_string());
                assert!(mistake.column() <= text.chars().count() + 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}") {
        try_out(&text);
    }

    #[test]
    fn no_words_make_it_panic(text in words()) {
        try_out(&text);
    }

    /// What the terms rule out does not pass.
    #[test]
    fn what_passes_has_the_terms(text in words()) {
        if let Ok(filter) = Filter::parse(&text, &Vocabulary::LOG)
            && filter.passes(&call())
        {
            for any in &filter.requires().any_of {
                let is = any.values.iter().any(|value| match (value, call().fact(any.name)) {
                    (Literal::Number(number), Some(fact)) => {
                        matches!(fact, Fact::Number(n) | Fact::Duration(n) | Fact::Time(n)
                            if n == *number)
                    }
                    (Literal::Text(text), Some(Fact::Text(fact))) => **text == *fact.as_bytes(),
                    (Literal::Text(_), fact) => fact.is_some(),
                    _ => false,
                });
                prop_assert!(is, "{any:?}");
            }
        }
    }
}
