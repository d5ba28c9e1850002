//! The measurement, as requests reach it.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::api::{Request, no_query, unknown_parameter};
use super::reply::Reply;
use super::routes::Operation;
use crate::score::{Answer, Measurement, Moment, Options, Order, Scorecard};

/// How long the trace may take to carry an order out: it does so as soon as it
/// has seen all that had passed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is measured, as a request says it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: Option<Box<str>>,
    from: Option<Moment>,
    to: Option<Moment>,
    #[serde(default)]
    clients: Vec<Box<str>>,
}

/// Does what is asked; `None` if it is not about a measurement.
pub(super) async fn answer(measurement: &Measurement, request: &Request<'_>) -> Option<Reply> {
    let order = match request.operation {
        Operation::BeginMeasurement => options(request).map(Order::Begin),
        Operation::ReadMeasurement => no_query(request.query).map(|()| Order::Read),
        Operation::EndMeasurement => failure(request.query).map(|failure| Order::End { failure }),
        _ => return None,
    };
    Some(match order {
        Ok(order) => carried_out(measurement, order).await,
        Err(refusal) => refusal,
    })
}

async fn carried_out(measurement: &Measurement, order: Order) -> Reply {
    let begins = matches!(order, Order::Begin(_));
    let (tell, told) = oneshot::channel();
    measurement.order(order, move |answer| {
        // Whoever asked may be gone.
        let _ = tell.send(answer);
    });
    match timeout(PATIENCE, told).await {
        Ok(Ok(Answer::Card(card))) => {
            let status = match begins {
                true => StatusCode::CREATED,
                false => StatusCode::OK,
            };
            Reply::json(status, &*card as &Scorecard)
        }
        Ok(Ok(Answer::Running(name))) => {
            let error = match name {
                Some(name) => format!("the measurement {name} is running already"),
                None => "a measurement is running already".to_owned(),
            };
            let hint = "end it with DELETE /v1/measurement";
            Reply::refused(StatusCode::CONFLICT, &error, hint)
        }
        Ok(Ok(Answer::NotRunning)) => Reply::refused(
            StatusCode::NOT_FOUND,
            "nothing is being measured",
            "begin with PUT /v1/measurement",
        ),
        Ok(Err(_)) | Err(_) => Reply::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the trace does not answer: it has ended, or its log takes no lines",
            "look at what the proxy said on standard error",
        ),
    }
}

/// Reads `from=TIME&to=TIME`, when the failure was.
fn failure(query: Option<&str>) -> Result<Option<(Moment, Moment)>, Reply> {
    let wrong = |error: &str| {
        Err(Reply::refused(
            StatusCode::BAD_REQUEST,
            error,
            "write from=TIME&to=TIME, such as from=2026-11-03T08:05:32Z, or neither",
        ))
    };
    let (mut from, mut to) = (None, None);
    let parts = query.unwrap_or_default().split('&');
    for part in parts.filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let place = match key {
            "from" => &mut from,
            "to" => &mut to,
            _ => return Err(unknown_parameter(key, &["from", "to"])),
        };
        match (Moment::parse(&value.replace("%3A", ":")), &place) {
            (Some(moment), None) => *place = Some(moment),
            (Some(_), Some(_)) => return wrong(&format!("{key} is given twice")),
            (None, _) => return wrong(&format!("{key}: \"{value}\" is no time")),
        }
    }
    match (from, to) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) if from <= to => Ok(Some((from, to))),
        (Some(_), Some(_)) => wrong("to is before from"),
        _ => wrong("only one of from and to is given"),
    }
}

fn options(request: &Request<'_>) -> Result<Options, Reply> {
    no_query(request.query)?;
    let asked: Asked = serde_json::from_slice(request.body).map_err(|error| {
        Reply::refused(
            StatusCode::BAD_REQUEST,
            &format!("the body says no measurement: {error}"),
            "write {}, or {\"name\": \"a-name\"}",
        )
    })?;
    Ok(Options {
        name: asked.name,
        from: asked.from,
        to: asked.to,
        clients: asked.clients,
    })
}
