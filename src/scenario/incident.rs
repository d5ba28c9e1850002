//! A scenario with its parameters set: faults, and how long they last.

use std::time::Duration;

use super::Scenario;
use super::parameter::{Default, Setting};
use super::read::OPEN;
use super::substitute::{Values, substitute};
use super::timeline::Timeline;
use crate::fault::plan::tree::{self, Field, Findings, Node, Value};
use crate::fault::plan::{ConnectionAction, FaultName, FaultSpec, Plan, PlanErrors};
use crate::notation::nearest;

/// What is looked for behind a scenario's end where it says nothing about that.
const SETTLE: Duration = Duration::from_secs(30);

/// A scenario with its parameters set.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The scenario's name.
    pub name: FaultName,
    /// How long it lasts. What its faults do is over then, whatever they say
    /// themselves.
    pub length: Duration,
    /// How long behind its end recovery is waited for at most.
    pub settle: Duration,
    /// Its faults; at least one.
    pub plan: Plan,
    /// Its parameters' values, as they may be given again; an empty text is
    /// nothing.
    pub settings: Vec<(Box<str>, String)>,
}

impl Incident {
    /// When the first of its faults begins that hold connections, if any does.
    /// Of those nothing shows but their beginning.
    pub fn holds_connections_from(&self) -> Option<Duration> {
        let faults = self.plan.faults.iter();
        let holding = faults.filter(|fault| {
            let action = fault.action.connection();
            action.is_some_and(ConnectionAction::holds)
        });
        let starts = holding.map(|fault| fault.start.map_or(Duration::ZERO, |span| span.0));
        starts.min()
    }

    /// When which fault strikes, with bars that are `columns` wide.
    pub fn timeline(&self, columns: usize) -> Timeline {
        Timeline::of(self, columns)
    }
}

/// The incident with these settings.
pub(super) fn with<'s>(
    scenario: &Scenario,
    settings: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> Result<Incident, PlanErrors> {
    let mut findings = Findings::new("--set");
    let mut values = Values::new();
    for (name, text) in settings {
        match scenario.parameters.iter().find(|one| *one.name == *name) {
            Some(parameter) => {
                let read = parameter.read(text, &mut findings);
                values.extend(read.map(|value| (name.into(), value)));
            }
            None => unknown(scenario, name, &mut findings),
        }
    }
    for parameter in &scenario.parameters {
        if values.contains_key(&parameter.name) {
            continue;
        }
        let value = match &parameter.default {
            Default::Value(value) => Some(value.clone()),
            Default::Nothing => None,
            Default::Needed if findings.count() > 0 => continue,
            Default::Needed => {
                let hint = format!(
                    "it says {}; give it with --set {}={}",
                    parameter.about,
                    parameter.name,
                    parameter.example().unwrap_or_default()
                );
                let what = format!("{} has no default and is not set", parameter.name);
                findings.add(None, "", what, Some(hint));
                continue;
            }
        };
        values.insert(parameter.name.clone(), value);
    }
    if findings.count() > 0 {
        return Err(PlanErrors(findings.into_errors()));
    }
    made(scenario, &values)
}

/// Tries a scenario with its defaults, and with examples where it has none.
pub(super) fn tried(scenario: &Scenario) -> Result<Incident, PlanErrors> {
    let values = scenario.parameters.iter().map(|parameter| {
        let value = match &parameter.default {
            Default::Value(value) => Some(value.clone()),
            Default::Nothing => None,
            Default::Needed => parameter.example.clone(),
        };
        (parameter.name.clone(), value)
    });
    made(scenario, &values.collect())
}

fn unknown(scenario: &Scenario, name: &str, findings: &mut Findings) {
    let known = || scenario.parameters.iter().map(|one| &*one.name);
    let hint = match nearest(name, known()) {
        Some(meant) => format!("did you mean {meant}?"),
        None if scenario.parameters.is_empty() => "it has none; leave it out".to_owned(),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    };
    let what = format!("{} has no parameter \"{name}\"", scenario.name);
    findings.add(None, "", what, Some(hint));
}

/// What comes out when these values are put in.
fn made(scenario: &Scenario, values: &Values) -> Result<Incident, PlanErrors> {
    let mut put = Vec::new();
    let tree = filled(&scenario.tree, values, &mut put);
    let read = tree::read(&scenario.file, Ok(tree), |field, findings| {
        read(scenario, field, findings)
    });
    let (plan, length, settle) = read.map_err(|mut errors| {
        for error in &mut errors.0 {
            let whose = put.iter().find(|(place, _)| error.place == Some(*place));
            if let Some((_, whose)) = whose {
                error.what = format!("{} ({whose})", error.what).into();
            }
        }
        errors
    })?;
    Ok(Incident {
        name: scenario.name.clone(),
        length,
        settle,
        plan,
        settings: (scenario.parameters.iter())
            .map(|parameter| {
                let value = values.get(&parameter.name).and_then(Option::as_ref);
                let shown = value.map(Setting::to_string).unwrap_or_default();
                (parameter.name.clone(), shown)
            })
            .collect(),
    })
}

/// The tree with values where they may stand.
fn filled(
    tree: &Node,
    values: &Values,
    put: &mut Vec<(crate::fault::plan::Place, String)>,
) -> Node {
    let Value::Map(entries) = &tree.value else {
        return tree.clone();
    };
    let entries = entries
        .iter()
        .filter_map(|(key, node)| {
            let node = match OPEN.contains(&key.text.as_str()) {
                true => substitute(node, values, put)?,
                false => node.clone(),
            };
            Some((key.clone(), node))
        })
        .collect();
    Node {
        place: tree.place,
        value: Value::Map(entries),
    }
}

/// Reads what parameters were put into.
fn read(
    scenario: &Scenario,
    field: &Field<'_>,
    findings: &mut Findings,
) -> Option<(Plan, Duration, Duration)> {
    let Value::Map(entries) = &field.node.value else {
        return None;
    };
    let get = |name: &str| {
        let (_, node) = entries.iter().find(|(key, _)| key.text == name)?;
        let path = name.to_owned();
        Some(Field { node, path })
    };
    let seed = get("seed").and_then(|field| field.whole(findings));
    let settle = get("settle").and_then(|field| field.span(findings));
    let length = get("length").and_then(|field| {
        let span = field.span(findings)?;
        if span.0.is_zero() {
            field.refuse(findings, "no time at all", "write 1s or more");
        }
        Some(span.0)
    });
    let listed = get("faults")?;
    let faults = tree::read_faults(&listed, findings);
    if faults.is_empty() && findings.count() == 0 {
        let hint = "list what is done, as in a plan";
        listed.refuse(
            findings,
            format!("nothing happens in {}", scenario.name),
            hint,
        );
    }
    let length = match (length, get("length")) {
        (Some(length), _) => length,
        (None, Some(_)) => return None,
        (None, None) => match faults.iter().map(end).collect::<Option<Vec<_>>>() {
            Some(ends) => ends.into_iter().max().unwrap_or_default(),
            None => {
                let hint =
                    "write \"length\", or give every fault a \"duration\" without \"repeat\"";
                field.refuse(findings, "nothing says when it is over", hint);
                return None;
            }
        },
    };
    for (at, fault) in faults.iter().enumerate() {
        if let Some(start) = fault.start
            && start.0 >= length
        {
            let over = crate::fault::plan::Span(length);
            let what = format!(
                "{} would begin after {start}, when all is over ({over})",
                fault.name
            );
            let place = element(&listed, at).and_then(|node| node.place);
            let hint = "let it begin sooner, or write a longer \"length\"".to_owned();
            findings.add(place, &format!("faults[{at}].start"), what, Some(hint));
        }
    }
    let settle = settle.map_or(SETTLE, |span| span.0);
    Some((Plan { seed, faults }, length, settle))
}

/// The tree's element of a fault. Those that are wrong are not among the faults,
/// but then there are findings anyway.
fn element<'n>(listed: &Field<'n>, at: usize) -> Option<&'n Node> {
    match &listed.node.value {
        Value::List(nodes) => nodes.get(at),
        _ => None,
    }
}

/// When a fault is over by itself, if it is.
fn end(fault: &FaultSpec) -> Option<Duration> {
    let start = fault.start.map_or(Duration::ZERO, |span| span.0);
    match (fault.duration, fault.repeat) {
        (Some(duration), None) => Some(start.saturating_add(duration.0)),
        _ => None,
    }
}
