//! A tree as text: JSON and YAML.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Node, Tree};

impl Tree {
    /// YAML as `kubectl` lays it out, members in their order, and a comment
    /// before it if the tree does not tell all by name.
    pub fn yaml(&self) -> String {
        let mut yaml = String::new();
        if let Some(note) = self.note() {
            yaml.push_str("# ");
            yaml.extend(note.chars().map(|c| if c.is_control() { ' ' } else { c }));
            yaml.push('\n');
        }
        yaml.push_str(&self.root.yaml());
        yaml
    }

    /// JSON over many lines.
    pub fn json(&self) -> String {
        self.root.json()
    }

    /// JSON in one line, without a line break at its end.
    pub fn json_line(&self) -> String {
        self.root.json_line()
    }
}

impl Node {
    /// YAML, ending in a line break.
    pub fn yaml(&self) -> String {
        let options = serde_saphyr::ser_options! {
            indent_step: 2,
            compact_list_indent: true,
            folded_wrap_chars: 32_000_000,
        };
        // What cannot be written so is still YAML as JSON.
        let mut yaml =
            serde_saphyr::to_string_with_options(self, options).unwrap_or_else(|_| self.json());
        if !yaml.ends_with('\n') {
            yaml.push('\n');
        }
        yaml
    }

    /// JSON over many lines, indented by two.
    pub fn json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json, Some(0));
        json
    }

    /// JSON in one line.
    pub fn json_line(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json, None);
        json
    }

    /// `indent` is how deep a line begins; `None` for everything in one line.
    fn write_json(&self, out: &mut String, indent: Option<usize>) {
        let deeper = indent.map(|indent| indent + 1);
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(number) => out.push_str(number),
            Node::Text(text) => quote(text, out),
            Node::Hidden(hidden) => quote(hidden.shown(), out),
            Node::List(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, deeper);
                    value.write_json(out, deeper);
                }
                if !values.is_empty() {
                    line(out, indent);
                }
                out.push(']');
            }
            Node::Map(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, deeper);
                    quote(key, out);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.write_json(out, deeper);
                }
                if !members.is_empty() {
                    line(out, indent);
                }
                out.push('}');
            }
        }
    }
}

fn line(out: &mut String, indent: Option<usize>) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", indent));
    }
}

/// A JSON string that a terminal may be shown: whatever could steer it is
/// escaped, DEL and the controls of Latin-1 included.
fn quote(text: &str, out: &mut String) {
    let start = out.len();
    // A text is always a string of JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
    if out[start..].chars().any(char::is_control) {
        let quoted = out.split_off(start);
        for character in quoted.chars() {
            match character.is_control() {
                true => out.push_str(&format!("\\u{:04x}", u32::from(character))),
                false => out.push(character),
            }
        }
    }
}

/// Numbers go as the widest type that holds them exactly.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => to.serialize_unit(),
            Node::Bool(value) => to.serialize_bool(*value),
            Node::Number(number) => {
                if let Ok(value) = number.parse() {
                    return to.serialize_i64(value);
                }
                if let Ok(value) = number.parse() {
                    return to.serialize_u64(value);
                }
                match number.parse::<f64>() {
                    Ok(value) if value.is_finite() => to.serialize_f64(value),
                    _ => to.serialize_str(number),
                }
            }
            Node::Text(text) => to.serialize_str(text),
            Node::Hidden(hidden) => to.serialize_str(hidden.shown()),
            Node::List(values) => to.collect_seq(values),
            Node::Map(members) => {
                let mut map = to.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(&**key, value)?;
                }
                map.end()
            }
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.root.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kube::tree::Key;

    #[test]
    fn a_terminal_is_not_steered() {
        let text = "a\u{1b}[31m\nb\u{7f}\u{9b}c\u{202e}\n";
        let node = Node::Map(vec![(
            Key::Owned(text.to_owned()),
            Node::Text(text.to_owned()),
        )]);
        for printed in [node.json(), node.yaml()] {
            let steers = printed.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(steers, None, "{}", printed.escape_debug());
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,20}",
            "[a-z0-9:#\\-\\[\\]{},&*!|>'\"%@` \n\t~.+]{0,12}",
            any::<String>(),
            "(yes|no|on|null|~|0x1f|1e3|1_000|0o7|\\.inf|2026-11-22|12:30:45|=|<<|- a|\\? b|---)",
            "( |\n|a){0,8}",
        ]
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_yaml_and_json(text in texts(), key in texts()) {
            let node = Node::Map(vec![
                (Key::Owned(key), Node::List(vec![Node::Text(text.clone())])),
                (Key::Borrowed("last"), Node::Text(text)),
            ]);
            let json: serde_json::Value = serde_json::from_str(&node.json()).expect("JSON");
            let yaml = node.yaml();
            match serde_saphyr::from_str::<serde_json::Value>(&yaml) {
                Ok(read) => prop_assert_eq!(read, json, "{}", yaml),
                // Two members of one name.
                Err(error) => prop_assert!(yaml.matches("last").count() > 1, "{error}: {yaml}"),
            }
        }
    }
}
