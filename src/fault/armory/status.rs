//! How a fault fares, for whoever asks.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::etcd::verdict::FaultId;
use crate::fault::plan::{FaultSpec, Span};

/// A fault and how it fares. Written as JSON, times are texts (`1m30s`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultStatus {
    /// Its number.
    #[serde(serialize_with = "number")]
    pub id: FaultId,
    /// What was asked for.
    #[serde(serialize_with = "inner")]
    pub fault: Arc<FaultSpec>,
    /// How it stands.
    #[serde(flatten)]
    pub state: FaultState,
    /// Calls that it was about while it was active.
    pub matched: u64,
    /// Those that it struck.
    pub hits: u64,
    /// How often what it began could not be carried out.
    pub gave_up: u64,
    /// Why, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_gave_up: Option<Box<str>>,
    /// How long until it is over for good; `None` if only a removal ends it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "left")]
    pub time_left: Option<Duration>,
    /// How long ago it was loaded.
    #[serde(serialize_with = "span")]
    pub age: Duration,
}

/// How a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum FaultState {
    /// Its start, or its next repetition, is yet to come.
    Waiting {
        /// In how long.
        #[serde(serialize_with = "span")]
        starts_in: Duration,
    },
    /// It strikes what it is about.
    Active,
    /// It rests until it is resumed.
    Paused,
    /// It strikes no more.
    Over {
        /// Why.
        why: Over,
    },
}

/// Why a fault strikes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Its `duration` has passed.
    Duration,
    /// Its `first` matches have passed.
    First,
    /// It struck `at_most` calls.
    AtMost,
    /// Its time to live has passed.
    TimeToLive,
}

fn inner<S: Serializer>(fault: &Arc<FaultSpec>, to: S) -> Result<S::Ok, S::Error> {
    fault.serialize(to)
}

fn number<S: Serializer>(id: &FaultId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(id.0)
}

fn span<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Nobody reads nanoseconds of an age.
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Span(Duration::from_millis(millis)).serialize(to)
}

fn left<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => span(duration, to),
        None => to.serialize_none(),
    }
}
