//! The scorecard: figures of each client and of all. `docs/scorecard.md` says
//! what each is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::concurrency::Peaks;
use super::fact::{Moment, Range};
use super::meter::Meter;
use super::slot::{Slot, State, Wish};
use super::watches::Watches;
use super::writes::Told;
use crate::kube::token::scrub;
use crate::trace::{Histogram, key_text};

/// Watches, and lost events of each, that are told one by one.
const WATCHES_MAX: usize = 1000;
const LOST_MAX: usize = 100;

/// How clients took a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    /// What was measured, where it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The first fact's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Until when it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
    /// The failure, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The figures of all clients together.
    pub total: Figures,
    /// Each client.
    pub clients: Vec<ClientCard>,
    /// What it was made from.
    pub source: Source,
}

/// When the failure was, and what made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// From the one to the other, in microseconds.
    pub duration_us: u64,
    /// Whether the times were given, not found by the traces of faults.
    pub given: bool,
    /// The faults that struck, and what had to do with each.
    pub faults: Vec<Struck>,
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    /// Its name.
    pub name: Box<str>,
    /// Lines of the log that name it.
    pub lines: u64,
}

/// What a card was made from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Lines of the log, or events of the trace.
    pub lines: u64,
    /// Lines that could not be read.
    pub broken: u64,
    /// Events that the trace could not take: whatever was in them is missing.
    pub dropped: u64,
    /// Watch events of watches whose creation was not seen: nothing is known of
    /// what those should have been given.
    pub unknown_watch_events: u64,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientCard {
    /// Where it called from.
    pub client: String,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// Its figures.
    pub figures: Figures,
    /// Its watches; of thousands, those that something happened to first.
    pub watches: Vec<WatchCard>,
    /// Writes that were committed though it was told otherwise.
    pub told_otherwise: Vec<ToldOtherwise>,
}

/// The figures. What is unknown is `None`, and left out of the JSON. Names that
/// end in `_us` are microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// From the failure's begin to the client's first sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noticed_us: Option<u64>,
    /// Which sign: `reset`, `close`, `retry`, `ping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noticed_by: Option<Cow<'static, str>>,
    /// From the loss of a connection to the first new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnected_us: Option<u64>,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that ended.
    pub connections_closed: u64,
    /// Connections that never came to stand.
    pub connections_failed: u64,
    /// Calls, without streams.
    pub calls: u64,
    /// Calls that did not end with OK.
    pub failed_calls: u64,
    /// Failed calls that were asked again.
    pub retries: u64,
    /// The most times that one call was asked again.
    pub retries_max: u64,
    /// From a failure to the next attempt, the shortest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_spacing_min_us: Option<u64>,
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_spacing_median_us: Option<u64>,
    /// The longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_spacing_max_us: Option<u64>,
    /// The most requests at a time.
    pub requests_peak: u64,
    /// Before the failure.
    pub requests_peak_before: u64,
    /// During it.
    pub requests_peak_during: u64,
    /// After it.
    pub requests_peak_after: u64,
    /// Writes that were committed though the client was told otherwise.
    pub told_otherwise: u64,
    /// Of those, written again by the client.
    pub written_again: u64,
    /// What is watched.
    pub watches: u64,
    /// Ends of watches that were not the client's wish.
    pub watches_ended: u64,
    /// Watches that were created anew.
    pub watches_recreated: u64,
    /// Watches that are still missing.
    pub watches_missing: u64,
    /// The longest time that a watch was away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_away_us: Option<u64>,
    /// Re-creations that left changes out.
    pub watch_gaps: u64,
    /// Re-creations from a revision that had been given already.
    pub watch_overlaps: u64,
    /// Lists of ranges that were watched before the failure.
    pub relists: u64,
    /// Their bytes.
    pub relist_bytes: u64,
    /// Events that were given to the client.
    pub events: u64,
    /// Events that were never delivered.
    pub events_lost: u64,
    /// Of those, what a list made good.
    pub events_lost_relisted: u64,
    /// Events that were delivered twice.
    pub events_duplicated: u64,
    /// Events that came after a later one.
    pub events_disordered: u64,
    /// Progress that claimed a revision before its event, or without.
    pub progress_ahead: u64,
    /// The longest time that a watch was behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_us: Option<u64>,
    /// From the failure's end until all was as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_us: Option<u64>,
    /// The same, from the failure's begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_from_begin_us: Option<u64>,
    /// Why it is not known, where there was a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_recovered: Option<String>,
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchCard {
    /// Its first key.
    pub key: String,
    /// The first key after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// `open`, `away` or `ended` (by the client's wish).
    pub state: Cow<'static, str>,
    /// Events that were given.
    pub events: u64,
    /// The longest time that it was behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_us: Option<u64>,
    /// Events that were never delivered.
    pub lost: u64,
    /// Which, at most a hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_events: Vec<LostEvent>,
    /// It fell so far behind that more may be lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost_at_least: bool,
    /// Events that were delivered twice.
    pub duplicated: u64,
    /// Events that came after a later one.
    pub disordered: u64,
    /// Progress that claimed too much.
    pub progress_ahead: u64,
    /// How often it was created anew.
    pub recreated: u64,
    /// Of those the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recreations: Vec<Recreation>,
}

/// An event that was never delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostEvent {
    /// The key that changed.
    pub key: String,
    /// At which revision.
    pub revision: i64,
    /// Whether the client has listed the range since.
    pub relisted: bool,
}

/// A watch that was created anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreation {
    /// When.
    pub at: Moment,
    /// How long it had been away; unknown where it was created anew before the old
    /// one was seen to end, and no change had waited by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_us: Option<u64>,
    /// From which revision on; 0 for now.
    pub start_revision: i64,
    /// The last revision that the client had before, by an event or a list.
    pub last_revision: i64,
    /// Whether it listed the range before.
    pub relisted: bool,
    /// Whether changes in between were left out.
    pub gap: bool,
}

/// A write that was committed though the client was told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldOtherwise {
    /// The key.
    pub key: String,
    /// Where it was committed.
    pub revision: i64,
    /// What the client was told.
    pub status: Box<str>,
    /// When.
    pub at: Moment,
    /// `answer` if etcd's answer was seen, `event` if only its event was.
    pub known_by: Cow<'static, str>,
    /// Whether the client wrote the key again.
    pub written_again: bool,
    /// Where that was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_revision: Option<i64>,
}

pub(super) fn of(meter: &Meter, now: Moment, mut source: Source) -> Scorecard {
    source.unknown_watch_events = meter.watches.unknown;
    let (peaks, each) = meter.concurrency.peaks(&meter.window);
    let mut clients: Vec<ClientCard> = meter
        .clients
        .iter()
        .enumerate()
        .map(|(number, client)| {
            let peaks = each.get(number).copied().unwrap_or_default();
            one(meter, number, client, peaks, now)
        })
        .collect();
    let mut total = sum(meter, &clients);
    peaks_into(&mut total, peaks);
    clients.sort_by(|a, b| {
        (b.figures.calls + b.figures.events, &a.client, &a.user_agent).cmp(&(
            a.figures.calls + a.figures.events,
            &b.client,
            &b.user_agent,
        ))
    });
    Scorecard {
        name: meter.options.name.clone(),
        from: meter.first,
        to: meter.last.map(|_| now),
        failure: failure(meter),
        total,
        clients,
        source,
    }
}

fn failure(meter: &Meter) -> Option<Failure> {
    let window = &meter.window;
    let (began, ended) = (window.begin()?, window.end()?);
    Some(Failure {
        began,
        ended,
        duration_us: ended.since(began),
        given: window.is_given(),
        faults: window
            .struck
            .iter()
            .map(|(name, lines)| Struck {
                name: name.clone(),
                lines: *lines,
            })
            .collect(),
    })
}

fn one(meter: &Meter, number: usize, client: &Client, peaks: Peaks, now: Moment) -> ClientCard {
    let begun = meter.window.begin();
    let mut figures = Figures {
        connections_opened: client.opened,
        connections_closed: client.closed,
        connections_failed: client.refused,
        calls: client.calls,
        failed_calls: client.failed_calls,
        retries: client.retries,
        retries_max: client.retries_max,
        ..Figures::default()
    };
    peaks_into(&mut figures, peaks);
    spacing_into(&mut figures, &client.spacing, client.spacing_least);
    if let Some(begun) = begun {
        if let Some((at, sign)) = client.noticed(begun) {
            figures.noticed_us = Some(at.since(begun));
            figures.noticed_by = Some(sign.into());
        }
        if let Some((lost, Some(again))) = client.reconnected(begun) {
            figures.reconnected_us = Some(again.since(lost));
        }
    }
    let relists = client
        .lists
        .iter()
        .filter(|list| begun.is_none_or(|begun| list.at >= begun && list.watched_since < begun));
    for list in relists {
        figures.relists += 1;
        figures.relist_bytes = figures.relist_bytes.saturating_add(list.bytes);
    }
    let told = meter.writes.told.iter();
    let told: Vec<&Told> = told.filter(|told| told.client == number).collect();
    let more = meter.writes.more.iter().filter(|one| **one == number);
    figures.told_otherwise = (told.len() + more.count()) as u64;
    figures.written_again = told.iter().filter(|told| told.again.is_some()).count() as u64;

    let mut watches = Vec::new();
    let mut behind = 0;
    for (place, slot) in meter.watches.slots.iter().enumerate() {
        if slot.client != number {
            continue;
        }
        let lost = meter.watches.lost(slot);
        let card = watch(meter, place, slot, &lost, now);
        figures.watches += 1;
        figures.watches_ended += slot.ends;
        figures.watches_recreated += slot.recreated;
        figures.watches_missing += u64::from(meter.is_missing(place));
        figures.watch_away_us = figures.watch_away_us.max(slot.away);
        figures.watch_gaps += slot.gaps;
        figures.watch_overlaps += slot.overlaps;
        figures.events += slot.events;
        figures.events_lost += card.lost;
        figures.events_lost_relisted += lost.values().filter(|one| one.relisted).count() as u64;
        figures.events_duplicated += slot.duplicated;
        figures.events_disordered += slot.disordered;
        figures.progress_ahead += card.progress_ahead;
        figures.behind_us = figures.behind_us.max(card.behind_us);
        behind += u64::from(meter.is_behind(place, now));
        watches.push(card);
    }
    if let (Some(begin), Some(end)) = (begun, meter.window.end()) {
        match client.recovered {
            Some(at) => {
                figures.recovery_us = Some(at.since(end));
                figures.recovery_from_begin_us = Some(at.since(begin));
            }
            None => figures.not_recovered = Some(why(&figures, behind, client, end, now)),
        }
    }
    watches.sort_by_key(|watch| {
        let odd = watch.lost + watch.duplicated + watch.disordered + watch.progress_ahead;
        (
            std::cmp::Reverse((odd, watch.state == "away", watch.recreated, watch.behind_us)),
            watch.key.clone(),
        )
    });
    watches.truncate(WATCHES_MAX);
    ClientCard {
        client: client.ip.to_string(),
        user_agent: client
            .user_agent
            .as_deref()
            .map(|agent| scrub(agent).into()),
        figures,
        watches,
        told_otherwise: told.into_iter().map(told_otherwise).collect(),
    }
}

fn why(figures: &Figures, behind: u64, client: &Client, end: Moment, now: Moment) -> String {
    let counted = |n: u64, what: &str| match n {
        1 => format!("1 {what} is"),
        _ => format!("{n} {what}es are"),
    };
    if end > now {
        "the failure has not ended".to_owned()
    } else if figures.watches_missing > 0 {
        format!("{} missing", counted(figures.watches_missing, "watch"))
    } else if behind > 0 {
        format!("{} behind", counted(behind, "watch"))
    } else if client.trouble.is_some_and(|trouble| trouble >= end) {
        "less than a second has passed since something failed".to_owned()
    } else {
        "less than a second has passed since the failure's end".to_owned()
    }
}

fn watch(
    meter: &Meter,
    place: usize,
    slot: &Slot,
    lost: &std::collections::BTreeMap<(i64, u64), super::slot::Lost>,
    now: Moment,
) -> WatchCard {
    let Range { key, end } = &meter.watches.ranges.all[slot.range].range;
    let wanted = matches!(slot.state, State::Open { .. }) || meter.is_missing(place);
    let waiting = slot
        .pending
        .filter(|_| wanted)
        .map(|since| now.since(since));
    WatchCard {
        key: key_text(key),
        range_end: (!end.is_empty()).then(|| key_text(end)),
        state: match slot.state {
            State::Open { .. } => "open",
            State::Away { wish, .. } if wish == Wish::Client || !wanted => "ended",
            State::Away { .. } => "away",
            // Nobody's are not told.
            State::Joined => "ended",
        }
        .into(),
        events: slot.events,
        behind_us: slot.behind.max(waiting),
        lost: lost.len() as u64 + slot.lost_more,
        lost_events: lost
            .iter()
            .take(LOST_MAX)
            .map(|((revision, _), one)| LostEvent {
                key: key_text(&one.key),
                revision: *revision,
                relisted: one.relisted,
            })
            .collect(),
        lost_at_least: slot.unjudged,
        duplicated: slot.duplicated,
        disordered: slot.disordered,
        progress_ahead: Watches::progress_ahead(slot, lost),
        recreated: slot.recreated,
        recreations: slot
            .recreations
            .iter()
            .map(|one| Recreation {
                at: one.at,
                away_us: one.away,
                start_revision: one.start_revision,
                last_revision: one.last_revision,
                relisted: one.relisted,
                gap: one.gap,
            })
            .collect(),
    }
}

fn told_otherwise(told: &Told) -> ToldOtherwise {
    ToldOtherwise {
        key: key_text(&told.key),
        revision: told.revision,
        status: told.status.clone(),
        at: told.at,
        known_by: if told.by_event { "event" } else { "answer" }.into(),
        written_again: told.again.is_some(),
        again_revision: told.again.as_ref().and_then(|again| again.committed),
    }
}

/// All clients together: counts are added, of times the longest counts, and what
/// one client still owes nobody has.
fn sum(meter: &Meter, clients: &[ClientCard]) -> Figures {
    let mut total = Figures::default();
    let mut spacing = Histogram::default();
    let mut least: Option<u64> = None;
    for client in &meter.clients {
        spacing.add(&client.spacing);
        least = match (least, client.spacing_least) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    spacing_into(&mut total, &spacing, least);
    for ClientCard { figures, .. } in clients {
        macro_rules! add {
            ($($field:ident),+) => { $(total.$field = total.$field.saturating_add(figures.$field);)+ };
        }
        macro_rules! longest {
            ($($field:ident),+) => { $(total.$field = total.$field.max(figures.$field);)+ };
        }
        add!(
            connections_opened,
            connections_closed,
            connections_failed,
            calls,
            failed_calls,
            retries,
            told_otherwise,
            written_again,
            watches,
            watches_ended,
            watches_recreated,
            watches_missing,
            watch_gaps,
            watch_overlaps,
            relists,
            relist_bytes,
            events,
            events_lost,
            events_lost_relisted,
            events_duplicated,
            events_disordered,
            progress_ahead
        );
        if figures.noticed_us > total.noticed_us {
            total.noticed_by.clone_from(&figures.noticed_by);
        }
        longest!(
            noticed_us,
            reconnected_us,
            watch_away_us,
            behind_us,
            recovery_us,
            recovery_from_begin_us
        );
        total.retries_max = total.retries_max.max(figures.retries_max);
        if total.not_recovered.is_none() {
            total.not_recovered.clone_from(&figures.not_recovered);
        }
    }
    if total.not_recovered.is_some() {
        total.recovery_us = None;
        total.recovery_from_begin_us = None;
    }
    total
}

fn peaks_into(figures: &mut Figures, peaks: Peaks) {
    figures.requests_peak_before = peaks.before;
    figures.requests_peak_during = peaks.during;
    figures.requests_peak_after = peaks.after;
    figures.requests_peak = peaks.before.max(peaks.during).max(peaks.after);
}

fn spacing_into(figures: &mut Figures, spacing: &Histogram, least: Option<u64>) {
    let micros = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    figures.retry_spacing_min_us = least;
    figures.retry_spacing_median_us = micros(spacing.percentile(50));
    figures.retry_spacing_max_us = micros(spacing.highest());
}
