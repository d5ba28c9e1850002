//! `etcdtap replay`: a recording driven again.

mod progress;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::SignalKind;

use self::progress::Progress;
use super::interruption::{INTERRUPTED, listen};
use super::look::{refused, said};
use super::{Failure, print, proxy};
use crate::notation::parse_duration;
use crate::record::files::Family;
use crate::record::reader::{Query, Recordings, Wants};
use crate::record::redact::RecordingKey;
use crate::record::traffic::{Book, Traffic};
use crate::replay::free::{DriveOptions, Pace, drive};
use crate::replay::{self, Ended, Plan, Replay, ReplayOptions, Target};
use crate::trace::grouped;

const EXAMPLES: &str = "\
Examples:
  The traffic of a recording as load, at its own pace; ten times as fast; as fast as
  the target answers:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --speed 10
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --speed max

  Does another etcd answer as the recorded one did?
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare

  Against an etcd that was restored from a snapshot from before the recording:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare --as-is --yes

  For a script:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare --json | jq .different

The target must be an etcd of your own that you can throw away: everything that
was written in the recording is written to it.

Exit codes: 0 all was driven, and nothing differs (--compare) or no call failed that
did not fail in the recording; 1 otherwise, or the target was lost on the way: the
report says how far it came; 2 wrong usage, no recording, or a target that is not
there or not empty; 130 ended by Ctrl-C.";

/// Drive a recording again, against another etcd: as load, or to compare its answers
///
/// As load: the same connections, streams and calls, as fast as they were recorded or
/// faster; the report has throughput and latencies beside the recorded ones.
///
/// With --compare: writes go in the order of their revisions, reads where the revision
/// of their answer says, watches are opened and their events awaited; every answer and
/// event is held against the recorded one.
///
/// In both, revisions and leases are put in the target's numbers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// The recording: a file that `--record` or `import` wrote, or a folder of them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The etcd to drive it against: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    target: String,

    /// Compare every answer and watch event with the recorded one: one call at a time,
    /// in the order of revisions
    #[arg(long)]
    compare: bool,

    /// The same as --compare
    #[arg(long)]
    ordered: bool,

    /// As load: so many times as fast as it was recorded, or `max`, as fast as the target
    /// answers; 1 without the flag
    #[arg(long, value_name = "TIMES|max")]
    speed: Option<Pace>,

    /// Write to the target although it holds keys
    #[arg(long)]
    yes: bool,

    /// Take the target's keys for those that the recording presupposes: they come from
    /// a snapshot of the recorded etcd. Nothing is written but what calls write
    #[arg(long)]
    as_is: bool,

    /// How long an answer, or an event that is due, is waited for
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let is_ordered = args.compare || args.ordered;
    if let (true, Some(speed)) = (is_ordered, args.speed) {
        return Err(Failure::asked(format!(
            "--speed {speed} is for load; with --compare or --ordered one call is made after the \
             other, in the order of revisions, as soon as the one before is answered: leave one \
             of them out"
        )));
    }
    if args.target.starts_with("https://") {
        return Err(Failure::asked(
            "--target: TLS is not spoken here; put `etcdtap proxy --upstream https://…` in \
             front of that etcd and name its --listen",
        ));
    }
    let target = match args.target.contains("://") {
        true => args.target.clone(),
        false => format!("http://{}", args.target),
    };
    let recordings = Recordings::open(&args.files).map_err(|refusal| refused(&refusal))?;
    let key = key_of(&recordings);
    let query = Query::all(Wants {
        headers: false,
        ..Wants::ALL
    });
    let mut traffic = Traffic::of(recordings.read(query));
    let book = Book::read(&mut traffic).map_err(|refusal| refused(&refusal))?;
    let whole = said(&traffic.items().wholeness(), 0, true);
    let plan = match args.as_is {
        true => Plan::of(&book).as_is(),
        false => Plan::of(&book),
    };
    if plan.steps.is_empty() {
        return Err(Failure::asked(
            "there is nothing to drive in the recording: it has no call whose messages are there",
        ));
    }
    let (json, text, ended, is_clean) = match is_ordered {
        true => {
            let options = ReplayOptions {
                patience: args.timeout,
                key,
            };
            let ordered = ordered(args, &target, &book, &plan, options);
            let report = proxy::multi_thread()?.block_on(ordered)?;
            let is_clean = report.is_clean();
            (report.to_json(), report.to_string(), report.ended, is_clean)
        }
        false => {
            let report = proxy::current_thread()?.block_on(free(args, &target, &book, &plan))?;
            let is_clean = report.is_clean();
            (report.to_json(), report.to_string(), report.ended, is_clean)
        }
    };
    match args.json {
        true => print(&format!("{json:#}\n"))?,
        false => print(&text)?,
    }
    Ok(match ended {
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
        _ if !is_clean => ExitCode::FAILURE,
        _ => whole,
    })
}

/// In the order of revisions, each answer compared.
async fn ordered(
    args: &ReplayArgs,
    name: &str,
    book: &Book,
    plan: &Plan,
    options: ReplayOptions,
) -> Result<replay::Report, Failure> {
    let target = connect(args, name).await?;
    let stop = interrupted()?;
    let mut progress = Progress::new();
    let replay = Replay::new(book, plan, target, options);
    Ok(replay
        .run(plan, stop, |done, all| progress.tell(done, all))
        .await)
}

/// As load.
async fn free(
    args: &ReplayArgs,
    name: &str,
    book: &Book,
    plan: &Plan,
) -> Result<replay::free::Report, Failure> {
    let target = connect(args, name).await?;
    let stop = interrupted()?;
    let mut progress = Progress::new();
    let options = DriveOptions {
        pace: args.speed.unwrap_or(Pace::Times(1.0)),
        patience: args.timeout,
    };
    let tell = |done, all| progress.tell(done, all);
    Ok(drive(book, plan, target, options, stop, tell).await)
}

/// The target, if it may be written to.
async fn connect(args: &ReplayArgs, name: &str) -> Result<Target, Failure> {
    let target = Target::connect(name, args.timeout)
        .await
        .map_err(|lost| Failure::asked(format!("--target: {lost}")))?;
    if target.keys > 0 && !args.yes {
        let keys = grouped(target.keys.unsigned_abs());
        return Err(Failure::asked(format!(
            "--target: {name} is not empty, it holds {keys} keys; give --yes to write to it \
             all the same, or name an etcd that can be thrown away"
        )));
    }
    Ok(target)
}

/// Resolves with Ctrl-C.
fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// The recording's key, where it is still beside it.
fn key_of(recordings: &Recordings) -> Option<RecordingKey> {
    let file: &Path = recordings.files().first()?;
    let path = Family::of(file).ok()?.key_path();
    RecordingKey::from_text(&fs::read_to_string(path).ok()?).ok()
}
