//! Why a request is refused: in etcd's own words, for clients compare them.

use std::fmt;

use crate::grpc::Code;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A request without a key.
    EmptyKey,
    /// A key that must exist does not; or an operation of a Txn is empty.
    KeyNotFound,
    /// `ignore_value` with a value.
    ValueProvided,
    /// `ignore_lease` with a lease.
    LeaseProvided,
    /// A Txn with too many operations.
    TooManyOps,
    /// A Txn that writes one key twice.
    DuplicateKey,
    /// The revision was compacted.
    Compacted,
    /// The revision is yet to come.
    FutureRevision,
    /// There is no such lease.
    LeaseNotFound,
    /// There is such a lease already.
    LeaseExists,
    /// A lease must not live for so long.
    TtlTooLarge,
    /// A sort order or target that does not exist.
    InvalidSort,
    /// Nobody told; the sentence says what is missing. No etcd says this.
    Unknown(Box<str>),
    /// The store shows a revision of the past, and does not change. No etcd says
    /// this.
    ReadOnly,
}

impl Refusal {
    /// The status that etcd gives.
    pub fn code(&self) -> Code {
        match self {
            Refusal::EmptyKey
            | Refusal::KeyNotFound
            | Refusal::ValueProvided
            | Refusal::LeaseProvided
            | Refusal::TooManyOps
            | Refusal::DuplicateKey
            | Refusal::InvalidSort => Code::INVALID_ARGUMENT,
            Refusal::Compacted | Refusal::FutureRevision | Refusal::TtlTooLarge => {
                Code::OUT_OF_RANGE
            }
            Refusal::LeaseNotFound => Code::NOT_FOUND,
            // Not UNAVAILABLE: clients would try again, and nothing would change.
            Refusal::LeaseExists | Refusal::Unknown(_) | Refusal::ReadOnly => {
                Code::FAILED_PRECONDITION
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::EmptyKey => "etcdserver: key is not provided",
            Refusal::KeyNotFound => "etcdserver: key not found",
            Refusal::ValueProvided => "etcdserver: value is provided",
            Refusal::LeaseProvided => "etcdserver: lease is provided",
            Refusal::TooManyOps => "etcdserver: too many operations in txn request",
            Refusal::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Refusal::Compacted => "etcdserver: mvcc: required revision has been compacted",
            Refusal::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
            Refusal::LeaseNotFound => "etcdserver: requested lease not found",
            Refusal::LeaseExists => "etcdserver: lease already exists",
            Refusal::TtlTooLarge => "etcdserver: too large lease TTL",
            Refusal::InvalidSort => "etcdserver: invalid sort option",
            Refusal::Unknown(what) => {
                return write!(f, "etcdtap: the recording does not know {what}");
            }
            Refusal::ReadOnly => {
                "etcdtap: this is a revision of the past, it cannot be written to; play back \
                 without --at"
            }
        })
    }
}

impl std::error::Error for Refusal {}
