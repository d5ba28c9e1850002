//! `etcdtap show`: the log of a recording.

mod objects;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, StdoutLock, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::call_log::{self, Place};
use super::look::{Log, LookFlags, refused, said};
use super::{Failure, io_reason};
use crate::trace::{self, Colour};

const EXAMPLES: &str = "\
Examples:
  What happened to this pod?
    etcdtap show calls.mcap --key /registry/pods/lab/web-0

  What was slow between five past and ten past eight?
    etcdtap show calls.mcap --from 08:05 --to 08:10 --min-duration 100ms

  What failed in the last ten minutes, as JSON:
    etcdtap show calls.mcap --from -10m --errors-only --log json | jq .

  Any question:
    etcdtap show calls.mcap --filter 'resource == \"pods\" && response_bytes > 1MiB'

  What was written there, and what did each write change, and who did it?
    etcdtap show calls.mcap --key /registry/pods/lab/web-0 --object
    etcdtap show calls.mcap --key /registry/deployments/lab/web --diff

  Look on while it is written:
    etcdtap show calls.mcap --follow

Exit codes: 0 all was read; 1 a part of the recording is missing, damaged or
unreadable: the rest is shown, and standard error says what; 2 wrong usage, or no
recording.";

/// How long `--follow` waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How much is written at a time.
const PIECE: usize = 64 * 1024;

/// Show the log of a recording: the lines and filters of the live log
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    look: LookFlags,

    /// How to show lines [default: pretty on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT", value_enum)]
    log: Option<Format>,

    /// Go on as the recording is written, until it is interrupted
    #[arg(long, conflicts_with_all = ["limit", "tail"])]
    follow: bool,

    /// Print the object that each line is about, as it was put, read or deleted
    #[arg(long, conflicts_with_all = ["follow", "diff", "tail"])]
    object: bool,

    /// Print what each write changed in its object, and who did it
    #[arg(long, conflicts_with_all = ["follow", "tail"])]
    diff: bool,

    /// How objects and what changed in them are printed
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Yaml)]
    output: Output,

    /// Only the first so many lines
    #[arg(long, value_name = "N", conflicts_with = "tail")]
    limit: Option<u64>,

    /// Only the last so many lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One aligned line a call
    Pretty,
    /// One JSON object a line, as docs/log.md says
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// YAML for objects; for what changed, a text
    Yaml,
    /// One JSON object a line: the line of the log, with what was asked for in it
    Json,
}

/// Runs the command.
pub(super) fn run(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let asked = args.look.asked()?;
    let place = Place::of(None);
    let format = match args.log {
        None => place.usual_format(),
        Some(Format::Pretty) => call_log::Format::Pretty,
        Some(Format::Json) => call_log::Format::Json,
    };
    let what = match (args.object, args.diff) {
        (true, _) => Some(objects::What::Object),
        (_, true) => Some(objects::What::Diff),
        (false, false) => None,
    };
    let format = match (what, args.output) {
        (Some(_), Output::Json) => trace::Format::Json,
        // In YAML the line is a comment.
        (Some(objects::What::Object), Output::Yaml) => trace::Format::Pretty {
            colour: Colour::Never,
            width: None,
        },
        (Some(objects::What::Diff), Output::Yaml) => place.written(call_log::Format::Pretty),
        (None, _) => place.written(format),
    };
    let mut log = Log::new(asked, format);
    if args.follow {
        log.follow();
    }
    let out = &mut Out::new();
    let most = args.limit.unwrap_or(u64::MAX);
    let written = match (what, args.tail) {
        (Some(what), _) => {
            let json = args.output == Output::Json;
            let colour = place.colour() == Colour::Always;
            objects::show(&mut log, what, json, colour, most, out)
        }
        (None, Some(most)) => tail(&mut log, most, out),
        (None, None) => head(&mut log, most, args.follow, out),
    };
    match written {
        Ok(()) => Ok(said(&log.wholeness(), log.unknown, log.ended)),
        // Nobody reads on: what is missing does not matter any more.
        Err(Trouble::Written(error)) if error.kind() == ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(Trouble::Written(error)) => Err(Failure::failed(format!(
            "standard output cannot be written: {}",
            io_reason(&error)
        ))),
        Err(Trouble::Read(failure)) => Err(failure),
    }
}

/// Why it ends early.
enum Trouble {
    Written(io::Error),
    Read(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Written(error)
    }
}

impl From<crate::record::reader::Refusal> for Trouble {
    fn from(refusal: crate::record::reader::Refusal) -> Trouble {
        Trouble::Read(refused(&refusal))
    }
}

fn head(log: &mut Log, most: u64, follow: bool, out: &mut Out) -> Result<(), Trouble> {
    let mut left = most;
    loop {
        while left > 0
            && let Some(line) = log.next()?
        {
            left -= 1;
            out.write(line)?;
        }
        out.flush()?;
        if !follow {
            return Ok(());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn tail(log: &mut Log, most: usize, out: &mut Out) -> Result<(), Trouble> {
    let mut last = VecDeque::new();
    while let Some(line) = log.next()? {
        if last.len() == most {
            last.pop_front();
        }
        if most > 0 {
            last.push_back(std::mem::take(line));
        }
    }
    for line in &last {
        out.write(line)?;
    }
    out.flush()?;
    Ok(())
}

/// Standard output, in pieces.
struct Out {
    stdout: StdoutLock<'static>,
    piece: Vec<u8>,
}

impl Out {
    fn new() -> Out {
        Out {
            stdout: io::stdout().lock(),
            piece: Vec::with_capacity(PIECE * 2),
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(line);
        match self.piece.len() >= PIECE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.write_all(&self.piece)?;
        self.piece.clear();
        self.stdout.flush()
    }
}
