//! What came of an incident.

use std::fmt::Write;

use serde_json::{Value, json};

use super::list::span;
use crate::scenario::Incident;

/// How a run went.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// How long the faults stood.
    pub stood: std::time::Duration,
    /// Whether it ended before its time.
    pub cut_short: bool,
    /// What the admin API said of each fault at the end.
    pub faults: Vec<Value>,
}

impl Outcome {
    /// Whether anything was struck.
    pub fn struck_nothing(&self) -> bool {
        self.faults.iter().all(|fault| fault["hits"] == 0)
    }

    /// For programs.
    pub fn json(&self, incident: &Incident) -> Value {
        let settings = (incident.settings.iter())
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect::<serde_json::Map<_, _>>();
        json!({
            "scenario": *incident.name,
            "settings": settings,
            "length": span(incident.length),
            "stood": span(rounded(self.stood)),
            "cut_short": self.cut_short,
            "faults": self.faults,
        })
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut rows = vec![["FAULT", "STRUCK", "MATCHED"].map(str::to_owned)];
        rows.extend(self.faults.iter().map(|fault| {
            let name = fault["fault"]["name"].as_str().unwrap_or_default();
            [
                name.to_owned(),
                fault["hits"].to_string(),
                fault["matched"].to_string(),
            ]
        }));
        let width = |at: usize| rows.iter().map(|row| row[at].len()).max();
        let [a, b, c] = [0, 1, 2].map(|at| width(at).unwrap_or_default());
        let mut table = String::new();
        for [name, struck, matched] in &rows {
            // Writing to a String does not fail.
            let _ = writeln!(table, "{name:a$}  {struck:>b$}  {matched:>c$}");
        }
        table
    }
}

/// Nobody reads more than tenths of a second.
pub(super) fn rounded(time: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_millis(time.as_millis() as u64 / 100 * 100)
}
