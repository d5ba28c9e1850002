//! `etcdtap scenario list`.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Failure, print};
use crate::fault::plan::Span;
use crate::scenario::{LIBRARY, Scenario};

const EXAMPLES: &str = "\
Examples:
  etcdtap scenario list
  etcdtap scenario list --json | jq -r '.scenarios[].name'";

/// Show the incidents that ship with the program
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Print all that is known of each as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> Result<ExitCode, Failure> {
    let scenarios = LIBRARY.iter().map(|shipped| shipped.scenario());
    let scenarios: Vec<Scenario> = scenarios
        .collect::<Result<_, _>>()
        .map_err(|errors| Failure::failed(errors.to_string()))?;
    if args.json {
        let listed: Vec<Value> = scenarios.iter().map(described).collect();
        print(&format!("{:#}\n", json!({ "scenarios": listed })))?;
        return Ok(ExitCode::SUCCESS);
    }
    let widest = scenarios.iter().map(|one| one.name.len()).max();
    let widest = widest.unwrap_or_default();
    let mut text = String::new();
    for one in &scenarios {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:widest$}  {}", &*one.name, one.summary);
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// All that is known of a scenario before its parameters are set.
pub(super) fn described(scenario: &Scenario) -> Value {
    let parameters: Vec<Value> = scenario
        .parameters
        .iter()
        .map(|parameter| {
            let mut described = json!({
                "name": parameter.name,
                "kind": parameter.kind.to_string(),
                "about": parameter.about,
            });
            match (parameter.may_be_nothing(), parameter.default()) {
                (true, _) => described["default"] = Value::Null,
                (false, Some(default)) => described["default"] = json!(default),
                (false, None) => described["example"] = json!(parameter.example()),
            }
            described
        })
        .collect();
    json!({
        "name": *scenario.name,
        "summary": scenario.summary,
        "about": scenario.about,
        "healthy": scenario.healthy,
        "parameters": parameters,
    })
}

/// A time for people.
pub(super) fn span(time: std::time::Duration) -> String {
    Span(time).to_string()
}

/// `1 fault`, `3 faults`.
pub(super) fn counted(faults: usize) -> String {
    match faults {
        1 => "1 fault".to_owned(),
        many => format!("{many} faults"),
    }
}
