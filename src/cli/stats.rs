//! `etcdtap stats`: who does what, from a recording.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::look::{LookFlags, refused, said};
use super::{Failure, print};
use crate::record::reader::Item;
use crate::record::recall::Recall;
use crate::record::stats::Stats;

const EXAMPLES: &str = "\
Examples:
  Who does what?
    etcdtap stats calls.mcap

  Which pods cost the most, and whom?
    etcdtap stats calls.mcap --resource pods --top 30

  What went wrong in the last hour, for another program:
    etcdtap stats recordings/ --from -1h --errors-only --json | jq .errors

Exit codes: 0 all was read; 1 a part of the recording is missing, damaged or
unreadable: the rest is shown, and standard error says what; 2 wrong usage, or no
recording.";

/// Count what is in a recording: calls, bytes and latency by method, verb,
/// resource, namespace and client; keys, watches, conflicts, errors, faults
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    look: LookFlags,

    /// Print the figures as JSON
    #[arg(long)]
    json: bool,

    /// How many rows of each table are shown
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,
}

/// Runs the command.
pub(super) fn run(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let asked = args.look.asked()?;
    let mut recall = Recall::new(Instant::now());
    let mut stats = Stats::new(args.top as usize);
    let mut unknown = 0;
    let mut reading = asked.recordings.read(asked.query.clone());
    for item in &mut reading {
        let Item::Line(line) = item.map_err(|refusal| refused(&refusal))? else {
            continue;
        };
        match recall.line(&line) {
            Ok(told) => {
                if asked.passes(&told, recall.anchor()) {
                    stats.add(&told, line.at);
                }
            }
            Err(_) => unknown += 1,
        }
    }
    match args.json {
        true => print(&format!("{:#}\n", stats.to_json()))?,
        false => print(&stats.to_string())?,
    }
    Ok(said(&reading.wholeness(), unknown, true))
}
