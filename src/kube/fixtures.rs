//! Tests against real keys and values (`fixtures/objects`).

use std::collections::BTreeMap;

use super::key::{Extent, KeySpace};
use super::meta::ObjectMeta;
use super::object::{Encoding, Object};
use super::value::{Stored, sniff};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/objects/", $name)) as &[u8]
    };
}

/// Value, apiVersion, kind, namespace, name, uid, creationTimestamp.
type Row = (
    &'static [u8],
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const OBJECTS: &[Row] = &[
    (
        fixture!("apiservice.bin"),
        "apiregistration.k8s.io/v1beta1",
        "APIService",
        "",
        "v1.apps",
        "1143efe8-b226-486b-990e-70c53ef2df09",
        "2026-11-22T06:29:22Z",
    ),
    (
        fixture!("configmap.bin"),
        "v1",
        "ConfigMap",
        "lab",
        "cm-0000",
        "bb30378f-e26f-4620-872b-455e8e8f07e8",
        "2026-11-22T06:33:09Z",
    ),
    (
        fixture!("deployment.bin"),
        "apps/v1",
        "Deployment",
        "lab",
        "web",
        "0f97f4fd-399f-4c6a-82f0-4e286bf1e927",
        "2026-11-22T06:33:10Z",
    ),
    (
        fixture!("event.bin"),
        "v1",
        "Event",
        "lab",
        "web.18ea4a62e543ad49",
        "41838dd2-794e-4349-82cb-dd9555242086",
        "2026-11-22T06:33:10Z",
    ),
    (
        fixture!("flowschema.bin"),
        "flowcontrol.apiserver.k8s.io/v1beta1",
        "FlowSchema",
        "",
        "system-nodes",
        "c55cc7f0-7fd2-45c5-a624-4972b787afe5",
        "2026-11-22T06:29:22Z",
    ),
    (
        fixture!("lease.bin"),
        "coordination.k8s.io/v1",
        "Lease",
        "kube-system",
        "kube-controller-manager",
        "ce2d232f-4bd8-46ed-b8e3-863b8aefcf99",
        "2026-11-22T06:32:57Z",
    ),
    (
        fixture!("namespace-terminating.bin"),
        "v1",
        "Namespace",
        "",
        "lab",
        "1c0ffa44-fbda-41a5-a435-1d027289878c",
        "2026-11-22T06:29:38Z",
    ),
    (
        fixture!("pod-deleted.bin"),
        "v1",
        "Pod",
        "lab",
        "web-546dc89dd5-fc8xb",
        "ba418e02-4bf3-49df-9a65-d2477108f5fd",
        "2026-11-22T06:29:39Z",
    ),
    (
        fixture!("pod.bin"),
        "v1",
        "Pod",
        "lab",
        "web-79f8dbfc8c-j7qgn",
        "158ae10a-8a5b-4733-8eb7-ca51f1af944b",
        "2026-11-22T06:33:10Z",
    ),
    (
        fixture!("priorityclass.bin"),
        "scheduling.k8s.io/v1",
        "PriorityClass",
        "",
        "system-node-critical",
        "0f1fe8ab-1004-4633-b8b5-48cc163075ed",
        "2026-11-22T06:29:23Z",
    ),
    (
        fixture!("prioritylevelconfiguration.bin"),
        "flowcontrol.apiserver.k8s.io/v1beta1",
        "PriorityLevelConfiguration",
        "",
        "system",
        "8a24f2f2-eac3-46b3-aec9-b1bc302d2924",
        "2026-11-22T06:29:22Z",
    ),
    (
        fixture!("rangeallocation.bin"),
        "v1",
        "RangeAllocation",
        "",
        "",
        "",
        "",
    ),
    (
        fixture!("replicaset.bin"),
        "apps/v1",
        "ReplicaSet",
        "lab",
        "web-79f8dbfc8c",
        "7c1716b0-7115-4ef6-95d2-b2052c4767e3",
        "2026-11-22T06:33:10Z",
    ),
    (
        fixture!("service.bin"),
        "v1",
        "Service",
        "default",
        "kubernetes",
        "f171974a-5530-45cc-a22f-c8970705b5e2",
        "2026-11-22T06:29:23Z",
    ),
    (
        fixture!("serviceaccount.bin"),
        "v1",
        "ServiceAccount",
        "lab",
        "default",
        "8398ee08-ba55-41bd-b8e6-3770668bbd32",
        "2026-11-22T06:33:09Z",
    ),
];

fn meta(value: &[u8]) -> ObjectMeta {
    Object::decode(value)
        .expect("an object")
        .metadata
        .expect("its metadata")
}

#[test]
fn every_object_names_itself() {
    for (value, api_version, kind, namespace, name, uid, created) in OBJECTS {
        let object = Object::decode(value).expect(kind);
        assert_eq!(
            (object.api_version.as_str(), object.kind.as_str()),
            (*api_version, *kind)
        );
        let json = *kind == "APIService";
        assert_eq!(
            object.encoding,
            if json {
                Encoding::Json
            } else {
                Encoding::Protobuf
            }
        );
        assert_eq!(object.size, value.len());
        assert!(object.object_size < value.len());
        let meta = object.metadata.expect(kind);
        assert_eq!(
            (meta.namespace.as_str(), meta.name.as_str()),
            (*namespace, *name)
        );
        assert_eq!(meta.uid, *uid);
        let time = meta
            .creation_timestamp
            .map(|time| time.to_string())
            .unwrap_or_default();
        assert_eq!(time, *created, "{kind}");
        assert_eq!(meta.resource_version, "", "the store leaves it to etcd");
    }
}

#[test]
fn sniff_agrees_with_decode_and_a_cut_never_lies() {
    for (value, api_version, kind, ..) in OBJECTS {
        let whole = sniff(value);
        assert_eq!(
            (whole.api_version(), whole.kind()),
            (Some(*api_version), Some(*kind))
        );
        for cut in 0..value.len() {
            let part = sniff(&value[..cut]);
            assert!(
                part.kind().is_none_or(|part| part == *kind),
                "{kind} cut at {cut}"
            );
            assert!(
                part.api_version().is_none_or(|part| part == *api_version),
                "{kind} cut at {cut}"
            );
            assert!(
                cut < 128 || part == whole,
                "128 bytes are enough for {kind}"
            );
            assert!(!matches!(
                part,
                Stored::Encrypted { .. } | Stored::Cbor | Stored::Digits(_)
            ));
        }
    }
}

#[test]
fn a_cut_object_is_an_error_not_half_an_object() {
    for (value, _, kind, ..) in OBJECTS {
        // The last two fields of the envelope are empty texts of two bytes
        // each, the JSON ends with a newline.
        let needed = if *kind == "APIService" { 1 } else { 4 };
        for cut in 0..value.len() - needed {
            let part = Object::decode(&value[..cut]);
            let envelope_only = part.is_ok_and(|part| part.metadata.is_some());
            assert!(!envelope_only, "{kind} cut at {cut}");
        }
    }
}

#[test]
fn a_pod_knows_its_owner_and_its_managers() {
    let pod = meta(fixture!("pod.bin"));
    assert_eq!(pod.generate_name, "web-79f8dbfc8c-");
    assert_eq!(pod.labels.get("app").map(String::as_str), Some("web"));
    let [owner] = &pod.owner_references[..] else {
        panic!("one owner")
    };
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str()),
        ("apps/v1", "ReplicaSet")
    );
    assert_eq!(
        (owner.name.as_str(), owner.controller),
        ("web-79f8dbfc8c", true)
    );
    assert_eq!(owner.uid, "7c1716b0-7115-4ef6-95d2-b2052c4767e3");
    let [managed] = &pod.managed_fields[..] else {
        panic!("one manager")
    };
    assert_eq!(
        (managed.manager.as_str(), managed.operation.as_str()),
        ("kube-controller-manager-1.20", "Update")
    );
    assert_eq!(managed.api_version, "v1");
    assert_eq!(managed.time, pod.creation_timestamp);
}

#[test]
fn the_status_subresource_is_seen() {
    let set = meta(fixture!("replicaset.bin"));
    let subresources: Vec<_> = set
        .managed_fields
        .iter()
        .map(|m| m.subresource.as_str())
        .collect();
    assert_eq!(subresources, ["", "status"]);
    assert_eq!(
        set.annotations
            .get("deployment.kubernetes.io/desired-replicas"),
        Some(&1)
    );
}

#[test]
fn deletion_is_seen() {
    let namespace = meta(fixture!("namespace-terminating.bin"));
    assert!(namespace.deletion_timestamp > namespace.creation_timestamp);
    let pod = meta(fixture!("pod-deleted.bin"));
    assert!(pod.deletion_timestamp.is_some());
    assert_eq!(pod.deletion_grace_period_seconds, Some(0));
}

#[test]
fn annotations_keep_their_size_and_lose_their_value() {
    let object = Object::decode(fixture!("configmap.bin")).expect("a ConfigMap");
    let annotations = &object.metadata.as_ref().expect("metadata").annotations;
    assert_eq!(
        annotations.get("kubectl.kubernetes.io/last-applied-configuration"),
        Some(&205)
    );
    let shown = format!(
        "{object:?}{}",
        serde_json::to_string(&object).expect("JSON")
    );
    assert!(!shown.contains("xxxx"), "data must stay out");
}

#[test]
fn every_key_of_the_captures_has_its_place() {
    let space = KeySpace::default();
    let mut counts = BTreeMap::new();
    for key in include_str!("../../fixtures/objects/keys.txt").lines() {
        let parsed = space.parse(key.as_bytes()).expect(key);
        if !parsed.internal && key.split('/').count() > 3 {
            assert!(parsed.name.is_some(), "{key}");
        }
        let group = parsed
            .group
            .map(|group| format!(".{group}"))
            .unwrap_or_default();
        let place = format!(
            "{}{group} {}",
            parsed.resource,
            parsed.namespace.unwrap_or("-")
        );
        *counts.entry(place).or_insert(0) += 1;
    }
    let mut counted: Vec<_> = counts
        .iter()
        .map(|(place, n)| format!("{place} {n}"))
        .collect();
    counted.sort_unstable();
    let mut expected: Vec<_> = include_str!("../../fixtures/objects/keys.summary.txt")
        .lines()
        .collect();
    expected.sort_unstable();
    assert_eq!(counted, expected);
}

#[test]
fn every_range_of_the_captures_is_a_list_or_a_page() {
    let space = KeySpace::default();
    let mut pages = Vec::new();
    for line in include_str!("../../fixtures/objects/ranges.txt").lines() {
        let (key, end) = line.split_once(' ').expect("two keys");
        let key = key.replace("\\0", "\0");
        let parsed = space
            .parse_range(key.as_bytes(), end.as_bytes())
            .expect(line);
        assert_eq!(parsed.name, None, "{line}");
        match parsed.extent {
            Extent::All => assert!(key.ends_with('/'), "{line}"),
            Extent::After(after) => {
                pages.push(format!("{}/{after}", parsed.namespace.unwrap_or("-")))
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    assert_eq!(
        pages,
        [
            "lab/cm-0049",
            "lab/cm-0099",
            "lab/cm-0149",
            "lab/cm-0199",
            "lab/cm-0249",
            "lab/cm-0299",
            "lab2/cm-0049",
        ]
    );
}
