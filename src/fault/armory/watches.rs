//! What strikes a watch, and what comes on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::{Draws, Identity, Purpose};
use super::facts::{WatchKnown, fits_when};
use super::fitting::fits_watch;
use super::judge::ConnectionJudge;
use super::rule::Rule;
use super::schedule::sooner;
use super::words;
use crate::etcd::EventKind;
use crate::etcd::verdict::Hit;
use crate::etcd::watch_verdict::{
    AskedWatch, CancelAs, Moment, Stamp, StreamEnding, Strike, WatchAct,
};
use crate::fault::plan::{Action, CancelTold, CreatedTerm, DropStream, Wait, WatchAction};
use crate::kube::operation::Operation;

impl ConnectionJudge {
    /// What strikes a watch at a moment, in the order of the plan.
    pub(super) fn strikes(
        &mut self,
        watch: &AskedWatch<'_>,
        moment: Moment<'_>,
        now: Instant,
    ) -> Vec<Strike> {
        let mut strikes = Vec::new();
        let mut used_up = false;
        for rule in &self.rules {
            let Action::Watch(action) = &rule.spec.action else {
                continue;
            };
            let Some(until) = rule.active_until(now).filter(|_| is_its(action, moment)) else {
                continue;
            };
            let event = event_of(moment);
            let (key, end) = match event {
                Some((_, key)) => (key, None),
                None => (watch.key, Some(watch.range_end)),
            };
            let operation = Operation::of_keys(Some(key), end, &self.keys);
            if !fits_watch(
                &rule.spec.matches,
                watch,
                event.map(|(kind, _)| kind),
                &operation,
            ) {
                continue;
            }
            let known = WatchKnown {
                watch,
                event: event.map(|(kind, _)| kind),
                operation: &operation,
            };
            if !fits_when(&rule.spec.matches, &known) {
                continue;
            }
            let stamp = Stamp {
                fault: rule.id.0,
                window: rule.window(now),
            };
            if let Moment::Standing { struck, fresh } = moment {
                if struck.contains(&stamp) {
                    continue;
                }
                let created = match fresh {
                    true => CreatedTerm::During,
                    false => CreatedTerm::Before,
                };
                if rule
                    .spec
                    .matches
                    .created
                    .is_some_and(|wanted| wanted != created)
                {
                    // It stands by the next look, and that changes nothing.
                    strikes.push(spared(rule, stamp));
                    continue;
                }
            }
            let name = &watch.call.name;
            let identity = Identity::new(&name.service, &name.method, key, watch.key);
            let struck = rule.strike(identity, now);
            used_up |= struck.used_up;
            let Some(draws) = struck.draws else {
                if let Moment::Standing { .. } = moment {
                    // Chance falls once in a window.
                    strikes.push(spared(rule, stamp));
                }
                continue;
            };
            let (act, did) = act(action, moment, draws);
            strikes.push(Strike {
                hit: Hit {
                    fault: rule.id,
                    name: Arc::clone(&rule.name),
                    did: did.into(),
                },
                stamp,
                until: ends(rule, action, until, now),
                act,
            });
        }
        if used_up {
            self.armory.note_used_up();
        }
        strikes
    }
}

/// A watch that is not struck in this window, whatever else happens.
fn spared(rule: &Rule, stamp: Stamp) -> Strike {
    Strike {
        hit: Hit {
            fault: rule.id,
            name: Arc::clone(&rule.name),
            did: "".into(),
        },
        stamp,
        until: None,
        act: WatchAct::Spare,
    }
}

/// Whether the action is about such a moment.
fn is_its(action: &WatchAction, moment: Moment<'_>) -> bool {
    match action {
        WatchAction::Refuse(_) => matches!(moment, Moment::Asked),
        WatchAction::FalsifyProgress(falsify) => match moment {
            Moment::Standing { .. } => falsify.at_once,
            moment => matches!(moment, Moment::Progress),
        },
        action if action.strikes_standing() => matches!(moment, Moment::Standing { .. }),
        WatchAction::DropProgress(_) | WatchAction::DelayProgress(_) => {
            matches!(moment, Moment::Progress)
        }
        WatchAction::Fragment(_) => matches!(moment, Moment::Message { .. }),
        action => action.is_about_events() && matches!(moment, Moment::Event { .. }),
    }
}

fn event_of(moment: Moment<'_>) -> Option<(EventKind, &[u8])> {
    match moment {
        Moment::Event { kind, key } => Some((kind, key)),
        _ => None,
    }
}

/// When what it holds is let go at the latest.
fn ends(
    rule: &Rule,
    action: &WatchAction,
    until: Option<Instant>,
    now: Instant,
) -> Option<Instant> {
    match action {
        WatchAction::Stall(stall) => {
            let lasts = stall.lasts.and_then(|lasts| now.checked_add(lasts.0));
            sooner(lasts, until)
        }
        // A delay that was begun runs out, but for the end of the time to live.
        _ => rule.expires(),
    }
}

/// What is done, and in words.
fn act(action: &WatchAction, moment: Moment<'_>, draws: Draws) -> (WatchAct, String) {
    let drawn = |wait: &Wait| draws.of(Purpose::EachResponseMessage).wait(wait);
    match action {
        WatchAction::DropStream(DropStream::Reset(code)) => (
            WatchAct::EndStream(StreamEnding::Reset(code.0)),
            format!("stream of watches reset with {code}"),
        ),
        WatchAction::DropStream(DropStream::Answer(answer)) => {
            let refusal = answer.refusal();
            let did = format!("stream of watches ended, {}", words::answered(&refusal));
            (WatchAct::EndStream(StreamEnding::Answer(refusal)), did)
        }
        WatchAction::Cancel(cancel) => {
            let (told, did) = match cancel.told {
                CancelTold::Requested => (CancelAs::Requested, "watch cancelled as if requested"),
                CancelTold::Compacted => {
                    let revision = cancel.revision.and_then(|it| i64::try_from(it).ok());
                    (
                        CancelAs::Compacted(revision),
                        "watch cancelled as compacted",
                    )
                }
                CancelTold::Server => {
                    let reason = cancel.reason.clone().unwrap_or_default();
                    (CancelAs::Server(reason), "watch cancelled by the server")
                }
            };
            (WatchAct::Cancel(told), did.to_owned())
        }
        WatchAction::Refuse(refuse) => {
            let reason = refuse.reason.clone();
            (WatchAct::Refuse { reason }, "creation refused".to_owned())
        }
        WatchAction::Stall(_) => (WatchAct::Stall, "watch stalled".to_owned()),
        WatchAction::DelayEvents(wait) => late("event", drawn(wait)),
        WatchAction::DelayProgress(wait) => late("progress", drawn(wait)),
        WatchAction::DropEvents(_) => (WatchAct::Drop, "event dropped".to_owned()),
        WatchAction::DropProgress(_) => (WatchAct::Drop, "progress dropped".to_owned()),
        WatchAction::DuplicateEvents(duplicate) => {
            let times = duplicate.times.get();
            let did = match times {
                1 => "event duplicated".to_owned(),
                times => format!("event given {} times", u64::from(times) + 1),
            };
            (WatchAct::Duplicate(times), did)
        }
        WatchAction::ReorderEvents(reorder) => {
            let (events, within) = (reorder.behind.get(), reorder.within.0);
            let did = match events {
                1 => "event put behind the next".to_owned(),
                events => format!("event put behind the next {events}"),
            };
            (WatchAct::Behind { events, within }, did)
        }
        WatchAction::FalsifyProgress(falsify) => {
            let ahead = falsify.ahead;
            let did = format!("progress falsified by {ahead:+} revisions");
            let act = match moment {
                Moment::Standing { .. } => WatchAct::Bookmark { ahead },
                _ => WatchAct::Falsify { ahead },
            };
            (act, did)
        }
        WatchAction::Fragment(fragment) => {
            let events = fragment.events.get() as usize;
            let did = format!("cut into fragments of {events}");
            (WatchAct::Fragment { events }, did)
        }
    }
}

fn late(what: &str, wait: Duration) -> (WatchAct, String) {
    let did = format!("{what} delayed by {}", words::time(wait));
    (WatchAct::Delay(wait), did)
}
