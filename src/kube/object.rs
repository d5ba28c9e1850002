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

/// `runtime.Unknown`: 1 TypeMeta (1 apiVersion, 2 kind), 2 raw, 3
/// contentEncoding, 4 contentType.
fn from_unknown(value: &[u8]) -> Result<Object, ObjectError> {
    let unknown = value
        .strip_prefix(PROTOBUF_MAGIC)
        .ok_or(ObjectError::Envelope)?;
    let mut object = Object {
        encoding: Encoding::Protobuf,
        api_version: String::new(),
        kind: String::new(),
        content_type: String::new(),
        content_encoding: String::new(),
        size: value.len(),
        object_size: 0,
        metadata: None,
    };
    let mut raw = &[][..];
    for field in Fields::of(unknown) {
        let (number, field) = field?;
        match number {
            1 => {
                for field in Fields::of(bytes(field).ok_or(Malformed)?) {
                    match field? {
                        (1, field) => object.api_version = text(field).ok_or(Malformed)?,
                        (2, field) => object.kind = text(field).ok_or(Malformed)?,
                        _ => {}
                    }
                }
            }
            2 => raw = bytes(field).ok_or(Malformed)?,
            3 => object.content_encoding = text(field).ok_or(Malformed)?,
            4 => object.content_type = text(field).ok_or(Malformed)?,
            _ if matches!(field, Field::Cut(_)) => return Err(ObjectError::Envelope),
            _ => {}
        }
    }
    object.object_size = raw.len();
    object.metadata = match object.content_type.as_str() {
        "" | "application/vnd.kubernetes.protobuf" => metadata_of(raw),
        "application/json" => serde_json::from_slice::<Document>(raw)
            .ok()
            .and_then(|d| d.metadata),
        _ => None,
    };
    Ok(object)
}

/// In nearly every kind that the API server stores, field 1 is the ObjectMeta.
fn metadata_of(raw: &[u8]) -> Option<ObjectMeta> {
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
