//! What becomes of a message, told before its first byte is seen.

use super::policy::Policy;
use super::shape::{Carries, Shapes};
use crate::http2::Side;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It stays as it is.
    Keep,
    /// It is decoded, and what has to be is replaced in it.
    Redact,
    /// All of it is replaced by its length and its hash.
    LengthAndHash,
    /// It carries a password, or a token is given in it: nothing of it reaches a
    /// file, not even a hash.
    Never,
}

/// [`Treatment`], with the shape that is needed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Plan {
    Keep,
    Redact(u16),
    LengthAndHash,
    Never,
}

impl From<Plan> for Treatment {
    fn from(plan: Plan) -> Treatment {
        match plan {
            Plan::Keep => Treatment::Keep,
            Plan::Redact(_) => Treatment::Redact,
            Plan::LengthAndHash => Treatment::LengthAndHash,
            Plan::Never => Treatment::Never,
        }
    }
}

/// What becomes of a message that `from` sends on a call of `service` and
/// `method` (the two parts of its path). `compressed` is the flag of its prefix.
pub fn treatment(
    policy: &Policy,
    service: &str,
    method: &str,
    from: Side,
    compressed: bool,
) -> Treatment {
    plan(policy, service, method, from, compressed).into()
}

pub(in crate::record) fn plan(
    policy: &Policy,
    service: &str,
    method: &str,
    from: Side,
    compressed: bool,
) -> Plan {
    let shape = Shapes::built_in().method(service, method);
    let carries = shape.map(|shape| match from {
        Side::Client => shape.request,
        Side::Server => shape.answer,
    });
    match carries {
        Some(Carries::Credentials) => Plan::Never,
        // A method of the user administration that we do not know, or a spelling
        // that etcd refuses after it has got the password.
        None if is_about_users(service) || is_about_users(method) => Plan::Never,
        _ if policy.keeps_all() => Plan::Keep,
        Some(Carries::Messages(shape)) if !compressed => Plan::Redact(shape),
        Some(Carries::Messages(_) | Carries::Database) | None => Plan::LengthAndHash,
    }
}

/// Whether a name that we do not know is about users and their passwords.
fn is_about_users(name: &str) -> bool {
    name.to_ascii_lowercase().contains("auth") || name.to_ascii_lowercase().contains("password")
}

/// What becomes of the content of a plain HTTP request or of its answer (the JSON
/// gateway, `/metrics`), by the request's target. It is never kept, whatever the
/// policy.
pub fn treatment_of_http1(target: &str) -> Treatment {
    plan_of_http1(target).into()
}

pub(super) fn plan_of_http1(target: &str) -> Plan {
    // Of `/v3/auth/authenticate`, however it is escaped, and in every version.
    let decoded = crate::grpc::percent_decode(target.as_bytes());
    if is_about_users(&decoded) || is_about_users(target) {
        return Plan::Never;
    }
    Plan::LengthAndHash
}
