//! Reading a plan and its faults.

use std::num::NonZeroU64;

use super::error::{PlanError, PlanErrors};
use super::field::{Field, Fields, Findings};
use super::never::{look_at_action, look_at_match};
use super::node::{Node, Value};
use super::read_action::read_action;
use super::read_connection::look_at_terms;
use super::read_match::read_match;
use super::scalar::{FaultName, Probability, Span};
use super::terms::Match;
use super::when::vocabulary;
use super::{Action, FaultSpec, Plan};

const FAULT: &[&str] = &[
    "name",
    "match",
    "action",
    "probability",
    "first",
    "every",
    "at_most",
    "start",
    "duration",
    "repeat",
];

/// Reads a tree by `read`, and collects all that is wrong with it.
pub(crate) fn read<T>(
    file: &str,
    node: Result<Node, PlanError>,
    read: impl FnOnce(&Field<'_>, &mut Findings) -> Option<T>,
) -> Result<T, PlanErrors> {
    let node = node.map_err(|error| PlanErrors(vec![error]))?;
    let mut findings = Findings::new(file);
    let field = Field::top(&node);
    let value = read(&field, &mut findings);
    match value {
        Some(value) if findings.count() == 0 => Ok(value),
        _ => {
            if findings.count() == 0 {
                field.refuse(&mut findings, "this says nothing", "");
            }
            Err(PlanErrors(findings.into_errors()))
        }
    }
}

pub(super) fn read_plan(field: &Field<'_>, findings: &mut Findings) -> Option<Plan> {
    // A file that holds nothing but comments says nothing.
    if field.node.value == Value::Null {
        return Some(Plan::default());
    }
    let fields = field.map(findings, &["seed", "faults"])?;
    let seed = match fields.get("seed") {
        Some(field) => field.whole(findings),
        None => None,
    };
    let faults = match fields.get("faults") {
        Some(field) => read_faults(&field, findings),
        None => Vec::new(),
    };
    Some(Plan { seed, faults })
}

/// Reads a list of faults, each with a name of its own.
pub(crate) fn read_faults(field: &Field<'_>, findings: &mut Findings) -> Vec<FaultSpec> {
    let mut names: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    let listed = field.list(findings);
    for field in listed.into_iter().flatten() {
        if let Some(name) = field_name(&field) {
            if let Some(before) = names.iter().position(|other| other == name.1) {
                name.0.refuse(
                    findings,
                    format!("faults[{before}] is called \"{}\" already", name.1),
                    "give each fault a name of its own",
                );
            }
            names.push(name.1.to_owned());
        } else {
            names.push(String::new());
        }
        faults.extend(read_fault(&field, findings));
    }
    faults
}

/// A fault's name, whatever else is wrong with it.
fn field_name<'n>(fault: &Field<'n>) -> Option<(Field<'n>, &'n str)> {
    let Value::Map(entries) = &fault.node.value else {
        return None;
    };
    let (_, node) = entries.iter().find(|(key, _)| key.text == "name")?;
    let path = match fault.path.as_str() {
        "" => "name".to_owned(),
        path => format!("{path}.name"),
    };
    match &node.value {
        Value::Text(text) => Some((Field { node, path }, text)),
        _ => None,
    }
}

pub(super) fn read_fault(field: &Field<'_>, findings: &mut Findings) -> Option<FaultSpec> {
    let fields = field.map(findings, FAULT)?;
    let name = fields
        .need("name", findings, "every fault has a name of its own")
        .and_then(|field| read_name(&field, findings));
    let before = findings.count();
    let read = match fields.get("match") {
        Some(field) => {
            let known = vocabulary(fields.get("action").as_ref());
            read_match(&field, &known, findings)
        }
        None => None,
    };
    // What is wrong among the terms can be told when each is in order.
    let in_order = findings.count() == before;
    if let (Some((matches, terms)), true) = (&read, in_order) {
        look_at_match(matches, terms, findings);
    }
    let holds = findings.count() == before;
    let (matches, terms) = read.unzip();
    let matches = matches.unwrap_or_default();
    let action = fields.need("action", findings, "say what is done: action: hang");
    let action = action.and_then(|field| {
        let action = read_action(&field, findings)?;
        if let (Action::Connection(action), Some(terms)) = (&action, &terms) {
            look_at_terms(action, &matches, terms, findings);
        } else if holds {
            look_at_action(&matches, &action, &field, findings);
        }
        Some(action)
    });
    let probability = fields
        .get("probability")
        .and_then(|field| read_probability(&field, findings));
    let mut count = |name| {
        let field = fields.get(name)?;
        read_count(&field, findings)
    };
    let (first, every, at_most) = (count("first"), count("every"), count("at_most"));
    let (start, duration, repeat) = read_windows(&fields, findings);
    Some(spec(name?, matches, action?)).map(|spec| FaultSpec {
        probability,
        first,
        every,
        at_most,
        start,
        duration,
        repeat,
        ..spec
    })
}

fn spec(name: FaultName, matches: Match, action: Action) -> FaultSpec {
    FaultSpec {
        name,
        matches,
        action,
        probability: None,
        first: None,
        every: None,
        at_most: None,
        start: None,
        duration: None,
        repeat: None,
    }
}

pub(crate) fn read_name(field: &Field<'_>, findings: &mut Findings) -> Option<FaultName> {
    let hint = "write lower-case letters, digits and hyphens, at most 63";
    field.text_as(findings, hint, |text| {
        FaultName::new(text).ok_or_else(|| "is no name".to_owned())
    })
}

fn read_probability(field: &Field<'_>, findings: &mut Findings) -> Option<Probability> {
    let value = field.number(findings)?;
    let probability = Probability::new(value);
    if probability.is_none() {
        let hint = if value == 0.0 {
            "leave the fault out if it shall never strike"
        } else {
            "write a number above 0 and up to 1; 0.1 is one of ten"
        };
        field.refuse(findings, format!("{value} is no probability"), hint);
    }
    probability
}

fn read_count(field: &Field<'_>, findings: &mut Findings) -> Option<NonZeroU64> {
    let count = NonZeroU64::new(field.whole(findings)?);
    if count.is_none() {
        field.refuse(
            findings,
            "with 0 it never strikes",
            "write 1 or more, or leave the key out",
        );
    }
    count
}

fn read_windows(
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> (Option<Span>, Option<Span>, Option<Span>) {
    let start = fields.get("start").and_then(|field| field.span(findings));
    let mut window = |name| {
        let field: Field<'_> = fields.get(name)?;
        let span = field.span(findings)?;
        if span.0.is_zero() {
            field.refuse(
                findings,
                "no time at all",
                "write 1s or more, or leave the key out",
            );
            return None;
        }
        Some(span)
    };
    let (duration, repeat) = (window("duration"), window("repeat"));
    if let (Some(every), Some(field)) = (repeat, fields.get("repeat")) {
        match duration {
            None if fields.get("duration").is_none() => field.refuse(
                findings,
                "what never ends cannot begin again",
                "say with \"duration\" how long it holds each time",
            ),
            Some(duration) if every <= duration => field.refuse(
                findings,
                format!("it would begin again after {every}, while it holds for {duration}"),
                "write a longer \"repeat\", or leave it out so that it always holds",
            ),
            _ => {}
        }
    }
    (start, duration, repeat)
}
