//! What a request does: bytes and `now` in, an answer out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::json;

use super::OPENAPI;
use super::reply::Reply;
use super::routes::Operation;
use crate::fault::plan::{self, FaultSpec, Plan, Span};
use crate::fault::{Armory, FaultStatus, Refused};
use crate::notation::{nearest, parse_duration};

/// For how long a fault stands that is added without a word about it: nobody
/// has to remember to take it away.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(600);

/// The largest body that is read.
pub const MOST_BODY_BYTES: usize = 1 << 20;

/// The word for a fault that stands until it is removed.
const FOREVER: &str = "forever";

/// The faults, as requests reach them.
#[derive(Debug)]
pub(super) struct Api {
    armory: Arc<Armory>,
    /// Whether faults may be added at all.
    adding: bool,
}

/// A request whose head was found good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    /// The fault's name; empty where the path has none.
    pub(super) name: &'a str,
    /// What stands behind the path's question mark.
    pub(super) query: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl Api {
    pub(super) fn new(armory: Arc<Armory>, adding: bool) -> Api {
        Api { armory, adding }
    }

    /// Does what is asked.
    pub(super) fn answer(&self, request: &Request<'_>, now: Instant) -> Reply {
        self.done(request, now).unwrap_or_else(|refusal| refusal)
    }

    fn done(&self, request: &Request<'_>, now: Instant) -> Result<Reply, Reply> {
        let name = request.name;
        if !request.operation.takes_body() {
            no_query(request.query)?;
        }
        match request.operation {
            Operation::List => {
                let faults = json!({ "faults": self.armory.list(now) });
                Ok(Reply::json(StatusCode::OK, &faults))
            }
            Operation::Show => self.show(name, StatusCode::OK, now),
            Operation::Add => {
                let (fault, lives) = self.given(request)?;
                let name = fault.name.shared();
                self.armory
                    .add(fault, lives, now)
                    .map_err(|r| refused(&r))?;
                tracing::info!("fault {name} was added, {}", standing(lives));
                let reply = self.show(&name, StatusCode::CREATED, now)?;
                Ok(reply.at(&format!("/v1/faults/{name}")))
            }
            Operation::AddPlan => {
                let (plan, lives) = self.given_plan(request)?;
                let names: Vec<_> = plan.faults.iter().map(|one| one.name.shared()).collect();
                let added = self.armory.add_plan(plan, lives, now);
                let ids = added.map_err(|r| refused(&r))?;
                for name in names {
                    tracing::info!("fault {name} was added, {}", standing(lives));
                }
                let mut faults = self.armory.list(now);
                faults.retain(|one| ids.contains(&one.id));
                Ok(Reply::json(
                    StatusCode::CREATED,
                    &json!({ "faults": faults }),
                ))
            }
            Operation::Replace => {
                let (fault, lives) = self.given(request)?;
                let change = self.armory.change(name, fault, lives, now);
                change.map_err(|r| refused(&r))?;
                tracing::info!("fault {name} was replaced, {}", standing(lives));
                self.show(name, StatusCode::OK, now)
            }
            Operation::Remove => {
                self.armory.remove(name).map_err(|r| refused(&r))?;
                tracing::info!("fault {name} was removed");
                Ok(Reply::json(StatusCode::OK, &json!({ "removed": 1 })))
            }
            Operation::Clear => {
                let removed = self.armory.clear();
                tracing::info!("all faults were removed: {removed}");
                Ok(Reply::json(StatusCode::OK, &json!({ "removed": removed })))
            }
            Operation::Pause => {
                self.armory.pause(name).map_err(|r| refused(&r))?;
                tracing::info!("fault {name} was paused");
                self.show(name, StatusCode::OK, now)
            }
            Operation::Resume => {
                self.armory.resume(name).map_err(|r| refused(&r))?;
                tracing::info!("fault {name} was resumed");
                self.show(name, StatusCode::OK, now)
            }
            Operation::BeginMeasurement
            | Operation::ReadMeasurement
            | Operation::EndMeasurement => Err(unavailable()),
            Operation::OpenApi => Ok(Reply::document(OPENAPI)),
            Operation::PlanSchema => Ok(Reply::document(plan::SCHEMA)),
            Operation::Health => Ok(Reply::json(StatusCode::OK, &json!({ "status": "ok" }))),
        }
    }

    /// How one fault fares.
    fn show(&self, name: &str, status: StatusCode, now: Instant) -> Result<Reply, Reply> {
        let faults = self.armory.list(now);
        match faults.iter().find(|one| *one.fault.name == *name) {
            Some(found) => Ok(Reply::json(status, found)),
            None => Err(unknown(name, &faults)),
        }
    }

    /// The fault in a request's body, and for how long it is to stand.
    fn given(&self, request: &Request<'_>) -> Result<(FaultSpec, Option<Duration>), Reply> {
        let (text, lives) = self.body(request)?;
        let fault = FaultSpec::from_json(text).map_err(|problems| Reply::problems(&problems))?;
        Ok((fault, lives))
    }

    /// The faults in a request's body, and for how long they are to stand.
    fn given_plan(&self, request: &Request<'_>) -> Result<(Plan, Option<Duration>), Reply> {
        let (text, lives) = self.body(request)?;
        let plan = Plan::from_json(text).map_err(|problems| Reply::problems(&problems))?;
        if plan.faults.is_empty() {
            return Err(Reply::refused(
                StatusCode::BAD_REQUEST,
                "there is no fault in the plan",
                "add one to its \"faults\"",
            ));
        }
        Ok((plan, lives))
    }

    /// A request's body as text, and for how long what is in it is to stand.
    fn body<'r>(&self, request: &Request<'r>) -> Result<(&'r str, Option<Duration>), Reply> {
        if !self.adding {
            return Err(Reply::refused(
                StatusCode::FORBIDDEN,
                "this proxy was started with --no-faults",
                "start it without --no-faults to add faults to it",
            ));
        }
        let lives = time_to_live(request.query)?;
        let text = std::str::from_utf8(request.body).map_err(|_| {
            Reply::refused(
                StatusCode::BAD_REQUEST,
                "the body is no UTF-8 text",
                "write the fault as JSON in UTF-8",
            )
        })?;
        Ok((text, lives))
    }
}

/// Reads `for=10m`, the only word behind the question mark.
fn time_to_live(query: Option<&str>) -> Result<Option<Duration>, Reply> {
    let mut lives = None;
    for part in query
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty())
    {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if key != "for" {
            return Err(unknown_parameter(key, &["for"]));
        }
        if lives.is_some() {
            return Err(Reply::refused(
                StatusCode::BAD_REQUEST,
                "for is given twice",
                "give it once",
            ));
        }
        lives = Some(
            parse_time_to_live(value)
                .map_err(|why| Reply::sentence(StatusCode::BAD_REQUEST, &format!("for: {why}")))?,
        );
    }
    Ok(lives.unwrap_or(Some(TIME_TO_LIVE)))
}

/// Reads for how long a fault is to stand: `10m`, or `forever`.
fn parse_time_to_live(text: &str) -> Result<Option<Duration>, String> {
    if text == FOREVER {
        return Ok(None);
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!(
            "\"{text}\" is over at once; write how long the fault is to stand, such as 10m or {FOREVER}"
        )),
        Ok(lives) => Ok(Some(lives)),
        Err(why) => Err(format!("{why}, or {FOREVER}")),
    }
}

pub(super) fn no_query(query: Option<&str>) -> Result<(), Reply> {
    match query.filter(|query| !query.is_empty()) {
        None => Ok(()),
        Some(query) => {
            let key = query.split(['=', '&']).next().unwrap_or_default();
            Err(unknown_parameter(key, &[]))
        }
    }
}

pub(super) fn unknown_parameter(key: &str, known: &[&str]) -> Reply {
    let hint = match (nearest(key, known.iter().copied()), known) {
        (Some(meant), _) => format!("did you mean {meant}?"),
        (None, []) => "there are none here".to_owned(),
        (None, known) => format!("there is only {}", known.join(", ")),
    };
    let error = format!("the parameter \"{key}\" is not known");
    Reply::refused(StatusCode::BAD_REQUEST, &error, hint)
}

/// Whoever asks for a measurement is answered by `measuring`.
fn unavailable() -> Reply {
    Reply::refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "nothing can be measured here",
        "ask the proxy's own admin API",
    )
}

fn unknown(name: &str, faults: &[FaultStatus]) -> Reply {
    let known = faults.iter().map(|one| &*one.fault.name);
    refused(&Refused::Unknown {
        name: name.into(),
        meant: nearest(name, known).map(Into::into),
    })
}

fn refused(why: &Refused) -> Reply {
    let status = match why {
        Refused::Unknown { .. } => StatusCode::NOT_FOUND,
        Refused::NameTaken(_) | Refused::Full => StatusCode::CONFLICT,
        Refused::OtherName { .. } => StatusCode::BAD_REQUEST,
    };
    Reply::sentence(status, &why.to_string())
}

/// For how long, in the words of the log.
fn standing(lives: Option<Duration>) -> String {
    match lives {
        Some(lives) => format!("for {}", Span(lives)),
        None => "until it is removed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_read() {
        let read = |query| time_to_live(query).map_err(|reply| reply.status);
        assert_eq!(read(None), Ok(Some(TIME_TO_LIVE)));
        assert_eq!(read(Some("")), Ok(Some(TIME_TO_LIVE)));
        assert_eq!(read(Some("for=5s")), Ok(Some(Duration::from_secs(5))));
        assert_eq!(read(Some("for=forever")), Ok(None));
        for wrong in [
            "for",
            "for=",
            "for=5",
            "for=0s",
            "for=5s&for=5s",
            "fro=5s",
            "x=1",
        ] {
            assert_eq!(read(Some(wrong)), Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
        let slip = String::from_utf8(
            time_to_live(Some("fro=5s"))
                .expect_err("a slip")
                .body
                .into(),
        );
        assert!(slip.expect("text").contains("did you mean for?"));
    }
}
