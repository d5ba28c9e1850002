//! Scenarios: incidents that really happen, as plans of faults with a name,
//! parameters, a time line, and a description of what a healthy API server
//! does about them.
//!
//! A [`Scenario`] is what somebody wrote. With its parameters set it becomes an
//! [`Incident`], whose faults are ordinary faults of a
//! [`Plan`](crate::fault::plan::Plan). Nothing here reads a file or a clock.

mod incident;
mod library;
mod parameter;
mod read;
mod substitute;
#[cfg(test)]
mod tests;
mod timeline;

use crate::fault::plan::tree::Node;
use crate::fault::plan::{FaultName, PlanErrors};

pub use incident::Incident;
pub use library::{LIBRARY, Shipped};
pub use parameter::{Kind, Parameter};
pub use timeline::{Timeline, TimelineRow};

/// An incident as it is written down: its parameters are still open.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What its errors call the text it came from.
    file: Box<str>,
    /// Its name, spelled as faults' names are.
    pub name: FaultName,
    /// What happens, in one line.
    pub summary: Box<str>,
    /// What really happens in such an incident, and when one meets it.
    pub about: Box<str>,
    /// What a healthy API server does.
    pub healthy: Box<str>,
    /// What may be set, in the order of the text.
    pub parameters: Vec<Parameter>,
    /// The whole text.
    tree: Node,
}

impl Scenario {
    /// Reads a scenario from YAML. `file` is what its errors call it.
    ///
    /// # Errors
    /// All that is wrong with it, also with the faults that it makes of its
    /// parameters' defaults and examples.
    pub fn from_yaml(file: &str, text: &str) -> Result<Scenario, PlanErrors> {
        read::scenario(file, text)
    }

    /// The incident with these parameters set, each by its name and a text; the
    /// others have their defaults. Of one that is set twice the last counts.
    ///
    /// # Errors
    /// When a parameter does not exist or has a wrong value, when one without a
    /// default is not set, or when what comes out is no plan.
    pub fn with<'s>(
        &self,
        settings: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<Incident, PlanErrors> {
        incident::with(self, settings)
    }
}
