//! What came of an incident.

use std::fmt::Write;

use serde_json::{Value, json};

use super::list::span;
use crate::cli::Failure;
use crate::scenario::Incident;
use crate::score::Scorecard;

/// How a run went.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// How long the faults stood.
    pub stood: std::time::Duration,
    /// Whether it ended before its time.
    pub cut_short: bool,
    /// What the admin API said of each fault at the end.
    pub faults: Vec<Value>,
    /// How the clients took it.
    pub card: Scorecard,
}

impl Outcome {
    /// Whether anything was struck.
    pub fn struck_nothing(&self) -> bool {
        self.faults.iter().all(|fault| fault["hits"] == 0)
    }

    /// For programs; `card` is the scorecard's JSON, with what became of the
    /// expectations.
    pub fn json(&self, incident: &Incident, card: &str) -> Result<Value, Failure> {
        let mut card: Value = serde_json::from_str(card).map_err(|error| {
            Failure::failed(format!("the scorecard cannot be written as JSON: {error}"))
        })?;
        let expectations = card["expectations"].take();
        if let Some(card) = card.as_object_mut() {
            card.remove("expectations");
        }
        let settings = (incident.settings.iter())
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect::<serde_json::Map<_, _>>();
        Ok(json!({
            "scenario": *incident.name,
            "settings": settings,
            "length": span(incident.length),
            "stood": span(rounded(self.stood)),
            "cut_short": self.cut_short,
            "faults": self.faults,
            "scorecard": card,
            "expectations": expectations,
        }))
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
