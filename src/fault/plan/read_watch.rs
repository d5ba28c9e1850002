//! Reading what is done to watches.

use std::num::NonZeroU32;

use super::action::Plain;
use super::field::{Field, Fields, Findings};
use super::node::Value;
use super::read_action::{answer, message, reset_code};
use super::read_delay::read_wait;
use super::terms::Match;
use super::watch::{
    CancelTold, CancelWatch, DropStream, DuplicateEvents, FalsifyProgress, Fragment, RefuseWatch,
    ReorderEvents, Stall, WatchAction,
};
use super::when::look_at_when;
use crate::kube::operation::Verb;

/// How often an event may be duplicated.
const MOST_TIMES: u32 = 100;

/// Those that need no settings, as they are then.
fn without_settings(name: &str) -> Option<WatchAction> {
    Some(match name {
        "drop_stream" => WatchAction::DropStream(DropStream::default()),
        "cancel" => WatchAction::Cancel(CancelWatch::default()),
        "refuse" => WatchAction::Refuse(RefuseWatch::default()),
        "stall" => WatchAction::Stall(Stall::default()),
        "drop_events" => WatchAction::DropEvents(Plain {}),
        "duplicate_events" => WatchAction::DuplicateEvents(DuplicateEvents::default()),
        "reorder_events" => WatchAction::ReorderEvents(ReorderEvents::default()),
        "drop_progress" => WatchAction::DropProgress(Plain {}),
        "fragment" => WatchAction::Fragment(Fragment::default()),
        _ => return None,
    })
}

pub(super) fn read_watch(field: &Field<'_>, findings: &mut Findings) -> Option<WatchAction> {
    if let Value::Text(name) = &field.node.value {
        let action = without_settings(name);
        if action.is_none() && WatchAction::NAMES.contains(&name.as_str()) {
            let hint = match name.as_str() {
                "falsify_progress" => "write falsify_progress: {ahead: 1000}",
                "delay_events" => "write delay_events: 200ms",
                _ => "write delay_progress: 10s",
            };
            field.refuse(findings, format!("\"{name}\" needs settings"), hint);
        } else if action.is_none() {
            field.refuse_name(findings, "watch fault", name, WatchAction::NAMES);
        }
        return action;
    }
    let fields = field.map(findings, &WatchAction::NAMES)?;
    let (name, settings) = fields.one_of(&WatchAction::NAMES, findings)?;
    let settings = &settings;
    match name {
        "drop_stream" => drop_stream(settings, findings).map(WatchAction::DropStream),
        "cancel" => cancel(settings, findings).map(WatchAction::Cancel),
        "refuse" => refuse(settings, findings).map(WatchAction::Refuse),
        "stall" => stall(settings, findings).map(WatchAction::Stall),
        "delay_events" => read_wait(settings, findings).map(WatchAction::DelayEvents),
        "delay_progress" => read_wait(settings, findings).map(WatchAction::DelayProgress),
        "duplicate_events" => {
            let fields = settings.map(findings, &["times"])?;
            let times = count(&fields, "times", findings)?;
            if times.get() > MOST_TIMES {
                let why = format!("nobody needs an event {times} times more");
                settings.refuse(findings, why, &format!("write at most {MOST_TIMES}"));
                return None;
            }
            Some(WatchAction::DuplicateEvents(DuplicateEvents { times }))
        }
        "reorder_events" => reorder(settings, findings).map(WatchAction::ReorderEvents),
        "falsify_progress" => falsify(settings, findings).map(WatchAction::FalsifyProgress),
        "fragment" => {
            let fields = settings.map(findings, &["events"])?;
            let events = count(&fields, "events", findings)?;
            Some(WatchAction::Fragment(Fragment { events }))
        }
        name => {
            settings.map(findings, &[])?;
            without_settings(name)
        }
    }
}

fn drop_stream(field: &Field<'_>, findings: &mut Findings) -> Option<DropStream> {
    let names = ["reset", "answer"];
    let fields = field.map(findings, &names)?;
    if fields.given(&names).is_empty() {
        return Some(DropStream::default());
    }
    let (name, value) = fields.one_of(&names, findings)?;
    match name {
        "reset" => reset_code(&value, findings).map(DropStream::Reset),
        _ => answer(&value, findings).map(DropStream::Answer),
    }
}

fn cancel(field: &Field<'_>, findings: &mut Findings) -> Option<CancelWatch> {
    let fields = field.map(findings, &["as", "revision", "reason"])?;
    let told = match fields.get("as") {
        Some(field) => {
            let words = [
                ("requested", CancelTold::Requested),
                ("compacted", CancelTold::Compacted),
                ("server", CancelTold::Server),
            ];
            field.word(findings, "way for a watch to end", &words)?
        }
        None => CancelTold::default(),
    };
    let revision = match fields.get("revision") {
        Some(field) if told != CancelTold::Compacted => {
            let hint = "write as: compacted, or leave \"revision\" out";
            field.refuse(findings, "only a compaction has a revision", hint);
            return None;
        }
        Some(field) => {
            let revision = field.whole(findings)?;
            if revision == 0 || i64::try_from(revision).is_err() {
                field.refuse(findings, "is no revision", "revisions begin with 1");
                return None;
            }
            Some(revision)
        }
        None => None,
    };
    let reason = match fields.get("reason") {
        Some(field) if told != CancelTold::Server => {
            let hint = "write as: server, or leave \"reason\" out";
            field.refuse(findings, "etcd gives no reason for that", hint);
            return None;
        }
        Some(field) => Some(message(&field, findings)?),
        None => None,
    };
    Some(CancelWatch {
        told,
        revision,
        reason,
    })
}

fn refuse(field: &Field<'_>, findings: &mut Findings) -> Option<RefuseWatch> {
    let fields = field.map(findings, &["reason"])?;
    match fields.get("reason") {
        Some(field) => Some(RefuseWatch {
            reason: message(&field, findings)?,
        }),
        None => Some(RefuseWatch::default()),
    }
}

fn stall(field: &Field<'_>, findings: &mut Findings) -> Option<Stall> {
    let fields = field.map(findings, &["for"])?;
    let lasts = match fields.get("for") {
        Some(field) => {
            let lasts = field.span(findings)?;
            if lasts.0.is_zero() {
                field.refuse(
                    findings,
                    "no time at all",
                    "write 30s, or leave the key out",
                );
                return None;
            }
            Some(lasts)
        }
        None => None,
    };
    Some(Stall { lasts })
}

fn reorder(field: &Field<'_>, findings: &mut Findings) -> Option<ReorderEvents> {
    let fields = field.map(findings, &["behind", "within"])?;
    let within = match fields.get("within") {
        Some(field) => field.span(findings)?,
        None => ReorderEvents::default().within,
    };
    Some(ReorderEvents {
        behind: count(&fields, "behind", findings)?,
        within,
    })
}

fn falsify(field: &Field<'_>, findings: &mut Findings) -> Option<FalsifyProgress> {
    let fields = field.map(findings, &["ahead", "at_once"])?;
    let ahead = fields.need("ahead", findings, "write ahead: 1000, or ahead: -1000")?;
    let number = ahead.number(findings)?;
    let whole = number.fract() == 0.0 && number != 0.0 && number.abs() <= 1e15;
    if !whole {
        let hint = "write a whole number of revisions, such as 1000 or -1000";
        ahead.refuse(findings, format!("{number} changes no revision"), hint);
        return None;
    }
    let at_once = match fields.get("at_once") {
        Some(field) => field.flag(findings)?,
        None => false,
    };
    Some(FalsifyProgress {
        ahead: number as i64,
        at_once,
    })
}

/// A number from 1 on; 1 if it is not given.
fn count(fields: &Fields<'_>, name: &str, findings: &mut Findings) -> Option<NonZeroU32> {
    let Some(field) = fields.get(name) else {
        return Some(NonZeroU32::MIN);
    };
    let number = u32::try_from(field.whole(findings)?).ok();
    let count = number.and_then(NonZeroU32::new);
    if count.is_none() {
        field.refuse(findings, "is no such number", "write 1 or more");
    }
    count
}

/// Looks whether the terms of a match and a fault about watches go together.
pub(super) fn look_at_watch(
    matches: &Match,
    action: &WatchAction,
    field: &Field<'_>,
    findings: &mut Findings,
) {
    if !matches.event.is_absent() && !action.is_about_events() {
        field.refuse(
            findings,
            "\"event\" asks what an event says, and this is done to whole watches",
            "use delay_events, drop_events, duplicate_events or reorder_events, \
             or leave \"event\" out",
        );
    }
    if matches.created.is_some() && !action.strikes_standing() {
        field.refuse(
            findings,
            "\"created\" asks since when a watch stands, and this is done to what comes on it",
            "use drop_stream, cancel, stall or falsify_progress with at_once: true, \
             or leave \"created\" out",
        );
    }
    if let Some(when) = &matches.when {
        look_at_when(when, action, field, findings);
    }
    let refuses = matches!(action, WatchAction::Refuse(_));
    if refuses && !matches.watch_id.is_absent() {
        field.refuse(
            findings,
            "a watch has no number before etcd has created it",
            "leave \"watch_id\" out",
        );
    }
    if matches.verb.iter().any(|verb| verb.0 != Verb::Watch) || matches.request_size.is_some() {
        field.refuse(
            findings,
            "this is done to watches, and the match asks for other calls",
            "leave \"verb\" and \"request_size\" out, or write verb: watch",
        );
    }
}
