//! `etcdtap demo`: the flags, and what is set up and taken down.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::api_server::ApiServer;
use super::bundled::{self, Bundled};
use super::stage::Stage;
use super::story::{self, Props};
use super::upstream::Behind;
use crate::cli::call_log::{self, Format, Place};
use crate::cli::interruption::{INTERRUPTED, Signals};
use crate::cli::proxy::address::parse_listen;
use crate::cli::proxy::armed::Armed;
use crate::cli::replay::reach;
use crate::cli::{Failure, diagnostics, proxy};
use crate::etcd::SessionOptions;
use crate::etcd::verdict::Judges;
use crate::fault::Armory;
use crate::filter;
use crate::kube::key::KeySpace;
use crate::net::{Alarm, Proxy, ProxyConfig, Route, Shutdown, Upstream, UpstreamTls};
use crate::replay::Target;
use crate::score::{Measurement, Probe};
use crate::trace::{Anchor, Filter, Handle, Options, size};

const EXAMPLES: &str = "\
Examples:
  See it, with the etcd that PATH finds, or with none:
    etcdtap demo

  Always without an etcd, twice as fast:
    etcdtap demo --no-etcd --speed 2

  With another etcd, and let both go on for a look with etcdctl:
    etcdtap demo --etcd ./etcd-3.5/etcd --listen 127.0.0.1:12379 --keep

  As JSON (what is said besides then goes to standard error):
    etcdtap demo --log json | jq .

Exit codes: 0 every answer was as recorded; 1 one was not, or something could not be
done, such as listening on a port that is taken; 2 a wrong flag; 130 ended by Ctrl-C
before the end.";

/// Rows of each table of the summary.
const ROWS: usize = 12;

/// How long the last connections may take to close.
const DRAIN: Duration = Duration::from_secs(2);

/// How long the etcd may take to say where it stands.
const PATIENCE: Duration = Duration::from_secs(10);

/// See it work: a real API server's calls, a fault, and how that was taken
///
/// Drives what a kube-apiserver once did to its etcd through etcdtap again, and shows
/// the log as it happens: the API server's start, a deployment, and faults that strike
/// one watch, with the scorecard of the client and a table at the end. Behind it is an
/// etcd of its own, if PATH finds one, or else an etcd that is made of the recording,
/// which is in this program. All of it is on loopback, and nothing is left behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// The etcd to start, instead of the one that PATH finds
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,

    /// Start no etcd, even if there is one: play it back from the recording
    #[arg(long, conflicts_with = "etcd")]
    no_etcd: bool,

    /// Where etcdtap listens [default: a free port on loopback]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,

    /// How to log calls: pretty or json [default: pretty]
    #[arg(long, value_name = "FORMAT")]
    log: Option<OsString>,

    /// So many times as fast
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    speed: f64,

    /// Go on at the end, until Ctrl-C
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
    let bundled = Bundled::read()?;
    let prepared = runtime.block_on(Scene::prepare(args))?;
    let Some((mut scene, proxy, mut signals)) = prepared else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let measurement = Measurement::default();
    let log = call_log::start(
        options(&place, stage.format)?,
        place,
        proxy.listening(),
        vec![Box::new(Probe::new(measurement.clone(), Anchor::now()))],
    )?;
    measurement.attach(log.sender());
    let told = runtime.block_on(scene.perform(
        args,
        &stage,
        (proxy, &log),
        (&bundled, &measurement),
        &mut signals,
    ));
    // Before connections are closed, which would tell of the demonstration's end and
    // not of an API server's.
    let finished = log.finish();
    if let Some(summary) = &finished.summary {
        stage.say(&format!("\n{summary:.ROWS$}"));
    }
    // etcd ends, and its folder goes.
    runtime.block_on(async { drop(scene) });
    runtime.shutdown_background();
    match told? {
        Ended::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
        Ended::Through(server) => {
            let tally = &server.tally;
            if let Some(first) = &tally.first {
                let (n, of) = (tally.different, tally.different + tally.as_recorded);
                return Err(Failure::failed(format!(
                    "{n} of {of} answers were not as recorded; the first: {first}"
                )));
            }
            stage.say(&format!(
                "\n{} answers, each as it was recorded, and nothing is left behind.\n\
                 Now your own etcd: etcdtap proxy --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379",
                tally.as_recorded
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

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=1e6).contains(&speed) => Ok(speed),
        _ => Err("write a number from 0.01 to 1000000, such as 2".to_owned()),
    }
}

fn options(place: &Place, format: Format) -> Result<Options, Failure> {
    let mut options = Options {
        summary: true,
        ..Options::new(place.written(format))
    };
    if format == Format::Pretty {
        // An API server opens one for each resource.
        let text = "event != \"connection\"";
        let calls = filter::Filter::parse(text, &filter::Vocabulary::LOG)
            .map_err(|mistake| Failure::failed(mistake.picture()))?;
        options.filter = Filter {
            expression: Some(calls),
            ..Filter::default()
        };
    }
    Ok(options)
}

enum Ended<'b> {
    /// The whole story was told. Its connections are still open.
    Through(Box<ApiServer<'b>>),
    Interrupted,
}

/// What stands while the story is told.
struct Scene {
    behind: Behind,
    armory: Arc<Armory>,
    address: SocketAddr,
}

impl Scene {
    /// `None` if that was interrupted.
    async fn prepare(args: &DemoArgs) -> Result<Option<(Scene, Proxy, Signals)>, Failure> {
        let mut signals = Signals::listen()?;
        let behind = tokio::select! {
            behind = Behind::start(args.etcd.as_deref(), !args.no_etcd) => behind?,
            () = signals.any() => return Ok(None),
        };
        let upstream = Upstream::parse(behind.endpoint()).map_err(in_words)?;
        let armory = Armory::new(0, Instant::now());
        let listen = args.listen.unwrap_or(([127, 0, 0, 1], 0).into());
        let proxy = Proxy::bind(config(listen, upstream, &armory))?;
        let Some(address) = proxy.listening().first().copied() else {
            return Err(Failure::failed(
                "there is no listener to drive calls through",
            ));
        };
        let scene = Scene {
            behind,
            armory,
            address,
        };
        Ok(Some((scene, proxy, signals)))
    }

    async fn perform<'b>(
        &mut self,
        args: &DemoArgs,
        stage: &Stage,
        (proxy, log): (Proxy, &Handle),
        (bundled, measurement): (&'b Bundled, &Measurement),
        signals: &mut Signals,
    ) -> Result<Ended<'b>, Failure> {
        let shutdown = Shutdown::new();
        tokio::spawn(proxy.run(shutdown, log.sender()));
        stage.say(&format!(
            "The first 26 seconds of a cluster: what its kube-apiserver 1.20 asked of etcd, out of a recording\n\
             ({} in this program), asked again through etcdtap at {}.\n\
             {}.\n\
             All of it is on loopback, and nothing is left behind. Ctrl-C ends it.",
            size(bundled::FILE.len() as u64),
            self.address,
            self.behind.says(),
        ));
        let upstream = Upstream::parse(self.behind.endpoint())
            .map_err(|wrong| Failure::failed(wrong.to_string()))?;
        let reach = reach(upstream, &UpstreamTls::default(), None)?;
        let target = Target::connect(&reach, PATIENCE).await;
        let revision = target.map_err(in_words)?.revision;
        let rest = story::rest(args.speed);
        let server = ApiServer::new(bundled, self.address, revision, rest);
        let mut server = Box::new(server);
        let props = Props {
            stage,
            armory: &self.armory,
            measurement,
            behind: self.behind.endpoint(),
            speed: args.speed,
        };
        tokio::select! {
            told = story::tell(&props, bundled, &mut server) => told?,
            () = signals.any() => return Ok(Ended::Interrupted),
        }
        if args.keep {
            let endpoint = self.address;
            stage.say(&format!(
                "\nBoth go on: ETCDCTL_API=3 etcdctl --endpoints http://{endpoint} get --prefix --keys-only /registry/\n\
                 Ctrl-C ends them.",
            ));
            signals.any().await;
        }
        Ok(Ended::Through(server))
    }
}

fn in_words(error: impl std::error::Error) -> Failure {
    Failure::failed(error.to_string())
}

fn config(listen: SocketAddr, upstream: Upstream, armory: &Arc<Armory>) -> ProxyConfig {
    let rules_changed = Alarm::default();
    let bell = rules_changed.clone();
    armory.on_change(Box::new(move || bell.ring()));
    let judges: Arc<dyn Judges> = Arc::new(Armed {
        armory: Arc::clone(armory),
        keys: KeySpace::default(),
    });
    ProxyConfig {
        routes: vec![Route {
            listen: listen.to_string(),
            upstream,
        }],
        listener_tls: None,
        upstream_tls: UpstreamTls::default(),
        workers: None,
        drain: DRAIN,
        reload_every: ProxyConfig::RELOAD_EVERY,
        session: Arc::new(SessionOptions::default()),
        judges: Some(judges),
        rules_changed,
    }
}
