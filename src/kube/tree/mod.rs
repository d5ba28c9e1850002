//! A stored object in full, as the API server would show it.
//!
//! [`Tree::decode`] takes the bytes that etcd holds. Built-in kinds are read by
//! our own statement of their fields ([`super::schema`]), JSON passes as it
//! stands, and of kinds that are not stated the metadata are read and the rest
//! is shown by field numbers. [`Tree::yaml`] and [`Tree::json`] print it;
//! [`super::diff`] compares two.
//!
//! What differs from the API server's own JSON: a time that is not set is left
//! out where Go writes `null` for it in spite of `omitempty`; the resource
//! version, which the store leaves to etcd, is not added.

mod json;
mod numbered;
mod print;
mod secrets;
mod stated;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::object::{Encoding, Envelope, ObjectError};
use super::schema::Schema;
use super::value::{Stored, sniff};

pub use secrets::Secrets;

/// An object nested deeper than this is not unfolded further.
pub const MAX_DEPTH: usize = 120;

/// How many places of fields that are not stated a tree remembers.
const MAX_NOTED: usize = 32;

/// The name of a member.
pub type Key = Cow<'static, str>;

/// One value of a tree.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number, in the words of JSON.
    Number(Box<str>),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Members in their order.
    Map(Vec<(Key, Node)>),
    /// A text that is not shown, or not all of it.
    Hidden(Hidden),
}

/// What stands in the place of a secret. Two are equal if the secrets are.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden {
    shown: String,
    /// A hash of the secret under a key of this process.
    mark: u64,
}

impl Hidden {
    /// The text to show.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json_line())
    }
}

impl Node {
    /// A whole number.
    fn int(number: i64) -> Node {
        Node::Number(number.to_string().into())
    }

    /// JSON text as a tree; `None` if it is none, or nested too deep.
    pub fn from_json(text: &[u8]) -> Option<Node> {
        json::read(text).ok()
    }

    /// The member of this name, if this is a map that has it.
    pub fn member(&self, name: &str) -> Option<&Node> {
        let Node::Map(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, node)| node)
    }

    /// The text, if it is one that is shown whole.
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// How an object's fields were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is JSON and names its fields itself.
    Json,
    /// Its kind is stated.
    Stated,
    /// Its kind is not stated: metadata by name, all else by field number.
    Numbers,
}

/// A whole object.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// For example `apps/v1`; empty if the value does not say.
    pub api_version: String,
    /// For example `Deployment`; empty if the value does not say.
    pub kind: String,
    /// How its fields were told.
    pub reading: Reading,
    /// The object.
    pub root: Node,
    /// Where fields stand that its kind's statement does not have, the first of
    /// them: `.spec.#43`. In the tree they have such names.
    pub unstated: Vec<String>,
}

impl Tree {
    /// Reads a whole stored value. The work and the memory are bounded by the
    /// value's length.
    pub fn decode(value: &[u8], secrets: Secrets) -> Result<Tree, ObjectError> {
        let mut tree = match sniff(value) {
            Stored::Protobuf { .. } => from_envelope(value, 0)?,
            Stored::Json { .. } => from_json(value)?,
            Stored::Cbor => return Err(ObjectError::Cbor),
            Stored::Encrypted { provider, .. } => {
                return Err(ObjectError::Encrypted(provider.map(str::to_owned)));
            }
            Stored::Empty => return Err(ObjectError::Empty),
            Stored::Digits(_) | Stored::Other => return Err(ObjectError::NotAnObject),
        };
        if secrets == Secrets::Hide {
            tree.hide_secrets();
        }
        Ok(tree)
    }

    /// Leaves `metadata.managedFields` out, which `kubectl get` does not show
    /// either.
    pub fn leave_out_managed_fields(&mut self) {
        let Node::Map(members) = &mut self.root else {
            return;
        };
        for (key, value) in members {
            if let ("metadata", Node::Map(metadata)) = (&**key, value) {
                metadata.retain(|(key, _)| key != "managedFields");
            }
        }
    }

    /// A line for people on what the tree does not tell by name; `None` if it
    /// tells all.
    pub fn note(&self) -> Option<String> {
        if self.reading == Reading::Numbers {
            return Some(format!(
                "the fields of {} {} are not known here: beyond its metadata they go by their numbers",
                self.api_version, self.kind
            ));
        }
        (!self.unstated.is_empty()).then(|| {
            format!(
                "fields that are not known here go by their numbers: {}",
                self.unstated.join(", ")
            )
        })
    }
}

fn from_json(value: &[u8]) -> Result<Tree, ObjectError> {
    let root = json::read(value)?;
    let name = |member| {
        let text = root.member(member).and_then(Node::text);
        text.unwrap_or_default().to_owned()
    };
    Ok(Tree {
        api_version: name("apiVersion"),
        kind: name("kind"),
        reading: Reading::Json,
        root,
        unstated: Vec::new(),
    })
}

/// `depth`: how deep in another object this one lies.
fn from_envelope(value: &[u8], depth: usize) -> Result<Tree, ObjectError> {
    let envelope = Envelope::read(value)?;
    if !envelope.content_encoding.is_empty() {
        return Err(ObjectError::Content);
    }
    if envelope.encoding().ok_or(ObjectError::Content)? == Encoding::Json {
        let mut tree = from_json(envelope.raw)?;
        // The envelope stands for the object where that says nothing.
        if tree.kind.is_empty() {
            (tree.api_version, tree.kind) = (envelope.api_version, envelope.kind);
        }
        return Ok(tree);
    }
    let schema = Schema::built_in();
    let mut reader = stated::Reader::new(schema);
    let (reading, fields) = match schema.kind(&envelope.api_version, &envelope.kind) {
        Some(message) => (
            Reading::Stated,
            reader.message(message, envelope.raw, depth),
        ),
        None => (Reading::Numbers, reader.unknown_kind(envelope.raw, depth)),
    };
    let fields = fields.ok_or(ObjectError::Envelope)?;
    let mut members = Vec::with_capacity(fields.len() + 2);
    for (name, text) in [
        ("apiVersion", &envelope.api_version),
        ("kind", &envelope.kind),
    ] {
        if !text.is_empty() {
            members.push((Cow::Borrowed(name), Node::Text(text.clone())));
        }
    }
    members.extend(fields);
    Ok(Tree {
        api_version: envelope.api_version,
        kind: envelope.kind,
        reading,
        root: Node::Map(members),
        unstated: reader.unstated,
    })
}
