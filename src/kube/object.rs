//! A stored object in full: its envelope and its metadata.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::meta::{ObjectMeta, bytes, text};
use super::value::{PROTOBUF_MAGIC, Stored, sniff};
use super::wire::{Field, Fields, Malformed};

/// What a stored value says of its object. Spec, status and data stay out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// How the object is written down.
    pub encoding: Encoding,
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// `runtime.Unknown`'s content type; empty, as the API server leaves it,
    /// is protobuf.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// `runtime.Unknown`'s content encoding; empty is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_encoding: String,
    /// The whole value's size in bytes.
    pub size: usize,
    /// The size in bytes of the object itself, without the envelope.
    pub object_size: usize,
    /// The metadata; `None` if the kind carries none that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectMeta>,
}

/// How a stored object is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `k8s\0` and a `runtime.Unknown` message.
    Protobuf,
    /// JSON text.
    Json,
}

/// Why a value could not be read as an object. Never carries a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectError {
    /// No bytes.
    Empty,
    /// Encrypted at rest; the provider's name if the value shows it.
    Encrypted(Option<String>),
    /// CBOR, which this program does not read.
    Cbor,
    /// Neither of the formats that Kubernetes stores.
    NotAnObject,
    /// The envelope is cut off or is not protobuf.
    Envelope,
    /// The envelope says that its object is written in a way not decoded here.
    Content,
    /// Not JSON, or JSON whose metadata has another shape than ObjectMeta.
    Json {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectError::Empty => f.write_str("the value is empty"),
            ObjectError::Encrypted(Some(provider)) => {
                write!(
                    f,
                    "the value is encrypted ({provider}); only the API server can read it"
                )
            }
            ObjectError::Encrypted(None) => {
                f.write_str("the value is encrypted; only the API server can read it")
            }
            ObjectError::Cbor => f.write_str("the value is CBOR, which is not decoded"),
            ObjectError::NotAnObject => f.write_str("the value is no Kubernetes object"),
            ObjectError::Envelope => f.write_str(
                "the value begins as Kubernetes protobuf (k8s\\0) but is damaged or cut off",
            ),
            ObjectError::Content => {
                f.write_str("the envelope names a content type or an encoding that is not decoded")
            }
            ObjectError::Json { line, column } => write!(
                f,
                "the value begins as a JSON object but cannot be read past line {line}, column {column}"
            ),
        }
    }
}

impl std::error::Error for ObjectError {}

impl From<Malformed> for ObjectError {
    fn from(_: Malformed) -> Self {
        ObjectError::Envelope
    }
}

impl Object {
    /// Reads a whole stored value.
    pub fn decode(value: &[u8]) -> Result<Object, ObjectError> {
        match sniff(value) {
            Stored::Protobuf { .. } => from_unknown(value),
            Stored::Json { .. } => from_json(value),
            Stored::Cbor => Err(ObjectError::Cbor),
            Stored::Encrypted { provider, .. } => {
                Err(ObjectError::Encrypted(provider.map(str::to_owned)))
            }
            Stored::Empty => Err(ObjectError::Empty),
            Stored::Digits(_) | Stored::Other => Err(ObjectError::NotAnObject),
        }
    }
}

/// What stands around an object that is stored as protobuf.
#[derive(Debug, Default)]
pub(super) struct Envelope<'v> {
    pub api_version: String,
    pub kind: String,
    pub content_type: String,
    pub content_encoding: String,
    /// The object itself.
    pub raw: &'v [u8],
}

impl<'v> Envelope<'v> {
    /// Reads `k8s\0` and a `runtime.Unknown`: 1 TypeMeta (1 apiVersion, 2
    /// kind), 2 raw, 3 contentEncoding, 4 contentType.
    pub fn read(value: &'v [u8]) -> Result<Self, ObjectError> {
        let unknown = value
            .strip_prefix(PROTOBUF_MAGIC)
            .ok_or(ObjectError::Envelope)?;
        let mut envelope = Envelope::default();
        for field in Fields::of(unknown) {
            let (number, field) = field?;
            match number {
                1 => {
                    for field in Fields::of(bytes(field).ok_or(Malformed)?) {
                        match field? {
                            (1, field) => envelope.api_version = text(field).ok_or(Malformed)?,
                            (2, field) => envelope.kind = text(field).ok_or(Malformed)?,
                            _ => {}
                        }
                    }
                }
                2 => envelope.raw = bytes(field).ok_or(Malformed)?,
                3 => envelope.content_encoding = text(field).ok_or(Malformed)?,
                4 => envelope.content_type = text(field).ok_or(Malformed)?,
                _ if matches!(field, Field::Cut(_)) => return Err(ObjectError::Envelope),
                _ => {}
            }
        }
        Ok(envelope)
    }

    /// How the object itself is written; `None` if neither way is known.
    pub fn encoding(&self) -> Option<Encoding> {
        match self.content_type.as_str() {
            "" | "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
            "application/json" => Some(Encoding::Json),
            _ => None,
        }
    }
}

fn from_unknown(value: &[u8]) -> Result<Object, ObjectError> {
    let envelope = Envelope::read(value)?;
    let metadata = match envelope.encoding() {
        Some(Encoding::Protobuf) => metadata_of(envelope.raw),
        Some(Encoding::Json) => serde_json::from_slice::<Document>(envelope.raw)
            .ok()
            .and_then(|document| document.metadata),
        None => None,
    };
    Ok(Object {
        encoding: Encoding::Protobuf,
        object_size: envelope.raw.len(),
        api_version: envelope.api_version,
        kind: envelope.kind,
        content_type: envelope.content_type,
        content_encoding: envelope.content_encoding,
        size: value.len(),
        metadata,
    })
}

/// In nearly every kind that the API server stores, field 1 is the ObjectMeta.
pub(super) fn metadata_of(raw: &[u8]) -> Option<ObjectMeta> {
    match Fields::of(raw).next()?.ok()? {
        (1, Field::Bytes(meta)) => ObjectMeta::from_protobuf(meta).filter(plausible),
        _ => None,
    }
}

/// Whether this reads like metadata and not like another message whose fields
/// happen to have the same types. Names may be empty: RangeAllocations and the
/// masters' leases are not created through the API.
fn plausible(meta: &ObjectMeta) -> bool {
    let clean = |text: &str| !text.chars().any(char::is_control);
    let no_slash = |text: &str| clean(text) && !text.contains('/');
    no_slash(&meta.name)
        && no_slash(&meta.namespace)
        && clean(&meta.generate_name)
        && clean(&meta.uid)
        && meta
            .resource_version
            .bytes()
            .all(|byte| byte.is_ascii_digit())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Option<ObjectMeta>,
}

fn from_json(value: &[u8]) -> Result<Object, ObjectError> {
    let document: Document = serde_json::from_slice(value)
        // The error's own text may quote the value.
        .map_err(|error| ObjectError::Json {
            line: error.line(),
            column: error.column(),
        })?;
    Ok(Object {
        encoding: Encoding::Json,
        api_version: document.api_version,
        kind: document.kind,
        content_type: String::new(),
        content_encoding: String::new(),
        size: value.len(),
        object_size: value.trim_ascii().len(),
        metadata: document.metadata,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDGET: &str = r#"{
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {
            "name": "one", "namespace": "lab", "uid": "u", "generation": 2,
            "creationTimestamp": "2026-11-22T06:29:22Z", "deletionTimestamp": null,
            "labels": {"a": "b\n"}, "annotations": {"note": "hunter2"}, "finalizers": ["example.com/hold"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "o", "controller": null}],
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "example.com/v1",
                "time": "2026-11-22T06:29:22Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}]
        },
        "spec": {"password": "hunter2"}
    }"#;

    #[test]
    fn a_custom_resource() {
        let object = Object::decode(WIDGET.as_bytes()).expect("an object");
        assert_eq!(
            (object.encoding, object.kind.as_str()),
            (Encoding::Json, "Widget")
        );
        let shown = format!("{object:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let meta = object.metadata.expect("metadata");
        assert_eq!(meta.annotations.get("note"), Some(&7));
        assert_eq!(meta.finalizers, ["example.com/hold"]);
        assert!(!meta.owner_references[0].controller);
        assert_eq!(meta.managed_fields[0].operation, "Apply");
        assert_eq!(meta.deletion_timestamp, None);
    }

    #[test]
    fn errors_show_nothing_of_the_value() {
        for value in [
            WIDGET.replace("\"generation\": 2", "\"generation\": \"hunter2\""),
            WIDGET.replace("06:29:22Z", "hunter2"),
            WIDGET.replace("}]", "hunter2"),
        ] {
            let error = Object::decode(value.as_bytes()).expect_err("damaged");
            assert!(matches!(error, ObjectError::Json { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let sealed = Object::decode(b"k8s:enc:aescbc:v1:key1:hunter2").expect_err("encrypted");
        assert_eq!(sealed, ObjectError::Encrypted(Some("aescbc".into())));
        for (value, error) in [
            (&b""[..], ObjectError::Empty),
            (b"123", ObjectError::NotAnObject),
            (b"k8s\0\xff", ObjectError::Envelope),
            (b"\xd9\xd9\xf7\xa0", ObjectError::Cbor),
        ] {
            assert_eq!(Object::decode(value), Err(error));
        }
    }

    #[test]
    fn a_first_field_that_is_no_metadata_is_left_out() {
        // A text, a number, a message whose field 7 is a text, no field.
        for raw in [
            &b"\x0a\x05hello"[..],
            b"\x08\x01",
            b"\x0a\x03\x3a\x01x",
            b"\x0a\x03\x0a\x01/",
            b"",
        ] {
            let mut value = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Odd\x12".to_vec();
            value.push(raw.len() as u8);
            value.extend_from_slice(raw);
            let object = Object::decode(&value).expect("an envelope");
            assert_eq!(
                (object.kind.as_str(), object.metadata),
                ("Odd", None),
                "{raw:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            for magic in [&b""[..], PROTOBUF_MAGIC, b"k8s\0\x12\x40\x0a\x20"] {
                let _ = Object::decode(&[magic, &bytes].concat());
            }
            crate::kube::outline::outline(&bytes);
            let mut pod = include_bytes!("../../fixtures/objects/pod.bin").to_vec();
            let at = at.index(pod.len());
            pod[at] = byte;
            let _ = Object::decode(&pod);
        }
    }
}
