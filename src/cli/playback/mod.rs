//! `etcdtap playback`: an etcd made of a recording.

mod listener;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use self::listener::ListenFlags;
use super::Failure;
use super::interruption::Signals;
use super::look::{self, moment};
use super::proxy;
use crate::mvcc::knowledge::Revisions;
use crate::mvcc::{Future, Past};
use crate::playback::reading::{Identity, Told};
use crate::playback::world::OWN_VERSION;
use crate::playback::world::Tally;
use crate::playback::{Pace, Reading, Shared, World, server};
use crate::record::reader::{Query, Recordings, Wants};
use crate::record::traffic::Traffic;
use crate::trace::{grouped, size};

const EXAMPLES: &str = "\
Examples:
  The store as it was when the recording ended:
    etcdtap playback calls.mcap --listen 127.0.0.1:12379
    etcdctl --endpoints 127.0.0.1:12379 get --prefix /registry/pods/ --keys-only

  As it was at a revision, or at a time:
    etcdtap playback calls.mcap --listen 127.0.0.1:12379 --at 10231
    etcdtap playback calls.mcap --listen 127.0.0.1:12379 --at 08:05:32

  For an API server's start, from where the recording begins:
    etcdtap playback calls.mcap --listen 127.0.0.1:12379 --pace none

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 likewise, but a part of the recording was
missing, or something could not be done; 2 wrong usage, no recording, or --at is not
in it.";

/// Bytes of values that are kept at most.
const MOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Sentences about what was not known that are printed.
const MOST_SENTENCES: usize = 10;

/// Play an etcd that is made of a recording
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlaybackArgs {
    /// The recording: files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    listen: ListenFlags,

    /// Show the store as it was at this revision or time, and take no writes
    #[arg(long, value_name = "REVISION|TIME", conflicts_with = "pace")]
    at: Option<String>,

    /// How the recording goes on after its beginning
    #[arg(long, value_enum, default_value_t = Pace::AtOnce)]
    pace: Pace,

    /// What to say of keys that the recording does not know
    #[arg(long, value_enum, default_value_t = Unknown::Refuse)]
    unknown: Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Unknown {
    /// Refuse what would need them, with FAILED_PRECONDITION
    Refuse,
    /// Take them to be absent
    Absent,
}

/// Runs the command.
pub(super) fn run(args: &PlaybackArgs) -> Result<ExitCode, Failure> {
    let asked = args.at.as_deref().map(At::parse).transpose();
    let asked = asked.map_err(|sentence| Failure::asked(format!("--at: {sentence}")))?;
    let acceptor = args.listen.acceptor()?;
    let (told, whole) = read(&args.files)?;
    let Some(stood) = told.past.stood() else {
        return Err(Failure::asked(
            "the recording has no answer of etcd's that names a revision: there is nothing to play",
        ));
    };
    let start = Start::of(args, asked, &told, stood)?;
    let hidden = told.past.hidden();
    let version = told.version.unwrap_or_else(|| OWN_VERSION.to_owned());
    let mut world = start.world(told.past, told.identity, version, stood);
    if args.unknown == Unknown::Absent {
        world.store.take_unknown_as_absent();
    }
    let runtime = proxy::multi_thread()?;
    let tally = runtime.block_on(async {
        // Before anybody is told that it is there.
        let mut signals = Signals::listen()?;
        let (listener, address) = args.listen.bind().await?;
        eprintln!("etcdtap: {}", start.says(&world, stood, address, hidden));
        let shared = Arc::new(Shared::new(world));
        if start.leases_live {
            shared.with(|world| world.store.leases_mut().start(0));
        }
        let playing = async {
            if start.plays {
                server::play(Arc::clone(&shared), told.moments).await;
                eprintln!("etcdtap: the recording is over; the store stays where it is");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = listener::serve(Arc::clone(&shared), listener, acceptor) => served?,
            () = playing => {}
            () = signals.any() => {}
        }
        Ok::<_, Failure>(shared.with(|world| world.tally.clone()))
    })?;
    runtime.shutdown_background();
    eprint!("{}", summary(&tally));
    Ok(whole)
}

/// Reads the whole recording; also what the process ends with if all else goes well.
fn read(files: &[PathBuf]) -> Result<(Told, ExitCode), Failure> {
    let recordings = Recordings::open(files).map_err(|refusal| look::refused(&refusal))?;
    let query = Query::all(Wants {
        lines: true,
        messages: true,
        headers: false,
    });
    let mut reading = Reading::default();
    let mut traffic = Traffic::of(recordings.read(query));
    for told in traffic.by_ref() {
        reading.handle(told.map_err(|refusal| look::refused(&refusal))?);
        if reading.bytes() > MOST_BYTES {
            return Err(Failure::failed(format!(
                "the values of this recording take more than {} GiB, which a playback keeps in \
                 memory; play back a part of it",
                MOST_BYTES >> 30
            )));
        }
    }
    let whole = look::said(&traffic.items().wholeness(), 0, true);
    let told = reading.finish();
    if told.unread > 0 {
        eprintln!(
            "etcdtap: {} of {} messages were cut, hidden or broken, and tell nothing",
            told.unread,
            told.unread + told.read
        );
    }
    Ok((told, whole))
}

/// What `--at` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Revision(i64),
    Moment(moment::Moment),
}

impl At {
    fn parse(text: &str) -> Result<At, String> {
        if let Ok(revision) = text.parse() {
            return Ok(At::Revision(revision));
        }
        moment::parse(text)
            .map(At::Moment)
            .map_err(|sentence| format!("{sentence}; a whole number is a revision"))
    }
}

/// Where a playback begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    revision: i64,
    /// The recording goes on from there.
    plays: bool,
    read_only: bool,
    /// Leases end as they do in etcd.
    leases_live: bool,
}

impl Start {
    fn of(
        args: &PlaybackArgs,
        at: Option<At>,
        told: &Told,
        stood: Revisions,
    ) -> Result<Start, Failure> {
        let revision = match at {
            None => match args.pace {
                Pace::AtOnce => stood.to,
                Pace::Recorded | Pace::None => stood.from,
            },
            Some(at) => at.revision(told, stood)?,
        };
        let read_only = at.is_some();
        let plays = !read_only && args.pace == Pace::Recorded;
        Ok(Start {
            revision,
            plays,
            read_only,
            // The recording says itself when one is over.
            leases_live: !read_only && !plays,
        })
    }

    fn world(self, past: Past, identity: Identity, version: String, stood: Revisions) -> World {
        let told_to = if self.plays { stood.to } else { self.revision };
        let (mut store, future) = past.store_at(self.revision, told_to);
        if self.read_only {
            store.close();
        }
        let future = match self.plays {
            true => future,
            false => Future::default(),
        };
        World {
            version,
            ..World::new(store, future, identity)
        }
    }

    fn says(self, world: &World, stood: Revisions, address: SocketAddr, hidden: usize) -> String {
        let (keys, bytes) = world.store.size();
        let mut text = format!(
            "listening on {address}: revision {} of {} to {}, {keys} keys, {}",
            self.revision,
            stood.from,
            stood.to,
            size(bytes)
        );
        if hidden > 0 {
            let s = if hidden == 1 { " is" } else { "s are" };
            let hidden = grouped(hidden as u64);
            let _ = write!(text, "; {hidden} value{s} hidden in the recording");
        }
        if self.read_only {
            text += "; read-only";
        }
        if self.plays {
            let _ = write!(text, "; {} revisions to come", world.future.len());
        }
        text
    }
}

impl At {
    fn revision(self, told: &Told, stood: Revisions) -> Result<i64, Failure> {
        let revision = match self {
            At::Revision(revision) => revision,
            At::Moment(moment) => {
                let moments = &told.moments;
                let span = (
                    moments.first().map_or(0, |(at, _)| *at),
                    moments.last().map_or(0, |(at, _)| *at),
                );
                let at = moment.within(span);
                let after = moments.partition_point(|(seen, _)| *seen <= at);
                match after.checked_sub(1) {
                    Some(last) => moments[last].1,
                    None => {
                        return Err(Failure::asked(
                            "--at is before the first answer of the recording that names a revision",
                        ));
                    }
                }
            }
        };
        match stood.contains(revision) {
            true => Ok(revision),
            false => Err(Failure::asked(format!(
                "--at {revision}: the recording knows revisions {} to {}",
                stood.from, stood.to
            ))),
        }
    }
}

/// What was done, and what could not be.
fn summary(tally: &Tally) -> String {
    let all: u64 = tally.calls.values().sum();
    let mut text = format!("etcdtap: {all} calls answered");
    let mut separator = ": ";
    for (method, times) in &tally.calls {
        let _ = write!(text, "{separator}{method} {times}");
        separator = ", ";
    }
    let _ = writeln!(text, "; {} events told to watches", tally.events);
    let unknown = tally.times_unknown();
    if unknown == 0 {
        text += "etcdtap: nothing was asked for that the recording does not know\n";
        return text;
    }
    let s = if unknown == 1 { "" } else { "s" };
    let _ = writeln!(
        text,
        "etcdtap: {unknown} time{s} the recording did not know what was asked for:"
    );
    let mut sentences: Vec<_> = tally.unknown.iter().collect();
    sentences.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    for (what, times) in sentences.iter().take(MOST_SENTENCES) {
        let _ = writeln!(text, "  {times}x {what}");
    }
    let more = sentences.len().saturating_sub(MOST_SENTENCES) as u64 + tally.more_unknown;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}
