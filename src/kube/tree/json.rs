//! JSON text as a tree: members in their order, numbers in their own words.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Key, MAX_DEPTH, Node};
use crate::kube::object::ObjectError;

/// Reads one JSON value. The error says where, never what.
pub(super) fn read(text: &[u8]) -> Result<Node, ObjectError> {
    let whole: &RawValue = serde_json::from_slice(text).map_err(|error| ObjectError::Json {
        line: error.line(),
        column: error.column(),
    })?;
    node(whole, 0).map_err(|inner| {
        // An inner value is a part of the text, so its place can be told.
        let at = (inner.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let before = &text[..at.min(text.len())];
        ObjectError::Json {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + before
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count(),
        }
    })
}

/// The error is the value that cannot be read, or lies too deep.
fn node(raw: &RawValue, depth: usize) -> Result<Node, &RawValue> {
    let text = raw.get();
    if depth > MAX_DEPTH {
        return Err(raw);
    }
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(|_| raw)?;
            let members = members
                .into_iter()
                .map(|(key, value)| Ok((key, node(value, depth + 1)?)));
            Node::Map(members.collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| raw)?;
            let values = values.into_iter().map(|value| node(value, depth + 1));
            Node::List(values.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Node::Text(serde_json::from_str(text).map_err(|_| raw)?),
        Some(b't') => Node::Bool(true),
        Some(b'f') => Node::Bool(false),
        Some(b'n') => Node::Null,
        _ => Node::Number(text.into()),
    })
}

/// An object's members as they stand, twice the same included.
struct Members<'j>(Vec<(Key, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_numbers_stay_as_they_are() {
        let text = r#"{"b":1.0,"a":[1e3,-0,12345678901234567890123,true,null],"b":"\u00e9\n"}"#;
        let read = read(text.as_bytes()).expect("JSON");
        assert_eq!(
            read.json_line(),
            r#"{"b":1.0,"a":[1e3,-0,12345678901234567890123,true,null],"b":"é\n"}"#
        );
    }

    #[test]
    fn an_error_says_where() {
        let deep = format!("{{\"a\":\n{}{}}}", "[".repeat(500), "]".repeat(500));
        let place = |text: &str| match read(text.as_bytes()) {
            Err(ObjectError::Json { line, column }) => (line, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(place("{\"a\":1,}"), (1, 8));
        assert_eq!(place(&deep), (2, MAX_DEPTH + 1));
        assert_eq!(place("{\n \"a\": \"\\ud800\"}"), (2, 7));
    }
}
