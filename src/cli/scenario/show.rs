//! `etcdtap scenario show`.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::list::{described, span};
use super::source::{incident, scenario, written};
use crate::cli::fault::list::what;
use crate::cli::{Failure, print};
use crate::scenario::{Incident, Scenario};

const EXAMPLES: &str = "\
Examples:
  etcdtap scenario show leader-election
  etcdtap scenario show too-many-requests --set every=10s --set burst=2s
  etcdtap scenario show no-space --yaml > mine.yaml
  etcdtap scenario show ./mine.yaml

On the time line █ is where a fault strikes, ▒ where it does in a part of that
time, and · where it does not.";

/// Show what an incident does, and when
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// A scenario's name, or the path of one
    #[arg(value_name = "NAME|FILE")]
    scenario: String,

    /// Give a parameter a value
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,

    /// Print it as it is written, to make another one of it
    #[arg(long, conflicts_with_all = ["json", "settings"])]
    yaml: bool,

    /// Print all that is known of it as JSON
    #[arg(long)]
    json: bool,
}

/// How wide the bars are.
const BAR: usize = 48;

pub(super) fn run(args: &ShowArgs) -> Result<ExitCode, Failure> {
    if args.yaml {
        print(&written(&args.scenario)?.1)?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenario = scenario(&args.scenario)?;
    // What has no default is shown with its example.
    let given = |name: &str| {
        let is = |text: &String| text.split('=').next().map(str::trim) == Some(name);
        args.settings.iter().any(is)
    };
    let examples = scenario.parameters.iter().filter_map(|parameter| {
        let example = parameter.example().filter(|_| !given(&parameter.name))?;
        Some(format!("{}={example}", parameter.name))
    });
    let settings: Vec<String> = examples.chain(args.settings.iter().cloned()).collect();
    let incident = incident(&scenario, &settings)?;
    if args.json {
        let mut all = described(&scenario);
        all["length"] = json!(span(incident.length));
        all["settle"] = json!(span(incident.settle));
        all["plan"] = json!(incident.plan);
        print(&format!("{all:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::of_output();
    print(&page(&scenario, &incident, &style))?;
    Ok(ExitCode::SUCCESS)
}

/// How headings and bars are set off.
pub(super) struct Style {
    colour: bool,
}

impl Style {
    /// As standard output can show it.
    pub(super) fn of_output() -> Style {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Style {
            colour: wanted && io::stdout().is_terminal(),
        }
    }

    fn heading(&self, text: &str) -> String {
        self.with(anstyle::Style::new().bold(), text)
    }

    fn bar(&self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default(), text)
    }

    fn with(&self, style: anstyle::Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

/// Everything about a scenario, for people.
fn page(scenario: &Scenario, incident: &Incident, style: &Style) -> String {
    let mut page = format!("{}: {}\n", style.heading(&scenario.name), scenario.summary);
    for (heading, text) in [
        ("What happens", &scenario.about),
        ("What a healthy API server does", &scenario.healthy),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(page, "\n{}", style.heading(heading));
        for line in text.lines() {
            let _ = writeln!(page, "  {line}");
        }
    }
    if !scenario.parameters.is_empty() {
        let _ = writeln!(page, "\n{} (--set NAME=VALUE)", style.heading("Parameters"));
        page.push_str(&parameters(scenario, incident));
    }
    let length = span(incident.length);
    let _ = writeln!(
        page,
        "\n{}: {length}, then up to {} until all is well again",
        style.heading("Time line"),
        span(incident.settle)
    );
    page.push_str(&timeline(incident, style));
    page
}

fn parameters(scenario: &Scenario, incident: &Incident) -> String {
    let value = |name: &str| {
        let mut settings = incident.settings.iter();
        let found = settings.find(|(known, _)| **known == *name);
        match found.map(|(_, value)| value.as_str()) {
            None | Some("") => "-".to_owned(),
            Some(value) => value.to_owned(),
        }
    };
    let rows: Vec<[String; 4]> = scenario
        .parameters
        .iter()
        .map(|one| {
            let needed = match one.default() {
                Some(_) => "",
                None => " (has to be set)",
            };
            let about = format!("{}{needed}", one.about);
            [
                one.name.to_string(),
                value(&one.name),
                one.kind.to_string(),
                about,
            ]
        })
        .collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let [a, b, c] = [0, 1, 2].map(|at| width(at).unwrap_or_default());
    let mut table = String::new();
    for [name, value, kind, about] in &rows {
        let _ = writeln!(table, "  {name:a$}  {value:b$}  {kind:c$}  {about}");
    }
    table
}

/// The time line, with what each fault does below it.
pub(super) fn timeline(incident: &Incident, style: &Style) -> String {
    let drawn = incident.timeline(BAR);
    let widest = drawn.rows.iter().map(|row| row.name.len()).max();
    let widest = widest.unwrap_or_default();
    let mut text = format!("  {:widest$}  {}\n", "", drawn.axis);
    for row in &drawn.rows {
        let bar = style.bar(&row.bar);
        let _ = writeln!(text, "  {:widest$}  {bar}", row.name);
    }
    text.push('\n');
    for fault in &incident.plan.faults {
        let what = what(&json!(fault));
        let _ = writeln!(text, "  {:widest$}  {what}", &*fault.name);
    }
    text
}
