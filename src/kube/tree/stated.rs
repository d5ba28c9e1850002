//! A message of a stated kind as the API server would show it.

use std::borrow::Cow;

use data_encoding::BASE64;
use jiff::Timestamp;

use super::{Key, MAX_DEPTH, MAX_NOTED, Node, from_envelope, json, numbered};
use crate::kube::object::metadata_of;
use crate::kube::schema::{Message, Rule, Schema, Shape, Type};
use crate::kube::value::PROTOBUF_MAGIC;
use crate::kube::wire::{Field, Fields};

type Members = Vec<(Key, Node)>;

/// Reads messages by their statement.
pub(super) struct Reader<'s> {
    schema: &'s Schema,
    /// Where the reader is.
    path: Vec<&'static str>,
    /// Where it met fields that are not stated, or are not what is stated.
    pub unstated: Vec<String>,
}

impl<'s> Reader<'s> {
    pub fn new(schema: &'s Schema) -> Self {
        Reader {
            schema,
            path: Vec::new(),
            unstated: Vec::new(),
        }
    }

    /// The members of a message. `None` if the bytes are no message, or it lies
    /// too deep.
    pub fn message(&mut self, message: &Message, bytes: &[u8], depth: usize) -> Option<Members> {
        let fields = sorted(bytes).filter(|_| depth < MAX_DEPTH)?;
        let mut members = Vec::new();
        let mut left_over = Vec::new();
        for rule in &message.fields {
            let start = fields.partition_point(|(number, _)| *number < rule.number);
            let length = fields[start..].partition_point(|(number, _)| *number == rule.number);
            let same = &fields[start..start + length];
            self.path.push(rule.name);
            if self.field(rule, same, depth, &mut members).is_none() {
                left_over.extend_from_slice(same);
            }
            self.path.pop();
        }
        left_over.extend(
            fields
                .into_iter()
                .filter(|(number, _)| message.fields.iter().all(|rule| rule.number != *number)),
        );
        left_over.sort_by_key(|(number, _)| *number);
        for (key, node) in numbered::members(&left_over, 0) {
            self.note(&key);
            members.push((key, node));
        }
        Some(members)
    }

    /// A kind without a statement: metadata, where field 1 reads as such, and
    /// numbers.
    pub fn unknown_kind(&mut self, bytes: &[u8], depth: usize) -> Option<Members> {
        let fields = sorted(bytes)?;
        let mut members = Vec::new();
        let mut rest = &fields[..];
        if let [(1, Field::Bytes(metadata)), after @ ..] = rest
            && after.first().is_none_or(|(number, _)| *number != 1)
            && metadata_of(bytes).is_some()
            && let Some(metadata) = self.message(self.schema.object_meta(), metadata, depth + 1)
        {
            members.push((Cow::Borrowed("metadata"), Node::Map(metadata)));
            rest = after;
        }
        members.extend(numbered::members(rest, 0));
        Some(members)
    }

    fn note(&mut self, name: &str) {
        if self.unstated.len() < MAX_NOTED {
            let mut place = String::new();
            for step in self.path.iter().filter(|step| !step.is_empty()) {
                place.push('.');
                place.push_str(step);
            }
            place.push('.');
            place.push_str(name);
            if !self.unstated.contains(&place) {
                self.unstated.push(place);
            }
        }
    }

    /// Adds what a field shows. `None` if it is not what is stated.
    fn field(
        &mut self,
        rule: &Rule,
        same: &[(u32, Field<'_>)],
        depth: usize,
        members: &mut Members,
    ) -> Option<()> {
        let key = Cow::Borrowed(rule.name);
        match rule.shape {
            Shape::One => match self.one(rule.of, same, depth)? {
                Some(Node::Null) | None => {
                    if rule.always && (rule.pointer || !same.is_empty()) {
                        members.push((key, Node::Null));
                    }
                }
                Some(node) => {
                    let left_out =
                        rule.of.is_scalar() && !rule.always && !rule.pointer && is_zero(&node);
                    if !left_out {
                        members.push((key, node));
                    }
                }
            },
            Shape::Inline => {
                if let Some(Node::Map(inner)) = self.one(rule.of, same, depth)? {
                    members.extend(inner);
                }
            }
            Shape::List => {
                let mut values = Vec::with_capacity(same.len());
                for (_, field) in same {
                    values.push(self.value(rule.of, *field, depth)?);
                }
                if !values.is_empty() {
                    members.push((key, Node::List(values)));
                } else if rule.always {
                    members.push((key, Node::Null));
                }
            }
            Shape::Map => {
                let mut entries = Vec::with_capacity(same.len());
                for (_, field) in same {
                    let (name, value) = self.entry(rule.of, *field, depth)?;
                    entries.push((Cow::Owned(name), value));
                }
                if !entries.is_empty() {
                    entries.sort_by(|a: &(Key, Node), b| a.0.cmp(&b.0));
                    // Of two the later holds, and the sort kept their order.
                    entries.reverse();
                    entries.dedup_by(|a, b| a.0 == b.0);
                    entries.reverse();
                    members.push((key, Node::Map(entries)));
                } else if rule.always {
                    members.push((key, Node::Null));
                }
            }
        }
        Some(())
    }

    /// The value of a field that may stand there once: the last one's, or all
    /// of them merged if they are messages.
    fn one(&mut self, of: Type, same: &[(u32, Field<'_>)], depth: usize) -> Option<Option<Node>> {
        Some(match same {
            [] => None,
            [(_, field)] => Some(self.value(of, *field, depth)?),
            [.., (_, last)] if of.is_scalar() => Some(self.value(of, *last, depth)?),
            _ => {
                let mut merged = Vec::new();
                for (_, field) in same {
                    merged.extend_from_slice(bytes(*field)?);
                }
                Some(self.value(of, Field::Bytes(&merged), depth)?)
            }
        })
    }

    /// A map's entry: 1 key, 2 value.
    fn entry(&mut self, of: Type, field: Field<'_>, depth: usize) -> Option<(String, Node)> {
        let (mut key, mut value) = (String::new(), None);
        for field in Fields::of(bytes(field)?) {
            match field.ok()? {
                (1, field) => key = text(field)?,
                (2, field) => value = Some(field),
                _ => return None,
            }
        }
        // Go writes both; another writer may leave out what is empty.
        let empty = match of {
            Type::Bool | Type::Int => Field::Varint(0),
            Type::Double => Field::Fixed64(0),
            _ => Field::Bytes(&[]),
        };
        let value = self.value(of, value.unwrap_or(empty), depth)?;
        Some((key, value))
    }

    fn value(&mut self, of: Type, field: Field<'_>, depth: usize) -> Option<Node> {
        Some(match (of, field) {
            (Type::Text, field) => Node::Text(text(field)?),
            (Type::Bytes, field) => Node::Text(BASE64.encode(bytes(field)?)),
            (Type::Bool, Field::Varint(value)) => Node::Bool(value != 0),
            // Protobuf's int32 and int64 are the two's complement of 64 bits.
            (Type::Int, Field::Varint(value)) => Node::int(value as i64),
            (Type::Double, Field::Fixed64(bits)) => double(f64::from_bits(bits))?,
            (Type::Time, field) => time(bytes(field)?, 0)?,
            (Type::MicroTime, field) => time(bytes(field)?, 6)?,
            (Type::Quantity, field) => match single(bytes(field)?)? {
                None => Node::Text("0".to_owned()),
                Some(quantity) => Node::Text(text(quantity).map(|text| match text.as_str() {
                    "" => "0".to_owned(),
                    _ => text,
                })?),
            },
            (Type::IntOrString, field) => int_or_string(bytes(field)?)?,
            (Type::Json, field) => match single(bytes(field)?)? {
                Some(raw) => raw_json(bytes(raw)?)?,
                None => Node::Null,
            },
            (Type::RawExtension, field) => match single(bytes(field)?)? {
                Some(raw) => self.raw_extension(bytes(raw)?, depth)?,
                None => Node::Null,
            },
            (Type::Texts, field) => {
                let mut values = Vec::new();
                for field in Fields::of(bytes(field)?) {
                    match field.ok()? {
                        (1, field) => values.push(Node::Text(text(field)?)),
                        _ => return None,
                    }
                }
                Node::List(values)
            }
            (Type::Message(id), field) => {
                let message = self.schema.message(id);
                Node::Map(self.message(message, bytes(field)?, depth + 1)?)
            }
            (Type::SchemaOrBool(id), field) => {
                let mut node = Node::Bool(false);
                for field in sorted(bytes(field)?)? {
                    node = match field {
                        (1, allows) => self.value(Type::Bool, allows, depth)?,
                        (2, schema) => self.value(Type::Message(id), schema, depth)?,
                        _ => return None,
                    };
                }
                node
            }
            (Type::SchemaOrList(id), field) => {
                self.schema_or(id, Type::Message(id), bytes(field)?, depth)?
            }
            (Type::SchemaOrTexts(id), field) => {
                self.schema_or(id, Type::Text, bytes(field)?, depth)?
            }
            _ => return None,
        })
    }

    /// 1 is a schema, 2 the values of a list; the list is shown if there is one.
    fn schema_or(&mut self, schema: usize, of: Type, message: &[u8], depth: usize) -> Option<Node> {
        let (mut alone, mut values) = (Node::Null, Vec::new());
        for field in sorted(message)? {
            match field {
                (1, field) => alone = self.value(Type::Message(schema), field, depth)?,
                (2, field) => values.push(self.value(of, field, depth)?),
                _ => return None,
            }
        }
        Some(match values.is_empty() {
            true => alone,
            false => Node::List(values),
        })
    }

    /// JSON, or an object in an envelope of its own.
    fn raw_extension(&mut self, raw: &[u8], depth: usize) -> Option<Node> {
        if raw.starts_with(PROTOBUF_MAGIC) && depth < MAX_DEPTH {
            let tree = from_envelope(raw, depth + 1).ok()?;
            return Some(tree.root);
        }
        raw_json(raw)
    }
}

/// The fields of a message by number, those of one number in their order.
fn sorted(message: &[u8]) -> Option<Vec<(u32, Field<'_>)>> {
    let mut fields = Vec::new();
    for field in Fields::of(message) {
        match field.ok()? {
            (_, Field::Cut(_)) => return None,
            field => fields.push(field),
        }
    }
    fields.sort_by_key(|(number, _)| *number);
    Some(fields)
}

/// The last field 1 of a message that has no other field.
fn single(message: &[u8]) -> Option<Option<Field<'_>>> {
    let mut last = None;
    for field in Fields::of(message) {
        match field.ok()? {
            (1, field) => last = Some(field),
            _ => return None,
        }
    }
    Some(last)
}

fn bytes(field: Field<'_>) -> Option<&[u8]> {
    match field {
        Field::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn text(field: Field<'_>) -> Option<String> {
    str::from_utf8(bytes(field)?).ok().map(str::to_owned)
}

fn is_zero(node: &Node) -> bool {
    match node {
        Node::Bool(value) => !value,
        Node::Text(text) => text.is_empty(),
        Node::Number(number) => &**number == "0",
        _ => false,
    }
}

fn raw_json(raw: &[u8]) -> Option<Node> {
    match raw {
        [] => Some(Node::Null),
        _ => json::read(raw).ok(),
    }
}

/// JSON has no infinity, and Go writes whole numbers without a point.
fn double(value: f64) -> Option<Node> {
    if !value.is_finite() {
        return None;
    }
    // Below 2^53 a whole number is exact.
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    Some(Node::Number(match whole {
        true => format!("{value:.0}").into(),
        false => format!("{value:?}").into(),
    }))
}

/// 1 seconds, 2 nanoseconds. A message without fields is a time that is not set.
fn time(message: &[u8], digits: usize) -> Option<Node> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Field::Varint(value)) => seconds = value as i64,
            (2, Field::Varint(value)) => nanos = i32::try_from(value as i64).ok()?,
            _ => return None,
        }
    }
    if message.is_empty() {
        return Some(Node::Null);
    }
    let time = Timestamp::new(seconds, nanos).ok()?;
    Some(Node::Text(format!("{time:.digits$}")))
}

/// 1 which of the two, 2 the number, 3 the text.
fn int_or_string(message: &[u8]) -> Option<Node> {
    let (mut is_text, mut number, mut string) = (false, 0, String::new());
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Field::Varint(which @ 0..=1)) => is_text = which == 1,
            (2, Field::Varint(value)) => number = value as i64,
            (3, field) => string = text(field)?,
            _ => return None,
        }
    }
    Some(match is_text {
        true => Node::Text(string),
        false => Node::int(number),
    })
}
