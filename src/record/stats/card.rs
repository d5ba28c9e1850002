//! The figures as they are told: tables for people, JSON for programs.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::heavy::Weighed;
use super::{Calls, Heavy, Rows, Stats, Watches};
use crate::trace::{
    Histogram, Table, duration, grouped, shortened, shown_key, signed_duration, size,
};

/// The widest a name stands in a table.
const WIDTH: usize = 72;

impl<R> Rows<R> {
    /// The rows, the greatest first.
    fn first<K: Ord>(&self, count: usize, greatness: impl Fn(&R) -> K) -> Vec<(&str, &R)> {
        let mut rows: Vec<(&str, &R)> = self.0.iter().map(|(name, row)| (&**name, row)).collect();
        rows.sort_by(|a, b| {
            greatness(b.1)
                .cmp(&greatness(a.1))
                .then_with(|| a.0.cmp(b.0))
        });
        rows.truncate(count);
        rows
    }
}

impl Stats {
    /// The figures as JSON; `docs/looking.md` explains every field.
    pub fn to_json(&self) -> Value {
        let groups = |rows: &Rows<Calls>, name: &str| -> Value {
            let rows = rows.first(usize::MAX, |row| row.calls);
            rows.into_iter()
                .map(|(value, row)| {
                    let mut object = calls(row);
                    object[name] = json!(value);
                    object
                })
                .collect()
        };
        let heavy = |heavy: &Heavy, of: &str| -> Value {
            let first = heavy.first(self.top).into_iter();
            first
                .map(
                    |Weighed {
                         name,
                         weight,
                         doubt,
                     }| {
                        let mut object = json!({"key": name, of: weight});
                        if doubt > 0 {
                            object["at_most_too_much"] = json!(doubt);
                        }
                        object
                    },
                )
                .collect()
        };
        let mut biggest: Vec<_> = self.biggest.iter().map(|answer| &answer.0).collect();
        biggest.sort_by(|a, b| b.cmp(a));
        json!({
            "lines": self.lines,
            "from": self.span.map(|(from, _)| time(from)),
            "to": self.span.map(|(_, to)| time(to)),
            "connections": self.connections,
            "connections_failed": self.failed_connections,
            "connections_not_traced": self.untraced,
            "http1": self.http1,
            "all": calls(&self.all),
            "by_method": groups(&self.by_method, "method"),
            "by_verb": groups(&self.by_verb, "verb"),
            "by_resource": groups(&self.by_resource, "resource"),
            "by_namespace": groups(&self.by_namespace, "namespace"),
            "by_client": groups(&self.by_client, "client"),
            "keys_by_calls": heavy(&self.keys_by_calls, "calls"),
            "keys_by_bytes": heavy(&self.keys_by_bytes, "bytes"),
            "keys_by_time": heavy(&self.keys_by_time, "duration_us"),
            "biggest_answers": biggest.into_iter().map(|answer| json!({
                "bytes": answer.bytes,
                "ts": time(answer.at),
                "verb": answer.verb,
                "key": answer.what,
                "client": answer.client,
            })).collect::<Value>(),
            "watches": self.watches.first(usize::MAX, |row| row.events).into_iter()
                .map(|(name, row)| {
                    let (resource, client) = name.split_once('\0').unwrap_or((name, ""));
                    json!({
                        "resource": resource,
                        "client": client,
                        "created": row.created,
                        "ended": row.ended,
                        "failed": row.failed,
                        "events": row.events,
                        "bytes": row.bytes,
                        "with_lag": row.lag.count(),
                        "lag_us": spread(&row.lag),
                    })
                }).collect::<Value>(),
            "conflicts": self.conflicts,
            "conflicts_by_key": heavy(&self.conflicts_by_key, "conflicts"),
            "errors": self.errors.first(usize::MAX, |count| *count).into_iter()
                .map(|(name, count)| {
                    let [method, status, message] = error(name);
                    json!({"method": method, "status": status, "message": message, "count": count})
                }).collect::<Value>(),
            "faults": self.faults.first(usize::MAX, |count| *count).into_iter()
                .map(|(name, count)| json!({"name": name, "hits": count}))
                .collect::<Value>(),
        })
    }

    fn calls_table(
        &self,
        f: &mut fmt::Formatter<'_>,
        head: &str,
        rows: &Rows<Calls>,
    ) -> fmt::Result {
        let mut table = Table::new(
            1,
            &[
                head,
                "CALLS",
                "ERRORS",
                "CONFLICTS",
                "P50",
                "P90",
                "P99",
                "MAX",
                "SENT",
                "RECEIVED",
            ],
        );
        for (name, row) in rows.first(self.top, |row| row.calls) {
            table.row(row_of(&shown(name), row));
        }
        let left = rows.0.len().saturating_sub(self.top);
        write!(f, "\n{table}{}", more(left))
    }

    fn heavy_table(
        &self,
        f: &mut fmt::Formatter<'_>,
        head: [&str; 2],
        heavy: &Heavy,
        figure: impl Fn(u64) -> String,
    ) -> fmt::Result {
        let first = heavy.first(self.top);
        if first.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(1, &head);
        for one in first {
            let about = if one.doubt > 0 { "≤ " } else { "" };
            table.row([shown(&one.name), format!("{about}{}", figure(one.weight))]);
        }
        write!(f, "\n{table}")
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((from, to)) = self.span else {
            return writeln!(f, "nothing passes");
        };
        writeln!(
            f,
            "{} lines from {} to {} ({})",
            grouped(self.lines),
            time(from),
            time(to),
            duration((to - from) / 1000)
        )?;
        write!(f, "connections: {}", grouped(self.connections))?;
        for (count, what) in [
            (self.failed_connections, "failed"),
            (self.untraced, "no longer traced"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        if self.http1 > 0 {
            write!(f, "; plain HTTP requests: {}", grouped(self.http1))?;
        }
        writeln!(f)?;
        let mut table = Table::new(
            1,
            &[
                "",
                "CALLS",
                "ERRORS",
                "CONFLICTS",
                "P50",
                "P90",
                "P99",
                "MAX",
                "SENT",
                "RECEIVED",
            ],
        );
        table.row(row_of("all", &self.all));
        write!(f, "\n{table}")?;
        self.calls_table(f, "METHOD", &self.by_method)?;
        self.calls_table(f, "VERB", &self.by_verb)?;
        self.calls_table(f, "RESOURCE", &self.by_resource)?;
        self.calls_table(f, "NAMESPACE", &self.by_namespace)?;
        self.calls_table(f, "CLIENT", &self.by_client)?;
        self.heavy_table(f, ["KEY", "CALLS"], &self.keys_by_calls, grouped)?;
        self.heavy_table(f, ["KEY", "BYTES"], &self.keys_by_bytes, size)?;
        self.heavy_table(f, ["KEY", "TIME"], &self.keys_by_time, duration)?;
        if !self.biggest.is_empty() {
            let mut biggest: Vec<_> = self.biggest.iter().map(|answer| &answer.0).collect();
            biggest.sort_by(|a, b| b.cmp(a));
            let mut table = Table::new(
                4,
                &["BIGGEST ANSWERS", "VERB", "WHEN", "CLIENT", "RECEIVED"],
            );
            for answer in biggest {
                table.row([
                    shown(&answer.what),
                    shown(&answer.verb),
                    time(answer.at),
                    shown(&answer.client),
                    size(answer.bytes),
                ]);
            }
            write!(f, "\n{table}")?;
        }
        if !self.watches.0.is_empty() {
            watches_table(f, &self.watches, self.top)?;
        }
        self.heavy_table(f, ["CONFLICTS", "COUNT"], &self.conflicts_by_key, grouped)?;
        if !self.errors.0.is_empty() {
            let mut table = Table::new(3, &["ERROR", "STATUS", "MESSAGE", "COUNT"]);
            for (name, count) in self.errors.first(self.top, |count| *count) {
                let [method, status, message] = error(name).map(shown);
                table.row([method, status, message, grouped(*count)]);
            }
            let left = self.errors.0.len().saturating_sub(self.top);
            write!(f, "\n{table}{}", more(left))?;
        }
        if !self.faults.0.is_empty() {
            let mut table = Table::new(1, &["FAULT", "HITS"]);
            for (name, count) in self.faults.first(self.top, |count| *count) {
                table.row([shown(name), grouped(*count)]);
            }
            write!(f, "\n{table}")?;
        }
        Ok(())
    }
}

fn watches_table(f: &mut fmt::Formatter<'_>, rows: &Rows<Watches>, top: usize) -> fmt::Result {
    let mut table = Table::new(
        2,
        &[
            "WATCHED", "CLIENT", "CREATED", "ENDED", "FAILED", "EVENTS", "BYTES", "LAG P50",
            "LAG P99", "LAG MAX",
        ],
    );
    for (name, row) in rows.first(top, |row| row.events) {
        let (resource, client) = name.split_once('\0').unwrap_or((name, ""));
        let lag = |micros: Option<i64>| micros.map_or_else(dash, signed_duration);
        table.row([
            shown(resource),
            shown(client),
            grouped(row.created),
            grouped(row.ended),
            grouped(row.failed),
            grouped(row.events),
            size(row.bytes),
            lag(row.lag.percentile(50)),
            lag(row.lag.percentile(99)),
            lag(row.lag.highest()),
        ]);
    }
    write!(f, "\n{table}{}", more(rows.0.len().saturating_sub(top)))
}

fn row_of(name: &str, row: &Calls) -> [String; 10] {
    let took = |micros: Option<i64>| {
        micros.map_or_else(dash, |micros| duration(u64::try_from(micros).unwrap_or(0)))
    };
    [
        name.to_owned(),
        grouped(row.calls),
        grouped(row.errors),
        grouped(row.conflicts),
        took(row.micros.percentile(50)),
        took(row.micros.percentile(90)),
        took(row.micros.percentile(99)),
        took(row.micros.highest()),
        size(row.sent),
        size(row.received),
    ]
}

fn calls(row: &Calls) -> Value {
    json!({
        "calls": row.calls,
        "errors": row.errors,
        "conflicts": row.conflicts,
        "request_bytes": row.sent,
        "response_bytes": row.received,
        "duration_us": spread(&row.micros),
    })
}

fn spread(histogram: &Histogram) -> Value {
    json!({
        "p50": histogram.percentile(50),
        "p90": histogram.percentile(90),
        "p99": histogram.percentile(99),
        "max": histogram.highest(),
    })
}

/// Method, status and message of an error's row.
fn error(name: &str) -> [&str; 3] {
    let mut parts = name.splitn(3, '\0');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn shown(name: &str) -> String {
    if name.is_empty() {
        return dash();
    }
    let mut text = String::new();
    shown_key(name.as_bytes(), &mut text);
    shortened(text, WIDTH)
}

fn dash() -> String {
    "-".to_owned()
}

fn more(left: usize) -> String {
    match left {
        0 => String::new(),
        left => format!("and {} more\n", grouped(left as u64)),
    }
}

/// `2026-11-03T08:05:32.123Z`
fn time(nanos: u64) -> String {
    let millis = i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    format!("{:.3}Z", Offset::UTC.to_datetime(at))
}
