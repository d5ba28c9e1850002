//! The JSON Schema of a plan, made from the plan's own types. Only tests make
//! it: what is shipped is `docs/plan.schema.json`, and a test compares the two.
//!
//! The types that are read by hand have their shapes written down here.

mod agreement;
mod check;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::action::{Action, Amount, Answer, ResetCode, StatusCode};
use super::connection::{ConnectionAction, Direction, Latency};
use super::delay::{Exponential, Normal, Pareto, Uniform, Wait};
use super::scalar::{AnyOf, Size, Span};
use super::terms::VerbTerm;
use super::watch::{EventTerm, WatchAction};
use super::when::When;
use super::{Plan, SCHEMA};
use crate::fault::etcd_error::EtcdError;
use crate::grpc::Code;
use crate::http2::ErrorCode;
use crate::kube::operation::Verb;

/// The schema as it should be shipped.
pub(super) fn made() -> Value {
    let mut schema = schemars::schema_for!(Plan).to_value();
    without_null(&mut schema);
    schema
}

/// A key may be left out, but its value is never null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    keys.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            }
            if keys.get("default").is_some_and(Value::is_null) {
                keys.remove("default");
            }
            keys.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// A type whose schema is written down.
macro_rules! written {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                #[allow(clippy::redundant_closure_call)]
                ($schema)(generator)
            }
        }
    };
}

impl<T: JsonSchema> JsonSchema for AnyOf<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("AnyOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({
            "description": "One value, or a list of which any will do.",
            "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }],
        })
    }
}

written!(Size, "Size", |_: &mut SchemaGenerator| json_schema!({
    "description": "A number of bytes: 65536, 64KiB, 1MiB.",
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|kB|MB)?$" },
    ],
}));

written!(Amount, "Amount", |_: &mut SchemaGenerator| json_schema!({
    "description": "So much of a message: 50%, or a number of bytes such as 1KiB.",
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^([1-9][0-9]?%|0[1-9]%|[0-9]+(B|KiB|MiB|GiB|kB|MB)?)$" },
    ],
}));

written!(When, "When", |_: &mut SchemaGenerator| json_schema!({
    "description": "A filter over what is known by then: resource == \"pods\" && request_bytes > 1MiB.",
    "type": "string",
    "minLength": 1,
}));

written!(VerbTerm, "Verb", |_: &mut SchemaGenerator| json_schema!({
    "description": "What a request does, in Kubernetes' words.",
    "type": "string",
    "enum": VerbTerm::all().map(Verb::as_str).collect::<Vec<_>>(),
}));

written!(StatusCode, "StatusCode", |_: &mut SchemaGenerator| {
    json_schema!({
        "description": "A gRPC status code.",
        "type": "string",
        "enum": StatusCode::all().filter_map(Code::name).collect::<Vec<_>>(),
    })
});

written!(ResetCode, "ResetCode", |_: &mut SchemaGenerator| {
    json_schema!({
        "description": "An HTTP/2 error code.",
        "type": "string",
        "enum": ResetCode::all().filter_map(ErrorCode::name).collect::<Vec<_>>(),
    })
});

written!(Answer, "Answer", |generator: &mut SchemaGenerator| {
    let code = generator.subschema_for::<StatusCode>();
    json_schema!({
        "description": "One of etcd's own errors by name, or any other.",
        "anyOf": [
            { "type": "string", "enum": EtcdError::names().collect::<Vec<_>>() },
            {
                "type": "object",
                "properties": {
                    "code": code,
                    "message": { "type": "string", "maxLength": 4096 },
                },
                "required": ["code"],
                "additionalProperties": false,
            },
        ],
    })
});

/// A wait with all its keys; that one distribution is named, and only one, the
/// reader sees to.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct DrawnWait {
    /// Always the same.
    fixed: Option<Span>,
    /// Each time between the two is as likely.
    uniform: Option<Uniform>,
    /// The bell. What is drawn below nothing becomes nothing.
    normal: Option<Normal>,
    /// Many short ones, few long ones.
    exponential: Option<Exponential>,
    /// A heavy tail: rare waits are far longer than the usual ones.
    pareto: Option<Pareto>,
    /// Longer draws become this.
    at_most: Option<Span>,
}

written!(Wait, "Wait", |generator: &mut SchemaGenerator| {
    let span = generator.subschema_for::<Span>();
    let drawn = generator.subschema_for::<DrawnWait>();
    json_schema!({
        "description": "How long to wait: always the same, or drawn anew each time.",
        "anyOf": [span, drawn],
    })
});

/// A latency with all its keys.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct DrawnLatency {
    /// Always the same.
    fixed: Option<Span>,
    /// Each time between the two is as likely.
    uniform: Option<Uniform>,
    /// The bell. What is drawn below nothing becomes nothing.
    normal: Option<Normal>,
    /// Many short ones, few long ones.
    exponential: Option<Exponential>,
    /// A heavy tail: rare waits are far longer than the usual ones.
    pareto: Option<Pareto>,
    /// Longer draws become this.
    at_most: Option<Span>,
    /// In which direction; both unless one is named.
    direction: Option<Direction>,
}

written!(Latency, "Latency", |generator: &mut SchemaGenerator| {
    let span = generator.subschema_for::<Span>();
    let drawn = generator.subschema_for::<DrawnLatency>();
    json_schema!({
        "description": "How late bytes arrive: always the same, or drawn anew each time.",
        "anyOf": [span, drawn],
    })
});

/// What is done to a connection as it is written: with its settings, or as its
/// name alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum WrittenConnection {
    /// What needs no settings.
    Name(ConnectionName),
    /// What has settings.
    Settings(ConnectionAction),
}

/// What is done to a connection and needs no settings.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub(super) enum ConnectionName {
    Refuse,
    Silent,
    Close,
    Reset,
    Goaway,
    Blackhole,
}

/// An action as it is written: with its settings, or as its name alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum WrittenAction {
    /// An action that needs no settings.
    Name(ActionName),
    /// An action with its settings.
    Settings(Box<Action>),
}

/// What is done to watches, as it is written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum WrittenWatch {
    /// One that needs no settings.
    Name(WatchName),
    /// One with its settings.
    Settings(Box<WatchAction>),
}

/// What is done to watches and needs no settings.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub(super) enum WatchName {
    DropStream,
    Cancel,
    Refuse,
    Stall,
    DropEvents,
    DuplicateEvents,
    ReorderEvents,
    DropProgress,
    Fragment,
}

written!(EventTerm, "Event", |_: &mut SchemaGenerator| json_schema!({
    "description": "How a key changed.",
    "type": "string",
    "enum": ["put", "delete"],
}));

/// An action that needs no settings.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub(super) enum ActionName {
    Hang,
    WithholdTrailers,
    LoseReply,
    CutShort,
    Duplicate,
}

#[test]
fn the_shipped_schema_is_made_from_the_types() {
    let made = made();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.schema.json");
    if std::env::var_os("ETCDTAP_WRITE_SCHEMA").is_some() {
        let text = serde_json::to_string_pretty(&made).expect("JSON") + "\n";
        std::fs::write(path, text).expect("written");
        return;
    }
    let shipped: Value = serde_json::from_str(SCHEMA).expect("docs/plan.schema.json is JSON");
    assert_eq!(
        shipped, made,
        "docs/plan.schema.json is not what the types say; \
         run this test with ETCDTAP_WRITE_SCHEMA=1 and commit the file"
    );
}
