//! `docs/filter.md` says what is so.

use std::collections::BTreeMap;

use super::*;

const PAGE: &str = include_str!("../../../docs/filter.md");

/// A part of the page, by its heading.
fn part(heading: &str) -> &'static str {
    let begin = PAGE
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading}"));
    let rest = &PAGE[begin + heading.len() + 2..];
    rest.split("\n## ").next().unwrap_or_default()
}

/// The cells of the tables of a text, without their heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut rows = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_head = lines
            .get(at + 1)
            .is_some_and(|next| next.starts_with("|---"));
        if !line.starts_with('|') || line.starts_with("|---") || is_head {
            continue;
        }
        let line = line.trim_matches('|').replace("\\|", "\0");
        rows.push(
            line.split('|')
                .map(|cell| cell.trim().replace('\0', "|"))
                .collect(),
        );
    }
    rows
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_has_every_name_with_its_kind() {
    let mut told = BTreeMap::new();
    for row in rows(part("## Names")) {
        for name in quoted(&row[0]) {
            told.insert(name.to_owned(), row[1].clone());
        }
    }
    let known: BTreeMap<String, String> = Name::ALL
        .iter()
        .map(|name| (name.to_string(), name.kind().to_string()))
        .collect();
    assert_eq!(told, known);
}

#[test]
fn the_page_has_what_faults_know() {
    let rows = rows(part("## In faults"));
    for (row, vocabulary) in rows.iter().zip([
        Vocabulary::ASKED,
        Vocabulary::WATCHED,
        Vocabulary::CONNECTED,
    ]) {
        let mut told: Vec<&str> = quoted(&row[1]);
        let mut known: Vec<&str> = vocabulary.names().map(Name::as_str).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known, "{}", row[0]);
    }
    assert_eq!(rows.len(), 3);
}

#[test]
fn the_page_has_what_rules_of_redaction_know() {
    let told = part("## In rules of redaction");
    let told = told.split("The rest is refused").next().unwrap_or_default();
    let known: Vec<&str> = Vocabulary::STORED.names().map(Name::as_str).collect();
    assert_eq!(quoted(told), known);
}

#[test]
fn every_possible_value_on_the_page_is_one() {
    for row in rows(part("## Names")) {
        let [name] = quoted(&row[0])[..] else {
            continue;
        };
        let Some(values) = Name::find(name).and_then(|name| name.values()) else {
            continue;
        };
        let told = quoted(&row[2]);
        assert!(
            values.iter().all(|value| told.contains(value)),
            "{name}: {values:?}"
        );
    }
}

#[test]
fn what_is_absent_is_so_as_the_table_says() {
    let of = |resource| Sheet::of([(Name::Resource, Fact::Text(resource))]);
    let sheets = [of("pods"), of("secrets"), Sheet::default()];
    let rows = rows(part("## What is absent"));
    assert!(rows.len() >= 9);
    for row in rows {
        let filter = quoted(&row[0])[0];
        for (sheet, told) in sheets.iter().zip(&row[1..]) {
            assert_eq!(passes(filter, sheet), told == "yes", "{filter}: {sheet:?}");
        }
    }
}

/// The examples in the order of the page.
fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```cel\n").skip(1);
    blocks
        .map(|block| block.split("\n```").next().unwrap_or_default())
        .collect()
}

#[test]
fn every_example_finds_what_it_is_for_and_nothing_else() {
    let text = Fact::Text;
    let millis = |millis: i64| Fact::micros(millis * 1000);
    let found = [
        Sheet::of([
            (Name::Resource, text("pods")),
            (Name::Verb, text("update")),
            (Name::Duration, millis(101)),
        ]),
        Sheet::of([
            (Name::ResponseBytes, Fact::Number(1 << 20)),
            (Name::Count, Fact::Number(10)),
        ]),
        Sheet::of([
            (Name::Failed, Fact::Flag(true)),
            (Name::Event, text("http1")),
            (Name::Path, text("/metrics")),
        ]),
        Sheet::of([
            (Name::Key, Fact::Bytes(b"/registry/pods/lab/web")),
            (Name::Method, text("DeleteRange")),
        ]),
        Sheet::of([
            (Name::Verb, text("list")),
            (Name::Count, Fact::Number(5000)),
        ]),
        Sheet::of([(Name::Duration, millis(80)), (Name::FirstByte, millis(5))]),
        Sheet::of([(Name::Event, text("watch_event")), (Name::Lag, millis(600))]),
        Sheet::of([
            (Name::Event, text("watch_canceled")),
            (Name::Cause, text("server")),
        ]),
        Sheet {
            faults: vec!["other", "no-leader"],
            ..Sheet::of([(Name::Time, Fact::Time(THEN - 60_000_000_000))])
        },
        Sheet::of([
            (Name::Resource, text("leases")),
            (Name::Group, text("coordination.k8s.io")),
            (Name::ObjectName, text("node-12")),
            (Name::Verb, text("conflict")),
            (Name::Duration, millis(2)),
        ]),
    ];
    let examples = examples();
    assert_eq!(examples.len(), found.len());
    for (at, example) in examples.iter().enumerate() {
        for (other, sheet) in found.iter().enumerate() {
            assert_eq!(passes(example, sheet), at == other, "{example}: {sheet:?}");
        }
    }
}

/// Everything else on the page that is a filter by itself.
#[test]
fn filters_in_the_text_are_read() {
    let fenced = PAGE.split("```");
    let mut read = 0;
    for text in fenced.step_by(2) {
        for code in text.lines().flat_map(quoted) {
            let code = code.replace("\\|", "|");
            let is_one = [" == ", " != ", " < ", " > ", " >= "]
                .iter()
                .any(|sign| code.contains(sign))
                && !code.contains('…');
            // What the page says is refused.
            if !is_one || PAGE.contains(&format!("(`{code}`)")) || code.contains("gett") {
                continue;
            }
            match code.as_str() {
                r#"status == "FOO""# | r#"verb == "LIST""# | r#"fault == "x""# => {}
                code => {
                    read += 1;
                    if let Err(mistake) = Filter::parse(code, &Vocabulary::LOG) {
                        panic!("{}", mistake.drawn());
                    }
                }
            }
        }
    }
    assert!(read > 15, "{read}");
    for refused in [
        "resource > 3",
        r#"verb == "gett""#,
        r#"status == "FOO""#,
        r#"verb == "LIST""#,
    ] {
        assert!(PAGE.contains(&format!("`{refused}`")), "{refused}");
        assert!(
            Filter::parse(refused, &Vocabulary::LOG).is_err(),
            "{refused}"
        );
    }
    // The picture of a mistake.
    let text = "slow && durration > 1s";
    let mistake = Filter::parse(text, &Vocabulary::LOG).expect_err(text);
    assert!(PAGE.contains(&format!("--filter: {}\n", mistake.drawn())));
}

#[test]
fn the_plan_on_the_page_is_one() {
    let yaml = PAGE.split("```yaml\n").nth(1).expect("a plan");
    let yaml = yaml.split("```").next().unwrap_or_default();
    // The layer below knows no plans; it is enough that the filter is right.
    let filter = yaml.split('\'').nth(1).expect("a filter");
    Filter::parse(filter, &Vocabulary::ASKED).expect("known when a call is asked");
}
