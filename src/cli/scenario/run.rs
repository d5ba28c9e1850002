//! `etcdtap scenario run`.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::list::span;
use super::measured::measure;
use super::progress::Progress;
use super::report::{Outcome, rounded};
use super::show::{Style, timeline};
use super::source::{incident, scenario};
use crate::cli::admin::{Admin, AdminFlags};
use crate::cli::interruption::Signals;
use crate::cli::scorecard::{expectations, told};
use crate::cli::{Failure, print};
use crate::control::{ClientError, Method};
use crate::scenario::Incident;
use crate::score::Moment;

const EXAMPLES: &str = "\
Examples:
  etcdtap scenario run leader-election
  etcdtap scenario run too-many-requests --set for=20s --set share=1
  etcdtap scenario run ./mine.yaml --json | jq .scorecard.total
  etcdtap scenario run half-open --set listener=:12392 --expect 'noticed < 45s' \\
    --expect 'relists == 0'
  etcdtap scenario run slow-disk --dry-run

Its faults are added to the proxy all at once, and end by themselves when the
incident is over, whatever becomes of this command. Ctrl-C ends it at once.
Other faults of the proxy are left alone. Then it waits until all is as before,
and ends with the scorecard: how the clients took it. `etcdtap scorecard --help`
has what can be expected, docs/scorecard.md what each figure is.

Exit codes: 0 it happened, and all expectations are met; 1 one is not, nobody
answers, or it ended before its time; 2 wrong usage, a wrong scenario, faults of
its names stand already.";

/// How often the proxy is asked how its faults fare.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// How often in a row it may not answer.
const SILENCES: u32 = 3;

/// Let an incident happen in a running proxy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// A scenario's name, or the path of one; `-` is standard input
    #[arg(value_name = "NAME|FILE")]
    scenario: String,

    /// Give a parameter a value
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,

    /// What the scorecard has to say, such as 'recovery < 10s'; may be given several times
    #[arg(long, value_name = "EXPR")]
    expect: Vec<String>,

    #[command(flatten)]
    admin: AdminFlags,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let scenario = scenario(&args.scenario)?;
    let incident = incident(&scenario, &args.settings)?;
    if args.dry_run {
        let shown = match args.json {
            true => format!("{:#}\n", json!(incident.plan)),
            false => timeline(&incident, &Style::of_output()),
        };
        print(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let expectations = expectations(&args.expect)?;
    let admin = Admin::new(&args.admin)?;
    let outcome = admin.block_on(happen(&admin, &incident))?;
    let (card, met) = told(&outcome.card, &expectations, args.json);
    match args.json {
        true => print(&format!("{:#}\n", outcome.json(&incident, &card)?))?,
        false => print(&format!("{}\n{card}", outcome.table()))?,
    }
    if outcome.cut_short {
        return Err(Failure::failed(format!(
            "{} was ended after {} of {}; its faults are removed",
            incident.name,
            span(rounded(outcome.stood)),
            span(incident.length)
        )));
    }
    if outcome.struck_nothing() {
        eprintln!(
            "etcdtap: {} struck nothing: nothing that it is about passed the proxy meanwhile",
            incident.name
        );
    }
    Ok(met)
}

/// Measures, adds the faults, follows them to their end, takes them away, and
/// waits until all is as before.
async fn happen(admin: &Admin, incident: &Incident) -> Result<Outcome, Failure> {
    let mut signals = Signals::listen()?;
    measure(admin, incident).await?;
    let happened = struck(admin, incident, &mut signals).await;
    if let Ok(Struck {
        cut_short: false, ..
    }) = &happened
    {
        tokio::select! {
            () = settled(admin, incident) => {}
            () = signals.any() => {}
        }
    }
    let failure = match &happened {
        // Times are the proxy's, as long as its clock is ours.
        Ok(struck) if admin.is_local() => struck.failure(incident),
        _ => None,
    };
    // Whatever happened, nothing is measured any more.
    let card = admin.client().end_measurement(failure).await;
    let struck = happened?;
    let mut card = card?;
    card.name = Some((&*incident.name).into());
    Ok(Outcome {
        stood: struck.stood,
        cut_short: struck.cut_short,
        faults: struck.faults,
        card,
    })
}

/// What became of the faults.
struct Struck {
    /// How they stood last.
    faults: Vec<Value>,
    began: SystemTime,
    /// For how long they stood.
    stood: Duration,
    cut_short: bool,
}

impl Struck {
    /// When the failure began and ended, where the faults themselves do not show
    /// that.
    fn failure(&self, incident: &Incident) -> Option<(Moment, Moment)> {
        let first = incident.holds_connections_from()?;
        let any = self.faults.iter().any(|fault| fault["hits"] != 0);
        let ended = self.stood.min(incident.length);
        (any && first < ended).then(|| {
            let at = |offset| Moment::of(self.began + offset);
            (at(first), at(ended))
        })
    }
}

pub(super) fn too_old() -> Failure {
    Failure::failed(
        "this proxy is older than scenarios are; run one of the same version as this program",
    )
}

/// For how long all has to be as before until it counts, and a little more.
const CALM: Duration = Duration::from_millis(1_200);

/// Waits until the clients are as they were before, or for as long as that may
/// take.
async fn settled(admin: &Admin, incident: &Incident) {
    let over = Instant::now();
    while over.elapsed() < incident.settle {
        match admin.client().measurement().await {
            // Of a failure that was not seen nobody recovers.
            Ok(card) if card.failure.is_none() => return,
            // Where faults do not show the failure's end the card takes it for
            // earlier than it was: what is calm has to be so from now on.
            Ok(card) if card.total.recovery_us.is_some() && over.elapsed() >= CALM => return,
            Ok(_) => {}
            // The end says what is wrong.
            Err(_) => return,
        }
        sleep(ASKED_EVERY).await;
    }
}

/// Adds the faults, follows them to their end, and takes them away.
async fn struck(
    admin: &Admin,
    incident: &Incident,
    signals: &mut Signals,
) -> Result<Struck, Failure> {
    let ids = add(admin, incident).await?;
    let (began, at) = (Instant::now(), SystemTime::now());
    let followed = tokio::select! {
        followed = follow(admin, incident, &ids, began) => followed.map(|faults| (faults, false)),
        () = signals.any() => match standing(admin, &ids).await {
            Ok(faults) => Ok((faults, true)),
            Err(error) => Err(error.into()),
        },
    };
    // Whatever happened, nothing of it stays.
    let stood = began.elapsed();
    let removed = remove(admin, &ids).await;
    let (faults, cut_short) = followed?;
    removed?;
    Ok(Struck {
        faults,
        began: at,
        stood,
        cut_short,
    })
}

/// Adds all faults at once; their numbers. They end with the incident, so that
/// nothing stays of it though this program be killed.
async fn add(admin: &Admin, incident: &Incident) -> Result<Vec<u64>, Failure> {
    let target = format!("/v1/plans?for={}", span(incident.length));
    let plan = json!(incident.plan).to_string();
    let answer = admin.asked(Method::POST, &target, Some(plan)).await;
    let answer = answer.map_err(|error| match error {
        ClientError::Refused { status: 404, .. } => too_old(),
        ClientError::Refused {
            status: 409,
            sentence,
        } => Failure::asked(format!(
            "{} cannot begin, and nothing was added: {sentence}",
            incident.name
        )),
        error => error.into(),
    })?;
    let faults = answer["faults"].as_array().into_iter().flatten();
    Ok(faults.filter_map(|fault| fault["id"].as_u64()).collect())
}

/// The faults of these numbers, as they stand now.
async fn standing(admin: &Admin, ids: &[u64]) -> Result<Vec<Value>, ClientError> {
    let mut listed = admin.asked(Method::GET, "/v1/faults", None).await?;
    let faults = listed["faults"].as_array_mut().map(std::mem::take);
    let ours = |fault: &Value| fault["id"].as_u64().is_some_and(|id| ids.contains(&id));
    Ok(faults.into_iter().flatten().filter(ours).collect())
}

/// Takes the faults of these numbers away. One of the same name that somebody
/// else put in the place of ours is left alone.
async fn remove(admin: &Admin, ids: &[u64]) -> Result<(), Failure> {
    for fault in standing(admin, ids).await? {
        let name = fault["fault"]["name"].as_str().unwrap_or_default();
        let target = format!("/v1/faults/{name}");
        match admin.asked(Method::DELETE, &target, None).await {
            Ok(_) | Err(ClientError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Follows the faults until the incident is over; how they stood last.
async fn follow(
    admin: &Admin,
    incident: &Incident,
    ids: &[u64],
    began: Instant,
) -> Result<Vec<Value>, Failure> {
    let mut progress = Progress::new(incident);
    let mut last: Vec<Value> = Vec::new();
    let mut silences = 0;
    loop {
        match standing(admin, ids).await {
            Ok(faults) => {
                silences = 0;
                if faults.is_empty() {
                    progress.end();
                    return Err(Failure::failed(format!(
                        "somebody removed the faults of {} after {}",
                        incident.name,
                        span(rounded(began.elapsed()))
                    )));
                }
                last = faults;
            }
            Err(error) => {
                silences += 1;
                if silences >= SILENCES || matches!(error, ClientError::Refused { .. }) {
                    progress.end();
                    return Err(error.into());
                }
            }
        }
        let left = incident.length.saturating_sub(began.elapsed());
        progress.show(&last, began.elapsed());
        // Its end is the proxy's to say, whose clock began a little earlier.
        if last.iter().all(|fault| fault["state"] == "over") && left.is_zero() {
            progress.end();
            return Ok(last);
        }
        sleep(ASKED_EVERY.min(left.max(Duration::from_millis(20)))).await;
    }
}
