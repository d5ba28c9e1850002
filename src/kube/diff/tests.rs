//! Diffs of small objects, and of real ones.

use proptest::prelude::*;

use super::*;
use crate::kube::tree::Secrets;

fn tree(json: &str) -> Tree {
    Tree::decode(json.as_bytes(), Secrets::Hide).expect("an object")
}

fn between(old: &str, new: &str) -> Diff {
    diff(&tree(old), &tree(new))
}

/// `path: old → new`, one a change.
fn lines(diff: &Diff) -> Vec<String> {
    let side = |node: &Option<Node>| node.as_ref().map_or("∅".to_owned(), Node::json_line);
    diff.changes
        .iter()
        .map(|change| {
            format!(
                "{}: {} → {}",
                change.path,
                side(&change.old),
                side(&change.new)
            )
        })
        .collect()
}

#[test]
fn maps_go_by_their_members() {
    let found = between(
        r#"{"kind":"A","a":1,"b":{"c":true,"d.e/f":"x"},"g":[]}"#,
        r#"{"kind":"A","a":2,"b":{"d.e/f":"y","h":{}},"g":[]}"#,
    );
    assert_eq!(
        lines(&found),
        [
            ".a: 1 → 2",
            r#".b["d.e/f"]: "x" → "y""#,
            ".b.h: ∅ → {}",
            ".b.c: true → ∅",
        ]
    );
    assert_eq!(between(r#"{"kind":"A"}"#, r#"{"kind":"A"}"#).changes, []);
}

#[test]
fn lists_go_by_what_tells_their_items_apart() {
    for (old, new, expected) in [
        (
            r#"[{"name":"a","v":1},{"name":"b","v":1}]"#,
            r#"[{"name":"c"},{"name":"b","v":2}]"#,
            vec![
                r#".l[name=c]: ∅ → {"name":"c"}"#,
                ".l[name=b].v: 1 → 2",
                r#".l[name=a]: {"name":"a","v":1} → ∅"#,
            ],
        ),
        (
            r#"[{"type":"Ready","status":"False"}]"#,
            r#"[{"type":"Ready","status":"True"}]"#,
            vec![r#".l[type=Ready].status: "False" → "True""#],
        ),
        (
            r#"[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]"#,
            r#"[{"port":53,"protocol":"TCP"}]"#,
            vec![r#".l[port=53,protocol=UDP]: {"port":53,"protocol":"UDP"} → ∅"#],
        ),
        // Two of a name: by place.
        (
            r#"[{"name":"a"},{"name":"a","v":1}]"#,
            r#"[{"name":"a"},{"name":"a","v":2}]"#,
            vec![".l[1].v: 1 → 2"],
        ),
        (
            r#"["--a","--b","--c"]"#,
            r#"["--a","--x","--y","--c"]"#,
            vec![r#".l[1]: "--b" → "--x""#, r#".l[2]: ∅ → "--y""#],
        ),
        (
            r#"[{"name":"a"},{"name":"b"}]"#,
            r#"[{"name":"b"},{"name":"a"}]"#,
            vec![r#".l: ["a","b"] → ["b","a"]"#],
        ),
        ("[1]", "{}", vec![".l: [1] → {}"]),
    ] {
        let object = |list: &str| format!(r#"{{"kind":"A","l":{list}}}"#);
        let found = between(&object(old), &object(new));
        assert_eq!(lines(&found), expected, "{old} {new}");
    }
}

fn managed(entries: &[(&str, &str, &str, &str, &str)], spec: &str) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(manager, operation, subresource, time, set)| {
            format!(
                r#"{{"manager":"{manager}","operation":"{operation}","apiVersion":"v1","time":"{time}","subresource":"{subresource}","fieldsType":"FieldsV1","fieldsV1":{set}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"kind":"A","metadata":{{"name":"n","managedFields":[{}]}},{spec}}}"#,
        entries.join(",")
    )
}

fn by(diff: &Diff, path: &str) -> String {
    let change = diff
        .changes
        .iter()
        .find(|change| change.path.to_string() == path)
        .unwrap_or_else(|| panic!("{path} is not in {:?}", lines(diff)));
    let names = |managers: &[Manager]| {
        let names: Vec<_> = managers.iter().map(|m| m.manager.clone()).collect();
        names.join(",")
    };
    match &change.by {
        By::Wrote(managers) => format!("wrote {}", names(managers)),
        By::Owns(managers) => format!("owns {}", names(managers)),
        By::Unknown => "unknown".to_owned(),
    }
}

#[test]
fn who_did_it_comes_from_the_managed_fields() {
    let spec_set = r#"{"f:spec":{"f:replicas":{},"f:c":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}},"f:gone":{}}}"#;
    let rest_set = r#"{"f:spec":{"f:replicas":{},"f:c":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}}"#;
    let status_set = r#"{"f:status":{"f:ready":{},"f:conditions":{".":{},"k:{\"type\":\"Up\"}":{".":{},"f:status":{}}},"f:atomic":{}}}"#;
    let other_set = r#"{"f:metadata":{"f:finalizers":{"v:\"x\"":{}}},"f:spec":{"f:idle":{}}}"#;
    let old = managed(
        &[
            ("kubectl", "Apply", "", "T1", spec_set),
            ("controller", "Update", "status", "T1", status_set),
            ("other", "Update", "", "T0", other_set),
        ],
        r#""spec":{"replicas":1,"c":[{"name":"app","image":"a"}],"gone":1,"idle":1,"free":1},
           "status":{"ready":0,"conditions":[{"type":"Up","status":"False"}],"atomic":{"deep":[1]}}"#,
    );
    let new = managed(
        &[
            ("kubectl", "Apply", "", "T2", rest_set),
            ("controller", "Update", "status", "T2", status_set),
            ("other", "Update", "", "T0", other_set),
        ],
        r#""spec":{"replicas":2,"c":[{"name":"app","image":"b"}],"idle":2,"free":2},
           "status":{"ready":1,"conditions":[{"type":"Up","status":"True"}],"atomic":{"deep":[2]}}"#,
    );
    let found = between(&old, &new);
    for (path, who) in [
        (".spec.replicas", "wrote kubectl"),
        (".spec.c[name=app].image", "wrote kubectl"),
        (".spec.gone", "wrote kubectl"),
        (".spec.idle", "owns other"),
        (".spec.free", "unknown"),
        (".status.ready", "wrote controller"),
        (".status.conditions[type=Up].status", "wrote controller"),
        (".status.atomic.deep[0]", "wrote controller"),
    ] {
        assert_eq!(by(&found, path), who, "{path}");
    }
    let times: Vec<_> = found.changes.iter().filter(|c| !c.bookkeeping).collect();
    assert!(
        times.len() < found.changes.len(),
        "managed fields are bookkeeping"
    );
    let By::Wrote(managers) = &found
        .changes
        .iter()
        .find(|c| c.path.to_string() == ".spec.gone")
        .expect("there")
        .by
    else {
        panic!("written")
    };
    assert_eq!(managers[0].time.as_deref(), Some("T2"));
    let json = serde_json::to_string(&found).expect("JSON");
    assert!(json.contains(r#"{"path":".spec.replicas","old":1,"new":2,"by":{"certainty":"wrote","managers":[{"manager":"kubectl","operation":"Apply","time":"T2"}]},"bookkeeping":false}"#), "{json}");
}

#[test]
fn the_keys_of_a_list_are_those_the_managers_name() {
    let set = r#"{"f:l":{"k:{\"group\":\"g\",\"version\":\"1\"}":{}}}"#;
    let found = between(
        &managed(
            &[("m", "Update", "", "T1", set)],
            r#""l":[{"group":"g","version":"1","name":"x"}]"#,
        ),
        &managed(
            &[("m", "Update", "", "T2", set)],
            r#""l":[{"group":"g","version":"1","name":"y"}]"#,
        ),
    );
    assert_eq!(
        by(
            &found,
            ".l[group=g,version=\"1\"].name"
                .replace("\"1\"", "1")
                .as_str()
        ),
        "wrote m"
    );
    // Sets of scalars go by value.
    let set = r#"{"f:l":{"v:\"a\"":{},"v:\"b\"":{}}}"#;
    let found = between(
        &managed(&[("m", "Update", "", "T1", set)], r#""l":["a","b"]"#),
        &managed(&[("m", "Update", "", "T2", set)], r#""l":["b","c"]"#),
    );
    let shown: Vec<_> = lines(&found)
        .into_iter()
        .filter(|l| l.starts_with(".l"))
        .collect();
    assert_eq!(shown, [r#".l[=c]: ∅ → "c""#, r#".l[=a]: "a" → ∅"#]);
}

#[test]
fn a_field_that_somebody_took_away_is_told_by_the_only_entry_that_changed() {
    let old = managed(
        &[
            ("a", "Apply", "", "T1", r#"{"f:x":{}}"#),
            ("b", "Update", "", "T1", r#"{"f:y":{}}"#),
        ],
        r#""x":1,"y":1"#,
    );
    let new = managed(&[("b", "Update", "", "T2", r#"{"f:y":{}}"#)], r#""y":2"#);
    assert_eq!(by(&between(&old, &new), ".x"), "wrote b");
}

#[test]
fn the_text_is_for_people() {
    let old = managed(
        &[(
            "kubectl",
            "Update",
            "",
            "2026-11-22T06:29:22Z",
            r#"{"f:spec":{}}"#,
        )],
        r#""spec":{"replicas":1,"script":"one\ntwo\nthree\n","c":[{"name":"a"}]},"free":"a\u001b[31m""#,
    );
    let new = managed(
        &[(
            "kubectl",
            "Update",
            "",
            "2026-11-22T06:30:00Z",
            r#"{"f:spec":{}}"#,
        )],
        r#""spec":{"replicas":2,"script":"one\n2\nthree\n","c":[{"name":"a"},{"name":"b","env":[{"name":"x"}]}]},"free":"b\u001b[31m""#,
    );
    let found = between(&old, &new);
    assert_eq!(
        found.text(Print::default()),
        "\
by kubectl (Update) at 2026-11-22T06:30:00Z
- .spec.replicas: 1
+ .spec.replicas: 2
  .spec.script: from line 2 on
-   two
+   2
+ .spec.c[name=b]:
+   name: b
+   env:
+   - name: x
by nobody that the managed fields name
- .free: \"a\\u001b[31m\"
+ .free: \"b\\u001b[31m\"
"
    );
    let all = found.text(Print {
        bookkeeping: true,
        colour: true,
    });
    assert!(
        all.contains("managedFields") && all.contains('\u{1b}'),
        "{all}"
    );
    let long = |middle: &str| {
        format!(
            r#"{{"kind":"A","t":"{}{middle}{}"}}"#,
            "a".repeat(300),
            "z".repeat(300)
        )
    };
    let text = between(&long("1"), &long("é2")).text(Print::default());
    let (a, z) = ("a".repeat(40), "z".repeat(40));
    assert_eq!(
        text,
        format!(
            "by nobody that the managed fields name\n- .t: \"…{a}1{z}…\"\n+ .t: \"…{a}é2{z}…\"\n"
        )
    );
}

#[test]
fn hidden_values_change_without_being_shown() {
    let secret =
        |value: &str| format!(r#"{{"kind":"Secret","data":{{"a":"{value}","b":"YQ=="}}}}"#);
    let found = between(&secret("aHVudGVyMg=="), &secret("aHVudGVyMw=="));
    assert_eq!(
        lines(&found),
        [r#".data.a: "(hidden, 7 bytes)" → "(hidden, 7 bytes)""#]
    );
    assert!(!found.text(Print::default()).contains("aHVu"));
    assert!(
        found
            .text(Print::default())
            .contains("- .data.a: (hidden, 7 bytes)")
    );
}

#[test]
fn a_pod_against_itself_and_another() {
    let read = |bytes: &[u8]| Tree::decode(bytes, Secrets::Hide).expect("a pod");
    let pod = read(include_bytes!("../../../fixtures/objects/pod.bin"));
    let deleted = read(include_bytes!("../../../fixtures/objects/pod-deleted.bin"));
    assert_eq!(diff(&pod, &pod).changes, []);
    let found = diff(&pod, &deleted);
    assert_eq!(by(&found, ".metadata.deletionTimestamp"), "unknown");
    let back = diff(&deleted, &pod);
    assert_eq!(found.changes.len(), back.changes.len());
}

fn any_node() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        (0..3i64).prop_map(serde_json::Value::from),
        "[a-c]{0,2}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("(name|key|f:a|k:|a)", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_change_means_equal_and_any_two_can_be_compared(
        old in any_node(),
        new in any_node(),
        fields in any_node(),
    ) {
        let object = |body: &serde_json::Value| {
            let entry = serde_json::json!({"manager": "m", "operation": "Update", "fieldsV1": fields});
            serde_json::json!({
                "kind": "A", "metadata": {"managedFields": [entry, fields]}, "body": body,
            })
            .to_string()
        };
        let (old, new) = (tree(&object(&old)), tree(&object(&new)));
        let found = diff(&old, &new);
        prop_assert_eq!(found.changes.is_empty(), old == new);
        prop_assert_eq!(found.text(Print::default()).is_empty(), old == new);
    }
}
