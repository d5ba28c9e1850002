//! `etcdtap export`: a recording in other people's formats.

mod output;
mod selection;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::output::Output;
use self::selection::Selected;
use super::look::{Asked, WhichFlags, said};
use super::progress::Progress;
use super::{Failure, io_reason};
use crate::record::export::csv::Csv;
use crate::record::export::mcap::Mcap;
use crate::record::export::ndjson::Ndjson;
#[cfg(feature = "parquet")]
use crate::record::export::parquet::Parquet;
use crate::record::export::pcapng::Pcapng;
use crate::record::export::robustness::Robustness;
use crate::record::export::{Exporter, Passed};
use crate::record::reader::item::Path as MethodPath;
use crate::record::reader::{About, Item, Joined, Query, Refusal, Wants, Wholeness};
use crate::trace::{grouped, size};

/// Nobody is told of what is done in less.
const PATIENCE: Duration = Duration::from_secs(1);

/// Messages that are put together again at most, for a format that reads them.
const MOST_JOINED: usize = 64 * 1024 * 1024;

/// Write a recording in another format: the log as text or tables, the traffic
/// as packets, the calls for etcd's own checkers
///
/// What is hidden in the recording stays hidden. docs/export.md states each
/// format.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  The log again, as it was written live:
    etcdtap export calls.mcap --to ndjson | jq .verb

  A table for DuckDB, pandas or Spark:
    etcdtap export calls.mcap --to parquet -o calls.parquet
    duckdb -c \"select verb, count(*) from 'calls.parquet' group by verb\"

  Packets for Wireshark, only those of the calls on pods:
    etcdtap export calls.mcap --to pcapng --resource pods -o pods.pcapng

  A recording of its own, of one minute:
    etcdtap export calls.mcap --to mcap --from 08:05 --until 08:06 -o minute.mcap

  A report that etcd's robustness tests check:
    etcdtap export calls.mcap --to robustness -o report

Exit codes: 0 everything is there; 1 a part of the recording is missing or
damaged (what is whole was exported, what is not is said on standard error), or
the output could not be written; 2 wrong usage, or no recording.")]
pub(super) struct ExportArgs {
    /// Recordings: files, folders of files, or the name of one that was rotated
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The format
    #[arg(long, value_name = "FORMAT")]
    to: Format,

    /// Where it goes; `-` is standard output, where text goes anyway if that is
    /// no terminal
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Replace what is there
    #[arg(long)]
    force: bool,

    /// From this time on: 2026-11-03T08:05:32Z, 08:05, or -10m (before the recording's end)
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Time"
    )]
    from: Option<String>,

    /// Up to this time
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Time"
    )]
    until: Option<String>,

    #[command(flatten)]
    which: WhichFlags,
}

/// What a recording can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The log, one JSON object a line
    Ndjson,
    /// The log, one row a line
    Csv,
    /// The log, one row a line, with types
    #[cfg(feature = "parquet")]
    Parquet,
    /// A part of the recording, as a recording
    Mcap,
    /// The traffic, as packets
    Pcapng,
    /// The calls and watches, as etcd's robustness tests report them: a folder
    Robustness,
}

impl Format {
    fn is_text(self) -> bool {
        matches!(self, Format::Ndjson | Format::Csv)
    }

    fn exporter(self, out: Box<dyn Write + Send>, about: &About) -> io::Result<Box<dyn Exporter>> {
        Ok(match self {
            Format::Ndjson => Box::new(Ndjson::new(out, Instant::now())),
            Format::Csv => Box::new(Csv::new(out)),
            #[cfg(feature = "parquet")]
            Format::Parquet => Box::new(Parquet::new(out)?),
            Format::Mcap => Box::new(Mcap::new(out, &about.notes)?),
            Format::Pcapng => Box::new(Pcapng::new(out)),
            Format::Robustness => Box::new(Robustness::new()),
        })
    }
}

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let asked = args.which.asked(
        &args.files,
        ("--from", args.from.as_deref()),
        ("--until", args.until.as_deref()),
    )?;
    let name = place(args)?;
    let mut output = Output::open(&name, args.force, args.to == Format::Robustness)?;
    let mut progress = Progress::after(PATIENCE);
    let written = write(args.to, &asked, &mut output, &mut progress);
    progress.clear();
    let written = match written {
        Ok(written) => written,
        Err(Trouble::Read(refusal)) => return Err(Failure::failed(refusal.to_string())),
        // `export … | head` is no failure worth a sentence.
        Err(Trouble::Write(error))
            if output.is_pipe() && error.kind() == io::ErrorKind::BrokenPipe =>
        {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Trouble::Write(error)) => return Err(output.unwritten(&error)),
    };
    output.keep()?;
    for left_out in &written.left_out {
        eprintln!("etcdtap: the format cannot tell: {left_out}");
    }
    Ok(said(&written.wholeness, 0, true))
}

/// What became of it.
struct Written {
    left_out: Vec<String>,
    /// How whole the recording is.
    wholeness: Wholeness,
}

enum Trouble {
    Read(Refusal),
    Write(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Write(error)
    }
}

/// Tells how far it is.
fn told(progress: &mut Progress, lines: u64, bytes: u64) {
    progress.tell(|| format!("{} lines, {}", grouped(lines), size(bytes)));
}

fn write(
    format: Format,
    asked: &Asked,
    output: &mut Output,
    progress: &mut Progress,
) -> Result<Written, Trouble> {
    let mut exporter = format.exporter(output.writer()?, asked.recordings.about())?;
    let mut selected = Selected::new(asked);
    let query = if !exporter.wants_messages() {
        asked.query.clone()
    } else if asked.is_all() {
        Query::all(Wants::ALL)
    } else {
        // Which calls: a message stands before the line that tells of its call.
        for item in asked.recordings.read(asked.query.clone()) {
            if let Item::Line(line) = item.map_err(Trouble::Read)? {
                told(progress, 0, 0);
                selected.note(&line);
            }
        }
        selected.choose()
    };
    let reading = asked.recordings.read(query);
    let most = match format {
        // They do not mind parts.
        Format::Mcap | Format::Pcapng => 0,
        _ => MOST_JOINED,
    };
    let mut joined = Joined::new(reading, most);
    let mut lines = 0;
    for item in joined.by_ref() {
        let item = item.map_err(Trouble::Read)?;
        match &item {
            Item::Line(line) => {
                if selected.line(line) {
                    exporter.line(line)?;
                    lines += 1;
                }
            }
            Item::Headers { at, headers } => exporter.headers(*at, headers)?,
            Item::Message(message) => {
                if selected.call(message.meta.connection, message.meta.stream) {
                    exporter.passed(&Passed {
                        times: message.times,
                        meta: &message.meta,
                        path: &message.path.text(),
                        channel: match message.path {
                            MethodPath::Known(channel) => Some(channel),
                            MethodPath::Other(_) => None,
                        },
                        offset: 0,
                        data: &message.data,
                        last: true,
                    })?;
                }
            }
            Item::Part(part) => {
                if selected.call(part.meta.connection, part.meta.stream) {
                    exporter.passed(&Passed {
                        times: part.times,
                        meta: &part.meta,
                        path: &part.path,
                        channel: None,
                        offset: part.offset,
                        data: &part.data,
                        last: part.last,
                    })?;
                }
            }
            Item::Content { times, content } => {
                if selected.call(content.connection, content.stream) {
                    exporter.content(*times, content)?;
                }
            }
            Item::Loss { at, loss } => exporter.loss(*at, loss)?,
        }
        output.append(exporter.take(false))?;
        told(progress, lines, output.bytes());
    }
    exporter.finish()?;
    output.append(exporter.take(true))?;
    Ok(Written {
        left_out: exporter.left_out(),
        wholeness: joined.items().wholeness(),
    })
}

/// Where it goes; `-` is standard output.
fn place(args: &ExportArgs) -> Result<PathBuf, Failure> {
    let stdout = Path::new("-");
    let terminal = io::stdout().is_terminal();
    match (&args.output, args.to) {
        (Some(path), Format::Robustness) if path == stdout => Err(Failure::asked(
            "--to robustness writes a folder; name it with --output",
        )),
        (Some(path), format) if path == stdout && terminal && !format.is_text() => Err(
            Failure::asked("this format is no text for a terminal; name a file with --output"),
        ),
        (Some(path), _) => Ok(path.clone()),
        (None, format) if format.is_text() && !terminal => Ok(stdout.to_owned()),
        (None, Format::Robustness) => Err(Failure::asked(
            "--to robustness writes a folder; name it with --output",
        )),
        (None, format) if format.is_text() => Err(Failure::asked(
            "standard output is a terminal; name a file with --output, or - to see it here",
        )),
        (None, _) => Err(Failure::asked(
            "this format is no text; name a file with --output, or - to pass it on",
        )),
    }
}

/// `cannot be written: …`, of a path.
fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "{} cannot be written: {}",
        path.display(),
        io_reason(error)
    ))
}
