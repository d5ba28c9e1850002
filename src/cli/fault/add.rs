//! `etcdtap fault add`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::check_name;
use super::plan_file::{PlanFile, shown, text};
use super::spec::SpecFlags;
use crate::cli::admin::{Admin, AdminFlags};
use crate::cli::{Failure, print};
use crate::control::{Method, TIME_TO_LIVE};
use crate::fault::plan::Span;
use crate::notation::parse_duration;

const EXAMPLES: &str = "\
Examples:
  Lists of pods take a quarter of a second longer, for five minutes:
    etcdtap fault add slow-lists --delay-response 250ms --verb list --resource pods --for 5m

  One write in ten is refused, at most fifty of them:
    etcdtap fault add no-leader --error no-leader --verb create --verb update \\
      --probability 0.1 --at-most 50

  etcd executes the next update of a lease, and nobody learns of it:
    etcdtap fault add lost --lose-reply --verb update --resource leases.coordination.k8s.io \\
      --first 1

  Watches break in the middle of a message, every third one:
    etcdtap fault add torn --reset INTERNAL_ERROR --reset-at message --method Watch --every 3

  Whatever a plan can say:
    etcdtap fault add heavy-tail --match '{verb: list, request_size: {min: 1KiB}}' \\
      --action 'delay: {response: {pareto: {at_least: 10ms, shape: 1.5}, at_most: 5s}}'

  The faults of a file, until they are removed:
    etcdtap fault add --file faults.yaml --for forever

It stands for ten minutes unless --for says otherwise, so that nothing is
forgotten.

Exit codes: 0 added; 1 nobody answers; 2 wrong usage, a name that is taken.";

/// Add a fault to a running proxy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(arg_required_else_help = true)]
pub(super) struct AddArgs {
    #[command(flatten)]
    pub spec: SpecFlags,

    /// Take the faults from this file, a plan or a single fault; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Remove it again after this time, or never: forever [default: 10m]
    #[arg(
        long = "for",
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = "When"
    )]
    lives: Option<String>,

    /// Put it in the place of the fault that has its name
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    admin: AdminFlags,
}

pub(super) fn run(args: &AddArgs) -> Result<ExitCode, Failure> {
    let lives = lives(args.lives.as_deref())?;
    let faults = match &args.file {
        Some(_) if args.spec != SpecFlags::default() => {
            return Err(Failure::asked(
                "--file: the file says all about its faults; leave the name and the flags for \
                 another fault out, or the file",
            ));
        }
        Some(path) => of_file(path)?,
        None => vec![args.spec.fault()?],
    };
    let admin = Admin::new(&args.admin)?;
    for fault in faults {
        let name = fault["name"].as_str().unwrap_or_default();
        check_name(name)?;
        let done = put(&admin, name, &fault, &lives, args.replace)?;
        let standing = match lives.as_str() {
            "forever" => "until it is removed".to_owned(),
            lives => format!("for {lives}"),
        };
        print(&format!("{name}: {done}, {standing}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds it, or puts it in the place of another one; what was done.
fn put(
    admin: &Admin,
    name: &str,
    fault: &Value,
    lives: &str,
    replace: bool,
) -> Result<&'static str, Failure> {
    if replace && stands(admin, name)? {
        let target = format!("/v1/faults/{name}?for={lives}");
        admin.ask(Method::PUT, &target, Some(fault.to_string()))?;
        return Ok("replaced");
    }
    let target = format!("/v1/faults?for={lives}");
    admin.ask(Method::POST, &target, Some(fault.to_string()))?;
    Ok("added")
}

fn stands(admin: &Admin, name: &str) -> Result<bool, Failure> {
    let listed = admin.ask(Method::GET, "/v1/faults", None)?;
    let mut names = listed["faults"].as_array().into_iter().flatten();
    Ok(names.any(|one| one["fault"]["name"] == name))
}

/// The faults of a file, ready to be sent.
fn of_file(path: &Path) -> Result<Vec<Value>, Failure> {
    let file = shown(path);
    let read = PlanFile::read(&file, &text(path)?);
    let faults = match read.map_err(|errors| Failure::asked(errors.to_string()))? {
        PlanFile::Single(fault) => vec![*fault],
        PlanFile::Plan(plan) => {
            if plan.seed.is_some() {
                eprintln!(
                    "etcdtap: {file}: the seed counts only for `proxy --faults` and is left out"
                );
            }
            plan.faults
        }
    };
    if faults.is_empty() {
        return Err(Failure::asked(format!(
            "{file}: there is no fault in it; add one"
        )));
    }
    let written = faults
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>();
    written.map_err(|error| Failure::failed(format!("{file} cannot be written as JSON: {error}")))
}

/// For how long, as the admin API reads it.
fn lives(given: Option<&str>) -> Result<String, Failure> {
    match given {
        None => Ok(Span(TIME_TO_LIVE).to_string()),
        Some("forever") => Ok("forever".to_owned()),
        Some(text) => match parse_duration(text) {
            Ok(lives) if lives.is_zero() => Err(Failure::asked(format!(
                "--for: \"{text}\" is over at once; write how long it is to stand, such as 10m or forever"
            ))),
            Ok(lives) => Ok(Span(lives).to_string()),
            Err(why) => Err(Failure::asked(format!("--for: {why}, or forever"))),
        },
    }
}
