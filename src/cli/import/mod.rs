//! `etcdtap import`: a recording from a packet capture.

mod input;
mod output;
mod summary;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use clap::Args;

use super::progress::Progress;
use super::recording::Hiding;
use super::{Failure, diagnostics, io_reason, print};
use crate::etcd::SessionOptions;
use crate::import::{ImportError, Importer, KeyLog, Options, recognise};
use crate::kube::key::KeySpace;
use crate::record::redact::{Rule, Values};
use crate::trace::{Anchor, grouped};
use input::Input;
use output::Output;

const EXAMPLES: &str = "\
Examples:
  Capture what passes between the API server and etcd, and make a recording of it:
    tcpdump -i any -s 0 -w etcd.pcap tcp port 2379
    etcdtap import etcd.pcap

  etcd listens on another port, and the capture is compressed:
    etcdtap import etcd.pcap.zst --port 12379 -o calls.mcap

  The connections are encrypted, and one of their ends wrote a key log:
    etcdtap import etcd.pcapng --keylog keys.log

A capture must begin before the connections do: HTTP/2 cannot be followed from the
middle. To have one in mid-traffic, start the capture and restart the API server.

kube-apiserver, etcd and etcdctl write no key log as they are released. Programs in
Go write one only where their code asks crypto/tls to (KeyLogWriter); curl and others
do when SSLKEYLOGFILE is set. Where there is none, record with `etcdtap proxy` in the
place of the capture.";

const EXITS: &str = "\
Exit codes: 0 all of etcd's traffic in the capture is in the recording; 1 a part is
missing, which is said, or there is none; 2 wrong usage, or FILE is no capture.";

/// How much of the file is handed on at a time.
const PIECE: usize = 256 * 1024;

/// The longest key log that is read.
const MAX_KEY_LOG: u64 = 256 << 20;

/// Make a recording from a packet capture, in the clear or with a TLS key log
///
/// Reads pcap and pcapng, also packed with zstd or gzip. Connections are put
/// together from their packets: reordered, retransmitted, missing ones. What cannot
/// be read is said and left out.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXITS}"))]
pub(super) struct ImportArgs {
    /// The capture; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The recording to write; FILE's name with .mcap in the working directory, if
    /// not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A port that etcd serves clients on; may be given several times. Without it
    /// every connection counts that speaks HTTP/2
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,

    /// A TLS key log, as SSLKEYLOGFILE names it
    #[arg(long, value_name = "FILE")]
    keylog: Option<PathBuf>,

    /// What stands in the recording of values: redacted (all but Secrets), all or none
    #[arg(long, value_name = "CHOICE", default_value = "redacted")]
    record_values: String,

    /// Hide these values, too: resource=NAME, namespace=NAME, name=NAME or key=PREFIX*,
    /// joined by commas; or a filter: namespace == "kube-system" && resource != "leases".
    /// May be given several times
    #[arg(long, value_name = "RULE")]
    redact: Vec<String>,

    /// The API server's --etcd-prefix
    #[arg(long, value_name = "PREFIX", default_value = "/registry")]
    etcd_prefix: String,
}

/// Runs the command.
pub(super) fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    diagnostics::start("warn");
    let place = match args.file == Path::new("-") {
        true => "standard input".to_owned(),
        false => args.file.display().to_string(),
    };
    let output = output_of(args)?;
    let hiding = hiding(args)?;
    let keys = args.keylog.as_deref().map(key_log).transpose()?;
    let refused = |what: &dyn std::fmt::Display| Failure::asked(format!("{place} {what}"));

    let mut input = Input::open(&args.file)
        .map_err(|error| refused(&format!("cannot be read: {}", io_reason(&error))))?;
    let mut piece = vec![0; PIECE];
    let (mut length, mut trouble) = fill(&mut input, &mut piece);
    if let (0, Some(error)) = (length, &trouble) {
        return Err(refused(&format!("cannot be read: {}", io_reason(error))));
    }
    recognise(&piece[..length]).map_err(|error| refused(&error))?;

    // Times of the capture are told by the monotonic clock, as the core tells all:
    // now stands for the beginning of 1970.
    let anchor = Anchor {
        wall: UNIX_EPOCH,
        at: Instant::now(),
    };
    let key_space = KeySpace::new(&args.etcd_prefix);
    let (output, scribes) = Output::create(&output, &hiding, key_space, anchor)?;
    let queue = output.queue();
    let options = Options {
        ports: args.port.clone(),
        session: Arc::new(SessionOptions {
            scribes: Some(scribes),
            ..SessionOptions::default()
        }),
    };
    let mut importer = Importer::new(options, anchor, output);
    if let Some(keys) = keys {
        importer.use_keys(keys);
    }
    let mut progress = Progress::after(Duration::ZERO);
    let failed = |error: ImportError<Failure>| match error {
        ImportError::Capture(error) => refused(&error),
        ImportError::Sink(failure) => failure,
    };
    while length > 0 {
        importer.push(&piece[..length]).map_err(failed)?;
        if let Some(total) = input.total() {
            progress.tell(|| {
                let percent = input.read_so_far().saturating_mul(100) / total.max(1);
                let packets = grouped(importer.report().packets);
                format!("{percent} %, {packets} packets")
            });
        }
        if trouble.is_some() || queue.is_closed() {
            break;
        }
        (length, trouble) = fill(&mut input, &mut piece);
    }
    progress.clear();
    let (report, output) = importer.finish().map_err(failed)?;
    let trouble = trouble.map(|error| io_reason(&error));
    let recorded = output.finish(report.counts.connections > 0)?;
    print(&summary::text(
        &place,
        &report,
        trouble.as_deref(),
        &recorded,
    ))?;
    if report.counts.connections == 0 {
        return Err(Failure::failed(summary::nothing(
            &place, &report, &args.port,
        )));
    }
    match report.is_whole() && trouble.is_none() && recorded.trouble.is_none() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(1)),
    }
}

/// Reads until the piece is full or the file ends, which an error may be the reason
/// for.
fn fill(input: &mut Input, piece: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < piece.len() {
        match input.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}

/// What is to be hidden.
fn hiding(args: &ImportArgs) -> Result<Hiding, Failure> {
    let values = Values::parse(&args.record_values)
        .map_err(|error| Failure::asked(format!("--record-values: {error}")))?;
    let rules = args.redact.iter().map(|text| {
        Rule::parse(text).map_err(|error| Failure::asked(format!("--redact: {error}")))
    });
    Ok(Hiding {
        values,
        rules: rules.collect::<Result<_, Failure>>()?,
    })
}

/// What the recording is called: as asked, or as the capture is.
fn output_of(args: &ImportArgs) -> Result<PathBuf, Failure> {
    if let Some(output) = &args.output {
        return Ok(output.clone());
    }
    let name = args.file.file_name().and_then(|name| name.to_str());
    let name = name
        .filter(|_| args.file != Path::new("-"))
        .ok_or_else(|| {
            Failure::asked("the recording has no name: give one with --output, such as calls.mcap")
        })?;
    let mut stem = name;
    for ending in [".zst", ".gz", ".pcapng", ".pcap", ".cap"] {
        stem = stem
            .strip_suffix(ending)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(stem);
    }
    Ok(PathBuf::from(format!("{stem}.mcap")))
}

/// Reads a key log as a whole.
fn key_log(path: &Path) -> Result<KeyLog, Failure> {
    let read = || {
        let file = std::fs::File::open(path)?;
        let mut text = Vec::new();
        file.take(MAX_KEY_LOG + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let place = path.display();
    let text: io::Result<Vec<u8>> = read();
    let text = text.map_err(|error| {
        Failure::asked(format!(
            "--keylog: {place} cannot be read: {}",
            io_reason(&error)
        ))
    })?;
    if text.len() as u64 > MAX_KEY_LOG {
        return Err(Failure::asked(format!(
            "--keylog: {place} is larger than 256 MiB; name a key log of this capture alone"
        )));
    }
    let mut keys = KeyLog::default();
    keys.read(&text);
    match keys.secrets() {
        0 => Err(Failure::asked(format!(
            "--keylog: {place} has no secrets in it; name the file that SSLKEYLOGFILE named"
        ))),
        _ => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(file: &str, output: Option<&str>) -> Result<PathBuf, Failure> {
        output_of(&ImportArgs {
            file: file.into(),
            output: output.map(Into::into),
            port: Vec::new(),
            keylog: None,
            record_values: String::new(),
            redact: Vec::new(),
            etcd_prefix: String::new(),
        })
    }

    #[test]
    fn a_recording_is_called_as_its_capture_is() {
        for (file, expected) in [
            ("etcd.pcap", "etcd.mcap"),
            ("/var/tmp/etcd.pcap.zst", "etcd.mcap"),
            ("a.b.pcapng.gz", "a.b.mcap"),
            ("trace.cap", "trace.mcap"),
            ("trace", "trace.mcap"),
            (".pcap", ".pcap.mcap"),
        ] {
            assert_eq!(named(file, None), Ok(expected.into()), "{file}");
        }
        assert_eq!(named("-", Some("x.mcap")), Ok("x.mcap".into()));
        assert!(named("-", None).is_err());
    }
}
