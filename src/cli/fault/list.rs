//! `etcdtap fault list`.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::admin::{Admin, AdminFlags};
use crate::cli::{Failure, print};
use crate::control::Method;
use crate::fault::plan::Span;
use crate::notation::parse_duration;

const EXAMPLES: &str = "\
Examples:
  etcdtap fault list
  etcdtap fault list --json | jq '.faults[] | select(.hits > 0)'

STATE is active, waiting (its start is to come), paused or over (and why: its
duration, its time to live, the calls it was for). MATCHED counts the calls, or
connections, it was about, HITS those that it struck; LEFT is when it ends by itself.";

/// Show the faults of a running proxy, and how often each struck
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Print the proxy's answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    admin: AdminFlags,
}

pub(super) fn run(args: &ListArgs) -> Result<ExitCode, Failure> {
    let answer = Admin::new(&args.admin)?.ask(Method::GET, "/v1/faults", None)?;
    let faults = answer["faults"].as_array().map_or(&[][..], Vec::as_slice);
    match args.json {
        true => print(&format!("{answer:#}\n"))?,
        false if faults.is_empty() => print("no faults\n")?,
        false => print(&table(faults))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The table, and below it what could not be carried out.
pub(super) fn table(faults: &[Value]) -> String {
    const HEAD: [&str; 6] = ["NAME", "STATE", "HITS", "MATCHED", "LEFT", "WHAT"];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(faults.iter().map(row));
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for [name, state, hits, matched, left, what] in &rows {
        let [a, b, c, d, e, _] = widths;
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "{name:a$}  {state:b$}  {hits:>c$}  {matched:>d$}  {left:>e$}  {what}"
        );
    }
    for fault in faults {
        let times = fault["gave_up"].as_u64().unwrap_or_default();
        if times > 0 {
            let name = text(&fault["fault"]["name"]);
            let why = text(&fault["last_gave_up"]);
            let times = match times {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            let _ = writeln!(table, "{name} could not be carried out {times}: {why}");
        }
    }
    table
}

fn row(fault: &Value) -> [String; 6] {
    let state = match fault["state"].as_str() {
        Some("waiting") => format!("waiting {}", whole_seconds(&fault["starts_in"])),
        Some("over") => format!("over ({})", text(&fault["why"]).replace('_', " ")),
        _ => text(&fault["state"]),
    };
    [
        text(&fault["fault"]["name"]),
        state,
        text(&fault["hits"]),
        text(&fault["matched"]),
        match &fault["time_left"] {
            Value::Null => "-".to_owned(),
            left => whole_seconds(left),
        },
        what(&fault["fault"]),
    ]
}

/// What it does, to which calls, and how often, on one line.
pub(in crate::cli) fn what(fault: &Value) -> String {
    let mut what = flow(&fault["action"], true);
    let matches = &fault["match"];
    if matches.as_object().is_some_and(|terms| !terms.is_empty()) {
        let _ = write!(what, "; {}", flow(matches, true));
    }
    for key in [
        "probability",
        "first",
        "every",
        "at_most",
        "start",
        "duration",
        "repeat",
    ] {
        if !fault[key].is_null() {
            let _ = write!(what, "; {key}: {}", flow(&fault[key], false));
        }
    }
    what
}

/// A value as YAML on one line; the outermost braces are left out.
fn flow(value: &Value, outermost: bool) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| match value {
                    Value::Object(inner) if inner.is_empty() => key.clone(),
                    value => format!("{key}: {}", flow(value, false)),
                })
                .collect();
            match outermost {
                true => entries.join(", "),
                false => format!("{{{}}}", entries.join(", ")),
            }
        }
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(|one| flow(one, false)).collect();
            format!("[{}]", list.join(", "))
        }
        value => text(value),
    }
}

/// A scalar; nothing in it moves a terminal's cursor.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    text.replace(char::is_control, "?")
}

/// A time without what nobody reads.
fn whole_seconds(time: &Value) -> String {
    match parse_duration(&text(time)) {
        Ok(time) if time >= Duration::from_secs(1) => {
            Span(Duration::from_secs(time.as_secs())).to_string()
        }
        _ => text(time),
    }
}
