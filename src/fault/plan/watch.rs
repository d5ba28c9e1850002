//! What is done to watches, and to what comes on them.

use std::fmt;
use std::num::NonZeroU32;

use serde::Serialize;

use super::action::{Answer, Plain, ResetCode, is_false};
use super::delay::Wait;
use super::scalar::{Span, as_text};
use crate::etcd::EventKind;
use crate::http2::ErrorCode;

as_text!(EventTerm);

/// What is done to watches. They are struck whether they stand already or are
/// created later. One that needs no settings may be written as its name alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WatchAction {
    /// The stream that carries the watch ends on both sides, and all its watches
    /// with it.
    DropStream(DropStream),
    /// The watch ends, the others of its stream live on.
    Cancel(CancelWatch),
    /// Its creation is refused; etcd never hears of it.
    Refuse(RefuseWatch),
    /// Nothing of it passes, until all of it does.
    Stall(Stall),
    /// Each event comes late, in order.
    DelayEvents(#[cfg_attr(test, schemars(with = "Wait"))] Wait),
    /// Events are lost.
    DropEvents(Plain),
    /// Events come more than once.
    DuplicateEvents(DuplicateEvents),
    /// Later events of the watch overtake an event.
    ReorderEvents(ReorderEvents),
    /// Progress notifications are lost.
    DropProgress(Plain),
    /// Progress notifications come late; one that an event overtakes is lost.
    DelayProgress(#[cfg_attr(test, schemars(with = "Wait"))] Wait),
    /// Progress notifications speak of another revision.
    FalsifyProgress(FalsifyProgress),
    /// Messages with several events come in fragments.
    Fragment(Fragment),
}

impl WatchAction {
    /// Their names.
    pub const NAMES: [&'static str; 12] = [
        "drop_stream",
        "cancel",
        "refuse",
        "stall",
        "delay_events",
        "drop_events",
        "duplicate_events",
        "reorder_events",
        "drop_progress",
        "delay_progress",
        "falsify_progress",
        "fragment",
    ];

    /// Whether it strikes watches as they stand, once each.
    pub const fn strikes_standing(&self) -> bool {
        match self {
            WatchAction::DropStream(_) | WatchAction::Cancel(_) | WatchAction::Stall(_) => true,
            WatchAction::FalsifyProgress(falsify) => falsify.at_once,
            _ => false,
        }
    }

    /// Whether it is about single events.
    pub const fn is_about_events(&self) -> bool {
        matches!(
            self,
            WatchAction::DelayEvents(_)
                | WatchAction::DropEvents(_)
                | WatchAction::DuplicateEvents(_)
                | WatchAction::ReorderEvents(_)
        )
    }
}

/// How the stream ends. Towards etcd it is reset with CANCEL.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DropStream {
    /// With RST_STREAM. INTERNAL_ERROR unless said otherwise: clientv3 opens the
    /// watches anew, after CANCEL it does not.
    Reset(ResetCode),
    /// With an error of etcd's, in trailers.
    Answer(Answer),
}

impl Default for DropStream {
    fn default() -> DropStream {
        DropStream::Reset(ResetCode(ErrorCode::INTERNAL_ERROR))
    }
}

/// How a watch ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CancelWatch {
    /// What the client is told.
    #[serde(rename = "as")]
    pub told: CancelTold,
    /// With `compacted`: up to which revision; the store's at that moment unless
    /// said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// With `server`: in which words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// What the client is told of a watch that ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CancelTold {
    /// What etcd says when the client has asked for it: no reason.
    Requested,
    /// The revision that it needs was compacted away: it has to list again.
    #[default]
    Compacted,
    /// A reason of the server's own.
    Server,
}

/// How a creation is refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RefuseWatch {
    /// etcd's words; those for missing permission unless said otherwise.
    pub reason: Box<str>,
}

impl Default for RefuseWatch {
    fn default() -> RefuseWatch {
        let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        RefuseWatch {
            reason: reason.into(),
        }
    }
}

/// For how long nothing passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Stall {
    /// So long, from the moment it strikes; without it for as long as the fault
    /// holds.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// How often an event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DuplicateEvents {
    /// So many times more than once, at most 100; 1 unless said otherwise.
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub times: NonZeroU32,
}

impl Default for DuplicateEvents {
    fn default() -> DuplicateEvents {
        DuplicateEvents {
            times: NonZeroU32::MIN,
        }
    }
}

/// What overtakes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReorderEvents {
    /// So many later events of the watch; 1 unless said otherwise.
    pub behind: NonZeroU32,
    /// If they come within this time; 1s unless said otherwise.
    pub within: Span,
}

impl Default for ReorderEvents {
    fn default() -> ReorderEvents {
        ReorderEvents {
            behind: NonZeroU32::MIN,
            within: Span(std::time::Duration::from_secs(1)),
        }
    }
}

/// What progress says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FalsifyProgress {
    /// So many revisions more than is true; less, where it is negative.
    pub ahead: i64,
    /// Every watch is told so once at once, and does not wait for etcd's next
    /// word.
    #[serde(default, skip_serializing_if = "is_false")]
    pub at_once: bool,
}

/// Into what a message is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Fragment {
    /// Events in each fragment; 1 unless said otherwise.
    pub events: NonZeroU32,
}

impl Default for Fragment {
    fn default() -> Fragment {
        Fragment {
            events: NonZeroU32::MIN,
        }
    }
}

/// How a key changed, as an event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTerm(pub EventKind);

impl EventTerm {
    /// Their names.
    pub const NAMES: [(&'static str, EventKind); 2] =
        [("put", EventKind::Put), ("delete", EventKind::Delete)];
}

impl fmt::Display for EventTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            EventKind::Put => "put",
            EventKind::Delete => "delete",
        })
    }
}

/// Whether a watch stood when the fault began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CreatedTerm {
    /// It did.
    Before,
    /// It is created while the fault holds.
    During,
}

/// From `min` to `max`, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minProperties" = 1)))]
#[serde(deny_unknown_fields, default)]
pub struct RevisionRange {
    /// At least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl RevisionRange {
    /// Whether this revision lies within.
    pub fn contains(&self, revision: i64) -> bool {
        let revision = u64::try_from(revision).unwrap_or(0);
        self.min.is_none_or(|min| revision >= min) && self.max.is_none_or(|max| revision <= max)
    }
}
