//! The proxy's life, from the first listener to the last line of the log.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind};
use tokio::time::sleep;

use super::armed::Armed;
use super::{Format, ProxyArgs, faults, measured, recording};
use crate::cli::call_log::{self, Place};
use crate::cli::interruption::{listen, no_handler};
use crate::cli::{Failure, io_reason};
use crate::control::Server;
use crate::etcd::SessionOptions;
use crate::etcd::dictionary::Dictionary;
use crate::etcd::scribe::Scribes;
use crate::etcd::verdict::Judges;
use crate::fault::Armory;
use crate::fault::plan::Span;
use crate::kube::key::KeySpace;
use crate::net::{Alarm, Proxy, ProxyConfig, Route, Served, Shutdown, signals};
use crate::record::observer::LineObserver;
use crate::record::recorder::Recorder;
use crate::record::scribe::Recording;
use crate::relay::{DEFAULT_HELD_IN_ALL, HoldBudget};
use crate::scenario::Incident;
use crate::score::{self, Measurement, Order};
use crate::trace::{Anchor, Filter, Finished, Handle, Observer, Options};

/// How long tasks that outlived the proxy may take to notice.
const LEAVE_WITHIN: Duration = Duration::from_millis(100);

/// What chance grows from where a plan names no seed: the same calls are struck
/// in every run.
const SEED: u64 = 0;

/// Relays until a signal ends it.
///
/// # Errors
/// When it cannot start.
pub(super) fn serve(args: ProxyArgs) -> Result<ExitCode, Failure> {
    // Before there is another thread: those that are started take after this one.
    args.scheduling.apply();
    let place = Place::of(args.log.file.clone());
    let format = args.log.format.unwrap_or_else(|| place.usual_format());
    let to_people = place == Place::Terminal && format == Format::Pretty;
    let options = Options {
        format: place.written(format),
        filter: filter(&args),
        slow: args.log.slow,
        key_space: KeySpace::new(&args.etcd_prefix),
        summary: args.summary,
    };
    let armory = armory(&args)?;
    let incident = args.faults.scenario.as_ref();
    let incident = incident.map(faults::incident).transpose()?;
    let recorder = args.record.as_ref();
    let recorder =
        recorder.map(|record| recording::start(record, KeySpace::new(&args.etcd_prefix)));
    let recorder = recorder.transpose()?;
    let config = config(&args, &armory, recorder.as_ref())?;
    let measurement = Measurement::default();
    let scheme = match config.listener_tls {
        Some(_) => "https",
        None => "http",
    };
    // It accepts and listens for signals; connections have threads of their own.
    let runtime = current_thread()?;
    let shutdown = Shutdown::new();
    let (proxy, admin, hang_up) = {
        let _within = runtime.enter();
        // Whoever reads that we listen may end us at once, and in order.
        signals::watch(shutdown.clone()).map_err(no_handler)?;
        let hang_up = listen(SignalKind::hangup())?;
        let proxy = Proxy::bind(config)?;
        let admin = admin(&args, Arc::clone(&armory), measurement.clone())?;
        (proxy, admin, hang_up)
    };
    // Only now is it known what a port 0 has become.
    let probe = measured::probe(
        &measurement,
        args.faults.admin.is_some() || incident.is_some(),
    );
    let lines = recorder.as_ref().map(|recorder| -> Box<dyn Observer> {
        Box::new(LineObserver::new(
            recorder.queue(),
            args.log.slow,
            Anchor::now(),
        ))
    });
    let observers = probe.into_iter().chain(lines).collect();
    let log = call_log::start(options, place, proxy.listening(), observers)?;
    measurement.attach(log.sender());
    if let Some(incident) = &incident {
        begin(incident, &armory, &measurement)?;
    }
    if to_people {
        invite(&proxy, scheme);
    }
    let served = runtime.block_on(relay(proxy, admin, incident, shutdown, hang_up, &log));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    let (finished, card) = measured::finish(&measurement, log);
    if let Some(recorder) = recorder {
        recording::say_what_was_recorded(&recorder.finish());
    }
    say_what_was(&served, &finished);
    say_what_struck(&armory);
    if let Some(summary) = &finished.summary {
        // Standard output may carry JSON.
        eprint!("{summary}");
    }
    if let Some(card) = card {
        tracing::info!("what was still being measured:");
        eprint!("{card}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A runtime on this thread alone.
pub(in crate::cli) fn current_thread() -> Result<Runtime, Failure> {
    started(runtime::Builder::new_current_thread())
}

/// A runtime with one worker a core.
pub(in crate::cli) fn multi_thread() -> Result<Runtime, Failure> {
    started(runtime::Builder::new_multi_thread())
}

fn started(mut builder: runtime::Builder) -> Result<Runtime, Failure> {
    builder.enable_all().build().map_err(|error| {
        let reason = io_reason(&error);
        Failure::failed(format!("the threads cannot be started: {reason}"))
    })
}

/// Tells a person what to do next.
fn invite(proxy: &Proxy, scheme: &str) {
    let endpoints: Vec<String> = proxy
        .listening()
        .iter()
        .map(|address| format!("{scheme}://{address}"))
        .collect();
    tracing::info!(
        "waiting for the first call: point etcdctl --endpoints or kube-apiserver \
         --etcd-servers at {}; Ctrl-C ends",
        endpoints.join(",")
    );
}

async fn relay(
    proxy: Proxy,
    admin: Option<Server>,
    incident: Option<Incident>,
    shutdown: Shutdown,
    mut hang_up: Signal,
    log: &Handle,
) -> Served {
    let served = proxy.run(shutdown, log.sender());
    // It answers to the end: a drain may wait for what a fault holds.
    let admin = async {
        match admin {
            Some(admin) => admin.run().await,
            None => std::future::pending().await,
        }
    };
    let over = async {
        match incident {
            Some(incident) => {
                sleep(incident.length).await;
                tracing::info!("{} is over after {}", incident.name, Span(incident.length));
            }
            None => std::future::pending().await,
        }
    };
    tokio::pin!(served, admin, over);
    let mut is_over = false;
    loop {
        tokio::select! {
            served = &mut served => return served,
            never = &mut admin => match never {},
            () = &mut over, if !is_over => is_over = true,
            Some(()) = hang_up.recv() => log.reopen(),
        }
    }
}

fn say_what_was(served: &Served, finished: &Finished) {
    tracing::info!(
        "ended after {}: {} logged, {} dropped, tracing stopped on {}",
        counted(served.connections, "connection"),
        counted(finished.lines, "line"),
        counted(finished.dropped, "line"),
        counted(finished.tracing_stopped, "connection"),
    );
    if served.cut > 0 {
        let cut = counted(served.cut, "connection");
        tracing::warn!(
            "{cut} still had calls, or could not be read, when the time for draining was over"
        );
    }
}

fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn filter(args: &ProxyArgs) -> Filter {
    let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
    let given = &args.filter;
    Filter {
        methods: texts(&given.methods),
        verbs: texts(&given.verbs),
        resources: texts(&given.resources),
        namespaces: texts(&given.namespaces),
        key_prefixes: given
            .key_prefixes
            .iter()
            .map(|prefix| prefix.as_bytes().into())
            .collect(),
        min_duration: given.min_duration,
        errors_only: given.errors_only,
        expression: given.expression.clone(),
    }
}

/// So that nobody takes what was injected for etcd's own.
fn say_what_struck(armory: &Armory) {
    for status in armory.list(Instant::now()) {
        if status.matched > 0 {
            tracing::info!(
                "fault {} struck {} of the {} it could have",
                status.fault.name,
                status.hits,
                counted(status.matched, "call"),
            );
        }
        if status.gave_up > 0 {
            tracing::warn!(
                "fault {} could not go through with it on {}: {}",
                status.fault.name,
                counted(status.gave_up, "call"),
                status
                    .last_gave_up
                    .as_deref()
                    .unwrap_or("no reason is known"),
            );
        }
    }
}

/// One thread for every four cores: one carries what an etcd answers, and more
/// than are needed cost CPU time in switching between them (docs/benchmarks.md).
fn threads_for_this_machine() -> NonZeroUsize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores / 4).unwrap_or(NonZeroUsize::MIN)
}

/// What is loaded of faults to begin with.
fn armory(args: &ProxyArgs) -> Result<Arc<Armory>, Failure> {
    let armory = Armory::new(SEED, Instant::now());
    if let Some(path) = &args.faults.plan {
        let plan = faults::plan(path)?;
        let count = counted(plan.faults.len() as u64, "fault");
        let place = path.display();
        armory
            .load(plan, Instant::now())
            .map_err(|error| Failure::asked(format!("--faults: {place}: {error}")))?;
        tracing::info!("{count} of {place} may strike");
    }
    Ok(armory)
}

/// Lets an incident begin, and has it measured until the end.
fn begin(incident: &Incident, armory: &Armory, measurement: &Measurement) -> Result<(), Failure> {
    let options = score::Options {
        name: Some((&*incident.name).into()),
        ..score::Options::default()
    };
    measurement.order(Order::Begin(options), drop);
    let lives = Some(incident.length);
    armory
        .add_plan(incident.plan.clone(), lives, Instant::now())
        .map_err(|error| Failure::asked(format!("--scenario: {}: {error}", incident.name)))?;
    tracing::info!(
        "{} begins: {}, for {}",
        incident.name,
        counted(incident.plan.faults.len() as u64, "fault"),
        Span(incident.length)
    );
    Ok(())
}

/// The admin API, where one is wanted.
fn admin(
    args: &ProxyArgs,
    armory: Arc<Armory>,
    measurement: Measurement,
) -> Result<Option<Server>, Failure> {
    let Some(config) = &args.faults.admin else {
        return Ok(None);
    };
    let server = Server::bind(config.clone(), armory, measurement)?;
    let address = server.address();
    tracing::info!("the admin API answers on {address}: etcdtap fault list --admin {address}");
    Ok(Some(server))
}

fn config(
    args: &ProxyArgs,
    armory: &Arc<Armory>,
    recorder: Option<&Recorder>,
) -> Result<ProxyConfig, Failure> {
    let rules_changed = Alarm::default();
    let bell = rules_changed.clone();
    armory.on_change(Box::new(move || bell.ring()));
    // Without faults that could come, no connection has a judge.
    let given = &args.faults;
    let armed = given.allowed
        && (given.plan.is_some() || given.scenario.is_some() || given.admin.is_some());
    let judges = armed.then(|| -> Arc<dyn Judges> {
        Arc::new(Armed {
            armory: Arc::clone(armory),
            keys: KeySpace::new(&args.etcd_prefix),
        })
    });
    Ok(ProxyConfig {
        routes: args
            .routes
            .iter()
            .map(|route| Route {
                listen: route.listen.to_string(),
                upstream: route.upstream.clone(),
            })
            .collect(),
        listener_tls: args.listener_tls.clone(),
        upstream_tls: args.upstream_tls.clone(),
        workers: Some(args.threads.unwrap_or_else(threads_for_this_machine)),
        drain: args.drain,
        reload_every: ProxyConfig::RELOAD_EVERY,
        session: Arc::new(SessionOptions {
            capture_bytes: args.capture_bytes,
            dictionary: match &args.descriptor_set {
                None => Dictionary::built_in(),
                Some(path) => dictionary(path)?,
            },
            hold: HoldBudget::new(given.hold_bytes, given.hold_bytes.max(DEFAULT_HELD_IN_ALL)),
            scribes: recorder.map(|recorder| -> Arc<dyn Scribes> {
                Arc::new(Recording::new(recorder.queue(), recorder.epoch()))
            }),
        }),
        judges,
        rules_changed,
    })
}

fn dictionary(path: &Path) -> Result<Dictionary, Failure> {
    let place = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        let reason = io_reason(&error);
        Failure::asked(format!(
            "--descriptor-set: {place} cannot be read: {reason}"
        ))
    })?;
    Dictionary::with_descriptor_set(&bytes)
        .map_err(|error| Failure::asked(format!("--descriptor-set: {place}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_set_is_refused_with_its_name() {
        let missing = dictionary(Path::new("/nonexistent.binpb")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "--descriptor-set: /nonexistent.binpb cannot be read: No such file or directory"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not.binpb");
        std::fs::write(&path, "syntax = \"proto3\";").unwrap();
        let wrong = dictionary(&path).unwrap_err().to_string();
        assert!(
            wrong.contains("not.binpb: this is not a protobuf descriptor set"),
            "{wrong}"
        );
    }
}
