//! The card for people.

use std::fmt::{self, Write};

use super::card::{ClientCard, Figures, Scorecard, WatchCard};
use super::metric::Unit;
use crate::trace::{duration, grouped, quiet_text, shortened, size};

/// Watches and writes that are shown of each client.
const SHOWN: usize = 12;

/// Clients that have a column of their own, and its widest head.
const COLUMNS: usize = 4;
const HEAD: usize = 32;

/// A value in a few characters.
pub(super) fn shown(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Time => duration(value),
        Unit::Count => grouped(value),
        Unit::Bytes => size(value),
    }
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            writeln!(f, "{}", text(name))?;
        }
        writeln!(f, "{}", self.failure_in_words())?;
        writeln!(f)?;
        write!(f, "{}", self.figures())?;
        if self.clients.len() > COLUMNS {
            let more = self.clients.len() - COLUMNS;
            writeln!(f, "and {more} more clients (--json has them)")?;
        }
        for client in self.clients.iter().take(COLUMNS) {
            client.watches_in_words(f)?;
            client.writes_in_words(f)?;
        }
        writeln!(f)?;
        for line in self.verdict() {
            writeln!(f, "{line}")?;
        }
        self.doubts(f)
    }
}

impl Scorecard {
    /// Whether nothing was lost, told wrongly or left undone: no failure that
    /// anybody has to look at.
    pub fn is_clean(&self) -> bool {
        self.verdict() == [CLEAN]
    }

    fn failure_in_words(&self) -> String {
        let Some(failure) = &self.failure else {
            return match (self.from, self.to) {
                (Some(from), Some(to)) => format!(
                    "no failure in {}, from {from} to {to}",
                    duration(to.since(from))
                ),
                _ => "nothing was seen".to_owned(),
            };
        };
        let faults = failure.faults.iter();
        let faults: Vec<String> = faults
            .map(|one| format!("{} ({})", text(&one.name), grouped(one.lines)))
            .collect();
        let by = match (faults.is_empty(), failure.given) {
            (true, _) => "as it was given".to_owned(),
            (false, false) => faults.join(", "),
            (false, true) => format!("as it was given; {}", faults.join(", ")),
        };
        format!(
            "the failure lasted {}, from {} to {}: {by}",
            duration(failure.duration_us),
            failure.began,
            failure.ended,
        )
    }

    /// One row a client, and one for all.
    fn figures(&self) -> String {
        let mut heads = vec![String::new()];
        let mut columns: Vec<&Figures> = vec![&self.total];
        heads.push("ALL".to_owned());
        if self.clients.len() > 1 {
            for client in self.clients.iter().take(COLUMNS) {
                heads.push(shortened(client.name(), HEAD));
                columns.push(&client.figures);
            }
        } else if let [only] = &self.clients[..] {
            heads[1] = shortened(only.name(), HEAD);
        }
        let mut rows: Vec<Vec<String>> = vec![heads];
        let mut row = |name: &str, cell: &dyn Fn(&Figures) -> String| {
            let cells = columns.iter().map(|figures| cell(figures));
            rows.push([name.to_owned()].into_iter().chain(cells).collect());
        };
        if self.failure.is_some() {
            row("noticed after", &|f| match &f.noticed_by {
                Some(sign) => format!("{} ({sign})", time(f.noticed_us)),
                None => "-".to_owned(),
            });
            row("reconnected after", &|f| time(f.reconnected_us));
            row("as before after", &|f| match f.recovery_us {
                Some(_) => time(f.recovery_us),
                None => "not yet".to_owned(),
            });
            row("  from the begin", &|f| time(f.recovery_from_begin_us));
        }
        row("connections opened", &|f| grouped(f.connections_opened));
        row("  closed, failed", &|f| {
            pair(f.connections_closed, f.connections_failed)
        });
        row("calls", &|f| grouped(f.calls));
        row("  failed", &|f| grouped(f.failed_calls));
        row("  asked again", &|f| grouped(f.retries));
        row("  of one at most", &|f| grouped(f.retries_max));
        row(
            "  pause min/median/max",
            &|f| match f.retry_spacing_min_us {
                None => "-".to_owned(),
                least => format!(
                    "{}/{}/{}",
                    time(least),
                    time(f.retry_spacing_median_us),
                    time(f.retry_spacing_max_us)
                ),
            },
        );
        match self.failure {
            Some(_) => row("requests at a time", &|f| {
                format!(
                    "{}/{}/{}",
                    f.requests_peak_before, f.requests_peak_during, f.requests_peak_after
                )
            }),
            None => row("requests at a time", &|f| grouped(f.requests_peak)),
        }
        row("writes told otherwise", &|f| grouped(f.told_otherwise));
        row("  written again", &|f| grouped(f.written_again));
        row("watches", &|f| grouped(f.watches));
        row("  ended, missing", &|f| {
            pair(f.watches_ended, f.watches_missing)
        });
        row("  created anew", &|f| grouped(f.watches_recreated));
        row("  away at most", &|f| time(f.watch_away_us));
        row("  with gap, overlap", &|f| {
            pair(f.watch_gaps, f.watch_overlaps)
        });
        row("lists of what is watched", &|f| grouped(f.relists));
        row("  their bytes", &|f| size(f.relist_bytes));
        row("events", &|f| grouped(f.events));
        row("  never delivered", &|f| grouped(f.events_lost));
        row("  twice, out of order", &|f| {
            pair(f.events_duplicated, f.events_disordered)
        });
        row("  progress ahead", &|f| grouped(f.progress_ahead));
        row("  behind at most", &|f| time(f.behind_us));
        aligned(&rows)
    }

    /// What somebody has to know, one sentence a line.
    fn verdict(&self) -> Vec<String> {
        let total = &self.total;
        let mut lines = Vec::new();
        let mut say = |number: u64, one: &str, many: &str| {
            if number > 0 {
                let what = if number == 1 { one } else { many };
                lines.push(format!("{} {what}", grouped(number)));
            }
        };
        say(
            total.events_lost,
            "event was never delivered",
            "events were never delivered",
        );
        say(
            total.events_duplicated,
            "event was delivered twice",
            "events were delivered twice",
        );
        say(
            total.events_disordered,
            "event came out of order",
            "events came out of order",
        );
        say(
            total.progress_ahead,
            "time progress claimed more than had been delivered",
            "times progress claimed more than had been delivered",
        );
        say(
            total.watch_gaps,
            "watch was created anew from a revision that left changes out",
            "watches were created anew from a revision that left changes out",
        );
        say(
            total.watches_missing,
            "watch is missing",
            "watches are missing",
        );
        say(
            total.told_otherwise,
            "write was committed though the client was told otherwise",
            "writes were committed though the client was told otherwise",
        );
        say(total.failed_calls, "call failed", "calls failed");
        if self
            .clients
            .iter()
            .any(|client| client.watches.iter().any(|watch| watch.lost_at_least))
        {
            lines.push("a watch fell so far behind that more events may be lost".to_owned());
        }
        if let Some(why) = &total.not_recovered {
            lines.push(format!("not all is as before: {why}"));
        }
        if lines.is_empty() {
            lines.push(CLEAN.to_owned());
        }
        lines
    }

    /// What makes the card itself doubtful.
    fn doubts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        if source.dropped > 0 {
            writeln!(
                f,
                "{} lines were dropped while this was measured: figures may be too low",
                grouped(source.dropped)
            )?;
        }
        if source.broken > 0 {
            writeln!(
                f,
                "{} of {} lines could not be read",
                grouped(source.broken),
                grouped(source.lines)
            )?;
        }
        if source.unknown_watch_events > 0 {
            writeln!(
                f,
                "{} events belong to watches that were created before: nothing is known of what those missed",
                grouped(source.unknown_watch_events)
            )?;
        }
        Ok(())
    }
}

const CLEAN: &str = "clean: nothing was lost, told wrongly, or left undone";

impl ClientCard {
    fn name(&self) -> String {
        match &self.user_agent {
            Some(agent) => format!("{} {}", self.client, text(agent)),
            None => self.client.clone(),
        }
    }

    /// The watches that something happened to.
    fn watches_in_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let odd: Vec<&WatchCard> = self.watches.iter().filter(|one| one.is_odd()).collect();
        if odd.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nwatches of {}:", self.name())?;
        for watch in odd.iter().take(SHOWN) {
            writeln!(f, "  {}: {}", text(&watch.key), watch.in_words())?;
        }
        if odd.len() > SHOWN {
            writeln!(f, "  and {} more (--json has them)", odd.len() - SHOWN)?;
        }
        Ok(())
    }

    fn writes_in_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.told_otherwise.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nwrites of {} that were told otherwise:", self.name())?;
        for told in self.told_otherwise.iter().take(SHOWN) {
            let again = match (told.written_again, told.again_revision) {
                (false, _) => "not written again".to_owned(),
                (true, Some(revision)) => format!("written again, committed @{revision}"),
                (true, None) => "written again, which was not committed".to_owned(),
            };
            writeln!(
                f,
                "  {}: committed @{}, told {}; {again}",
                text(&told.key),
                told.revision,
                text(&told.status)
            )?;
        }
        if self.told_otherwise.len() > SHOWN {
            let more = self.told_otherwise.len() - SHOWN;
            writeln!(f, "  and {more} more (--json has them)")?;
        }
        Ok(())
    }
}

impl WatchCard {
    fn is_odd(&self) -> bool {
        self.lost + self.duplicated + self.disordered + self.progress_ahead + self.recreated > 0
            || self.state == "away"
            || self
                .behind_us
                .is_some_and(|behind| behind > super::watches::BEHIND)
    }

    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        if self.state != "open" {
            parts.push(self.state.to_string());
        }
        if self.lost > 0 {
            let mut part = format!("{} lost", grouped(self.lost));
            let first = self.lost_events.iter().take(3);
            let first: Vec<String> = first.map(|one| format!("@{}", one.revision)).collect();
            let _ = write!(part, " ({}", first.join(", "));
            part.push_str(if self.lost > 3 { ", …)" } else { ")" });
            parts.push(part);
        }
        for (number, what) in [
            (self.duplicated, "twice"),
            (self.disordered, "out of order"),
            (self.progress_ahead, "x progress ahead"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", grouped(number)));
            }
        }
        for one in self.recreations.iter().take(3) {
            let had = one.last_revision;
            let mut part = String::from("created anew");
            if let Some(away) = one.away_us {
                let _ = write!(part, " after {}", duration(away));
            }
            let _ = write!(part, " from @{}, had @{had}", one.start_revision);
            part.push_str(match (one.relisted, one.gap) {
                (true, _) => " by a list",
                (false, true) => ": changes left out",
                (false, false) => "",
            });
            parts.push(part);
        }
        if self.recreated > 3 {
            parts.push(format!("created anew {} times in all", self.recreated));
        }
        if let Some(behind) = self.behind_us {
            parts.push(format!("{} behind at most", duration(behind)));
        }
        parts.join("; ")
    }
}

fn pair(a: u64, b: u64) -> String {
    format!("{}, {}", grouped(a), grouped(b))
}

fn time(micros: Option<u64>) -> String {
    micros.map_or("-".to_owned(), duration)
}

/// Foreign text that moves no cursor.
fn text(foreign: &str) -> String {
    quiet_text(foreign)
}

/// Cells that stand under each other, the first column to the left.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a String does not fail.
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
