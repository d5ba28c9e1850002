//! `etcdtap scenario`: whole incidents, shown, checked and run.

mod check;
mod list;
mod measured;
mod progress;
mod report;
mod run;
mod show;
pub(super) mod source;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

const EXAMPLES: &str = "\
Examples:
  Which incidents there are, and what one of them does:
    etcdtap scenario list
    etcdtap scenario show leader-election

  Let one happen in a proxy that runs with --admin:
    etcdtap scenario run leader-election
    etcdtap scenario run dead-member --set listener=:12392 --set for=1m

  Write one of your own, beginning with one that is there:
    etcdtap scenario show no-space --yaml > mine.yaml
    etcdtap scenario check mine.yaml
    etcdtap scenario run ./mine.yaml

The proxy must run with --admin. --admin here names its address, as does the
variable ETCDTAP_ADMIN; without either it is 127.0.0.1:12382.

Exit codes: 0 done; 1 nobody answers, it could not be done, or it ended before
its time; 2 wrong usage, a wrong scenario, a name that is taken or unknown.";

/// Let whole incidents happen: list, show, check and run them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct ScenarioArgs {
    #[command(subcommand)]
    command: ScenarioCommand,
}

#[derive(Debug, Subcommand)]
enum ScenarioCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Check(check::CheckArgs),
    Run(run::RunArgs),
}

/// Runs the command.
pub(super) fn run(args: ScenarioArgs) -> Result<ExitCode, Failure> {
    match args.command {
        ScenarioCommand::List(args) => list::run(&args),
        ScenarioCommand::Show(args) => show::run(&args),
        ScenarioCommand::Check(args) => check::run(&args),
        ScenarioCommand::Run(args) => run::run(&args),
    }
}
