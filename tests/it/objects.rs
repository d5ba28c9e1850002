//! Our statement of Kubernetes' fields held against real objects: every value
//! that either capture carries is read in full, and written again from what was
//! shown it has the same bytes.

mod carried;
mod encode;

use std::collections::{BTreeMap, BTreeSet};

use etcdtap::kube::diff::{By, diff};
use etcdtap::kube::schema::Schema;
use etcdtap::kube::token;
use etcdtap::kube::tree::{Node, Reading, Secrets, Tree};

use crate::pcap::{self, Connection};

/// What one capture carries: values in their order, each once.
fn values(capture: &[Connection]) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    for connection in capture {
        for value in carried::values(connection) {
            if seen.insert(value.clone()) {
                values.push(value);
            }
        }
    }
    values
}

/// Reads every value and writes it again; gives the number of each kind.
/// `unwritten` are fields (message, name) that the writer did not know.
fn read_and_write(values: &[Vec<u8>], unwritten: &[(&str, &str)]) -> Vec<(String, Reading, usize)> {
    let schema = Schema::built_in();
    let mut kinds = BTreeMap::new();
    for value in values {
        let tree = Tree::decode(value, Secrets::Show).unwrap();
        let kind = format!("{} {}", tree.api_version, tree.kind);
        assert_eq!(tree.unstated, [""; 0], "{kind}");
        match tree.reading {
            Reading::Json => {
                let text = str::from_utf8(value).unwrap().trim_end();
                assert_eq!(tree.json_line(), text, "{kind}");
            }
            Reading::Stated => {
                let message = schema.kind(&tree.api_version, &tree.kind).unwrap();
                let again = encode::envelope(&tree, message, unwritten);
                // API server 1.20 stored a MicroTime's nanoseconds, which no API
                // shows; in length and meaning the rest is the same.
                let nanoseconds = tree.kind == "Lease"
                    && again.len() == value.len()
                    && Tree::decode(&again, Secrets::Show).as_ref() == Ok(&tree);
                assert!(
                    again == *value || nanoseconds,
                    "{kind} is not the same when it is written again:\n{}\n{}",
                    value.escape_ascii(),
                    again.escape_ascii()
                );
            }
            Reading::Numbers => panic!("{kind} is not stated"),
        }
        kinds.entry(kind).or_insert((tree.reading, 0)).1 += 1;
    }
    let kinds = kinds.into_iter();
    kinds
        .map(|(kind, (reading, n))| (kind, reading, n))
        .collect()
}

/// With secrets hidden nothing shows a token.
fn shows_no_token(values: &[Vec<u8>]) {
    let mut hidden = 0;
    for value in values {
        let tree = Tree::decode(value, Secrets::Hide).unwrap();
        for text in [tree.yaml(), tree.json_line()] {
            let found = token::Search::new(text.as_bytes()).next();
            assert_eq!(found, None, "{} {}", tree.api_version, tree.kind);
            for beginning in ["eyJhbGci", "ZXlKaGJHY2"] {
                assert!(!text.contains(beginning), "{}", tree.kind);
            }
            hidden += usize::from(text.contains("hidden"));
        }
    }
    assert!(hidden > 0, "the captures hold tokens");
}

/// What another reader of YAML finds is what JSON says.
fn yaml_and_json_agree(values: &[Vec<u8>]) {
    for value in values {
        let tree = Tree::decode(value, Secrets::Hide).unwrap();
        let json: serde_json::Value = serde_json::from_str(&tree.json()).unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(&tree.yaml()).unwrap();
        assert_eq!(json, yaml, "{} {}", tree.api_version, tree.kind);
    }
}

/// Revisions of one object after each other, by its uid.
fn histories(values: &[Vec<u8>]) -> BTreeMap<String, Vec<Tree>> {
    let mut histories: BTreeMap<String, Vec<Tree>> = BTreeMap::new();
    for value in values {
        let tree = Tree::decode(value, Secrets::Hide).unwrap();
        let uid = tree
            .root
            .member("metadata")
            .and_then(|meta| meta.member("uid"));
        if let Some(uid) = uid.and_then(Node::text) {
            histories.entry(uid.to_owned()).or_default().push(tree);
        }
    }
    histories
}

/// How many changes were found and how many of them somebody is known to have
/// written or to own; and the lines of `kind`'s changes of `path`.
fn compared(values: &[Vec<u8>], kind: &str, path: &str) -> (usize, usize, Vec<String>) {
    let (mut changes, mut known, mut lines) = (0, 0, Vec::new());
    for history in histories(values).values() {
        for pair in history.windows(2) {
            let diff = diff(&pair[0], &pair[1]);
            assert_eq!(diff.changes.is_empty(), pair[0] == pair[1]);
            for change in diff.changes.iter().filter(|change| !change.bookkeeping) {
                changes += 1;
                known += usize::from(!matches!(change.by, By::Unknown));
                if pair[1].kind == kind && change.path.to_string() == path {
                    let side = |node: &Option<Node>| node.as_ref().map(Node::json_line);
                    let by = match &change.by {
                        By::Wrote(managers) => managers[0].manager.clone(),
                        By::Owns(managers) => format!("{}, perhaps", managers[0].manager),
                        By::Unknown => "nobody".to_owned(),
                    };
                    lines.push(format!(
                        "{} -> {} by {by}",
                        side(&change.old).unwrap_or_default(),
                        side(&change.new).unwrap_or_default()
                    ));
                }
            }
        }
    }
    (changes, known, lines)
}

fn counted(expected: &[(&str, Reading, usize)]) -> Vec<(String, Reading, usize)> {
    let expected = expected.iter();
    expected
        .map(|(kind, reading, n)| ((*kind).to_owned(), *reading, *n))
        .collect()
}

#[test]
fn every_value_of_api_server_1_20_is_read_in_full_and_written_again() {
    // Fields that Go always writes and that 1.20 did not have.
    let unwritten = [
        ("ManagedFieldsEntry", "subresource"),
        ("PodCondition", "observedGeneration"),
        ("PodStatus", "observedGeneration"),
        ("PodStatus", "resize"),
    ];
    let kinds = read_and_write(&values(&pcap::APISERVER_1_20), &unwritten);
    let expected = [
        (
            "apiregistration.k8s.io/v1beta1 APIService",
            Reading::Json,
            35,
        ),
        ("apps/v1 Deployment", Reading::Stated, 24),
        ("apps/v1 ReplicaSet", Reading::Stated, 18),
        ("coordination.k8s.io/v1beta1 Lease", Reading::Stated, 49),
        (
            "flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema",
            Reading::Stated,
            20,
        ),
        (
            "flowcontrol.apiserver.k8s.io/v1beta1 PriorityLevelConfiguration",
            Reading::Stated,
            7,
        ),
        ("scheduling.k8s.io/v1 PriorityClass", Reading::Stated, 2),
        ("v1 ConfigMap", Reading::Stated, 1061),
        ("v1 Event", Reading::Stated, 51),
        ("v1 Namespace", Reading::Stated, 10),
        ("v1 Pod", Reading::Stated, 48),
        ("v1 RangeAllocation", Reading::Stated, 3),
        ("v1 Secret", Reading::Stated, 6),
        ("v1 Service", Reading::Stated, 1),
        ("v1 ServiceAccount", Reading::Stated, 12),
    ];
    assert_eq!(kinds, counted(&expected));
}

#[test]
fn every_value_of_api_server_0_36_is_read_in_full_and_written_again() {
    // A field that Go always wrote until it was given up.
    let unwritten = [("ObjectMeta", "clusterName")];
    let kinds = read_and_write(&values(&pcap::APISERVER_0_36), &unwritten);
    let expected = [
        ("apps/v1 Deployment", Reading::Stated, 24),
        ("apps/v1 ReplicaSet", Reading::Stated, 18),
        ("coordination.k8s.io/v1 Lease", Reading::Stated, 47),
        ("v1 ConfigMap", Reading::Stated, 1057),
        ("v1 Event", Reading::Stated, 51),
        ("v1 Namespace", Reading::Stated, 2),
        ("v1 Pod", Reading::Stated, 24),
        ("v1 Secret", Reading::Stated, 2),
        ("v1 ServiceAccount", Reading::Stated, 4),
    ];
    assert_eq!(kinds, counted(&expected));
}

#[test]
fn no_token_of_the_captures_is_shown_and_yaml_is_json() {
    for capture in [&pcap::APISERVER_1_20, &pcap::APISERVER_0_36] {
        let values = values(capture);
        shows_no_token(&values);
        yaml_and_json_agree(&values);
    }
}

#[test]
fn the_captures_changes_are_told_and_nearly_all_of_them_have_an_author() {
    // 1.20 leaves an entry's time as it was when the set of fields stays the same.
    for (capture, share, down) in [
        (
            &pcap::APISERVER_1_20,
            95,
            "12 -> 2 by kubectl-patch, perhaps",
        ),
        (&pcap::APISERVER_0_36, 99, "12 -> 2 by kubectl-patch"),
    ] {
        let (changes, known, scaled) = compared(&values(capture), "Deployment", ".spec.replicas");
        assert!(known * 100 >= changes * share, "{known} of {changes}");
        for line in ["5 -> 12 by kubectl-patch", down] {
            assert!(
                scaled.iter().any(|scaled| scaled == line),
                "{line}: {scaled:?}"
            );
        }
    }
}

/// An example of every kind, made from the statement: every field set.
#[test]
fn every_field_of_every_kind_is_read_as_it_was_written() {
    let schema = Schema::built_in();
    for (api_version, kind) in schema.kinds() {
        let message = schema.kind(api_version, kind).unwrap();
        for full in [true, false] {
            let tree = encode::example(api_version, kind, message, full);
            let value = encode::envelope(&tree, message, &[]);
            let read = Tree::decode(&value, Secrets::Show).unwrap();
            assert_eq!(read.unstated, [""; 0], "{api_version} {kind}");
            assert_eq!(
                encode::envelope(&read, message, &[])
                    .escape_ascii()
                    .to_string(),
                value.escape_ascii().to_string(),
                "{api_version} {kind}"
            );
            if full {
                assert_eq!(read.json(), tree.json(), "{api_version} {kind}");
            }
        }
    }
}

/// Objects as `kubectl get -o json` prints them, through protobuf and back.
#[test]
fn what_kubectl_shows_comes_back() {
    let schema = Schema::built_in();
    for text in EXAMPLES {
        let root = Node::from_json(text.as_bytes()).unwrap();
        let name = |member| root.member(member).and_then(Node::text).unwrap().to_owned();
        let tree = Tree {
            api_version: name("apiVersion"),
            kind: name("kind"),
            reading: Reading::Stated,
            root: root.clone(),
            unstated: Vec::new(),
        };
        let message = schema.kind(&tree.api_version, &tree.kind).unwrap();
        let value = encode::envelope(&tree, message, &[]);
        let read = Tree::decode(&value, Secrets::Hide).unwrap();
        // Order aside: kubectl sorts, the API server does not.
        let value = |node: &Node| serde_json::from_str::<serde_json::Value>(&node.json()).unwrap();
        assert_eq!(value(&read.root), value(&root), "{text}");
    }
}

const EXAMPLES: &[&str] = &[
    r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-x"},
        "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.7"],
        "conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"n1","zone":"a",
        "targetRef":{"kind":"Pod","name":"web-1","namespace":"lab","uid":"u"}}],
        "ports":[{"name":"","port":8080,"protocol":"TCP"}]}"#,
    r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"none"},
        "addressType":"IPv4","endpoints":null,"ports":null}"#,
    r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole",
        "metadata":{"name":"admin","labels":{"a":"b"}},"rules":[{"apiGroups":[""],"resources":["pods"],
        "verbs":["get"]},{"nonResourceURLs":["/healthz"],"verbs":["*"]}],
        "aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"x":"y"}}]}}"#,
    r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"b"},
        "subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n"}],
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"}}"#,
    r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
        "metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
        "names":{"plural":"widgets","kind":"Widget","listKind":"WidgetList"},
        "conversion":{"strategy":"None"},"versions":[{"name":"v1","served":true,"storage":true,
        "schema":{"openAPIV3Schema":{"type":"object","properties":{
          "$ref":{"$ref":"x"},"size":{"type":"integer","minimum":0,"maximum":2.5,"default":{"a":[1,"b"]}},
          "either":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]},
          "list":{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"map",
            "x-kubernetes-list-map-keys":["k"]},
          "open":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"additionalProperties":true},
          "map":{"additionalProperties":{"type":"string"},"enum":["a",1,null]},
          "rule":{"x-kubernetes-validations":[{"rule":"self > 0","message":"m"}]}}}},
        "subresources":{"status":{},"scale":{"specReplicasPath":".a","statusReplicasPath":".b"}},
        "additionalPrinterColumns":[{"name":"A","type":"string","jsonPath":".a"}]}]},
        "status":{"acceptedNames":{"plural":"widgets","kind":"Widget"},"conditions":null,"storedVersions":["v1"]}}"#,
    r#"{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i"},
        "spec":{"rules":[{"host":"a","http":{"paths":[{"path":"/","pathType":"Prefix",
        "backend":{"service":{"name":"s","port":{"number":80}}}}]}}]},"status":{"loadBalancer":{}}}"#,
    r#"{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c"},"spec":{"schedule":"* * * * *",
        "concurrencyPolicy":"Allow","suspend":false,"successfulJobsHistoryLimit":0,
        "jobTemplate":{"metadata":{},"spec":{"template":{"metadata":{},"spec":{"containers":[{"name":"a",
        "image":"i","resources":{"limits":{"cpu":"500m","memory":"1Gi"}},
        "envFrom":[{"configMapRef":{"name":"m"}}],"livenessProbe":{"httpGet":{"port":"http","path":"/"},
        "periodSeconds":10}}],"volumes":[{"name":"v","configMap":{"name":"m","defaultMode":420}},
        {"name":"e","emptyDir":{}}],"hostIPC":true,"hostPID":true,"restartPolicy":"Never"}}}}},"status":{}}"#,
    r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"spec":{"podCIDR":"10.0.0.0/24",
        "podCIDRs":["10.0.0.0/24"],"providerID":"p"},"status":{"capacity":{"cpu":"4","memory":"8Gi"},
        "daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"nodeInfo":{"machineID":"","systemUUID":"",
        "bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"v1.35.0",
        "kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"}}}"#,
    r#"{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"p"},"spec":{"capacity":{"storage":"1Gi"},
        "awsElasticBlockStore":{"volumeID":"vol-1"},"accessModes":["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy":"Retain"},"status":{"phase":"Bound"}}"#,
    r#"{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e"},
        "eventTime":"2026-11-22T06:29:22.123456Z","reportingController":"c","reportingInstance":"i",
        "action":"Binding","reason":"Scheduled","regarding":{"kind":"Pod","name":"p"},"note":"n","type":"Normal",
        "deprecatedSource":{}}"#,
    r#"{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"p"},
        "spec":{"minAvailable":"50%","selector":{"matchLabels":{"a":"b"}}},
        "status":{"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}}"#,
];
