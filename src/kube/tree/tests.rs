//! Trees of real objects (`fixtures/objects`) and of made ones.

use std::path::Path;

use data_encoding::BASE64;
use proptest::prelude::*;

use super::*;
use crate::kube::value::PROTOBUF_MAGIC;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/objects/", $name)) as &[u8]
    };
}

fn tree(value: &[u8]) -> Tree {
    Tree::decode(value, Secrets::Hide).expect("an object")
}

/// A stored value: the envelope around `raw`.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = field(1, api_version.as_bytes());
    meta.extend(field(2, kind.as_bytes()));
    let mut value = PROTOBUF_MAGIC.to_vec();
    value.extend(field(1, &meta));
    value.extend(field(2, raw));
    value.extend(b"\x1a\0\x22\0");
    value
}

/// A length-delimited field.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(bytes.len() as u64));
    out.extend_from_slice(bytes);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Compares with a file of `fixtures/objects`; `ETCDTAP_WRITE=1` writes it.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/objects")
        .join(name);
    if std::env::var_os("ETCDTAP_WRITE").is_some() {
        std::fs::write(&path, text).expect("the fixtures can be written");
    }
    let expected = std::fs::read_to_string(&path).expect(name);
    assert_eq!(text, expected, "{name}");
}

#[test]
fn real_objects_as_yaml() {
    for (name, value) in [
        ("configmap.yaml", fixture!("configmap.bin")),
        ("deployment.yaml", fixture!("deployment.bin")),
        ("event.yaml", fixture!("event.bin")),
        ("flowschema.yaml", fixture!("flowschema.bin")),
        ("lease.yaml", fixture!("lease.bin")),
        (
            "namespace-terminating.yaml",
            fixture!("namespace-terminating.bin"),
        ),
        ("pod.yaml", fixture!("pod.bin")),
        ("rangeallocation.yaml", fixture!("rangeallocation.bin")),
        ("replicaset.yaml", fixture!("replicaset.bin")),
        ("service.yaml", fixture!("service.bin")),
    ] {
        let tree = tree(value);
        assert_eq!(
            (tree.reading, tree.note()),
            (Reading::Stated, None),
            "{name}"
        );
        golden(name, &tree.yaml());
        // Other readers of YAML and of JSON find the same in it.
        let from_yaml: serde_json::Value = serde_saphyr::from_str(&tree.yaml()).expect(name);
        let from_json: serde_json::Value = serde_json::from_str(&tree.json()).expect(name);
        assert_eq!(from_yaml, from_json, "{name}");
        assert_eq!(
            from_json,
            serde_json::from_str::<serde_json::Value>(&tree.json_line()).expect(name)
        );
        assert_eq!(from_json, serde_json::to_value(&tree).expect(name));
    }
}

#[test]
fn managed_fields_can_be_left_out() {
    let mut tree = tree(fixture!("pod.bin"));
    tree.leave_out_managed_fields();
    let yaml = tree.yaml();
    assert!(
        !yaml.contains("managedFields") && yaml.contains("generateName"),
        "{yaml}"
    );
}

#[test]
fn json_passes_as_it_stands() {
    let value = fixture!("apiservice.bin");
    let tree = tree(value);
    assert_eq!(tree.reading, Reading::Json);
    assert_eq!(tree.kind, "APIService");
    assert_eq!(
        tree.json_line(),
        str::from_utf8(value).expect("JSON is text").trim_end()
    );
}

#[test]
fn a_kind_that_is_not_stated_shows_its_metadata_and_numbers() {
    let metadata = field(1, &field(1, b"one"));
    let spec = [
        &field(1, b"text")[..],
        &field(2, b"\x08\x05\x08\x06"),
        b"\x18\x07",
    ]
    .concat();
    let raw = [&metadata[..], &field(2, &spec), &field(9, b"\xff\xfe")].concat();
    let tree = tree(&envelope("example.com/v1", "Gadget", &raw));
    assert_eq!(tree.reading, Reading::Numbers);
    assert_eq!(
        tree.json_line(),
        concat!(
            r#"{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"one"},"#,
            r##""#2":{"#1":"text","#2":{"#1":[5,6]},"#3":7},"#9":"base64://4="}"##
        )
    );
    assert!(
        tree.yaml()
            .starts_with("# the fields of example.com/v1 Gadget are not known here")
    );
}

#[test]
fn fields_that_are_not_stated_are_shown_and_noted() {
    // Field 99 of a ConfigMap; of its metadata, a name that is a number.
    let raw = [&field(1, b"\x08\x05")[..], &field(99, b"new")].concat();
    let tree = tree(&envelope("v1", "ConfigMap", &raw));
    assert_eq!(
        tree.json_line(),
        r##"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"#1":5},"#99":"new"}"##
    );
    assert_eq!(tree.unstated, [".metadata.#1", ".#99"]);
    assert!(tree.note().expect("a note").contains(".metadata.#1, .#99"));
}

#[test]
fn what_go_leaves_out_is_left_out_and_what_it_shows_is_shown() {
    // Deployment.spec: replicas 0 (a pointer), paused false, minReadySeconds 0,
    // an empty strategy; status: observedGeneration 0.
    let spec = b"\x08\0\x22\0\x28\0\x38\0";
    let raw = [&field(1, b"")[..], &field(2, spec), &field(3, b"\x08\0")].concat();
    let tree = tree(&envelope("apps/v1", "Deployment", &raw));
    assert_eq!(
        tree.json_line(),
        concat!(
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{},"#,
            r#""spec":{"replicas":0,"selector":null,"strategy":{}},"status":{}}"#
        )
    );
}

#[test]
fn the_types_that_are_more_than_messages() {
    // ServicePort.targetPort is a number or a text.
    let port = |target: &[u8]| field(1, &[&b"\x18\x50"[..], &field(4, target)].concat());
    let number = port(b"\x08\0\x10\x90\x3f\x1a\0");
    let name = port(b"\x08\x01\x10\0\x1a\x04http");
    let raw = field(2, &[number, name].concat());
    let service = tree(&envelope("v1", "Service", &raw));
    assert!(
        service
            .json_line()
            .contains(r#""ports":[{"port":80,"targetPort":8080},{"port":80,"targetPort":"http"}]"#),
        "{service:?}"
    );
    // LimitRange: quantities in a map.
    let quantity = [&field(1, b"cpu")[..], &field(2, &field(1, b"500m"))].concat();
    let raw = field(2, &field(1, &field(2, &quantity)));
    let limits = tree(&envelope("v1", "LimitRange", &raw));
    assert!(
        limits.json_line().contains(r#""max":{"cpu":"500m"}"#),
        "{limits:?}"
    );
    // Lease: a MicroTime of one microsecond.
    let raw = field(2, &field(4, b"\x08\x01\x10\xe8\x07"));
    let lease = tree(&envelope("coordination.k8s.io/v1", "Lease", &raw));
    assert!(
        lease
            .json_line()
            .contains(r#""renewTime":"1970-01-01T00:00:01.000001Z""#),
        "{lease:?}"
    );
    // ControllerRevision.data is JSON, or an object in an envelope of its own.
    for (data, shown) in [
        (br#"{"a":1.50}"#.to_vec(), r#""data":{"a":1.50}"#),
        (
            envelope("v1", "ConfigMap", b""),
            r#""data":{"apiVersion":"v1","kind":"ConfigMap"}"#,
        ),
    ] {
        let raw = field(2, &field(1, &data));
        let revision = tree(&envelope("apps/v1", "ControllerRevision", &raw));
        assert!(revision.json_line().contains(shown), "{revision:?}");
    }
    // A schema's three ways to say "or".
    let text = field(5, b"string");
    let either = [
        &field(24, &field(2, &text))[..],
        &field(30, b"\x08\x01"),
        &field(32, &[field(1, b"k"), field(2, &field(2, b"v"))].concat()),
        &field(33, &field(2, &text)),
        b"\x49\0\0\0\0\0\0\x04\x40",
    ]
    .concat();
    let version = field(4, &field(1, &either));
    let raw = field(2, &field(7, &version));
    let crd = tree(&envelope(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &raw,
    ));
    let json = crd.json_line();
    for part in [
        r#""items":[{"type":"string"}]"#,
        r#""additionalProperties":true"#,
        r#""dependencies":{"k":["v"]}"#,
        r#""additionalItems":{"type":"string"}"#,
        r#""maximum":2.5"#,
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
}

const TOKEN: &str = concat!("eyJhbGci", "OiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl");

#[test]
fn secrets_are_hidden_wherever_they_stand() {
    let entry = |key: &str, value: &[u8]| [field(1, key.as_bytes()), field(2, value)].concat();
    let annotations = field(12, &entry("note", b"hunter2"));
    let raw = [
        field(1, &[field(1, b"db"), annotations].concat()),
        field(2, &entry("password", b"hunter2")),
        field(3, b"Opaque"),
        field(77, b"hunter2"),
    ]
    .concat();
    let secret = envelope("v1", "Secret", &raw);
    let hidden = tree(&secret);
    assert_eq!(
        hidden.json_line(),
        concat!(
            r#"{"apiVersion":"v1","kind":"Secret","#,
            r#""metadata":{"name":"db","annotations":{"note":"(hidden, 7 bytes)"}},"#,
            r#""data":{"password":"(hidden, 7 bytes)"},"type":"Opaque","#,
            r##""#77":"(hidden, 7 bytes)"}"##
        )
    );
    let shown = Tree::decode(&secret, Secrets::Show).expect("a Secret");
    assert!(shown.json_line().contains(&BASE64.encode(b"hunter2")));
    // Another password of the same length is another value.
    let at = secret
        .windows(8)
        .position(|w| w == b"password")
        .expect("there");
    let mut other = secret.clone();
    other[at + 8 + 2 + 6] = b'3';
    assert_ne!(tree(&other), hidden);
    assert_eq!(tree(&secret), hidden);

    for json in [
        r#"{"kind":"Secret","stringData":{"a":"hunter2"},"new":["hunter2",1]}"#,
        r#"{"kind":"SecretList","items":[{"data":{"a":"hunter2"}}]}"#,
        r#"{"kind":"Work","spec":{"manifests":[{"kind":"Secret","data":{"a":"hunter2"}}]}}"#,
        r#"{"kind":"Work","metadata":{"annotations":{"x":"{\"kind\":\"Secret\",\"data\":{\"a\":\"hunter2\"}}"}}}"#,
    ] {
        let tree = tree(json.as_bytes());
        for text in [tree.yaml(), tree.json(), format!("{tree:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("hidden"), "{text}");
        }
    }
}

#[test]
fn tokens_are_hidden_in_every_text() {
    let once = BASE64.encode(TOKEN.as_bytes());
    let twice = BASE64.encode(once.as_bytes());
    for secret in [TOKEN, &once, &twice] {
        let json = format!(
            r#"{{"kind":"ConfigMap","data":{{"a":"token: {secret}\nuser: x","{secret}":"b"}},"l":["{secret}"]}}"#
        );
        let tree = tree(json.as_bytes());
        for text in [tree.yaml(), tree.json(), format!("{tree:?}")] {
            assert!(!text.contains(&secret[..20]), "{text}");
            assert!(text.contains("user: x"), "{text}");
        }
    }
    let raw = field(3, &[field(1, b"t"), field(2, TOKEN.as_bytes())].concat());
    let map = tree(&envelope("v1", "ConfigMap", &raw));
    assert!(!map.json_line().contains(&once[..20]), "{map:?}");
}

#[test]
fn what_is_no_object_says_why() {
    for (value, error) in [
        (&b""[..], ObjectError::Empty),
        (b"123", ObjectError::NotAnObject),
        (b"k8s\0\xff", ObjectError::Envelope),
        (b"\xd9\xd9\xf7\xa0", ObjectError::Cbor),
        (
            b"k8s:enc:aescbc:v1:key1:\x01",
            ObjectError::Encrypted(Some("aescbc".into())),
        ),
        (b"{\"a\":", ObjectError::Json { line: 1, column: 5 }),
        (b"k8s\0\x12\0\x1a\x04gzip", ObjectError::Content),
        (b"k8s\0\x12\0\x22\x04text", ObjectError::Content),
    ] {
        assert_eq!(Tree::decode(value, Secrets::Hide), Err(error), "{value:?}");
    }
    // The envelope is whole, what it holds is no message.
    let broken = envelope("v1", "Pod", b"\xff");
    assert_eq!(
        Tree::decode(&broken, Secrets::Hide),
        Err(ObjectError::Envelope)
    );
}

#[test]
fn depth_is_bounded() {
    // properties.a.properties.a…
    let mut schema = field(5, b"object");
    for _ in 0..2000 {
        let entry = [field(1, b"a"), field(2, &schema)].concat();
        schema = field(29, &entry);
    }
    let version = field(4, &field(1, &schema));
    let raw = field(2, &field(7, &version));
    let crd = tree(&envelope(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &raw,
    ));
    assert_eq!(crd.unstated.len(), 1, "{:?}", crd.unstated);
    assert!(!crd.yaml().is_empty());
    // ControllerRevisions in ControllerRevisions.
    let mut value = envelope("v1", "ConfigMap", b"");
    for _ in 0..500 {
        value = envelope(
            "apps/v1",
            "ControllerRevision",
            &field(2, &field(1, &value)),
        );
    }
    assert!(!tree(&value).json().is_empty());
    let deep = format!(
        "{{\"kind\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(Tree::decode(deep.as_bytes(), Secrets::Hide).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0..1000usize,
        text in r#"[{}\[\],:"a-c\\0-9.]{0,60}"#,
    ) {
        let mut kinds: Vec<_> = Schema::built_in().kinds().collect();
        kinds.sort_unstable();
        let (api_version, kind) = kinds[kind % kinds.len()];
        for value in [
            envelope(api_version, kind, &bytes),
            envelope("example.com/v1", "Gadget", &bytes),
            bytes.clone(),
            format!("{{\"kind\":{text}}}").into_bytes(),
        ] {
            if let Ok(tree) = Tree::decode(&value, Secrets::Hide) {
                let read: serde_json::Value =
                    serde_json::from_str(&tree.json()).expect("JSON comes out");
                prop_assert!(read.is_object());
                prop_assert!(!tree.yaml().is_empty());
            }
        }
    }

    #[test]
    fn a_flipped_byte_is_survived(
        which in 0..5usize,
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut value = [
            fixture!("pod.bin"), fixture!("deployment.bin"), fixture!("flowschema.bin"),
            fixture!("event.bin"), fixture!("apiservice.bin"),
        ][which].to_vec();
        let at = at.index(value.len());
        value[at] = byte;
        if let Ok(tree) = Tree::decode(&value, Secrets::Hide) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&tree.json()).is_ok());
            let _ = tree.yaml();
        }
    }
}
