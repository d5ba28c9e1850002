//! The plan of faults as people write it: in a YAML file, or as JSON over the
//! admin API. `docs/plan.schema.json` describes both.

mod action;
mod address;
mod connection;
mod delay;
mod error;
mod field;
mod methods;
mod never;
mod node;
mod read;
mod read_action;
mod read_connection;
mod read_delay;
mod read_match;
mod read_watch;
mod scalar;
#[cfg(test)]
mod schema;
mod terms;
mod watch;
mod when;

use std::num::NonZeroU64;

use serde::Serialize;

use node::Node;

pub use action::{
    Action, Amount, Answer, CutShort, Duplicate, End, Execution, Instead, LoseReply, Plain, Rate,
    Reset, ResetCode, Stage, StatusCode,
};
pub use address::{ClientTerm, ListenerTerm};
pub use connection::{
    Bandwidth, ConnectionAction, Direction, Goaway, HalfOpen, Latency, PingFault, Struck, TlsFault,
    Towards,
};
pub use delay::{Delay, Distribution, Exponential, Normal, Pareto, Uniform, Wait};
pub use error::{Place, PlanError, PlanErrors};
pub use scalar::{AnyOf, FaultName, Glob, KeyText, Probability, Size, Span};
pub use terms::{
    GroupTerm, KeyRange, Match, MethodTerm, ResourceTerm, ServiceTerm, SizeRange, VerbTerm,
};

pub use watch::{
    CancelTold, CancelWatch, CreatedTerm, DropStream, DuplicateEvents, EventTerm, FalsifyProgress,
    Fragment, RefuseWatch, ReorderEvents, RevisionRange, Stall, WatchAction,
};

pub use when::When;

pub(in crate::fault) use methods::{known_methods, lives_on, may_have_later_requests};
pub(in crate::fault) use terms::lies_within;

/// The tree that a plan is read from, for those who write plans within texts of
/// their own.
pub(crate) mod tree {
    pub(crate) use super::field::{Field, Findings};
    pub(crate) use super::node::{Node, Value};
    pub(crate) use super::read::{read, read_faults, read_name};
}

/// The JSON Schema of a plan, for editors and for people.
pub const SCHEMA: &str = include_str!("../../../docs/plan.schema.json");

/// A plan: faults in the order in which they are tried on a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// What chance grows from: the same seed gives the same draws. Left out, the
    /// program's own seed holds (0, unless it was told another).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The faults. Their names are unique.
    pub faults: Vec<FaultSpec>,
}

/// One fault: which calls or connections, what is done to them, when, and how
/// often.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: FaultName,
    /// Which calls, or connections; all of them if nothing is said.
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// What is done to them.
    #[cfg_attr(test, schemars(with = "schema::WrittenAction"))]
    pub action: Action,
    /// How likely each match is to be struck, more than 0 and at most 1. Left
    /// out, every one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<Probability>,
    /// Only the first so many matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<NonZeroU64>,
    /// Only every so manieth match: with 3 the third, the sixth and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<NonZeroU64>,
    /// At most so many calls, or connections, are struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<NonZeroU64>,
    /// How long after it was loaded it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Span>,
    /// How long it holds then; until it is removed if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// It begins again this often. Needs a shorter `duration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Span>,
}

impl Plan {
    /// Reads a plan from YAML. `file` is what its errors call it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_yaml(file: &str, text: &str) -> Result<Plan, PlanErrors> {
        read::read(file, Node::from_yaml(file, text), read::read_plan)
    }

    /// Reads a plan from JSON.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_json(text: &str) -> Result<Plan, PlanErrors> {
        read::read("", Node::from_json(text), read::read_plan)
    }
}

impl FaultSpec {
    /// Reads one fault from YAML. `file` is what its errors call it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_yaml(file: &str, text: &str) -> Result<FaultSpec, PlanErrors> {
        read::read(file, Node::from_yaml(file, text), read::read_fault)
    }

    /// Reads one fault from JSON.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_json(text: &str) -> Result<FaultSpec, PlanErrors> {
        read::read("", Node::from_json(text), read::read_fault)
    }
}

#[cfg(test)]
mod tests;
