//! The scenarios that ship with the program.

use super::Scenario;
use crate::fault::plan::PlanErrors;
use crate::notation::nearest;

/// A scenario that ships with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its text, in YAML.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        /// All of them.
        pub const LIBRARY: &[Shipped] = &[$(Shipped {
            name: $name,
            text: include_str!(concat!("library/", $name, ".yaml")),
        }),+];
    };
}

shipped![
    "leader-election",
    "slow-disk",
    "defrag-stall",
    "no-space",
    "compacted-watch",
    "watch-stall",
    "watch-lost-events",
    "progress-starved",
    "bookmark-from-the-future",
    "lost-reply",
    "half-open",
    "dead-member",
    "flapping-member",
    "too-many-requests",
    "big-list-slow",
    "keepalive-goaway",
    "lease-storm",
    "token-expiry",
];

impl Shipped {
    /// The one of this name.
    ///
    /// # Errors
    /// The name that was probably meant, if there is one.
    pub fn named(name: &str) -> Result<Shipped, Option<&'static str>> {
        match LIBRARY.iter().find(|one| one.name == name) {
            Some(found) => Ok(*found),
            None => Err(nearest(name, LIBRARY.iter().map(|one| one.name))),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Never, as long as its tests pass.
    pub fn scenario(self) -> Result<Scenario, PlanErrors> {
        Scenario::from_yaml(self.name, self.text)
    }
}
