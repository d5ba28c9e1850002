//! `etcdtap scorecard`: how clients took a failure, from a log.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::look::{Log, LookFlags};
use super::{Failure, io_reason, print};
use crate::score::{Expectation, Meter, Metric, Moment, Options, Outcome, Reader, Scorecard, Unit};
use crate::trace;

const EXAMPLES: &str = "\
Examples:
  How did it go?
    etcdtap proxy … --log json --log-file calls.ndjson
    etcdtap scorecard calls.ndjson

  Let a CI job fail if it went badly:
    etcdtap scorecard calls.ndjson --expect 'recovery < 10s' --expect 'events_lost == 0'

  From a pipe, one client only, as JSON for another program:
    zcat calls.ndjson.gz | etcdtap scorecard - --client kube-apiserver --json | jq .total

The failure is from the first to the last line that has a fault, unless --from
and --to say otherwise. docs/scorecard.md says what each figure is.";

const EXITS: &str = "\
Exit codes: 0 all expectations are met; 1 one is not; 2 wrong usage, or the log
cannot be read.";

/// How large a piece of the log is read at a time.
const PIECE: usize = 256 * 1024;

/// Say from a log how clients took a failure: what they noticed, asked again,
/// lost and wrote twice, and when all was as before
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(super) struct ScorecardArgs {
    /// The log, as --log json writes it, or a recording; `-` is standard input
    #[arg(value_name = "LOG")]
    log: PathBuf,

    /// Print the card as JSON
    #[arg(long)]
    json: bool,

    /// A metric, one of < <= > >= ==, and a value; may be given several times
    #[arg(long, value_name = "EXPR")]
    expect: Vec<String>,

    /// When the failure began (2026-11-03T08:05:32Z)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// When it ended
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// Only clients whose address or user agent has this in it; may be given
    /// several times
    #[arg(long, value_name = "TEXT")]
    client: Vec<String>,
}

fn after_help() -> String {
    let mut help = format!("{EXAMPLES}\n\nMetrics for --expect:\n");
    for metric in Metric::ALL {
        let unit = match metric.unit {
            Unit::Time => "10s",
            Unit::Count => "0",
            Unit::Bytes => "1MiB",
        };
        help.push_str(&format!(
            "  {:<22} {:<5} {}\n",
            metric.name, unit, metric.about
        ));
    }
    help.push_str("What is unknown meets no expectation.\n\n");
    help.push_str(EXITS);
    help
}

/// Runs the command.
pub(super) fn run(args: &ScorecardArgs) -> Result<ExitCode, Failure> {
    let expectations = expectations(&args.expect)?;
    let options = Options {
        name: None,
        from: moment("--from", args.from.as_deref())?,
        to: moment("--to", args.to.as_deref())?,
        clients: args
            .client
            .iter()
            .map(|text| text.as_str().into())
            .collect(),
    };
    if let (Some(from), Some(to)) = (options.from, options.to)
        && to < from
    {
        return Err(Failure::asked(format!(
            "--to: {to} is before --from {from}; write the later time as --to"
        )));
    }
    let card = read(&args.log, options)?;
    let (text, code) = told(&card, &expectations, args.json);
    print(&text)?;
    Ok(code)
}

/// Reads what is expected.
///
/// # Errors
/// All that cannot be read, a line each.
pub(in crate::cli) fn expectations(texts: &[String]) -> Result<Vec<Expectation>, Failure> {
    let mut wrong = Vec::new();
    let mut expectations = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(expectation) => expectations.push(expectation),
            Err(why) => wrong.push(format!("--expect: {why}")),
        }
    }
    match wrong.is_empty() {
        true => Ok(expectations),
        false => Err(Failure::asked(wrong.join("\n"))),
    }
}

/// The card as it is printed, with what became of the expectations, and what the
/// process is to end with.
pub(in crate::cli) fn told(
    card: &Scorecard,
    expectations: &[Expectation],
    as_json: bool,
) -> (String, ExitCode) {
    let outcomes: Vec<Outcome> = expectations.iter().map(|one| one.check(card)).collect();
    let code = match outcomes.iter().all(|outcome| outcome.met) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    };
    let mut text = match as_json {
        true => {
            let mut value = json!(card);
            value["expectations"] = json!(outcomes);
            return (format!("{value:#}\n"), code);
        }
        false => card.to_string(),
    };
    if !outcomes.is_empty() {
        text.push('\n');
    }
    for outcome in outcomes {
        let word = if outcome.met { "met" } else { "NOT MET" };
        text.push_str(&format!(
            "{word}: {} (it was {})\n",
            outcome.expectation, outcome.was
        ));
    }
    (text, code)
}

fn read(log: &Path, options: Options) -> Result<Scorecard, Failure> {
    let mut meter = Meter::new(options);
    let place = log.display();
    let unreadable = |reason: String| {
        Failure::asked(format!(
            "{place} cannot be read: {reason}; name a log that --log json wrote, or - for standard input"
        ))
    };
    let source = match log == Path::new("-") {
        true => Reader::default().read(BufReader::with_capacity(PIECE, io::stdin()), &mut meter),
        false if is_recording(log) => {
            let asked = LookFlags::of(log).asked()?;
            let lines = Log::new(asked, trace::Format::Json);
            Reader::default().read(BufReader::with_capacity(PIECE, lines), &mut meter)
        }
        false => {
            let file = File::open(log).map_err(|error| unreadable(io_reason(&error)))?;
            Reader::default().read(BufReader::with_capacity(PIECE, file), &mut meter)
        }
    };
    let source = source.map_err(|error| unreadable(error.to_string()))?;
    if source.lines > 0 && source.broken == source.lines {
        return Err(unreadable(
            "no line of it is JSON of etcdtap's log".to_owned(),
        ));
    }
    Ok(meter.card(None, source))
}

/// Whether it is a recording, or a folder of them.
fn is_recording(log: &Path) -> bool {
    let mut head = [0; 8];
    log.is_dir()
        || File::open(log)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok_and(|()| head == *mcap::MAGIC)
}

fn moment(flag: &str, text: Option<&str>) -> Result<Option<Moment>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match Moment::parse(text) {
        Some(moment) => Ok(Some(moment)),
        None => Err(Failure::asked(format!(
            "{flag}: \"{text}\" is no time; write it as the log does, such as 2026-11-03T08:05:32Z"
        ))),
    }
}
