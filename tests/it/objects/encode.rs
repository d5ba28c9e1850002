//! Writes an object as Go's API server does, from nothing but the tree that is
//! shown of it: fields by number, map keys sorted, every field that Go does not
//! keep as a pointer.

use data_encoding::BASE64;
use etcdtap::kube::schema::{Message, Rule, Schema, Shape, Type};
use etcdtap::kube::tree::{Key, Node, Tree};
use jiff::Timestamp;

/// A whole stored value. `unwritten` are fields (message, name) that its writer
/// did not know.
pub fn envelope(tree: &Tree, message: &Message, unwritten: &[(&str, &str)]) -> Vec<u8> {
    let mut meta = delimited(1, tree.api_version.as_bytes());
    meta.extend(delimited(2, tree.kind.as_bytes()));
    let raw = Writer { unwritten }.message(message, Some(&tree.root));
    let mut value = b"k8s\0".to_vec();
    value.extend(delimited(1, &meta));
    value.extend(delimited(2, &raw));
    value.extend(delimited(3, b""));
    value.extend(delimited(4, b""));
    value
}

struct Writer<'w> {
    unwritten: &'w [(&'w str, &'w str)],
}

impl Writer<'_> {
    fn message(&self, message: &Message, node: Option<&Node>) -> Vec<u8> {
        let mut fields: Vec<&Rule> = message.fields.iter().collect();
        fields.sort_by_key(|rule| rule.number);
        let mut out = Vec::new();
        for rule in fields {
            let value = match rule.shape {
                Shape::Inline => node,
                _ => node
                    .and_then(|node| node.member(rule.name))
                    .filter(|value| **value != Node::Null),
            };
            match (rule.shape, value) {
                (Shape::One | Shape::Inline, Some(value)) => {
                    out.extend(self.field(rule.number, rule.of, Some(value)));
                }
                // Empty bytes are none, which Go does not write.
                (Shape::One, None) if rule.pointer || rule.of == Type::Bytes => {}
                (Shape::One | Shape::Inline, None) => {
                    if !self.unwritten.contains(&(message.name, rule.name)) {
                        out.extend(self.field(rule.number, rule.of, None));
                    }
                }
                (Shape::List, Some(Node::List(values))) => {
                    for value in values {
                        out.extend(self.field(rule.number, rule.of, Some(value)));
                    }
                }
                (Shape::Map, Some(Node::Map(members))) => {
                    for (key, value) in members {
                        let mut entry = delimited(1, key.as_bytes());
                        entry.extend(self.field(2, rule.of, Some(value)));
                        out.extend(delimited(rule.number, &entry));
                    }
                }
                (Shape::List | Shape::Map, None) => {}
                (_, Some(other)) => panic!("{} is {other:?}", rule.name),
            }
        }
        out
    }

    /// `None` is the zero that Go writes all the same.
    fn field(&self, number: u32, of: Type, node: Option<&Node>) -> Vec<u8> {
        let schema = Schema::built_in();
        let int = |node: Option<&Node>| match node {
            Some(Node::Number(number)) => number.parse::<i64>().unwrap(),
            Some(Node::Bool(value)) => i64::from(*value),
            None => 0,
            other => panic!("{other:?}"),
        };
        let json = |node: Option<&Node>| {
            let text = node.map(|node| node.json_line());
            text.map(|text| delimited(1, text.as_bytes()))
                .unwrap_or_default()
        };
        match of {
            Type::Text => delimited(number, text(node).as_bytes()),
            Type::Bytes => delimited(number, &BASE64.decode(text(node).as_bytes()).unwrap()),
            Type::Bool | Type::Int => {
                let mut out = varint(u64::from(number << 3));
                out.extend(varint(int(node) as u64));
                out
            }
            Type::Double => {
                let Some(Node::Number(value)) = node else {
                    panic!("{node:?}")
                };
                let mut out = varint(u64::from(number << 3 | 1));
                out.extend(value.parse::<f64>().unwrap().to_le_bytes());
                out
            }
            Type::Time | Type::MicroTime => delimited(number, &time(node)),
            Type::Quantity => delimited(number, &delimited(1, text(node).as_bytes())),
            Type::IntOrString => {
                let (which, value, name) = match node {
                    Some(Node::Text(text)) => (1, 0, text.as_str()),
                    other => (0, int(other), ""),
                };
                let mut out = vec![0x08, which, 0x10];
                out.extend(varint(value as u64));
                out.extend(delimited(3, name.as_bytes()));
                delimited(number, &out)
            }
            Type::Json | Type::RawExtension => delimited(number, &json(node)),
            Type::Message(id) => delimited(number, &self.message(schema.message(id), node)),
            Type::SchemaOrBool(id) => {
                let (allows, schema) = match node {
                    Some(Node::Bool(allows)) => (*allows, Vec::new()),
                    schema => (true, self.field(2, Type::Message(id), schema)),
                };
                let mut out = vec![0x08, u8::from(allows)];
                out.extend(schema);
                delimited(number, &out)
            }
            Type::SchemaOrList(id) | Type::SchemaOrTexts(id) => {
                let of = match of {
                    Type::SchemaOrList(_) => Type::Message(id),
                    _ => Type::Text,
                };
                let out = match node {
                    Some(Node::List(values)) => values
                        .iter()
                        .flat_map(|value| self.field(2, of, Some(value)))
                        .collect(),
                    schema => self.field(1, Type::Message(id), schema),
                };
                delimited(number, &out)
            }
            Type::Texts => {
                let Some(Node::List(values)) = node else {
                    panic!("{node:?}")
                };
                let values = values
                    .iter()
                    .map(|value| delimited(1, text(Some(value)).as_bytes()));
                delimited(number, &values.flatten().collect::<Vec<_>>())
            }
        }
    }
}

fn text(node: Option<&Node>) -> &str {
    match node {
        None => "",
        Some(node) => node.text().unwrap_or_else(|| panic!("{node:?} is no text")),
    }
}

/// 1 seconds, 2 nanoseconds; nothing for a time that is not set.
fn time(node: Option<&Node>) -> Vec<u8> {
    let Some(node) = node else {
        return Vec::new();
    };
    let time: Timestamp = text(Some(node)).parse().unwrap();
    let mut out = vec![0x08];
    out.extend(varint(time.as_second() as u64));
    out.push(0x10);
    out.extend(varint(time.subsec_nanosecond() as u64));
    out
}

fn delimited(number: u32, bytes: &[u8]) -> Vec<u8> {
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

/// An object of a kind with every field set, or with none but the metadata.
pub fn example(api_version: &str, kind: &str, message: &Message, full: bool) -> Tree {
    let name = |name: &'static str, text: &str| (name.into(), Node::Text(text.to_owned()));
    let mut members = vec![name("apiVersion", api_version), name("kind", kind)];
    if full {
        members.extend(filled(message, 0));
    }
    Tree {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        reading: etcdtap::kube::tree::Reading::Stated,
        root: Node::Map(members),
        unstated: Vec::new(),
    }
}

fn filled(message: &Message, depth: usize) -> Vec<(Key, Node)> {
    let mut members = Vec::new();
    for rule in &message.fields {
        // Schemas hold schemas; somewhere it must end.
        let Some(value) = sample(rule, depth) else {
            continue;
        };
        match (rule.shape, value) {
            (Shape::Inline, Node::Map(inner)) => members.extend(inner),
            (Shape::List, value) => members.push((rule.name.into(), Node::List(vec![value]))),
            (Shape::Map, value) => {
                let entries = ["a", "b.c/d"].map(|key| (key.into(), value.clone()));
                members.push((rule.name.into(), Node::Map(entries.to_vec())));
            }
            (_, value) => members.push((rule.name.into(), value)),
        }
    }
    members
}

fn sample(rule: &Rule, depth: usize) -> Option<Node> {
    let text = |text: &str| Node::Text(text.to_owned());
    Some(match rule.of {
        Type::Text => text("text"),
        Type::Bytes => text("AAH/"),
        Type::Bool => Node::Bool(true),
        Type::Int => Node::Number((-i64::from(rule.number)).to_string().into()),
        Type::Double => Node::Number("-0.5".into()),
        Type::Time => text("2026-11-22T06:29:22Z"),
        Type::MicroTime => text("2026-11-22T06:29:22.000001Z"),
        Type::Quantity => text("500m"),
        Type::IntOrString => text("50%"),
        Type::Json | Type::RawExtension => Node::from_json(br#"{"a":[1.0,null]}"#)?,
        Type::Texts => Node::List(vec![text("one"), text("two")]),
        Type::SchemaOrBool(_) => Node::Bool(false),
        Type::SchemaOrTexts(_) => Node::List(vec![text("one")]),
        Type::SchemaOrList(id) | Type::Message(id) => {
            let message = Schema::built_in().message(id);
            if depth > 12 || (message.name == "JSONSchemaProps" && depth > 5) {
                return None;
            }
            Node::Map(filled(message, depth + 1))
        }
    })
}
