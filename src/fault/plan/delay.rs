//! How long to wait: always the same, or drawn anew each time.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::scalar::Span;

/// A delay for each stage of a call; at least one is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minProperties" = 1)))]
#[serde(deny_unknown_fields, default)]
pub struct Delay {
    /// Before the request's first message is whole at etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Wait>,
    /// Before the response's first frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Wait>,
    /// Before each later message of the client, drawn anew for each. Only
    /// streams have such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each_request_message: Option<Wait>,
    /// Before each message of the response, drawn anew for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each_response_message: Option<Wait>,
}

/// How long one wait is. Whatever is drawn, it is never less than nothing and
/// never more than [`Wait::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// What it is drawn from.
    pub drawn: Distribution,
    /// Longer draws become this.
    pub at_most: Option<Span>,
}

impl Wait {
    /// A day: no client waits longer, and no clock is overrun.
    pub const LONGEST: std::time::Duration = std::time::Duration::from_secs(86_400);
}

/// What a wait is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Always the same.
    Fixed(Span),
    /// Each time between the two is as likely.
    Uniform(Uniform),
    /// The bell. What is drawn below nothing becomes nothing.
    Normal(Normal),
    /// Many short ones, few long ones.
    Exponential(Exponential),
    /// A heavy tail: rare waits are far longer than the usual ones.
    Pareto(Pareto),
}

/// Each time between the two is as likely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// The shortest.
    pub from: Span,
    /// The longest.
    pub to: Span,
}

/// The bell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// Its middle.
    pub mean: Span,
    /// The standard deviation.
    pub deviation: Span,
}

/// Many short ones, few long ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// The mean.
    pub mean: Span,
}

/// A heavy tail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    /// The shortest, and the most likely.
    pub at_least: Span,
    /// How fast the tail thins out: at 2, every fourfold wait is 16 times as
    /// rare. With 1 or less there is no mean, so that `at_most` is wise.
    #[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0)))]
    pub shape: f64,
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let (Distribution::Fixed(span), None) = (self.drawn, self.at_most) {
            return span.serialize(to);
        }
        let mut map = to.serialize_map(None)?;
        match &self.drawn {
            Distribution::Fixed(span) => map.serialize_entry("fixed", span)?,
            Distribution::Uniform(of) => map.serialize_entry("uniform", of)?,
            Distribution::Normal(of) => map.serialize_entry("normal", of)?,
            Distribution::Exponential(of) => map.serialize_entry("exponential", of)?,
            Distribution::Pareto(of) => map.serialize_entry("pareto", of)?,
        }
        if let Some(at_most) = &self.at_most {
            map.serialize_entry("at_most", at_most)?;
        }
        map.end()
    }
}
