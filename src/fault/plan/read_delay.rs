//! Reading delays.

use super::delay::{Delay, Distribution, Exponential, Normal, Pareto, Uniform, Wait};
use super::field::{Field, Fields, Findings};
use super::node::Value;
use super::scalar::Span;

const STAGES: &[&str] = &[
    "request",
    "response",
    "each_request_message",
    "each_response_message",
];

pub(super) const DISTRIBUTIONS: [&str; 5] = ["fixed", "uniform", "normal", "exponential", "pareto"];

pub(super) fn read_delay(field: &Field<'_>, findings: &mut Findings) -> Option<Delay> {
    let write = "write {request: 200ms} or {response: 200ms}";
    if let Value::Text(_) = field.node.value {
        field.refuse(findings, "it is not said what is delayed", write);
        return None;
    }
    let fields = field.map(findings, STAGES)?;
    let before = findings.count();
    let mut wait = |name| {
        fields
            .get(name)
            .and_then(|field| read_wait(&field, findings))
    };
    let delay = Delay {
        request: wait("request"),
        response: wait("response"),
        each_request_message: wait("each_request_message"),
        each_response_message: wait("each_response_message"),
    };
    if delay == Delay::default() && findings.count() == before {
        fields.one_of(&["request", "response"], findings);
    }
    (delay != Delay::default()).then_some(delay)
}

pub(super) fn read_wait(field: &Field<'_>, findings: &mut Findings) -> Option<Wait> {
    if !matches!(field.node.value, Value::Map(_)) {
        let drawn = Distribution::Fixed(some_time(field, findings)?);
        return Some(Wait {
            drawn,
            at_most: None,
        });
    }
    let fields = field.map(
        findings,
        &[
            "fixed",
            "uniform",
            "normal",
            "exponential",
            "pareto",
            "at_most",
        ],
    )?;
    read_drawn(&fields, findings)
}

/// Reads a wait of its keys; others may stand beside them.
pub(super) fn read_drawn(fields: &Fields<'_>, findings: &mut Findings) -> Option<Wait> {
    let at_most = match fields.get("at_most") {
        Some(field) => Some(some_time(&field, findings)?),
        None => None,
    };
    let (name, value) = fields.one_of(&DISTRIBUTIONS, findings)?;
    let drawn = match name {
        "fixed" => Distribution::Fixed(some_time(&value, findings)?),
        "uniform" => uniform(&value, findings).map(Distribution::Uniform)?,
        "normal" => {
            let fields = value.map(findings, &["mean", "deviation"])?;
            let hint = "write {mean: 200ms, deviation: 50ms}";
            let mean = needed(&fields, "mean", findings, hint, some_time);
            let deviation = needed(&fields, "deviation", findings, hint, any_time);
            Distribution::Normal(Normal {
                mean: mean?,
                deviation: deviation?,
            })
        }
        "exponential" => {
            let fields = value.map(findings, &["mean"])?;
            let mean = needed(&fields, "mean", findings, "write {mean: 200ms}", some_time);
            Distribution::Exponential(Exponential { mean: mean? })
        }
        _ => pareto(&value, findings).map(Distribution::Pareto)?,
    };
    Some(Wait { drawn, at_most })
}

fn uniform(field: &Field<'_>, findings: &mut Findings) -> Option<Uniform> {
    let fields = field.map(findings, &["from", "to"])?;
    let hint = "write {from: 100ms, to: 300ms}";
    let from = needed(&fields, "from", findings, hint, any_time);
    let to = needed(&fields, "to", findings, hint, some_time);
    let (from, to) = (from?, to?);
    if from > to {
        let why = format!("no time is between {from} and {to}");
        field.refuse(findings, why, "write the shorter one as \"from\"");
        return None;
    }
    Some(Uniform { from, to })
}

fn pareto(field: &Field<'_>, findings: &mut Findings) -> Option<Pareto> {
    let fields = field.map(findings, &["at_least", "shape"])?;
    let hint = "write {at_least: 50ms, shape: 1.5}";
    let at_least = needed(&fields, "at_least", findings, hint, some_time);
    let shape = needed(&fields, "shape", findings, hint, |field, findings| {
        let shape = field.number(findings)?;
        if shape > 0.0 && shape.is_finite() {
            return Some(shape);
        }
        let why = format!("{shape} is no shape of a tail");
        field.refuse(findings, why, "write a number above 0, such as 1.5");
        None
    });
    Some(Pareto {
        at_least: at_least?,
        shape: shape?,
    })
}

fn needed<T>(
    fields: &Fields<'_>,
    name: &str,
    findings: &mut Findings,
    hint: &str,
    read: impl FnOnce(&Field<'_>, &mut Findings) -> Option<T>,
) -> Option<T> {
    let field = fields.need(name, findings, hint)?;
    read(&field, findings)
}

/// A time that somebody may wait.
fn any_time(field: &Field<'_>, findings: &mut Findings) -> Option<Span> {
    let span = field.span(findings)?;
    if span.0 > Wait::LONGEST {
        let why = format!("{span} is longer than any client waits");
        field.refuse(findings, why, "write 24h or less, or use hang");
        return None;
    }
    Some(span)
}

/// A time, and not none.
fn some_time(field: &Field<'_>, findings: &mut Findings) -> Option<Span> {
    let span = any_time(field, findings)?;
    if span.0.is_zero() {
        field.refuse(findings, "no time at all is no delay", "write 1ms or more");
        return None;
    }
    Some(span)
}
