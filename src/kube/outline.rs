//! The outline of a protobuf message of unknown type: field numbers, wire
//! types and lengths, no contents.

use super::wire::{Field, Fields};

/// One field in a message's outline; equal neighbours are folded into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineField {
    /// How deep it is nested, from 0.
    pub depth: usize,
    /// The field's number.
    pub number: u32,
    /// How it is on the wire.
    pub shape: Shape,
    /// How many fields in a row look the same.
    pub times: usize,
}

/// A field's wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An integer, a bool or an enum.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// Four bytes.
    Fixed32,
    /// Text or bytes of this length.
    Bytes(usize),
    /// Bytes of this length that read as a message; its fields follow.
    Message(usize),
}

/// Nesting past this is shown as bytes.
const MAX_DEPTH: usize = 4;

/// An outline stops growing here.
const MAX_FIELDS: usize = 200;

/// Outlines `message`. `None` if it is no protobuf from beginning to end.
pub fn outline(message: &[u8]) -> Option<Vec<OutlineField>> {
    let mut fields = Vec::new();
    (!message.is_empty() && walk(message, 0, &mut fields)).then_some(fields)
}

fn walk(message: &[u8], depth: usize, outline: &mut Vec<OutlineField>) -> bool {
    let start = outline.len();
    let mut last = None;
    for field in Fields::of(message) {
        let Ok((number, field)) = field else {
            outline.truncate(start);
            return false;
        };
        let shape = match field {
            Field::Varint(_) => Shape::Varint,
            Field::Fixed64(_) => Shape::Fixed64,
            Field::Fixed32(_) => Shape::Fixed32,
            Field::Bytes(bytes) => Shape::Bytes(bytes.len()),
            Field::Cut(_) => {
                outline.truncate(start);
                return false;
            }
        };
        if outline.len() >= MAX_FIELDS {
            continue;
        }
        if let (Some(at), Shape::Varint | Shape::Fixed64 | Shape::Fixed32) = (last, shape) {
            let before: &mut OutlineField = &mut outline[at];
            if before.number == number && before.shape == shape {
                before.times += 1;
                continue;
            }
        }
        let at = outline.len();
        last = Some(at);
        outline.push(OutlineField {
            depth,
            number,
            shape,
            times: 1,
        });
        if let Field::Bytes(bytes) = field
            && depth < MAX_DEPTH
            && !is_text(bytes)
            && walk(bytes, depth + 1, outline)
        {
            outline[at].shape = Shape::Message(bytes.len());
        }
    }
    true
}

/// Text can read as a message by accident; a message is rarely all text.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(|c| c.is_control() && c != '\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_show_no_contents() {
        // 1: "secret", 2: { 1: 5, 1: 6 }
        let message = b"\x0a\x06secret\x12\x04\x08\x05\x08\x06";
        let fields = outline(message).expect("a message");
        let shapes: Vec<_> = fields
            .iter()
            .map(|f| (f.depth, f.number, f.shape, f.times))
            .collect();
        assert_eq!(
            shapes,
            [
                (0, 1, Shape::Bytes(6), 1),
                (0, 2, Shape::Message(4), 1),
                (1, 1, Shape::Varint, 2)
            ]
        );
        assert_eq!(outline(b""), None);
        assert_eq!(outline(b"hello world"), None);
        assert_eq!(outline(&message[..7]), None);
    }
}
