//! What is refused, where, and in which words.

use super::super::*;

#[track_caller]
fn refused(text: &str, vocabulary: &Vocabulary) -> String {
    match Filter::parse(text, vocabulary) {
        Ok(_) => panic!("{text} was read"),
        Err(mistake) => format!("{mistake}"),
    }
}

#[test]
fn mistakes_are_told_where_they_are_and_with_what_would_be_right() {
    let mut wrong = Vec::new();
    for (text, told) in [
        // Names.
        (
            r#"durration > 1s"#,
            "column 1: there is no name \"durration\"; did you mean duration?",
        ),
        (
            r#"slow && duration_us > 1s"#,
            "column 9: there is no name \"duration_us\"; did you mean duration?",
        ),
        (
            "ts > 1",
            "column 1: there is no name \"ts\"; did you mean time?",
        ),
        ("colour", "column 1: there is no name \"colour\""),
        (
            "resource == pods",
            "column 13: there is no name \"pods\"; text stands in quotes: \"pods\"",
        ),
        (
            "has(durration)",
            "column 5: there is no name \"durration\"; did you mean duration?",
        ),
        (
            "object.name == \"a\"",
            "column 7: facts have no fields, and no \".name\"; write name",
        ),
        // Kinds.
        (
            "resource > 3",
            "column 12: resource is text, and this is a number; text stands in quotes: \"3\"",
        ),
        (
            "3 < resource",
            "column 1: resource is text, and this is a number; text stands in quotes: \"3\"",
        ),
        (
            "duration > 100",
            "column 12: duration is a duration, and this is a number; give it a unit: 100ms, 100s",
        ),
        (
            "duration > \"100ms\"",
            "column 12: duration is a duration, and this is text; write it without quotes: 100ms",
        ),
        (
            "count == \"3\"",
            "column 10: count is a number, and this is text; write it without quotes: 3",
        ),
        (
            "slow == 1",
            "column 9: slow is yes or no, and this is a number; write slow or !slow",
        ),
        (
            "count > 5ms",
            "column 9: count is a number, and this is a duration",
        ),
        (
            "duration + count > 1s",
            "column 10: a duration + a number makes no sense",
        ),
        ("-verb == \"get\"", "column 1: text has no opposite"),
        (
            "verb",
            "column 1: this is text, and no condition; write verb == \"…\", or has(verb)",
        ),
        (
            "slow && duration",
            "column 9: this is a duration, and no condition; \
             write duration > 100ms, or has(duration)",
        ),
        ("1", "column 1: this is a number, and no condition"),
        (
            "\"verb\" == \"get\"",
            "column 8: this compares two texts, and no fact; names stand without quotes",
        ),
        (
            "slow == failed",
            "column 6: conditions are not compared; join them with && or ||; \
             put ! before what shall not hold",
        ),
        (
            "verb == null",
            "column 9: no fact is ever null; it is there or absent; write has(name) or !has(name)",
        ),
        (
            "count > 1.5",
            "column 9: \"1.5\" is no whole number; facts are whole; \
          write a duration with its unit: 1.5s",
        ),
        // Values.
        (
            "verb == \"gett\"",
            "column 9: verb is never \"gett\"; did you mean \"get\"?",
        ),
        (
            "verb == \"LIST\"",
            "column 9: verb is never \"LIST\"; did you mean \"list\"?",
        ),
        (
            "slow || verb in [\"get\", \"lst\"]",
            "column 25: verb is never \"lst\"; did you mean \"list\"?",
        ),
        (
            "status == \"CANCELED\"",
            "column 11: status is never \"CANCELED\"; did you mean \"CANCELLED\"?",
        ),
        (
            "type != \"put\"",
            "column 9: type is never \"put\"; did you mean \"PUT\"?",
        ),
        (
            "reset_by == \"etcd\"",
            "column 13: reset_by is never \"etcd\"; it is one of client, server",
        ),
        (
            "method == \"KV/Range\"",
            "column 11: method is never \"KV/Range\"; \
             write service == \"KV\" && method == \"Range\"",
        ),
        (
            "time > \"yesterday\"",
            "column 8: \"yesterday\" is no time; \
             write 2026-11-03T08:05:00Z, 2026-11-03 or 08:05, in UTC",
        ),
        (
            "duration > 5x",
            "column 12: \"5x\" has the unit \"x\", which is unknown; \
             write a duration such as 250us, 100ms, 5s or 1m30s",
        ),
        (
            "count > 5MB1",
            "column 9: \"5MB1\" has the unit \"MB\", which is unknown; \
             write a duration such as 250us, 100ms, 5s or 1m30s",
        ),
        // Functions.
        (
            "key.startswith(\"/\")",
            "column 5: there is no function \"startswith\"; did you mean startsWith?",
        ),
        (
            "startsWith(key, \"/\")",
            "column 1: startsWith stands behind what it asks about; write key.startsWith(\"…\")",
        ),
        (
            "count.contains(\"1\")",
            "column 7: contains asks about text, and this is a number",
        ),
        (
            "fault.exists(f, f == \"a\")",
            "column 7: there is no function \"exists\"; \
             there are startsWith, endsWith, contains, matches, has, duration, timestamp",
        ),
        (
            "key.matches(\"(\")",
            "column 13: this is no pattern: unclosed group",
        ),
        (
            "key.matches(\"(a{1000}){1000}\")",
            "column 13: this pattern is too large",
        ),
        (
            "\"pods\" in resource",
            "column 8: resource is text, and no list; \
          write resource.contains(\"pods\")",
        ),
        // Signs.
        (
            "verb = \"get\"",
            "column 6: = alone compares nothing; write ==",
        ),
        ("slow & failed", "column 6: & alone joins nothing; write &&"),
        (
            "slow and failed",
            "column 6: \"and\" is no operator here; write &&",
        ),
        (
            "verb =~ \"g.*\"",
            "column 6: there is no such operator; write name.matches(\"pattern\")",
        ),
        (
            "verb == “get”",
            "column 9: these are no quotes of a filter; write \" or '",
        ),
        (
            "verb == \"get",
            "column 9: this text does not end; put \" behind it",
        ),
        (
            "verb == \"\"\"get\"\"\"",
            "column 9: texts stand in one quote on each side here",
        ),
        (
            "verb ==",
            "column 8: the filter ends too early; something has to follow",
        ),
        (
            "slow && (failed",
            "column 16: the filter ends too early; put ) for the bracket of column 9",
        ),
        (
            "slow failed",
            "column 6: \"failed\" cannot stand here; \
          join conditions with && or ||, and compare with ==",
        ),
        ("slow)", "column 5: \")\" cannot stand here"),
        ("&& slow", "column 1: \"&&\" cannot stand here"),
        (
            "",
            "column 1: there is nothing here; write a condition such as resource == \"pods\"",
        ),
        ("{}", "column 1: there are no maps in filters"),
        (
            "name == \"\\q\"",
            "column 9: \"\\q\" cannot be read as text here; \
          escapes are \\\\, \\\", \\n, \\t, \\x41, \\u00e9; r\"…\" has none",
        ),
        (
            "count > 99999999999999999999",
            "column 9: 99999999999999999999 is too large, \
          or cannot stand here",
        ),
        // Letters are counted, not bytes; and lines.
        (
            "name == \"schöner 🦀\" && verb == \"gett\"",
            "column 32: verb is never \"gett\"; did you mean \"get\"?",
        ),
        (
            "slow &&\n  // é\n  verb == \"gett\"",
            "line 3, column 11: verb is never \"gett\"; did you mean \"get\"?",
        ),
    ] {
        let is = refused(text, &Vocabulary::LOG);
        if is != told {
            wrong.push(format!("{text}\n  told {is}\n  not  {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_known_yet_is_refused() {
    let told = refused(
        "request_bytes > 1MiB && status == \"OK\"",
        &Vocabulary::ASKED,
    );
    assert!(
        told.starts_with(
            "column 25: \"status\" is not known when a call is asked; known are conn, client,"
        ),
        "{told}"
    );
    assert_eq!(
        refused("verb == \"conflict\"", &Vocabulary::ASKED)
            .split(';')
            .next(),
        Some("column 9: verb is never \"conflict\"")
    );
    assert!(Filter::parse("watch_id == 1", &Vocabulary::WATCHED).is_ok());
    assert!(Filter::parse("watch_id == 1", &Vocabulary::ASKED).is_err());
    assert!(Filter::parse("client == \"a\"", &Vocabulary::CONNECTED).is_ok());
}

#[test]
fn a_mistake_is_drawn() {
    for (text, picture) in [
        (
            "slow && durration > 1s",
            "slow && durration > 1s\n        ^^^^^^^^^",
        ),
        (
            "slow ||\n\tname == \"é\" && verb == \"gett\" // c",
            " name == \"é\" && verb == \"gett\" // c\n                        ^^^^^^",
        ),
        ("slow &&", "slow &&\n       ^"),
    ] {
        let mistake = Filter::parse(text, &Vocabulary::LOG).expect_err(text);
        assert_eq!(mistake.picture(), picture);
    }
    let long = format!("{} && durration > 1s", vec!["slow"; 40].join(" && "));
    let mistake = Filter::parse(&long, &Vocabulary::LOG).expect_err("a mistake");
    let picture = mistake.picture();
    let (line, carets) = picture.split_once('\n').expect("two lines");
    assert!(
        line.starts_with('…') && line.chars().count() < 130,
        "{picture}"
    );
    let at = carets.chars().position(|c| c == '^').expect("a caret");
    let pointed: String = line.chars().skip(at).take(9).collect();
    assert_eq!(pointed, "durration");
}
