//! As much of JSON Schema as the project's own documents use. A word that is
//! not known here fails the test, so that nothing is passed over in silence.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// Documents by the names that references call them; the first one is `""`.
pub struct Schemas {
    documents: BTreeMap<&'static str, Value>,
}

impl Schemas {
    /// These documents.
    pub fn new(documents: impl IntoIterator<Item = (&'static str, Value)>) -> Schemas {
        Schemas {
            documents: documents.into_iter().collect(),
        }
    }

    /// Why `value` does not fit what stands in a document; `None` if it does.
    pub fn misfit(&self, document: &str, schema: &Value, value: &Value) -> Option<String> {
        let words = match schema {
            Value::Bool(true) => return None,
            Value::Object(words) => words,
            other => return Some(format!("{other} is no schema")),
        };
        words.iter().find_map(|(word, says)| {
            self.misfit_of(document, word, says, words, value)
                .map(|why| format!("{value}: {why}"))
        })
    }

    fn misfit_of(
        &self,
        document: &str,
        word: &str,
        says: &Value,
        beside: &serde_json::Map<String, Value>,
        value: &Value,
    ) -> Option<String> {
        let wrong = |is_wrong: bool| is_wrong.then(|| format!("not {word} {says}"));
        match (word, value) {
            ("description" | "title" | "default" | "examples" | "format" | "$schema", _) => None,
            ("$ref", _) => {
                let (other, schema) = self.resolve(document, says.as_str().unwrap());
                self.misfit(other, schema, value)
            }
            ("type", _) => wrong(!is_of_type(says, value)),
            ("const", _) => wrong(says != value),
            ("enum", _) => wrong(!says.as_array().unwrap().contains(value)),
            ("anyOf" | "oneOf", _) => {
                let fitting = self.fitting(document, says, value);
                wrong(fitting == 0 || word == "oneOf" && fitting > 1)
            }
            ("required", Value::Object(map)) => {
                let names = says.as_array().unwrap();
                wrong(!names.iter().all(|n| map.contains_key(n.as_str().unwrap())))
            }
            ("properties", Value::Object(map)) => map.iter().find_map(|(key, inner)| {
                let schema = says.get(key)?;
                self.misfit(document, schema, inner)
            }),
            ("additionalProperties", Value::Object(map)) => {
                let known = beside.get("properties");
                let is_known = |key: &String| known.is_some_and(|known| known.get(key).is_some());
                wrong(says == &Value::Bool(false) && !map.keys().all(is_known))
            }
            ("minProperties", Value::Object(map)) => wrong((map.len() as u64) < number(says)),
            ("maxProperties", Value::Object(map)) => wrong((map.len() as u64) > number(says)),
            ("items", Value::Array(list)) => {
                let mut items = list.iter();
                items.find_map(|item| self.misfit(document, says, item))
            }
            ("minItems", Value::Array(list)) => wrong((list.len() as u64) < number(says)),
            ("minimum", Value::Number(n)) => wrong(n.as_f64() < says.as_f64()),
            ("maximum", Value::Number(n)) => wrong(n.as_f64() > says.as_f64()),
            ("exclusiveMinimum", Value::Number(n)) => wrong(n.as_f64() <= says.as_f64()),
            ("minLength", Value::String(text)) => wrong((text.len() as u64) < number(says)),
            ("pattern", Value::String(text)) => {
                wrong(!Regex::new(says.as_str().unwrap()).unwrap().is_match(text))
            }
            (
                "required"
                | "properties"
                | "additionalProperties"
                | "minProperties"
                | "maxProperties"
                | "items"
                | "minItems"
                | "minimum"
                | "maximum"
                | "exclusiveMinimum"
                | "minLength"
                | "pattern",
                _,
            ) => None,
            _ => panic!("this check does not know the word {word}"),
        }
    }

    fn fitting(&self, document: &str, schemas: &Value, value: &Value) -> usize {
        let schemas = schemas.as_array().unwrap().iter();
        schemas
            .filter(|schema| self.misfit(document, schema, value).is_none())
            .count()
    }

    fn resolve<'s>(&'s self, document: &'s str, reference: &'s str) -> (&'s str, &'s Value) {
        let (other, pointer) = reference.split_once('#').unwrap();
        let other = if other.is_empty() { document } else { other };
        let whole = self.documents.get(other);
        let schema = whole.and_then(|whole| whole.pointer(pointer));
        (
            other,
            schema.unwrap_or_else(|| panic!("{reference} leads nowhere")),
        )
    }
}

fn number(says: &Value) -> u64 {
    says.as_u64().unwrap()
}

fn is_of_type(says: &Value, value: &Value) -> bool {
    if let Value::Array(several) = says {
        return several.iter().any(|one| is_of_type(one, value));
    }
    match says.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("there is no type {other}"),
    }
}

#[test]
fn misfits_are_found() {
    use serde_json::json;
    let schemas = Schemas::new([("", json!({ "$defs": { "n": { "type": "integer" } } }))]);
    let fits = |schema: Value, value: Value| schemas.misfit("", &schema, &value).is_none();
    let object = || {
        json!({ "type": "object", "required": ["a"], "additionalProperties": false,
                "properties": { "a": { "$ref": "#/$defs/n", "minimum": 1 } } })
    };
    assert!(fits(object(), json!({ "a": 1 })));
    for wrong in [
        json!({}),
        json!({ "a": 0 }),
        json!({ "a": "1" }),
        json!({ "a": 1, "b": 1 }),
        json!([]),
    ] {
        assert!(!fits(object(), wrong.clone()), "{wrong}");
    }
    let one = || json!({ "oneOf": [{ "const": "x" }, { "type": "string", "pattern": "^x" }, { "type": "null" }] });
    assert!(fits(one(), json!(null)));
    assert!(!fits(one(), json!("x")), "two fit");
}
