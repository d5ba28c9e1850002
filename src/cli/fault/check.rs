//! `etcdtap fault check`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::faults;
use super::plan_file::{PlanFile, shown, text};
use crate::cli::{Failure, print};
use crate::fault::Armory;

const EXAMPLES: &str = "\
Examples:
  etcdtap fault check plan.yaml
  etcdtap fault check plans/*.yaml
  generate-plan | etcdtap fault check -

Exit codes: 0 nothing is wrong; 2 something is, and standard error says what,
each with its file, line and column.";

/// Say whether plans of faults are right, and what is wrong with them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// Plans, as `proxy --faults` takes them; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        let file = shown(path);
        match text(path)
            .map_err(|failure| failure.to_string())
            .and_then(|text| verdict(&file, &text))
        {
            Ok(praise) => print(&format!("{praise}\n"))?,
            Err(wrong) => {
                eprintln!("{wrong}");
                code = ExitCode::from(2);
            }
        }
    }
    Ok(code)
}

/// What is said of a file: that it is right, or all that is wrong.
pub(super) fn verdict(file: &str, text: &str) -> Result<String, String> {
    match PlanFile::read(file, text).map_err(|errors| errors.to_string())? {
        PlanFile::Single(_) => Ok(format!(
            "{file}: a fault by itself, nothing wrong; add it with `etcdtap fault add --file`, \
             or put it in a list below `faults:` for `proxy --faults`"
        )),
        PlanFile::Plan(plan) => {
            let count = plan.faults.len() as u64;
            let now = Instant::now();
            // What it refuses is a matter of the plan as a whole.
            Armory::new(0, now)
                .load(plan, now)
                .map_err(|refused| format!("{file}: {refused}"))?;
            Ok(format!("{file}: {}, nothing wrong", faults(count)))
        }
    }
}
