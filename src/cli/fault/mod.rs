//! `etcdtap fault`: faults checked, and changed while calls pass.

mod action;
mod add;
mod check;
mod commanded;
pub(super) mod list;
pub(super) mod plan_file;
mod spec;
#[cfg(test)]
mod tests;
mod yaml;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(super) use commanded::CommandedFault;

use super::admin::{Admin, AdminFlags};
use super::{Failure, print};
use crate::control::Method;
use crate::fault::plan::FaultName;

const EXAMPLES: &str = "\
Examples:
  Is this plan right?
    etcdtap fault check plan.yaml

  Make lists of pods slow for five minutes, and see how often that struck:
    etcdtap fault add slow-lists --delay-response 250ms --verb list --resource pods --for 5m
    etcdtap fault list

  Stop everything at once:
    etcdtap fault clear

The proxy must run with --admin. --admin here names its address, as does the
variable ETCDTAP_ADMIN; without either it is 127.0.0.1:12382.

Exit codes: 0 done; 1 nobody answers, or it could not be done; 2 wrong usage,
a wrong plan, a name that is taken or unknown.";

const REMOVE_EXAMPLES: &str = "\
Examples:
  etcdtap fault remove slow-lists
  etcdtap fault remove slow-lists lost-replies";

const PAUSE_EXAMPLES: &str = "\
Examples:
  etcdtap fault pause slow-lists
  etcdtap fault resume slow-lists";

const RESUME_EXAMPLES: &str = "\
Examples:
  etcdtap fault resume slow-lists";

const CLEAR_EXAMPLES: &str = "\
Examples:
  etcdtap fault clear
  etcdtap fault clear --admin unix:/run/etcdtap.sock";

/// Check a plan of faults; list, add and remove faults of a running proxy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct FaultArgs {
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    Check(check::CheckArgs),
    Add(Box<add::AddArgs>),
    List(list::ListArgs),
    /// Take faults away; what they hold is let go
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(Named),
    /// Let faults rest, until they are resumed
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Named),
    /// End the rest of faults
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Named),
    /// Take all faults away at once
    #[command(after_help = CLEAR_EXAMPLES)]
    Clear(AdminFlags),
}

/// Faults by their names.
#[derive(Debug, Args)]
struct Named {
    /// The faults' names, as `etcdtap fault list` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    admin: AdminFlags,
}

/// Runs the command.
pub(super) fn run(args: FaultArgs) -> Result<ExitCode, Failure> {
    match args.command {
        FaultCommand::Check(args) => check::run(&args),
        FaultCommand::Add(args) => add::run(&args),
        FaultCommand::List(args) => list::run(&args),
        FaultCommand::Remove(named) => each(&named, "removed", |name| {
            (Method::DELETE, format!("/v1/faults/{name}"))
        }),
        FaultCommand::Pause(named) => each(&named, "paused", |name| {
            (Method::POST, format!("/v1/faults/{name}/pause"))
        }),
        FaultCommand::Resume(named) => each(&named, "resumed", |name| {
            (Method::POST, format!("/v1/faults/{name}/resume"))
        }),
        FaultCommand::Clear(flags) => clear(&flags),
    }
}

/// Does one thing to each fault that is named. One that cannot be had keeps
/// nobody from the others.
fn each(
    named: &Named,
    done: &str,
    request: impl Fn(&str) -> (Method, String),
) -> Result<ExitCode, Failure> {
    for name in &named.names {
        check_name(name)?;
    }
    let admin = Admin::new(&named.admin)?;
    let mut wrong: Vec<Failure> = Vec::new();
    for name in &named.names {
        let (method, target) = request(name);
        match admin.ask(method, &target, None) {
            Ok(_) => print(&format!("{name}: {done}\n"))?,
            // Whoever does not answer now will not answer for the next one.
            Err(failure @ Failure::Failed(_)) => {
                wrong.push(failure);
                break;
            }
            Err(failure) => wrong.push(failure),
        }
    }
    let Some(last) = wrong.last() else {
        return Ok(ExitCode::SUCCESS);
    };
    let sentences: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let sentences = sentences.join("\n");
    Err(match last {
        Failure::Asked(_) => Failure::asked(sentences),
        Failure::Failed(_) => Failure::failed(sentences),
    })
}

fn clear(flags: &AdminFlags) -> Result<ExitCode, Failure> {
    let answer = Admin::new(flags)?.ask(Method::DELETE, "/v1/faults", None)?;
    let removed = answer["removed"].as_u64().unwrap_or_default();
    print(&format!("{} removed\n", faults(removed)))?;
    Ok(ExitCode::SUCCESS)
}

/// `1 fault`, `3 faults`.
fn faults(number: u64) -> String {
    match number {
        1 => "1 fault".to_owned(),
        _ => format!("{number} faults"),
    }
}

/// Refuses what could be no fault's name before it becomes part of a path.
fn check_name(name: &str) -> Result<(), Failure> {
    match FaultName::new(name) {
        Some(_) => Ok(()),
        None => Err(Failure::asked(format!(
            "\"{name}\" is no fault's name; names are 1 to {} lower-case letters, digits and hyphens",
            FaultName::LONGEST
        ))),
    }
}
