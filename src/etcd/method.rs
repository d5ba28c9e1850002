//! etcd's methods by their gRPC path.

use std::borrow::Cow;
use std::fmt;

/// The methods whose messages the tracer reads field by field as they pass.
/// Every other one is read through its descriptor, if one is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `etcdserverpb.KV/Range`
    Range,
    /// `etcdserverpb.KV/RangeStream` of newer etcds.
    RangeStream,
    /// `etcdserverpb.KV/Put`
    Put,
    /// `etcdserverpb.KV/DeleteRange`
    DeleteRange,
    /// `etcdserverpb.KV/Txn`
    Txn,
    /// `etcdserverpb.KV/Compact`
    Compact,
    /// `etcdserverpb.Watch/Watch`
    Watch,
    /// `etcdserverpb.Lease/LeaseGrant`
    LeaseGrant,
    /// `etcdserverpb.Lease/LeaseRevoke`
    LeaseRevoke,
    /// `etcdserverpb.Lease/LeaseKeepAlive`
    LeaseKeepAlive,
    /// `etcdserverpb.Lease/LeaseTimeToLive`
    LeaseTimeToLive,
    /// Any other path.
    Other,
}

/// A gRPC method's two names, as they stand in `:path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MethodName {
    /// The service with its package: `etcdserverpb.KV`.
    pub service: Cow<'static, str>,
    /// The method: `Range`.
    pub method: Cow<'static, str>,
}

const KV: &str = "etcdserverpb.KV";
const LEASE: &str = "etcdserverpb.Lease";

impl MethodName {
    /// Reads `:path`. What is no `/service/method` becomes a method without a
    /// service; bytes that are no UTF-8 are replaced.
    pub fn parse(path: &[u8]) -> (Method, MethodName) {
        let known = |method, service: &'static str, name: &'static str| {
            (
                method,
                MethodName {
                    service: Cow::Borrowed(service),
                    method: Cow::Borrowed(name),
                },
            )
        };
        match path {
            b"/etcdserverpb.KV/Range" => known(Method::Range, KV, "Range"),
            b"/etcdserverpb.KV/RangeStream" => known(Method::RangeStream, KV, "RangeStream"),
            b"/etcdserverpb.KV/Put" => known(Method::Put, KV, "Put"),
            b"/etcdserverpb.KV/DeleteRange" => known(Method::DeleteRange, KV, "DeleteRange"),
            b"/etcdserverpb.KV/Txn" => known(Method::Txn, KV, "Txn"),
            b"/etcdserverpb.KV/Compact" => known(Method::Compact, KV, "Compact"),
            b"/etcdserverpb.Watch/Watch" => known(Method::Watch, "etcdserverpb.Watch", "Watch"),
            b"/etcdserverpb.Lease/LeaseGrant" => known(Method::LeaseGrant, LEASE, "LeaseGrant"),
            b"/etcdserverpb.Lease/LeaseRevoke" => known(Method::LeaseRevoke, LEASE, "LeaseRevoke"),
            b"/etcdserverpb.Lease/LeaseKeepAlive" => {
                known(Method::LeaseKeepAlive, LEASE, "LeaseKeepAlive")
            }
            b"/etcdserverpb.Lease/LeaseTimeToLive" => {
                known(Method::LeaseTimeToLive, LEASE, "LeaseTimeToLive")
            }
            other => {
                let path = String::from_utf8_lossy(other);
                let trimmed = path.strip_prefix('/').unwrap_or(&path);
                let (service, method) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
                (
                    Method::Other,
                    MethodName {
                        service: Cow::Owned(service.to_owned()),
                        method: Cow::Owned(method.to_owned()),
                    },
                )
            }
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.method)
    }
}
