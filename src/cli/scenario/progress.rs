//! What is said while an incident is under way.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use super::list::{counted, span};
use super::report::rounded;
use crate::scenario::Incident;

/// What is said meanwhile, to standard error.
pub(super) struct Progress<'i> {
    incident: &'i Incident,
    /// Whether one line is written over and over.
    terminal: bool,
    shown: usize,
    states: Vec<String>,
}

impl<'i> Progress<'i> {
    pub fn new(incident: &'i Incident) -> Progress<'i> {
        eprintln!(
            "{} begins: {}, for {}",
            incident.name,
            counted(incident.plan.faults.len()),
            span(incident.length)
        );
        Progress {
            incident,
            terminal: io::stderr().is_terminal(),
            shown: 0,
            states: Vec::new(),
        }
    }

    pub fn show(&mut self, faults: &[Value], passed: Duration) {
        let name = |fault: &Value| {
            fault["fault"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        if self.terminal {
            let strikes: Vec<String> = faults
                .iter()
                .map(|fault| {
                    let state = match fault["state"].as_str() {
                        Some("active") => "",
                        Some("waiting") => " (waits)",
                        Some("paused") => " (paused)",
                        _ => " (over)",
                    };
                    format!("{}{state} {}", name(fault), fault["hits"])
                })
                .collect();
            let left = self.incident.length.saturating_sub(passed);
            let left = span(Duration::from_secs(left.as_secs_f64().ceil() as u64));
            let line = format!("{left} left: {}", strikes.join(", "));
            self.write(&line);
            return;
        }
        let states: Vec<String> = faults
            .iter()
            .map(|fault| match fault["state"].as_str() {
                Some("active") => format!("{} strikes", name(fault)),
                Some("over") => format!("{} is over", name(fault)),
                Some(state) => format!("{} is {state}", name(fault)),
                None => String::new(),
            })
            .collect();
        for (at, state) in states.iter().enumerate() {
            if self.states.get(at) != Some(state) {
                eprintln!("{:>6}  {state}", span(rounded(passed)));
            }
        }
        self.states = states;
    }

    /// Writes over the line before.
    fn write(&mut self, line: &str) {
        let width = terminal_width();
        let line: String = line.chars().take(width.saturating_sub(1)).collect();
        let length = line.chars().count();
        let blank = " ".repeat(self.shown.saturating_sub(length));
        let mut to = io::stderr().lock();
        // Who does not see it does not miss it.
        let _ = write!(to, "\r{line}{blank}");
        let _ = to.flush();
        self.shown = length;
    }

    pub fn end(&mut self) {
        if self.terminal && self.shown > 0 {
            eprintln!();
            self.shown = 0;
        }
    }
}

/// How many letters a line has room for.
fn terminal_width() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => 80,
    }
}
