//! The term of a match that says anything at all: a filter, as for the log, over
//! what is known when the fault has to decide.

use std::fmt;

use super::field::{Field, Findings};
use super::node::Value;
use super::scalar::as_text;
use super::watch::WatchAction;
use crate::filter::{Filter, Mistake, Name, Vocabulary};

as_text!(When);

/// A filter over what is known when a call, a watch or a connection is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When(pub Filter);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known to a fault with this action.
pub(super) fn vocabulary(action: Option<&Field<'_>>) -> Vocabulary {
    let Some(Value::Map(entries)) = action.map(|field| &field.node.value) else {
        return Vocabulary::ASKED;
    };
    match entries.first().map(|(key, _)| key.text.as_str()) {
        Some("watch") => Vocabulary::WATCHED,
        Some("connection") => Vocabulary::CONNECTED,
        _ => Vocabulary::ASKED,
    }
}

pub(super) fn read_when(
    field: &Field<'_>,
    known: &Vocabulary,
    findings: &mut Findings,
) -> Option<When> {
    let text = field.text(findings)?;
    match Filter::parse(text, known) {
        Ok(filter) => Some(When(filter)),
        Err(mistake) => {
            refuse(field, &mistake, findings);
            None
        }
    }
}

/// The place is that of the text; where in it, the sentence says.
fn refuse(field: &Field<'_>, mistake: &Mistake, findings: &mut Findings) {
    let at = match mistake.line() {
        1 => format!("column {} of it", mistake.column()),
        line => format!("line {line}, column {} of it", mistake.column()),
    };
    let what = format!("{at}: {}", mistake.what());
    field.refuse(findings, what, mistake.suggestion().unwrap_or_default());
}

/// Looks whether what is asked of a watch is known when this is done to it.
pub(super) fn look_at_when(
    when: &When,
    action: &WatchAction,
    field: &Field<'_>,
    findings: &mut Findings,
) {
    if when.0.asks(Name::Type) && !action.is_about_events() {
        field.refuse(
            findings,
            "\"type\" is what an event says, and this is done to whole watches",
            "use delay_events, drop_events, duplicate_events or reorder_events, \
             or leave \"type\" out",
        );
    }
    if when.0.asks(Name::WatchId) && matches!(action, WatchAction::Refuse(_)) {
        field.refuse(
            findings,
            "a watch has no number before etcd has created it",
            "leave \"watch_id\" out",
        );
    }
}
