//! What was found out of a key or a value, and its JSON.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::kube::key::KeySpace;
use crate::kube::object::{Object, ObjectError};
use crate::kube::outline::{OutlineField, Shape, outline};
use crate::kube::tree::{Secrets, Tree};
use crate::kube::value::{Stored, sniff};

/// A key, a value, or both.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mod_revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The value itself, for those who ask for the whole object.
    #[serde(skip)]
    bytes: Bytes,
}

/// A value as it is stored. It may be a Secret, so it is never printed.
#[derive(Clone, Default)]
struct Bytes(Box<[u8]>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// How a whole object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// One document an object.
    Yaml,
    /// One object after the other, over many lines.
    Json,
}

/// A key and what it stands for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Key {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip)]
    pub internal: bool,
}

/// What a value is.
#[derive(Debug, Clone, Serialize)]
#[serde(
    tag = "format",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(super) enum Value {
    Object(Box<Object>),
    Encrypted {
        provider: Option<String>,
        version: Option<String>,
        key_name: Option<String>,
        size: usize,
    },
    Number {
        digits: String,
    },
    /// Protobuf of unknown type.
    Message {
        size: usize,
        fields: Vec<FieldLine>,
    },
    /// Not decoded, for this reason.
    Unknown {
        size: usize,
        problem: String,
    },
}

/// A line of a message's outline.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FieldLine {
    pub depth: usize,
    pub number: u32,
    pub shape: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    pub times: usize,
}

impl From<OutlineField> for FieldLine {
    fn from(field: OutlineField) -> Self {
        let (shape, length) = match field.shape {
            Shape::Varint => ("varint", None),
            Shape::Fixed64 => ("fixed64", None),
            Shape::Fixed32 => ("fixed32", None),
            Shape::Bytes(length) => ("bytes", Some(length)),
            Shape::Message(length) => ("message", Some(length)),
        };
        FieldLine {
            depth: field.depth,
            number: field.number,
            shape,
            length,
            times: field.times,
        }
    }
}

impl Value {
    /// What the value is, if its first bytes are those of a known format.
    pub fn known(bytes: &[u8]) -> Option<Value> {
        // etcdctl adds a line break to what it prints.
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match sniff(bytes) {
            Stored::Encrypted {
                provider,
                version,
                key_name,
            } => Some(Value::Encrypted {
                provider: provider.map(str::to_owned),
                version: version.map(str::to_owned),
                key_name: key_name.map(str::to_owned),
                size: bytes.len(),
            }),
            Stored::Protobuf { .. } | Stored::Json { .. } | Stored::Cbor => Some(
                match Object::decode(bytes).or_else(|error| Object::decode(line).map_err(|_| error))
                {
                    Ok(object) if object.kind.is_empty() && object.metadata.is_none() => {
                        Value::Unknown {
                            size: bytes.len(),
                            problem: "a JSON object, but no Kubernetes object: it has no kind"
                                .to_owned(),
                        }
                    }
                    Ok(object) => Value::Object(Box::new(object)),
                    Err(error) => Value::Unknown {
                        size: bytes.len(),
                        problem: error.to_string(),
                    },
                },
            ),
            Stored::Empty => Some(Value::Unknown {
                size: 0,
                problem: ObjectError::Empty.to_string(),
            }),
            Stored::Digits(_) | Stored::Other => match sniff(line) {
                Stored::Digits(digits) => Some(Value::Number {
                    digits: digits.to_owned(),
                }),
                _ => None,
            },
        }
    }

    /// The most that can be said of a value that is nothing known.
    pub fn unknown(bytes: &[u8]) -> Value {
        let size = bytes.len();
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if let Some(fields) = outline(bytes).or_else(|| outline(line)) {
            return Value::Message {
                size,
                fields: fields.into_iter().map(FieldLine::from).collect(),
            };
        }
        let mut problem = format!("{size} bytes of no known format; they begin with");
        for byte in &bytes[..size.min(4)] {
            // A String takes any text.
            let _ = write!(problem, " {byte:02x}");
        }
        Value::Unknown { size, problem }
    }
}

impl Entry {
    /// `None` if the key is not below the prefix.
    pub fn of_key(space: &KeySpace, key: &[u8]) -> Option<Entry> {
        let parsed = space.parse(key)?;
        let key = Key {
            key: String::from_utf8_lossy(key).into_owned(),
            group: parsed.group.map(str::to_owned),
            resource: Some(parsed.resource.to_owned()),
            namespace: parsed.namespace.map(str::to_owned),
            name: parsed.name.map(str::to_owned),
            internal: parsed.internal,
        };
        Some(Entry {
            key: Some(key),
            mod_revision: None,
            value: None,
            bytes: Bytes::default(),
        })
    }

    /// Any key; one that is not below the prefix is only repeated.
    pub fn of_any_key(space: &KeySpace, key: &[u8]) -> Entry {
        Entry::of_key(space, key).unwrap_or_else(|| Entry {
            key: Some(Key {
                key: String::from_utf8_lossy(key).into_owned(),
                group: None,
                resource: None,
                namespace: None,
                name: None,
                internal: false,
            }),
            mod_revision: None,
            value: None,
            bytes: Bytes::default(),
        })
    }

    /// A value alone.
    pub fn of_value(value: Value, bytes: &[u8]) -> Entry {
        Entry {
            key: None,
            mod_revision: None,
            value: Some(value),
            bytes: Bytes(bytes.into()),
        }
    }

    /// Adds the value that stands under the key.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.value = Some(Value::known(bytes).unwrap_or_else(|| Value::unknown(bytes)));
        self.bytes = Bytes(bytes.into());
    }

    /// The whole object; the error says why there is none to print.
    pub fn write_object(
        &self,
        out: &mut String,
        output: Output,
        secrets: Secrets,
    ) -> Result<(), String> {
        let bytes = match &self.value {
            Some(Value::Object(_)) => &self.bytes.0,
            // What is wrong with it is told anyway.
            Some(Value::Unknown { .. }) => return Ok(()),
            Some(Value::Encrypted { .. }) => {
                return Err(
                    "encrypted by the API server, so there is no object to print".to_owned(),
                );
            }
            Some(Value::Number { .. } | Value::Message { .. }) => {
                return Err("no Kubernetes object, so there is none to print".to_owned());
            }
            None => return Err("there is no value here, so no object to print".to_owned()),
        };
        // etcdctl adds a line break to what it prints.
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let tree = Tree::decode(bytes, secrets)
            .or_else(|error| Tree::decode(line, secrets).map_err(|_| error))
            .map_err(|error| error.to_string())?;
        match output {
            Output::Yaml => {
                if !out.is_empty() {
                    out.push_str("---\n");
                }
                if let Some(key) = &self.key {
                    let _ = write!(out, "# {}", super::printable(&key.key));
                    if let Some(revision) = self.mod_revision {
                        let _ = write!(out, ", mod revision {revision}");
                    }
                    out.push('\n');
                }
                out.push_str(&tree.yaml());
            }
            Output::Json => {
                out.push_str(&tree.json());
                out.push('\n');
            }
        }
        Ok(())
    }

    /// Why its value could not be decoded.
    pub fn problem(&self) -> Option<&str> {
        match &self.value {
            Some(Value::Unknown { problem, .. }) => Some(problem),
            _ => None,
        }
    }

    /// One line of JSON.
    pub fn write_json(&self, out: &mut String) {
        // Strings, numbers and maps with text keys: this cannot fail.
        out.push_str(&serde_json::to_string(self).unwrap_or_default());
        out.push('\n');
    }
}
