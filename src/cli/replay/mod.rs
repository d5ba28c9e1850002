//! `etcdtap replay`: a recording driven again.

mod target;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::SignalKind;

use self::target::TargetFlags;
pub(super) use self::target::reach;
use super::interruption::{INTERRUPTED, listen};
use super::look::{refused, said};
use super::progress::Progress;
use super::{Failure, print, proxy};
use crate::notation::parse_duration;
use crate::record::files::Family;
use crate::record::reader::{Query, Recordings, Wants};
use crate::record::redact::RecordingKey;
use crate::record::traffic::{Book, Traffic};
use crate::replay::free::{DriveOptions, Pace, drive};
use crate::replay::{self, Ended, Plan, Reach, Replay, ReplayOptions, Target};
use crate::snapshot::{self, Snapshot};
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

  Go on from a snapshot of the recorded etcd, taken before the recording:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare --from-snapshot before.db

  Against an etcd that was restored from a snapshot from before the recording:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare --as-is --yes

  Against one that speaks TLS and has users:
    ETCDTAP_PASSWORD=… etcdtap replay calls.mcap --target https://127.0.0.1:2379 \\
      --target-ca ca.crt --target-cert client.crt --target-key client.key --user root

  For a script:
    etcdtap replay calls.mcap --target http://127.0.0.1:2379 --compare --json | jq .different

The target must be an etcd of your own that you can throw away: everything that
was written in the recording is written to it.

Exit codes: 0 all was driven, and nothing differs (--compare) or no call failed that
did not fail in the recording; 1 otherwise, or the target was lost on the way: the
report says how far it came; 2 wrong usage, no recording, a snapshot that is none or
too new, or a target that is not there or not empty; 130 ended by Ctrl-C.";

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

    #[command(flatten)]
    target: TargetFlags,

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

    /// Write to the target first what this snapshot of the recorded etcd holds, taken
    /// before the recording: what `etcdctl snapshot save` wrote, or an etcd's member/snap/db
    #[arg(long, value_name = "FILE", conflicts_with = "as_is")]
    from_snapshot: Option<PathBuf>,

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
    if args.from_snapshot.is_some() && !is_ordered {
        return Err(Failure::asked(
            "--from-snapshot goes with --compare; for load, restore the snapshot with etcdutl, \
             start an etcd on it, and give --as-is --yes",
        ));
    }
    let reach = args.target.reach()?;
    let snapshot = args.from_snapshot.as_deref().map(open).transpose()?;
    let recordings = Recordings::open(&args.files).map_err(|refusal| refused(&refusal))?;
    let key = key_of(&recordings);
    let query = Query::all(Wants {
        headers: false,
        ..Wants::ALL
    });
    let mut traffic = Traffic::of(recordings.read(query));
    let book = Book::read(&mut traffic).map_err(|refusal| refused(&refusal))?;
    let whole = said(&traffic.items().wholeness(), 0, true);
    let plan = match (&snapshot, args.as_is) {
        (Some(snapshot), _) => after(&book, snapshot)?,
        (None, true) => Plan::of(&book).as_is(),
        (None, false) => Plan::of(&book),
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
            let ordered = ordered(args, &reach, &book, &plan, snapshot.as_ref(), options);
            let report = proxy::multi_thread()?.block_on(ordered)?;
            let is_clean = report.is_clean();
            (report.to_json(), report.to_string(), report.ended, is_clean)
        }
        false => {
            let report = proxy::current_thread()?.block_on(free(args, &reach, &book, &plan))?;
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
    reach: &Reach,
    book: &Book,
    plan: &Plan,
    snapshot: Option<&Saved>,
    options: ReplayOptions,
) -> Result<replay::Report, Failure> {
    let target = connect(args, reach).await?;
    let mut stop = pin!(interrupted()?);
    let mut progress = Progress::after(Duration::ZERO);
    let mut replay = Replay::new(book, plan, target, options);
    if let Some(saved) = snapshot {
        let told = |done, all| progress.steps(done, all, "writes of the snapshot");
        replay.restore(&saved.snapshot, stop.as_mut(), told).await;
    }
    let told = |done, all| progress.steps(done, all, "steps");
    let report = replay.run(plan, stop, told).await;
    progress.clear();
    Ok(report)
}

/// As load.
async fn free(
    args: &ReplayArgs,
    reach: &Reach,
    book: &Book,
    plan: &Plan,
) -> Result<replay::free::Report, Failure> {
    let target = connect(args, reach).await?;
    let stop = interrupted()?;
    let mut progress = Progress::after(Duration::ZERO);
    let options = DriveOptions {
        pace: args.speed.unwrap_or(Pace::Times(1.0)),
        patience: args.timeout,
    };
    let tell = |done, all| progress.steps(done, all, "steps");
    let report = drive(book, plan, target, reach, options, stop, tell).await;
    progress.clear();
    Ok(report)
}

/// The target, if it may be written to.
async fn connect(args: &ReplayArgs, reach: &Reach) -> Result<Target, Failure> {
    let target = Target::connect(reach, args.timeout).await.map_err(|lost| {
        let advice = args.target.advice(&lost);
        Failure::asked(format!("--target: {lost}{advice}"))
    })?;
    if target.keys > 0 && !args.yes {
        let name = &reach.name;
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

/// A snapshot, and where it lies.
struct Saved {
    place: String,
    snapshot: Snapshot<File>,
}

fn open(file: &Path) -> Result<Saved, Failure> {
    let place = format!("--from-snapshot {}", file.display());
    let snapshot = File::open(file).map_err(snapshot::Refusal::from);
    match snapshot.and_then(Snapshot::open) {
        Ok(snapshot) => Ok(Saved { place, snapshot }),
        Err(refusal) => Err(Failure::asked(format!("{place} {refusal}"))),
    }
}

/// The plan for a target that is given what a snapshot holds.
fn after(book: &Book, saved: &Saved) -> Result<Plan, Failure> {
    let place = &saved.place;
    let plan = Plan::after(book, &saved.snapshot.state)
        .map_err(|too_new| Failure::asked(format!("{place} {too_new}")))?;
    if let (1.., 0) = plan.held {
        let revision = saved.snapshot.state.revision;
        eprintln!(
            "etcdtap: {place}: nothing that the recording saw from before revision {revision} is \
             in it; it may be of another etcd"
        );
    }
    Ok(plan)
}

/// The recording's key, where it is still beside it.
fn key_of(recordings: &Recordings) -> Option<RecordingKey> {
    let file: &Path = recordings.files().first()?;
    let path = Family::of(file).ok()?.key_path();
    RecordingKey::from_text(&fs::read_to_string(path).ok()?).ok()
}
