//! What came of a drive.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::known::Guards;
use super::pace::Pace;
use crate::grpc::Code;
use crate::replay::presupposed::Presupposed;
use crate::replay::report::{Ended, in_brackets, left_out, presupposed};
use crate::trace::{Histogram, duration, grouped, size};

/// What came of a drive, as far as it went.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target, as it was named.
    pub target: Box<str>,
    /// The version that it says it is.
    pub version: Box<str>,
    /// How fast it was to be.
    pub pace: Pace,
    /// By service and method, what was called at least once.
    pub methods: BTreeMap<Box<str>, Row>,
    /// What watches brought.
    pub watches: Watches,
    /// How guards came out.
    pub guards: Guards,
    /// Calls that waited for one that they cannot come before.
    pub waited: u64,
    /// How late calls were made, in microseconds; nothing at full speed.
    lateness: Histogram,
    /// Errors that the recording does not have.
    pub new_errors: u64,
    /// Connections that were opened, and all that there are.
    pub connections: (u64, u64),
    /// Streams that were opened, those of unary calls included.
    pub streams: u64,
    /// Bytes of messages: sent and received.
    pub bytes: (u64, u64),
    /// Calls and messages that were sent, and all that there are.
    pub steps: (u64, u64),
    /// Calls that are not driven, by why.
    pub left_out: BTreeMap<&'static str, u64>,
    /// What was written that no call of the recording wrote.
    pub presupposed: Presupposed,
    /// How it ended.
    pub ended: Ended,
    /// How long it took.
    pub took: Duration,
    /// How long it was until the last call was over.
    pub calling: Duration,
    /// How long the recording is.
    pub recorded: Duration,
}

/// The calls of a method.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// In microseconds.
    micros: Histogram,
    recorded: Histogram,
    /// Those that failed, by status.
    pub errors: BTreeMap<u32, u64>,
}

/// What watches brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watches {
    /// Those that were asked for.
    pub asked: u64,
    /// Those that the target confirmed.
    pub created: u64,
    /// Those that were confirmed in the recording.
    pub recorded: u64,
    /// Events that came.
    pub events: u64,
    /// Events in the recording.
    pub recorded_events: u64,
    /// Those that the target ended.
    pub canceled: u64,
}

impl Row {
    /// A call is over.
    pub(super) fn over(&mut self, micros: i64, recorded: Option<i64>, code: Code) {
        self.micros.record(micros);
        if let Some(recorded) = recorded {
            self.recorded.record(recorded);
        }
        if code != Code::OK {
            *self.errors.entry(code.0).or_default() += 1;
        }
    }

    /// Calls that are over.
    pub fn calls(&self) -> u64 {
        self.micros.count()
    }

    /// A latency here and in the recording, in microseconds.
    pub fn percentile(&self, percent: u64) -> (Option<i64>, Option<i64>) {
        let at = |of: &Histogram| of.percentile(percent);
        (at(&self.micros), at(&self.recorded))
    }

    fn error_texts(&self) -> impl Iterator<Item = (String, u64)> {
        let all = self.errors.iter();
        all.map(|(code, count)| (Code(*code).to_string(), *count))
    }
}

impl Report {
    pub(super) fn new(target: &str, version: &str, pace: Pace) -> Report {
        Report {
            target: target.into(),
            version: version.into(),
            pace,
            methods: BTreeMap::new(),
            watches: Watches::default(),
            guards: Guards::default(),
            waited: 0,
            lateness: Histogram::default(),
            new_errors: 0,
            connections: (0, 0),
            streams: 0,
            bytes: (0, 0),
            steps: (0, 0),
            left_out: BTreeMap::new(),
            presupposed: Presupposed::default(),
            ended: Ended::Complete,
            took: Duration::ZERO,
            calling: Duration::ZERO,
            recorded: Duration::ZERO,
        }
    }

    pub(super) fn late(&mut self, by: Duration) {
        self.lateness.record(micros(by));
    }

    /// Calls that are over.
    pub fn calls(&self) -> u64 {
        self.methods.values().map(Row::calls).sum()
    }

    /// Calls a second, until the last of them was over.
    pub fn rate(&self) -> f64 {
        match self.calling.as_secs_f64() {
            0.0 => 0.0,
            seconds => self.calls() as f64 / seconds,
        }
    }

    /// How late calls were made, in microseconds; `None` at full speed.
    pub fn lateness(&self, percent: u64) -> Option<i64> {
        self.lateness.percentile(percent)
    }

    /// Whether all was driven, and nothing failed that did not fail in the recording.
    pub fn is_clean(&self) -> bool {
        self.new_errors == 0 && self.ended == Ended::Complete
    }

    /// For other programs. Times are in microseconds, unless their name says another
    /// unit.
    pub fn to_json(&self) -> Value {
        let methods = self.methods.iter().map(|(method, row)| {
            let ((p50, was50), (p99, was99)) = (row.percentile(50), row.percentile(99));
            let errors: serde_json::Map<_, _> = row
                .error_texts()
                .map(|(code, count)| (code, json!(count)))
                .collect();
            let row = json!({
                "calls": row.calls(), "errors": errors,
                "p50_us": p50, "p99_us": p99, "max_us": row.micros.highest(),
                "recorded_p50_us": was50, "recorded_p99_us": was99,
                "p50_ratio": ratio(p50, was50), "p99_ratio": ratio(p99, was99),
            });
            (method.to_string(), row)
        });
        let (ended, reason) = self.ended.words();
        let mut report = json!({
            "mode": "free", "target": self.target, "version": self.version,
            "speed": self.pace.to_string(),
            "ended": ended,
            "steps": self.steps.0, "steps_planned": self.steps.1,
            "took_ms": self.took.as_secs_f64() * 1e3,
            "recorded_ms": self.recorded.as_secs_f64() * 1e3,
            "calls": self.calls(), "calls_per_second": self.rate(),
            "bytes_sent": self.bytes.0, "bytes_received": self.bytes.1,
            "connections": self.connections.0, "connections_planned": self.connections.1,
            "streams": self.streams,
            "methods": methods.collect::<serde_json::Map<_, _>>(),
            "new_errors": self.new_errors,
            "watches": {
                "asked": self.watches.asked, "created": self.watches.created,
                "canceled": self.watches.canceled, "events": self.watches.events,
                "recorded_created": self.watches.recorded,
                "recorded_events": self.watches.recorded_events,
            },
            "guards": {
                "held": self.guards.held, "failed": self.guards.failed,
                "failed_in_both": self.guards.failed_in_both,
                "held_only_here": self.guards.held_only_here,
            },
            "waited": self.waited,
            "lateness": match self.pace {
                Pace::Max => Value::Null,
                Pace::Times(_) => json!({
                    "p50_us": self.lateness(50), "p99_us": self.lateness(99),
                    "max_us": self.lateness.highest(),
                }),
            },
            "left_out": self.left_out,
            "presupposed": self.presupposed.to_json(),
        });
        if let Some(reason) = reason {
            report["reason"] = json!(reason);
        }
        report
    }
}

fn ratio(here: Option<i64>, recorded: Option<i64>) -> Option<f64> {
    match (here, recorded) {
        (Some(here), Some(recorded)) if recorded > 0 => {
            // Two digits behind the point say what such a ratio knows.
            Some((here as f64 / recorded as f64 * 100.0).round() / 100.0)
        }
        _ => None,
    }
}

/// Whole microseconds.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn took(micros: Option<i64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| duration(micros.unsigned_abs()))
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "calls", "errors", "p50", "recorded", "ratio", "p99", "recorded", "ratio", "max",
        ];
        let mut rows = vec![(String::new(), header.map(str::to_owned))];
        for (method, row) in &self.methods {
            let ((p50, was50), (p99, was99)) = (row.percentile(50), row.percentile(99));
            let errors: u64 = row.errors.values().sum();
            rows.push((
                method.to_string(),
                [
                    grouped(row.calls()),
                    grouped(errors),
                    took(p50),
                    took(was50),
                    times(ratio(p50, was50)),
                    took(p99),
                    took(was99),
                    times(ratio(p99, was99)),
                    took(row.micros.highest()),
                ],
            ));
        }
        table(f, &rows)?;
        for (method, row) in &self.methods {
            for (code, count) in row.error_texts() {
                writeln!(f, "{method}: {} ended with {code}", grouped(count))?;
            }
        }
        if self.new_errors > 0 {
            let errors = grouped(self.new_errors);
            writeln!(f, "{errors} of the errors are not in the recording")?;
        }
        let Watches {
            asked,
            created,
            recorded,
            events,
            recorded_events,
            canceled,
        } = self.watches;
        if asked + recorded > 0 {
            write!(
                f,
                "watches: {} created ({} recorded), {} events ({} recorded)",
                grouped(created),
                grouped(recorded),
                grouped(events),
                grouped(recorded_events)
            )?;
            if canceled > 0 {
                write!(f, ", {} ended by the target", grouped(canceled))?;
            }
            writeln!(f)?;
        }
        let Guards {
            held,
            failed,
            failed_in_both,
            held_only_here,
        } = self.guards;
        if held + failed > 0 {
            let all = grouped(held + failed);
            writeln!(
                f,
                "guards: {} of {all} held that held in the recording",
                grouped(held)
            )?;
        }
        if failed_in_both + held_only_here > 0 {
            let all = grouped(failed_in_both + held_only_here);
            let failed = grouped(failed_in_both);
            writeln!(
                f,
                "guards: {failed} of {all} failed that failed in the recording"
            )?;
        }
        if self.waited > 0 {
            let waited = grouped(self.waited);
            writeln!(f, "{waited} calls waited for the write that they speak of")?;
        }
        presupposed(f, &self.presupposed)?;
        left_out(f, &self.left_out)?;
        if let (Some(p50), Some(p99)) = (self.lateness(50), self.lateness(99)) {
            writeln!(
                f,
                "late by: p50 {}, p99 {}, max {}",
                took(Some(p50)),
                took(Some(p99)),
                took(self.lateness.highest())
            )?;
        }
        writeln!(
            f,
            "{} calls on {} connections, {:.0} calls/s, sent {}, received {}",
            grouped(self.calls()),
            grouped(self.connections.0),
            self.rate(),
            size(self.bytes.0),
            size(self.bytes.1)
        )?;
        self.ended.tell(f, self.steps)?;
        let version = in_brackets(&self.version);
        writeln!(
            f,
            "{}{version}, speed {}: {:.1} s, recorded in {:.1} s",
            self.target,
            self.pace,
            self.took.as_secs_f64(),
            self.recorded.as_secs_f64()
        )
    }
}

/// Writes columns as wide as what stands in them.
fn table(f: &mut fmt::Formatter<'_>, rows: &[(String, [String; 9])]) -> fmt::Result {
    let wide = |text: &String| text.chars().count();
    let names = rows.iter().map(|(name, _)| wide(name)).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(|n| {
        let cells = rows.iter().map(|(_, cells)| wide(&cells[n]));
        cells.max().unwrap_or(0)
    });
    for (name, cells) in rows {
        write!(f, "{name:<names$}")?;
        for (cell, width) in cells.iter().zip(widths) {
            write!(f, "  {cell:>width$}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}
