//! `etcdtap demo`: etcd, the proxy in front of it, and somebody who uses it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::etcd::Etcd;
use super::workload::{self, WorkloadReport};
use crate::cli::call_log::{self, Format, Place};
use crate::cli::interruption::{INTERRUPTED, Signals};
use crate::cli::{Failure, diagnostics, proxy};
use crate::etcd::SessionOptions;
use crate::net::{Phase, Proxy, ProxyConfig, Route, Shutdown, Upstream, UpstreamTls};
use crate::trace::{Colour, Handle, Options};

const EXAMPLES: &str = "\
Examples:
  Show it with the etcd that PATH finds:
    etcdtap demo

  With another etcd, and let both go on for a look with etcdctl:
    etcdtap demo --etcd ./etcd-3.5/etcd --keep

  As JSON (the steps then go to standard error):
    etcdtap demo --log json | jq .

Exit codes: 0 all went as with etcd itself; 1 no etcd, or something did not;
2 a wrong flag; 130 ended by Ctrl-C before the workload was through.";

/// How long the last connections may take to close.
const DRAIN: Duration = Duration::from_secs(2);

/// How long a line of the log may wait before it is written.
const LOG_WRITTEN_WITHIN: Duration = Duration::from_millis(10);

/// How long the workload's connections may take to close.
const CLIENTS_CLOSE_WITHIN: Duration = Duration::from_millis(50);

/// See it work: a real etcd, etcdtap in front, and a small Kubernetes workload
///
/// Starts the etcd that PATH finds, alone on loopback, relays to it what an API
/// server would do, shows the log as it happens, and ends with a table. Nothing
/// is left behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// The etcd to start, instead of the one that PATH finds
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,

    /// How to log calls: pretty or json [default: pretty]
    #[arg(long, value_name = "FORMAT")]
    log: Option<OsString>,

    /// Go on after the workload, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Shows it.
pub(in crate::cli) fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let place = Place::of(None);
    let stage = Stage {
        format: format(args)?,
        colour: place.colour(),
    };
    diagnostics::start("warn");
    let runtime = proxy::multi_thread()?;
    let log = call_log::start(
        Options {
            summary: true,
            ..Options::new(place.written(stage.format))
        },
        place,
        Vec::new(),
        Vec::new(),
    )?;
    let outcome = runtime.block_on(perform(args, &stage, &log));
    // Whatever still runs belongs to connections whose peers are gone.
    runtime.shutdown_background();
    let finished = log.finish();
    match outcome? {
        Ended::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
        Ended::Done(report) => {
            if let Some(summary) = &finished.summary {
                stage.say(&format!("\n{summary}"));
            }
            stage.say(&format!(
                "\n{} calls, {} writes, {} watch events in {:.1} s, each answered as etcd does.\n\
                 Now your own etcd: etcdtap proxy --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379",
                report.calls,
                report.writes,
                report.watch_events,
                report.elapsed.as_secs_f64(),
            ));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn format(args: &DemoArgs) -> Result<Format, Failure> {
    let Some(text) = &args.log else {
        return Ok(Format::Pretty);
    };
    match proxy::parse_format(&text.to_string_lossy()) {
        Ok(Format::Off) => Err(Failure::asked(
            "--log: a demonstration without a log shows nothing; write pretty or json",
        )),
        Ok(format) => Ok(format),
        Err(why) => Err(Failure::asked(format!("--log: {why}"))),
    }
}

enum Ended {
    Done(WorkloadReport),
    Interrupted,
}

/// Whatever way this ends, etcd is dropped, which ends it and removes its data.
async fn perform(args: &DemoArgs, stage: &Stage, log: &Handle) -> Result<Ended, Failure> {
    let mut signals = Signals::listen()?;
    let etcd = tokio::select! {
        etcd = Etcd::start(args.etcd.as_deref()) => etcd.map_err(in_words)?,
        () = signals.any() => return Ok(Ended::Interrupted),
    };
    let upstream = Upstream::parse(etcd.endpoint()).map_err(in_words)?;
    let proxy = Proxy::bind(before(upstream))?;
    let Some(address) = proxy.listening().first().copied() else {
        return Err(Failure::failed(
            "there is no listener to drive the workload through",
        ));
    };
    let endpoint = format!("http://{address}");
    stage.say(&format!(
        "etcd {} at {}, etcdtap in front at {endpoint}",
        etcd.version(),
        etcd.endpoint()
    ));
    let shutdown = Shutdown::new();
    let served = tokio::spawn(proxy.run(shutdown.clone(), log.sender()));
    let report = tokio::select! {
        report = workload::run(&endpoint, |step| stage.step(step)) => report.map_err(in_words)?,
        () = signals.any() => return Ok(Ended::Interrupted),
    };
    // The workload's connections close in their own time; then the log says
    // that they did, and not that we closed them.
    tokio::time::sleep(CLIENTS_CLOSE_WITHIN).await;
    if args.keep {
        stage.say(&format!(
            "\nBoth go on: ETCDCTL_API=3 etcdctl --endpoints {endpoint} get --prefix --keys-only /registry/\n\
             Ctrl-C ends them.",
        ));
        signals.any().await;
    }
    shutdown.advance_to(Phase::Drain);
    // A panic of the proxy was shown already, and shows in the table.
    let _ = served.await;
    Ok(Ended::Done(report))
}

fn in_words(error: impl std::error::Error) -> Failure {
    Failure::failed(error.to_string())
}

fn before(upstream: Upstream) -> ProxyConfig {
    ProxyConfig {
        routes: vec![Route {
            listen: "127.0.0.1:0".to_owned(),
            upstream,
        }],
        listener_tls: None,
        upstream_tls: UpstreamTls::default(),
        workers: None,
        drain: DRAIN,
        reload_every: ProxyConfig::RELOAD_EVERY,
        session: Arc::new(SessionOptions::default()),
        judges: None,
        rules_changed: crate::net::Alarm::default(),
    }
}

/// Where the demonstration speaks beside the log.
struct Stage {
    format: Format,
    colour: Colour,
}

impl Stage {
    /// The title of a step.
    fn step(&self, title: &str) {
        // The log gathers lines for a moment; those of the last step come first.
        std::thread::sleep(LOG_WRITTEN_WITHIN);
        let title = match self.colour {
            Colour::Always => {
                let style = anstyle::Style::new().bold();
                format!("\n{style}{title}{style:#}")
            }
            Colour::Never => format!("\n{title}"),
        };
        self.say(&title);
    }

    /// A line. Beside JSON it goes to standard error, which a pipe does not
    /// take. A closed output is no reason to stop: etcd has to be ended.
    fn say(&self, line: &str) {
        let _ = match self.format {
            Format::Json => writeln!(io::stderr(), "{line}"),
            Format::Pretty | Format::Off => writeln!(io::stdout(), "{line}"),
        };
    }
}
