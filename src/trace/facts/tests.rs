//! A filter sees what the log says, for every name on every kind of line.

use serde_json::Value;

use super::super::fixtures::{Time, a_little_of_everything};
use super::super::{Filter, Format, Options, Pipeline};
use crate::filter::{self, Kind, Name};

/// The lines that pass an expression, of which each has its event and its place
/// among all lines.
fn lines(expression: Option<&str>) -> Vec<Value> {
    let time = Time::new();
    let options = Options {
        filter: Filter {
            expression: expression.map(|text| {
                text.parse::<filter::Filter>()
                    .unwrap_or_else(|mistake| panic!("{text}: {mistake}"))
            }),
            ..Filter::default()
        },
        slow: Some(std::time::Duration::from_millis(100)),
        ..Options::new(Format::Json)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    let text = String::from_utf8(pipeline.output().clone()).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// An expression that holds where the fact is this one.
fn is(name: Name, value: &Value) -> String {
    match (name.kind(), value) {
        (Kind::Faults, Value::Array(hits)) => hits
            .iter()
            .map(|hit| format!("{} in fault", hit["name"]))
            .collect::<Vec<_>>()
            .join(" && "),
        (Kind::Text, Value::String(text)) => match name {
            // The log's escapes are CEL's, in bytes.
            Name::Key | Name::RangeEnd if text.contains('\\') => {
                format!("{name} == b\"{text}\"")
            }
            _ => format!("{name} == {value}"),
        },
        (Kind::Number, number) => format!("{name} == {number}"),
        (Kind::Duration, number) if matches!(name, Name::Ttl | Name::GrantedTtl) => {
            format!("{name} == {number}s")
        }
        (Kind::Duration, number) => format!("{name} == {number}us"),
        (Kind::Time, moment) => format!("{name} == timestamp({moment})"),
        (Kind::Flag, Value::Bool(true)) => format!("{name} && has({name})"),
        (Kind::Flag, Value::Bool(false)) => format!("!{name} && has({name})"),
        (kind, value) => panic!("{name} is {kind}, and the log has {value}"),
    }
}

#[test]
fn what_the_log_says_is_what_a_filter_sees() {
    let all = lines(None);
    let mut said = 0;
    for name in Name::ALL.iter().copied() {
        let Some(field) = name.log_field() else {
            continue;
        };
        // Left out where it is what it nearly always is.
        let usual = match name {
            Name::RequestMessages | Name::ResponseMessages => Some(Value::from(1)),
            Name::Delivered => Some(Value::from(true)),
            _ => None,
        };
        let with: Vec<&Value> = all.iter().filter(|line| !line[field].is_null()).collect();
        if usual.is_none() {
            let found = lines(Some(&format!("has({name})")));
            assert_eq!(found.iter().collect::<Vec<_>>(), with, "has({name})");
        }
        for line in with {
            said += 1;
            let expression = is(name, &line[field]);
            let found = lines(Some(&expression));
            let alike: Vec<&Value> = all
                .iter()
                .filter(|other| match &line[field] {
                    Value::Array(_) => expression.split(" && ").all(|one| {
                        other[field]
                            .to_string()
                            .contains(&one.replace(" in fault", ""))
                    }),
                    value => other[field] == *value,
                })
                .collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), alike, "{expression}");
        }
    }
    assert!(said > 200, "{said}");
}

#[test]
fn failed_is_what_errors_only_lets_pass() {
    let time = Time::new();
    let options = Options {
        filter: Filter {
            errors_only: true,
            ..Filter::default()
        },
        ..Options::new(Format::Json)
    };
    let mut pipeline = Pipeline::new(options, time.anchor());
    for event in a_little_of_everything(time) {
        pipeline.handle_event(event);
    }
    pipeline.finish();
    let failed = lines(Some("failed"));
    assert!(!failed.is_empty());
    assert_eq!(
        failed.len(),
        pipeline.output().iter().filter(|b| **b == b'\n').count()
    );
    assert_eq!(
        lines(Some("!failed")).len() + failed.len(),
        lines(None).len()
    );
}

#[test]
fn an_expression_and_flags_must_both_hold() {
    let time = Time::new();
    let count = |filter: Filter| {
        let options = Options {
            filter,
            ..Options::new(Format::Json)
        };
        let mut pipeline = Pipeline::new(options, time.anchor());
        for event in a_little_of_everything(time) {
            pipeline.handle_event(event);
        }
        pipeline.finish();
        pipeline.lines()
    };
    let expression = Some("verb != \"conflict\"".parse().expect("a filter"));
    let methods: Vec<Box<str>> = vec!["Txn".into()];
    let both = count(Filter {
        expression: expression.clone(),
        methods: methods.clone(),
        ..Filter::default()
    });
    let one = count(Filter {
        methods,
        ..Filter::default()
    });
    assert_eq!(both + 1, one);
}
