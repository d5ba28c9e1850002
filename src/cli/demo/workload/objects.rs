//! Kubernetes objects as an API server stores them: built-in kinds in the
//! protobuf envelope, custom resources as JSON.
//!
//! The numbers are those of Kubernetes' own types; only the fields that the
//! demonstration fills are here.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;

/// What every protobuf value of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The secret's password: a tracer that shows it has failed the demonstration.
pub const PASSWORD: &str = "etcdtap-demo-password";

#[derive(Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

// Kubernetes writes most fields even when they are empty, which `optional`
// lets prost do as well.
#[derive(Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", optional, tag = "2")]
    raw: Option<Vec<u8>>,
    #[prost(string, optional, tag = "3")]
    content_encoding: Option<String>,
    #[prost(string, optional, tag = "4")]
    content_type: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Time {
    #[prost(int64, optional, tag = "1")]
    seconds: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    nanos: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct ObjectMeta {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    generate_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    namespace: Option<String>,
    #[prost(string, optional, tag = "4")]
    self_link: Option<String>,
    #[prost(string, optional, tag = "5")]
    uid: Option<String>,
    // Empty in the store: it is the key's mod_revision.
    #[prost(string, optional, tag = "6")]
    resource_version: Option<String>,
    #[prost(int64, optional, tag = "7")]
    generation: Option<i64>,
    #[prost(message, optional, tag = "8")]
    creation_timestamp: Option<Time>,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "17")]
    managed_fields: Vec<ManagedFields>,
}

/// Who wrote the object, in Kubernetes' own books.
#[derive(Clone, PartialEq, Message)]
struct ManagedFields {
    #[prost(string, tag = "1")]
    manager: String,
    #[prost(string, tag = "2")]
    operation: String,
    #[prost(string, tag = "3")]
    api_version: String,
    #[prost(message, optional, tag = "4")]
    time: Option<Time>,
    #[prost(string, tag = "6")]
    fields_type: String,
    #[prost(message, optional, tag = "7")]
    fields: Option<FieldSet>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldSet {
    #[prost(bytes = "vec", tag = "1")]
    json: Vec<u8>,
}

#[derive(Message)]
struct Namespace {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<NamespaceSpec>,
    #[prost(message, optional, tag = "3")]
    status: Option<Phase>,
}

#[derive(Message)]
struct NamespaceSpec {
    #[prost(string, repeated, tag = "1")]
    finalizers: Vec<String>,
}

/// The status of a namespace, and the beginning of a pod's.
#[derive(Message)]
struct Phase {
    #[prost(string, tag = "1")]
    phase: String,
}

#[derive(Message)]
struct ConfigMap {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, string", tag = "2")]
    data: BTreeMap<String, String>,
}

#[derive(Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
    #[prost(string, tag = "3")]
    kind: String,
}

#[derive(Message)]
struct Pod {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<PodSpec>,
    #[prost(message, optional, tag = "3")]
    status: Option<Phase>,
}

#[derive(Message)]
struct PodSpec {
    #[prost(message, repeated, tag = "2")]
    containers: Vec<Container>,
    #[prost(string, tag = "3")]
    restart_policy: String,
    #[prost(string, optional, tag = "10")]
    node_name: Option<String>,
}

#[derive(Message)]
struct Container {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    image: String,
}

#[derive(Message)]
struct Event {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    involved_object: Option<ObjectReference>,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    message: String,
    #[prost(int32, tag = "8")]
    count: i32,
    #[prost(string, tag = "9")]
    kind: String,
}

#[derive(Message)]
struct ObjectReference {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "5")]
    api_version: String,
}

#[derive(Message)]
struct Endpoints {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, repeated, tag = "2")]
    subsets: Vec<EndpointSubset>,
}

#[derive(Message)]
struct EndpointSubset {
    #[prost(message, repeated, tag = "1")]
    addresses: Vec<EndpointAddress>,
}

#[derive(Message)]
struct EndpointAddress {
    #[prost(string, tag = "1")]
    ip: String,
}

#[derive(Message)]
struct Lease {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<LeaseSpec>,
}

#[derive(Message)]
struct LeaseSpec {
    #[prost(string, tag = "1")]
    holder_identity: String,
    #[prost(int32, tag = "2")]
    lease_duration_seconds: i32,
    #[prost(message, optional, tag = "4")]
    renew_time: Option<Time>,
}

/// A namespace in use.
pub fn namespace(name: &str) -> Bytes {
    let namespace = Namespace {
        metadata: metadata("", name, "v1", "kubectl-create"),
        spec: Some(NamespaceSpec {
            finalizers: vec!["kubernetes".to_owned()],
        }),
        status: phase("Active"),
    };
    stored("v1", "Namespace", &namespace)
}

/// A configmap with a few lines of settings.
pub fn config_map(namespace: &str, name: &str) -> Bytes {
    let settings = format!("name={name}\nretries=3\ntimeout=30s\n");
    let config_map = ConfigMap {
        metadata: metadata(namespace, name, "v1", "kubectl-client-side-apply"),
        data: BTreeMap::from([("settings".to_owned(), settings)]),
    };
    stored("v1", "ConfigMap", &config_map)
}

/// A secret that holds [`PASSWORD`].
pub fn secret(namespace: &str, name: &str) -> Bytes {
    let secret = Secret {
        metadata: metadata(namespace, name, "v1", "kubectl-create"),
        data: BTreeMap::from([("password".to_owned(), PASSWORD.into())]),
        kind: "Opaque".to_owned(),
    };
    stored("v1", "Secret", &secret)
}

/// A pod; with a node once it is scheduled.
pub fn pod(namespace: &str, name: &str, phase_name: &str, node: Option<&str>) -> Bytes {
    let manager = match node {
        None => "kube-controller-manager",
        Some(_) => "kubelet",
    };
    let pod = Pod {
        metadata: metadata(namespace, name, "v1", manager),
        spec: Some(PodSpec {
            containers: vec![Container {
                name: "web".to_owned(),
                image: "registry.example.com/shop/web:1.4".to_owned(),
            }],
            restart_policy: "Always".to_owned(),
            node_name: Some(node.unwrap_or_default().to_owned()),
        }),
        status: phase(phase_name),
    };
    stored("v1", "Pod", &pod)
}

/// An event about a pod.
pub fn event(namespace: &str, name: &str, pod: &str) -> Bytes {
    let event = Event {
        metadata: metadata(namespace, name, "v1", "kube-scheduler"),
        involved_object: Some(ObjectReference {
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: pod.to_owned(),
            api_version: "v1".to_owned(),
        }),
        reason: "Scheduled".to_owned(),
        message: format!("Successfully assigned {namespace}/{pod} to node-1"),
        count: 1,
        kind: "Normal".to_owned(),
    };
    stored("v1", "Event", &event)
}

/// An API server's sign of life for its peers.
pub fn master_lease(ip: &str) -> Bytes {
    let endpoints = Endpoints {
        metadata: metadata("", "", "v1", "kube-apiserver"),
        subsets: vec![EndpointSubset {
            addresses: vec![EndpointAddress { ip: ip.to_owned() }],
        }],
    };
    stored("v1", "Endpoints", &endpoints)
}

/// A node's heartbeat.
pub fn node_lease(node: &str) -> Bytes {
    let lease = Lease {
        metadata: metadata("kube-node-lease", node, "coordination.k8s.io/v1", "kubelet"),
        spec: Some(LeaseSpec {
            holder_identity: node.to_owned(),
            lease_duration_seconds: 40,
            renew_time: Some(now()),
        }),
    };
    stored("coordination.k8s.io/v1", "Lease", &lease)
}

/// A custom resource of `stable.example.com`.
pub fn cron_tab(namespace: &str, name: &str) -> Bytes {
    let time = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let object = serde_json::json!({
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {
            "creationTimestamp": time,
            "generation": 1,
            "managedFields": [{
                "apiVersion": "stable.example.com/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:cronSpec": {}}},
                "manager": "crontab-operator",
                "operation": "Update",
                "time": time,
            }],
            "name": name,
            "namespace": namespace,
            "uid": uid(namespace, name),
        },
        "spec": {"cronSpec": "0 3 * * *", "image": "registry.example.com/shop/report:7"},
    });
    // As the API server's JSON encoder does, with a line's end.
    format!("{object}\n").into()
}

/// The envelope around a built-in kind.
fn stored(api_version: &str, kind: &str, object: &impl Message) -> Bytes {
    let unknown = Unknown {
        type_meta: Some(TypeMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }),
        raw: Some(object.encode_to_vec()),
        content_encoding: Some(String::new()),
        content_type: Some(String::new()),
    };
    let mut value = MAGIC.to_vec();
    value.extend(unknown.encode_to_vec());
    value.into()
}

fn metadata(namespace: &str, name: &str, version: &str, manager: &str) -> Option<ObjectMeta> {
    Some(ObjectMeta {
        name: Some(name.to_owned()),
        generate_name: Some(String::new()),
        namespace: Some(namespace.to_owned()),
        self_link: Some(String::new()),
        uid: Some(uid(namespace, name)),
        resource_version: Some(String::new()),
        generation: Some(0),
        creation_timestamp: Some(Time {
            nanos: Some(0),
            ..now()
        }),
        labels: BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
        managed_fields: vec![ManagedFields {
            manager: manager.to_owned(),
            operation: "Update".to_owned(),
            api_version: version.to_owned(),
            time: Some(Time {
                nanos: Some(0),
                ..now()
            }),
            fields_type: "FieldsV1".to_owned(),
            fields: Some(FieldSet {
                json: br#"{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}"#.to_vec(),
            }),
        }],
    })
}

fn phase(phase: &str) -> Option<Phase> {
    Some(Phase {
        phase: phase.to_owned(),
    })
}

fn now() -> Time {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time {
        seconds: i64::try_from(now.as_secs()).ok(),
        nanos: i32::try_from(now.subsec_nanos()).ok(),
    }
}

/// Looks like a UID and stays with the object through its updates.
fn uid(namespace: &str, name: &str) -> String {
    // FNV-1a.
    let hash = namespace
        .bytes()
        .chain(*b"/")
        .chain(name.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        hash >> 32,
        (hash >> 16) & 0xffff,
        hash & 0xfff,
        (hash >> 12) & 0xfff,
        hash >> 16,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(value: &Bytes) -> Unknown {
        let envelope = value.strip_prefix(MAGIC).expect("the envelope's mark");
        Unknown::decode(envelope).expect("an envelope")
    }

    #[test]
    fn a_built_in_kind_lies_in_its_envelope() {
        let value = pod("shop", "web-0", "Pending", None);
        // typeMeta { apiVersion: "v1", kind: "Pod" }, byte by byte.
        assert!(value.starts_with(b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12"));
        // Empty contentEncoding and contentType are written all the same.
        assert!(value.ends_with(b"\x1a\0\x22\0"));

        let raw = unwrapped(&value).raw.expect("an object");
        let pod = Pod::decode(&raw[..]).expect("a pod");
        let metadata = pod.metadata.expect("metadata");
        assert_eq!(metadata.name.as_deref(), Some("web-0"));
        assert_eq!(metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(
            metadata.managed_fields[0].manager,
            "kube-controller-manager"
        );
        assert_eq!(pod.status.expect("status").phase, "Pending");
    }

    #[test]
    fn field_one_of_every_built_in_kind_is_its_metadata() {
        for (value, kind, name) in [
            (namespace("shop"), "Namespace", "shop"),
            (config_map("shop", "a"), "ConfigMap", "a"),
            (secret("shop", "b"), "Secret", "b"),
            (event("shop", "c", "web-0"), "Event", "c"),
            (master_lease("10.0.0.1"), "Endpoints", ""),
            (node_lease("node-1"), "Lease", "node-1"),
        ] {
            let unknown = unwrapped(&value);
            assert_eq!(unknown.type_meta.expect("a type").kind, kind);

            #[derive(Message)]
            struct Any {
                #[prost(message, optional, tag = "1")]
                metadata: Option<ObjectMeta>,
            }
            let any = Any::decode(&unknown.raw.expect("an object")[..]).expect("an object");
            assert_eq!(any.metadata.expect("metadata").name.as_deref(), Some(name));
        }
    }

    #[test]
    fn a_custom_resource_is_json() {
        let value = cron_tab("shop", "nightly");
        let object: serde_json::Value = serde_json::from_slice(&value).expect("JSON");
        assert_eq!(object["kind"], "CronTab");
        assert_eq!(object["metadata"]["namespace"], "shop");
    }

    #[test]
    fn a_uid_has_the_usual_shape_and_stays() {
        let uid = uid("shop", "web-0");
        let lengths: Vec<_> = uid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(uid, super::uid("shop", "web-0"));
        assert_ne!(uid, super::uid("shop", "web-1"));
    }
}
