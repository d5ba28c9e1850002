//! Fields whose meaning is not known: by their numbers, as `#3`.
//!
//! What reads as text is text, what reads as a message is one, and the rest is
//! `base64:…`. Wire types do not say more, so any of these may be a guess.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::{Key, Node};
use crate::kube::outline::is_text;
use crate::kube::wire::{Field, Fields};

/// Nesting past this is shown as bytes.
const MAX_DEPTH: usize = 16;

/// The name of a field that has none.
pub(super) fn name(number: u32) -> Key {
    Cow::Owned(format!("#{number}"))
}

/// All fields of a message; `None` if it is none.
fn message(message: &[u8], depth: usize) -> Option<Node> {
    let mut fields = Vec::new();
    for field in Fields::of(message) {
        match field.ok()? {
            (_, Field::Cut(_)) => return None,
            field => fields.push(field),
        }
    }
    fields.sort_by_key(|(number, _)| *number);
    Some(Node::Map(members(&fields, depth)))
}

/// Fields that are sorted by their numbers, those of one number together.
pub(super) fn members(fields: &[(u32, Field<'_>)], depth: usize) -> Vec<(Key, Node)> {
    fields
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            let node = match same {
                [(_, field)] => value(*field, depth),
                _ => Node::List(same.iter().map(|(_, field)| value(*field, depth)).collect()),
            };
            (name(same[0].0), node)
        })
        .collect()
}

fn value(field: Field<'_>, depth: usize) -> Node {
    match field {
        // A negative number is what an int64 of so many bits would be.
        Field::Varint(value) => Node::int(value as i64),
        Field::Fixed64(value) => Node::Number(value.to_string().into()),
        Field::Fixed32(value) => Node::Number(value.to_string().into()),
        Field::Bytes(bytes) | Field::Cut(bytes) => {
            if is_text(bytes)
                && let Ok(text) = str::from_utf8(bytes)
            {
                return Node::Text(text.to_owned());
            }
            let nested = (depth < MAX_DEPTH).then(|| message(bytes, depth + 1));
            nested
                .flatten()
                .unwrap_or_else(|| Node::Text(format!("base64:{}", BASE64.encode(bytes))))
        }
    }
}
