//! A check of JSON against the part of JSON Schema that the plan's schema uses.
//! A keyword that it does not know is a panic, so that none is passed over. (The
//! crates that know all of it bring some fifty others.)

use serde_json::{Map, Value};

/// Whether `value` is what `schema` describes; `root` is where its references
/// point into.
pub(super) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    match schema {
        Value::Bool(anything) => *anything,
        Value::Object(keywords) => keywords
            .iter()
            .all(|(keyword, wanted)| holds(root, keywords, keyword, wanted, value)),
        other => panic!("no schema: {other}"),
    }
}

fn holds(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    wanted: &Value,
    value: &Value,
) -> bool {
    let valid = |schema: &Value, value: &Value| is_valid(root, schema, value);
    let number = value.as_f64();
    let bound = || wanted.as_f64().expect("a number");
    let count = || wanted.as_u64().expect("a count") as usize;
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
        "$ref" => {
            let pointer = wanted.as_str().and_then(|text| text.strip_prefix('#'));
            let schema = pointer.and_then(|pointer| root.pointer(pointer));
            valid(schema.expect("a reference that leads somewhere"), value)
        }
        "type" => is_type(value, wanted.as_str().expect("one type")),
        "const" => value == wanted,
        "enum" => choices(wanted).contains(value),
        "anyOf" => choices(wanted).iter().any(|schema| valid(schema, value)),
        "oneOf" => {
            let fitting = choices(wanted).iter();
            fitting.filter(|schema| valid(schema, value)).count() == 1
        }
        "minimum" => number.is_none_or(|number| number >= bound()),
        "exclusiveMinimum" => number.is_none_or(|number| number > bound()),
        "maximum" => number.is_none_or(|number| number <= bound()),
        "pattern" => value.as_str().is_none_or(|text| {
            let pattern = wanted.as_str().expect("a pattern");
            regex::Regex::new(pattern)
                .expect("a pattern")
                .is_match(text)
        }),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() >= count()),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() <= count()),
        "minItems" => value.as_array().is_none_or(|items| items.len() >= count()),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| valid(wanted, item))),
        "minProperties" => value.as_object().is_none_or(|keys| keys.len() >= count()),
        "required" => value.as_object().is_none_or(|keys| {
            let mut names = choices(wanted).iter().filter_map(Value::as_str);
            names.all(|name| keys.contains_key(name))
        }),
        "properties" => value.as_object().is_none_or(|keys| {
            keys.iter()
                .filter_map(|(key, value)| Some((wanted.get(key)?, value)))
                .all(|(schema, value)| valid(schema, value))
        }),
        "additionalProperties" => value.as_object().is_none_or(|keys| {
            let known = schema.get("properties");
            keys.iter()
                .filter(|(key, _)| known.is_none_or(|known| known.get(key).is_none()))
                .all(|(_, value)| valid(wanted, value))
        }),
        unknown => panic!("a keyword that this check does not know: {unknown}"),
    }
}

fn choices(wanted: &Value) -> &[Value] {
    wanted.as_array().expect("a list")
}

fn is_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("no type: {other}"),
    }
}
