//! A plan's text as a tree, each node with its place: what YAML and JSON have in
//! common. Reading it by hand instead of by serde's derive finds all mistakes of
//! a plan at once, each with its place.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use super::error::{Place, PlanError};

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub place: Option<Place>,
    pub value: Value,
}

/// A value as both languages have them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Whole(u64),
    /// Any other number.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub place: Option<Place>,
    pub text: String,
}

impl Node {
    /// Reads YAML.
    pub fn from_yaml(file: &str, text: &str) -> Result<Node, PlanError> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        match serde_saphyr::from_str_with_options::<Yaml>(text, options) {
            Ok(read) => Ok(read.0),
            Err(error) => Err(yaml_error(file, &error)),
        }
    }

    /// Reads JSON.
    pub fn from_json(text: &str) -> Result<Node, PlanError> {
        match serde_json::from_str::<Json>(text) {
            Ok(read) => Ok(read.0),
            Err(error) => Err(json_error(&error)),
        }
    }
}

fn yaml_error(file: &str, error: &Error) -> PlanError {
    let error = error.without_snippet();
    let (what, hint) = match error {
        Error::DuplicateMappingKey { key, .. } => (
            match key {
                Some(key) => format!("the key \"{key}\" stands here twice"),
                None => "a key stands here twice".to_owned(),
            },
            Some("keep one of them"),
        ),
        other => {
            let plain = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The place stands in front already.
            let plain = plain.split(" at line ").next().unwrap_or(&plain);
            (format!("this is no YAML: {plain}"), None)
        }
    };
    PlanError {
        file: file.into(),
        place: error.location().and_then(|at| place(&at)),
        path: Box::default(),
        what: what.into(),
        hint: hint.map(Into::into),
    }
}

fn json_error(error: &serde_json::Error) -> PlanError {
    let sentence = error.to_string();
    let sentence = sentence.split(" at line ").next().unwrap_or(&sentence);
    let what = match error.classify() {
        serde_json::error::Category::Data => sentence.to_owned(),
        _ => format!("this is no JSON: {sentence}"),
    };
    PlanError {
        file: Box::default(),
        place: (error.line() > 0).then(|| Place {
            line: error.line() as u64,
            column: error.column() as u64,
        }),
        path: Box::default(),
        what: what.into(),
        hint: None,
    }
}

fn place(at: &Location) -> Option<Place> {
    (at.line() > 0).then(|| Place {
        line: at.line(),
        column: at.column(),
    })
}

/// A node of YAML.
struct Yaml(Node);

/// What stands at a node of YAML.
struct YamlValue(Value);

/// A node of JSON, and what stands there: JSON's reader tells no places.
struct Json(Node);

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Yaml, D::Error> {
        let read = Spanned::<YamlValue>::deserialize(from)?;
        Ok(Yaml(Node {
            place: place(&read.referenced),
            value: read.value.0,
        }))
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<YamlValue, D::Error> {
        struct InYaml;

        impl Language for InYaml {
            fn list<'de, A: SeqAccess<'de>>(mut from: A) -> Result<Vec<Node>, A::Error> {
                let mut nodes = Vec::new();
                while let Some(Yaml(node)) = from.next_element()? {
                    nodes.push(node);
                }
                Ok(nodes)
            }

            fn map<'de, A: MapAccess<'de>>(mut from: A) -> Result<Vec<(Key, Node)>, A::Error> {
                let mut nodes = Vec::new();
                while let Some(key) = from.next_key::<Spanned<String>>()? {
                    let Yaml(node) = from.next_value()?;
                    let place = place(&key.referenced);
                    let text = key.value;
                    nodes.push((Key { place, text }, node));
                }
                Ok(nodes)
            }
        }

        from.deserialize_any(Reading::<InYaml>(std::marker::PhantomData))
            .map(YamlValue)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        struct InJson;

        impl Language for InJson {
            fn list<'de, A: SeqAccess<'de>>(mut from: A) -> Result<Vec<Node>, A::Error> {
                let mut nodes = Vec::new();
                while let Some(Json(node)) = from.next_element()? {
                    nodes.push(node);
                }
                Ok(nodes)
            }

            fn map<'de, A: MapAccess<'de>>(mut from: A) -> Result<Vec<(Key, Node)>, A::Error> {
                let mut nodes: Vec<(Key, Node)> = Vec::new();
                while let Some(text) = from.next_key::<String>()? {
                    if nodes.iter().any(|(key, _)| key.text == text) {
                        return Err(de::Error::custom(format_args!(
                            "the key \"{text}\" stands here twice; keep one of them"
                        )));
                    }
                    let Json(node) = from.next_value()?;
                    nodes.push((Key { place: None, text }, node));
                }
                Ok(nodes)
            }
        }

        let value = from.deserialize_any(Reading::<InJson>(std::marker::PhantomData))?;
        Ok(Json(Node { place: None, value }))
    }
}

/// How a language's lists and maps are read.
trait Language {
    fn list<'de, A: SeqAccess<'de>>(from: A) -> Result<Vec<Node>, A::Error>;
    fn map<'de, A: MapAccess<'de>>(from: A) -> Result<Vec<(Key, Node)>, A::Error>;
}

struct Reading<L>(std::marker::PhantomData<L>);

impl<'de, L: Language> Visitor<'de> for Reading<L> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Number(value as f64), Value::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        L::list(from).map(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        L::map(from).map(Value::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_the_same_tree_and_yaml_has_places() {
        fn strip(node: &mut Node) {
            node.place = None;
            match &mut node.value {
                Value::List(nodes) => nodes.iter_mut().for_each(strip),
                Value::Map(nodes) => {
                    for (key, node) in nodes {
                        key.place = None;
                        strip(node);
                    }
                }
                _ => {}
            }
        }
        let yaml = "a: [1, -2, 0.5, yes, true, null]\nb:\n  c: x\n  \"d\": \"1\"\n";
        let json = r#"{"a": [1, -2, 0.5, "yes", true, null], "b": {"c": "x", "d": "1"}}"#;
        let mut tree = Node::from_yaml("p", yaml).expect("YAML");
        let Value::Map(nodes) = &tree.value else {
            panic!("{tree:?}");
        };
        let at = |line, column| Some(Place { line, column });
        assert_eq!(nodes[1].0.place, at(2, 1));
        let Value::Map(inner) = &nodes[1].1.value else {
            panic!("{tree:?}");
        };
        assert_eq!((inner[1].0.place, inner[1].1.place), (at(4, 3), at(4, 8)));
        strip(&mut tree);
        assert_eq!(Node::from_json(json).as_ref(), Ok(&tree));
    }

    #[test]
    fn what_is_no_text_of_the_language_is_told_with_its_place() {
        for (text, told) in [
            (
                "a: 1\na: 2\n",
                "p:2:1: the key \"a\" stands here twice; keep one of them",
            ),
            ("a: [1\n", "p:"),
        ] {
            let error = Node::from_yaml("p", text).expect_err(text).to_string();
            assert!(error.starts_with(told), "{error}");
        }
        for (text, told) in [
            (
                "{\"a\": 1,\n \"a\": 2}",
                "2:4: the key \"a\" stands here twice; keep one of them",
            ),
            (
                "{\"a\": ",
                "1:6: this is no JSON: EOF while parsing a value",
            ),
        ] {
            assert_eq!(Node::from_json(text).expect_err(text).to_string(), told);
        }
    }
}
