//! etcd's own errors by name, with the code and the text that etcd sends.
//!
//! Names follow etcd's `rpctypes` (`ErrGRPCNoLeader` is `no-leader`). Where
//! releases differ the row says what etcd 3.4 and 3.5 send.

use crate::grpc::Code;

/// One error of etcd.
#[derive(Debug, PartialEq, Eq)]
pub struct EtcdError {
    /// Its name in a plan.
    pub name: &'static str,
    /// gRPC's code.
    pub code: Code,
    /// The text behind `etcdserver: `.
    text: &'static str,
}

impl EtcdError {
    /// The error that is called so in a plan.
    pub fn named(name: &str) -> Option<&'static EtcdError> {
        ERRORS.iter().find(|error| error.name == name)
    }

    /// Every error's name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ERRORS.iter().map(|error| error.name)
    }

    /// The status message, as etcd sends it.
    pub fn message(&self) -> String {
        format!("etcdserver: {}", self.text)
    }
}

/// What etcd says when a proposal was not applied in time: it may have been
/// committed or not. The honest answer in the place of a lost reply.
pub static REQUEST_TIMED_OUT: EtcdError =
    row("request-timed-out", Code::UNAVAILABLE, "request timed out");

const fn row(name: &'static str, code: Code, text: &'static str) -> EtcdError {
    EtcdError { name, code, text }
}

static ERRORS: &[EtcdError] = &[
    row("empty-key", Code::INVALID_ARGUMENT, "key is not provided"),
    row("key-not-found", Code::INVALID_ARGUMENT, "key not found"),
    row(
        "value-provided",
        Code::INVALID_ARGUMENT,
        "value is provided",
    ),
    row(
        "lease-provided",
        Code::INVALID_ARGUMENT,
        "lease is provided",
    ),
    row("ttl-zero", Code::INVALID_ARGUMENT, "ttl is 0"),
    row(
        "too-many-ops",
        Code::INVALID_ARGUMENT,
        "too many operations in txn request",
    ),
    row(
        "duplicate-key",
        Code::INVALID_ARGUMENT,
        "duplicate key given in txn request",
    ),
    row(
        "invalid-client-api-version",
        Code::INVALID_ARGUMENT,
        "invalid client api version",
    ),
    row(
        "invalid-sort-option",
        Code::INVALID_ARGUMENT,
        "invalid sort option",
    ),
    row(
        "compacted",
        Code::OUT_OF_RANGE,
        "mvcc: required revision has been compacted",
    ),
    row(
        "future-revision",
        Code::OUT_OF_RANGE,
        "mvcc: required revision is a future revision",
    ),
    row(
        "no-space",
        Code::RESOURCE_EXHAUSTED,
        "mvcc: database space exceeded",
    ),
    row(
        "lease-not-found",
        Code::NOT_FOUND,
        "requested lease not found",
    ),
    row(
        "lease-exists",
        Code::FAILED_PRECONDITION,
        "lease already exists",
    ),
    row(
        "lease-ttl-too-large",
        Code::OUT_OF_RANGE,
        "too large lease TTL",
    ),
    row("watch-canceled", Code::CANCELLED, "watch canceled"),
    row(
        "member-exists",
        Code::FAILED_PRECONDITION,
        "member ID already exist",
    ),
    row(
        "peer-url-exists",
        Code::FAILED_PRECONDITION,
        "Peer URLs already exists",
    ),
    row(
        "member-not-enough-started",
        Code::FAILED_PRECONDITION,
        "re-configuration failed due to not enough started members",
    ),
    row(
        "member-bad-urls",
        Code::INVALID_ARGUMENT,
        "given member URLs are invalid",
    ),
    row("member-not-found", Code::NOT_FOUND, "member not found"),
    row(
        "member-not-learner",
        Code::FAILED_PRECONDITION,
        "can only promote a learner member",
    ),
    row(
        "learner-not-ready",
        Code::FAILED_PRECONDITION,
        "can only promote a learner member which is in sync with leader",
    ),
    row(
        "too-many-learners",
        Code::FAILED_PRECONDITION,
        "too many learner members in cluster",
    ),
    row(
        "cluster-id-mismatch",
        Code::FAILED_PRECONDITION,
        "cluster ID mismatch",
    ),
    row(
        "request-too-large",
        Code::INVALID_ARGUMENT,
        "request is too large",
    ),
    row(
        "too-many-requests",
        Code::RESOURCE_EXHAUSTED,
        "too many requests",
    ),
    row(
        "root-user-not-exist",
        Code::FAILED_PRECONDITION,
        "root user does not exist",
    ),
    row(
        "root-role-not-exist",
        Code::FAILED_PRECONDITION,
        "root user does not have root role",
    ),
    row(
        "user-already-exists",
        Code::FAILED_PRECONDITION,
        "user name already exists",
    ),
    row("user-empty", Code::INVALID_ARGUMENT, "user name is empty"),
    row(
        "user-not-found",
        Code::FAILED_PRECONDITION,
        "user name not found",
    ),
    row(
        "role-already-exists",
        Code::FAILED_PRECONDITION,
        "role name already exists",
    ),
    row(
        "role-not-found",
        Code::FAILED_PRECONDITION,
        "role name not found",
    ),
    row("role-empty", Code::INVALID_ARGUMENT, "role name is empty"),
    row(
        "auth-failed",
        Code::INVALID_ARGUMENT,
        "authentication failed, invalid user ID or password",
    ),
    row(
        "permission-not-given",
        Code::INVALID_ARGUMENT,
        "permission not given",
    ),
    row(
        "permission-denied",
        Code::PERMISSION_DENIED,
        "permission denied",
    ),
    row(
        "role-not-granted",
        Code::FAILED_PRECONDITION,
        "role is not granted to the user",
    ),
    row(
        "permission-not-granted",
        Code::FAILED_PRECONDITION,
        "permission is not granted to the role",
    ),
    row(
        "auth-not-enabled",
        Code::FAILED_PRECONDITION,
        "authentication is not enabled",
    ),
    row(
        "invalid-auth-token",
        Code::UNAUTHENTICATED,
        "invalid auth token",
    ),
    row(
        "invalid-auth-management",
        Code::INVALID_ARGUMENT,
        "invalid auth management",
    ),
    row(
        "auth-old-revision",
        Code::INVALID_ARGUMENT,
        "revision of auth store is old",
    ),
    row("no-leader", Code::UNAVAILABLE, "no leader"),
    row("not-leader", Code::FAILED_PRECONDITION, "not leader"),
    row("leader-changed", Code::UNAVAILABLE, "leader changed"),
    row("not-capable", Code::UNAVAILABLE, "not capable"),
    row("stopped", Code::UNAVAILABLE, "server stopped"),
    row("request-timed-out", Code::UNAVAILABLE, "request timed out"),
    row(
        "request-timed-out-leader-fail",
        Code::UNAVAILABLE,
        "request timed out, possibly due to previous leader failure",
    ),
    row(
        "request-timed-out-connection-lost",
        Code::UNAVAILABLE,
        "request timed out, possibly due to connection lost",
    ),
    row(
        "request-timed-out-applied-index",
        Code::UNAVAILABLE,
        "request timed out, waiting for the applied index took too long",
    ),
    row("unhealthy", Code::UNAVAILABLE, "unhealthy cluster"),
    row("corrupt", Code::DATA_LOSS, "corrupt cluster"),
    row(
        "not-supported-for-learner",
        Code::UNAVAILABLE,
        "rpc not supported for learner",
    ),
    row(
        "bad-leader-transferee",
        Code::FAILED_PRECONDITION,
        "bad leader transferee",
    ),
    row(
        "cluster-version-unavailable",
        Code::UNAVAILABLE,
        "cluster version not found during downgrade",
    ),
    row(
        "wrong-downgrade-version-format",
        Code::INVALID_ARGUMENT,
        "wrong downgrade target version format",
    ),
    row(
        "invalid-downgrade-target-version",
        Code::INVALID_ARGUMENT,
        "invalid downgrade target version",
    ),
    row(
        "downgrade-in-process",
        Code::FAILED_PRECONDITION,
        "cluster has a downgrade job in progress",
    ),
    row(
        "no-inflight-downgrade",
        Code::FAILED_PRECONDITION,
        "no inflight downgrade job",
    ),
    row("canceled", Code::CANCELLED, "request canceled"),
    row(
        "deadline-exceeded",
        Code::DEADLINE_EXCEEDED,
        "context deadline exceeded",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_spelled_alike() {
        for (at, error) in ERRORS.iter().enumerate() {
            let spelled = error
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(spelled, "{}", error.name);
            assert!(
                ERRORS[..at]
                    .iter()
                    .all(|other| other.name != error.name && other.text != error.text),
                "{}",
                error.name
            );
        }
    }

    #[test]
    fn codes_and_texts_are_etcds() {
        for (name, code, message) in [
            ("no-leader", "UNAVAILABLE", "etcdserver: no leader"),
            (
                "too-many-requests",
                "RESOURCE_EXHAUSTED",
                "etcdserver: too many requests",
            ),
            (
                "compacted",
                "OUT_OF_RANGE",
                "etcdserver: mvcc: required revision has been compacted",
            ),
            ("corrupt", "DATA_LOSS", "etcdserver: corrupt cluster"),
        ] {
            let error = EtcdError::named(name).expect("a known name");
            assert_eq!(error.code.name(), Some(code));
            assert_eq!(error.message(), message);
        }
        assert_eq!(
            EtcdError::named(REQUEST_TIMED_OUT.name),
            Some(&REQUEST_TIMED_OUT)
        );
    }
}
