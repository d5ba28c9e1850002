//! The measurement, as requests reach it.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::api::{Request, no_query};
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
        Operation::EndMeasurement => no_query(request.query).map(|()| Order::End),
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
