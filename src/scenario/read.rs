//! Reading a scenario.

use std::collections::BTreeSet;

use super::parameter::{Default, Kind, Parameter, Setting};
use super::substitute::{below, look};
use super::{Scenario, incident};
use crate::fault::plan::tree::{self, Field, Findings, Node, Value};
use crate::fault::plan::{PlanError, PlanErrors};

const KEYS: &[&str] = &[
    "scenario",
    "summary",
    "about",
    "healthy",
    "parameters",
    "length",
    "settle",
    "seed",
    "faults",
];

/// Where parameters may stand.
pub(super) const OPEN: [&str; 4] = ["length", "settle", "seed", "faults"];

/// Reads a scenario, and tries it with its defaults and examples.
pub(super) fn scenario(file: &str, text: &str) -> Result<Scenario, PlanErrors> {
    let tree = Node::from_yaml(file, text).map_err(|error| quoted(error, text));
    let kept = tree.clone();
    let scenario = tree::read(file, tree, |field, findings| {
        let read = head(field, findings)?;
        Some(Scenario {
            file: file.into(),
            tree: kept.unwrap_or(Node {
                place: None,
                value: Value::Null,
            }),
            ..read
        })
    })?;
    incident::tried(&scenario)?;
    Ok(scenario)
}

/// `{key: ${name}}` is no YAML, for braces mean something within braces.
fn quoted(mut error: PlanError, text: &str) -> PlanError {
    let line = error.place.and_then(|at| usize::try_from(at.line).ok());
    let line = line.and_then(|line| text.lines().nth(line.saturating_sub(1)));
    if error.hint.is_none() && line.is_some_and(|line| line.contains("${")) {
        error.hint = Some("within { } and [ ] put \"${NAME}\" in quotes".into());
    }
    error
}

/// Reads all but what the parameters are put into.
fn head(field: &Field<'_>, findings: &mut Findings) -> Option<Scenario> {
    let fields = field.map(findings, KEYS)?;
    let name = fields
        .need("scenario", findings, "every scenario has a name")
        .and_then(|field| tree::read_name(&field, findings));
    let mut prose = |key, hint| {
        let field = fields.need(key, findings, hint)?;
        read_prose(&field, findings)
    };
    let summary = prose("summary", "say in one line what happens");
    let about = prose("about", "say what really happens in such an incident");
    let healthy = prose("healthy", "say what a healthy API server does about it");
    if let (Some(text), Some(field)) = (&summary, fields.get("summary"))
        && text.contains('\n')
    {
        field.refuse(
            findings,
            "the summary is longer than a line",
            "put the rest under \"about\"",
        );
    }
    let parameters = match fields.get("parameters") {
        Some(field) => read_parameters(&field, findings),
        None => Vec::new(),
    };
    fields.need("faults", findings, "list what is done, as in a plan");
    let mut used = BTreeSet::new();
    for field in fields.given(&OPEN) {
        look(&field, &parameters, &mut used, findings);
    }
    if let Some(field) = fields.get("parameters")
        && let Value::Map(entries) = &field.node.value
    {
        for (key, _) in entries {
            let known = parameters.iter().any(|one| *one.name == *key.text);
            if known && !used.contains(key.text.as_str()) {
                let hint = format!("write ${{{}}} where it counts, or leave it out", key.text);
                let what = format!("nothing uses the parameter \"{}\"", key.text);
                findings.add(key.place, &below(&field.path, &key.text), what, Some(hint));
            }
        }
    }
    Some(Scenario {
        file: Box::default(),
        name: name?,
        summary: summary?,
        about: about?,
        healthy: healthy?,
        parameters,
        tree: Node {
            place: None,
            value: Value::Null,
        },
    })
}

/// Reads a text for people.
fn read_prose(field: &Field<'_>, findings: &mut Findings) -> Option<Box<str>> {
    let text = field.text(findings)?.trim();
    if text.is_empty() {
        field.refuse(findings, "the text is empty", "write one or more sentences");
        return None;
    }
    Some(text.into())
}

fn read_parameters(field: &Field<'_>, findings: &mut Findings) -> Vec<Parameter> {
    let Value::Map(entries) = &field.node.value else {
        field.refuse_kind(findings, "names with what is said of each");
        return Vec::new();
    };
    let mut parameters = Vec::new();
    for (key, node) in entries {
        let path = below(&field.path, &key.text);
        let spelled =
            (key.text.bytes()).all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !spelled || key.text.is_empty() {
            let what = format!("\"{}\" is no parameter's name", key.text);
            let hint = "write lower-case letters, digits and underscores".to_owned();
            findings.add(key.place, &path, what, Some(hint));
            continue;
        }
        parameters.extend(read_parameter(&key.text, &Field { node, path }, findings));
    }
    parameters
}

fn read_parameter(name: &str, field: &Field<'_>, findings: &mut Findings) -> Option<Parameter> {
    let fields = field.map(findings, &["default", "example", "kind", "about"])?;
    let about = fields
        .need("about", findings, "say what it is for")
        .and_then(|field| read_prose(&field, findings));
    let (default, example) = (fields.get("default"), fields.get("example"));
    let value = default.as_ref().or(example.as_ref());
    let kind = match fields.get("kind") {
        Some(field) => field.word(findings, "kind", &Kind::WORDS)?,
        None => value.map_or(Kind::Text, |field| Setting::kind_of(&field.node.value)),
    };
    if default.is_none() && example.is_none() {
        field.refuse(
            findings,
            "there is neither a default nor an example",
            "write default: VALUE, or example: VALUE if it has to be set",
        );
        return None;
    }
    if let (Some(_), Some(example)) = (&default, &example) {
        example.refuse(
            findings,
            "what has a default needs no example",
            "keep one of them",
        );
    }
    let example = match example {
        Some(field) => Some(Setting::read(kind, &field, findings)?),
        None => None,
    };
    let default = match default {
        None => Default::Needed,
        Some(field) if field.node.value == Value::Null => Default::Nothing,
        Some(field) => Default::Value(Setting::read(kind, &field, findings)?),
    };
    Some(Parameter {
        name: name.into(),
        kind,
        about: about?,
        default,
        example,
    })
}
