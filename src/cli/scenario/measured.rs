//! The measurement of an incident, and whose it is.

use super::run::too_old;
use crate::cli::Failure;
use crate::cli::admin::Admin;
use crate::control::{ClientError, Method};
use crate::scenario::Incident;

/// How the measurements of scenarios are called, before their names.
const MEASUREMENT: &str = "scenario ";

/// Begins to measure. A measurement that an earlier run left behind, because it
/// was killed, is ended; one that is somebody else's, or of a scenario that is
/// under way, is not.
pub(super) async fn measure(admin: &Admin, incident: &Incident) -> Result<(), Failure> {
    let name = measurement(incident);
    let refused = match admin.client().begin_measurement(&name).await {
        Ok(()) => return Ok(()),
        Err(ClientError::Refused { status: 404, .. }) => return Err(too_old()),
        Err(error) => error,
    };
    let ClientError::Refused { status: 409, .. } = &refused else {
        return Err(refused.into());
    };
    let running = admin.client().measurement().await?;
    let Some(theirs) = running.name.as_deref().and_then(faults_of) else {
        return Err(refused.into());
    };
    let listed = admin.asked(Method::GET, "/v1/faults", None).await?;
    let mut faults = listed["faults"].as_array().into_iter().flatten();
    if faults.any(|fault| {
        let name = fault["fault"]["name"].as_str().unwrap_or_default();
        fault["state"] != "over" && theirs.split(' ').any(|one| one == name)
    }) {
        return Err(Failure::asked(
            "another scenario is under way in this proxy; wait for its end, or end it with Ctrl-C",
        ));
    }
    admin.client().end_measurement(None).await?;
    Ok(admin.client().begin_measurement(&name).await?)
}

/// What a scenario's measurement is called: it names the faults, so that one that
/// was left behind can be told from one that is under way.
fn measurement(incident: &Incident) -> String {
    let names: Vec<&str> = incident.plan.faults.iter().map(|one| &*one.name).collect();
    format!("{MEASUREMENT}{}: {}", incident.name, names.join(" "))
}

/// The names of the faults, if this is a scenario's measurement.
fn faults_of(measurement: &str) -> Option<&str> {
    let (_, faults) = measurement.strip_prefix(MEASUREMENT)?.split_once(": ")?;
    Some(faults)
}
