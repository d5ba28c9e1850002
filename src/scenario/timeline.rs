//! When which fault of an incident strikes, drawn with letters.

use std::time::Duration;

use super::Incident;
use crate::fault::plan::{FaultSpec, Span};

/// When which fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The times, as wide as the bars and a little more.
    pub axis: String,
    /// A row for each fault, in the plan's order.
    pub rows: Vec<TimelineRow>,
}

/// When one fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// The fault's name.
    pub name: String,
    /// `█` where it strikes, `▒` where it does in a part of that time, `·`
    /// where it does not.
    pub bar: String,
}

impl Timeline {
    pub(super) fn of(incident: &Incident, columns: usize) -> Timeline {
        let columns = columns.max(1);
        Timeline {
            axis: axis(incident.length, columns),
            rows: (incident.plan.faults.iter())
                .map(|fault| TimelineRow {
                    name: fault.name.to_string(),
                    bar: bar(fault, incident.length, columns),
                })
                .collect(),
        }
    }
}

fn bar(fault: &FaultSpec, length: Duration, columns: usize) -> String {
    let seconds = |span: Option<Span>| span.map(|span| span.0.as_secs_f64());
    let start = seconds(fault.start).unwrap_or_default();
    let (duration, repeat) = (seconds(fault.duration), seconds(fault.repeat));
    let cell = length.as_secs_f64() / columns as f64;
    (0..columns)
        .map(|column| {
            let (from, to) = (column as f64 * cell, (column + 1) as f64 * cell);
            let share = struck(start, duration, repeat, from, to) / cell;
            match share {
                share if share > 0.99 => '█',
                share if share > 0.01 => '▒',
                // A window that is shorter than that still strikes.
                _ if begins_within(start, repeat, from, to) => '▒',
                _ => '·',
            }
        })
        .collect()
}

/// For how long it strikes from `from` to `to`.
fn struck(start: f64, duration: Option<f64>, repeat: Option<f64>, from: f64, to: f64) -> f64 {
    let overlap = |begin: f64, end: f64| (end.min(to) - begin.max(from)).max(0.0);
    match (duration, repeat) {
        (None, _) => overlap(start, f64::INFINITY),
        (Some(duration), None) => overlap(start, start + duration),
        (Some(duration), Some(repeat)) => {
            let first = ((from - start - duration) / repeat).floor().max(0.0);
            let last = ((to - start) / repeat).ceil().max(0.0);
            // More windows than that are one bar.
            if last - first > 1000.0 {
                return (to - from) * duration / repeat;
            }
            (first as u64..=last as u64)
                .map(|nth| {
                    let begin = start + nth as f64 * repeat;
                    overlap(begin, begin + duration)
                })
                .sum()
        }
    }
}

fn begins_within(start: f64, repeat: Option<f64>, from: f64, to: f64) -> bool {
    match repeat {
        None => from <= start && start < to,
        Some(repeat) => {
            let nth = ((from - start) / repeat).ceil().max(0.0);
            let begin = start + nth * repeat;
            from <= begin && begin < to
        }
    }
}

/// Steps that people count in, in milliseconds.
const STEPS: [u64; 24] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000,
    120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
];

/// How many columns a time takes with the space behind it.
const LABEL: usize = 8;

/// Times at their columns, the end among them.
fn axis(length: Duration, columns: usize) -> String {
    let most = (columns / LABEL).max(1) as u128;
    let step = STEPS
        .into_iter()
        .find(|step| length.as_millis() <= u128::from(*step) * most)
        .map_or(length, Duration::from_millis);
    let end = Span(length).to_string();
    let mut axis = String::new();
    let mut time = Duration::ZERO;
    while time < length {
        let column = (time.as_secs_f64() / length.as_secs_f64() * columns as f64) as usize;
        let label = Span(time).to_string();
        let width = axis.chars().count();
        // The end comes first.
        if column + label.len() < columns && (column > width || width == 0) {
            axis.extend(std::iter::repeat_n(' ', column - width));
            axis.push_str(&label);
        }
        if step.is_zero() {
            break;
        }
        time += step;
    }
    let width = axis.chars().count();
    axis.extend(std::iter::repeat_n(
        ' ',
        columns.saturating_sub(width).max(1),
    ));
    axis.push_str(&end);
    axis
}
