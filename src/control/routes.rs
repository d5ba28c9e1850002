//! Which requests there are.

use hyper::{Method, StatusCode};

use super::reply::Reply;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    List,
    Add,
    AddPlan,
    Clear,
    Show,
    Replace,
    Remove,
    Pause,
    Resume,
    BeginMeasurement,
    ReadMeasurement,
    EndMeasurement,
    OpenApi,
    PlanSchema,
    Health,
}

impl Operation {
    /// Whether the request carries something.
    pub(super) fn takes_body(self) -> bool {
        matches!(
            self,
            Operation::Add | Operation::AddPlan | Operation::Replace | Operation::BeginMeasurement
        )
    }

    /// Whether anybody may ask, also without the token: probes have none, and
    /// learn nothing.
    pub(super) fn is_open(self) -> bool {
        self == Operation::Health
    }
}

/// In a path this stands for a fault's name.
const NAME: &str = "{name}";

/// Where the measurement is.
pub(super) const MEASUREMENT: &str = "/v1/measurement";

const ROUTES: [(&str, Method, Operation); 15] = [
    ("/v1/faults", Method::GET, Operation::List),
    ("/v1/faults", Method::POST, Operation::Add),
    ("/v1/faults", Method::DELETE, Operation::Clear),
    ("/v1/faults/{name}", Method::GET, Operation::Show),
    ("/v1/faults/{name}", Method::PUT, Operation::Replace),
    ("/v1/faults/{name}", Method::DELETE, Operation::Remove),
    ("/v1/faults/{name}/pause", Method::POST, Operation::Pause),
    ("/v1/faults/{name}/resume", Method::POST, Operation::Resume),
    ("/v1/plans", Method::POST, Operation::AddPlan),
    (MEASUREMENT, Method::PUT, Operation::BeginMeasurement),
    (MEASUREMENT, Method::GET, Operation::ReadMeasurement),
    (MEASUREMENT, Method::DELETE, Operation::EndMeasurement),
    ("/v1/openapi.json", Method::GET, Operation::OpenApi),
    ("/v1/plan-schema.json", Method::GET, Operation::PlanSchema),
    ("/healthz", Method::GET, Operation::Health),
];

/// Every path that is answered, with its methods, as the description must have
/// them.
pub fn described() -> impl Iterator<Item = (&'static str, String)> {
    ROUTES
        .iter()
        .map(|(template, method, _)| (*template, method.to_string()))
}

/// What `method` on `path` asks for, and of which fault.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> Result<(Operation, &'p str), Reply> {
    let mut allowed = Vec::new();
    for (template, offered, operation) in &ROUTES {
        let Some(name) = fits(template, path) else {
            continue;
        };
        if offered == method {
            return Ok((*operation, name));
        }
        allowed.push(offered.as_str());
    }
    if allowed.is_empty() {
        return Err(Reply::refused(
            StatusCode::NOT_FOUND,
            "there is nothing at this path",
            "GET /v1/openapi.json says what there is",
        ));
    }
    let allowed = allowed.join(", ");
    let hint = format!("write one of {allowed}");
    let reply = Reply::refused(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not know the method",
        hint,
    );
    Err(reply.allowing(&allowed))
}

/// Whether `path` is one of those that `template` stands for; the name in it,
/// empty if there is none.
fn fits<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut name = "";
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(name),
            (Some(NAME), Some(part)) if !part.is_empty() => name = part,
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let found = |method, path| find(&method, path).map_err(|reply| reply.status);
        assert_eq!(found(Method::GET, "/v1/faults"), Ok((Operation::List, "")));
        let slow = found(Method::PUT, "/v1/faults/slow");
        assert_eq!(slow, Ok((Operation::Replace, "slow")));
        let pause = found(Method::POST, "/v1/faults/pause/pause");
        assert_eq!(pause, Ok((Operation::Pause, "pause")));
        for path in [
            "/",
            "",
            "/v1/faults/",
            "/v1/faults/a/b",
            "/v1/faults//pause",
            "/healthz/",
        ] {
            assert_eq!(
                found(Method::GET, path),
                Err(StatusCode::NOT_FOUND),
                "{path}"
            );
        }
        for (method, path) in [
            (Method::PATCH, "/v1/faults"),
            (Method::HEAD, "/v1/faults"),
            (Method::OPTIONS, "/v1/faults/a"),
            (Method::GET, "/v1/faults/a/resume"),
        ] {
            assert_eq!(
                found(method, path),
                Err(StatusCode::METHOD_NOT_ALLOWED),
                "{path}"
            );
        }
    }
}
