//! `etcdtap scenario check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::list::{counted, span};
use super::source::incident;
use crate::cli::fault::plan_file::{shown, text};
use crate::cli::{Failure, print};
use crate::scenario::Scenario;

const EXAMPLES: &str = "\
Examples:
  etcdtap scenario check mine.yaml
  etcdtap scenario check mine.yaml --set for=5m

It is tried with the defaults of its parameters, with the examples of those that
have none, and with what --set says.

Exit codes: 0 nothing is wrong; 2 something is, and standard error says what,
each with its file, line and column.";

/// Say whether scenarios are right, and what is wrong with them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// Scenarios in YAML; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Try it with this value of a parameter too
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        match verdict(path, &args.settings) {
            Ok(praise) => print(&format!("{praise}\n"))?,
            Err(wrong) => {
                eprintln!("{wrong}");
                code = ExitCode::from(2);
            }
        }
    }
    Ok(code)
}

fn verdict(path: &Path, settings: &[String]) -> Result<String, Failure> {
    let file = shown(path);
    let scenario = Scenario::from_yaml(&file, &text(path)?)
        .map_err(|errors| Failure::asked(errors.to_string()))?;
    let examples = scenario.parameters.iter().filter_map(|parameter| {
        let example = parameter.example()?;
        Some(format!("{}={example}", parameter.name))
    });
    let settings: Vec<String> = examples.chain(settings.iter().cloned()).collect();
    let incident = incident(&scenario, &settings)?;
    Ok(format!(
        "{file}: {}, {} over {}, nothing wrong",
        scenario.name,
        counted(incident.plan.faults.len()),
        span(incident.length),
    ))
}
