//! The facts of connections, operations and requests: known before a call is
//! answered, and told of it afterwards.

use super::fact::{Fact, Made};
use super::name::Name;
use crate::etcd::{CompareTarget, Op, Request};
use crate::kube::operation::Operation;
use crate::relay::Peers;

/// What every line says of its connection.
pub(crate) fn of_peers(peers: &Peers, name: Name) -> Option<Fact<'_>> {
    Some(match name {
        Name::Conn => Fact::count(peers.id.0),
        Name::Client => Fact::Made(Made::of(peers.client)),
        Name::Upstream => Fact::Text(&peers.upstream),
        _ => return None,
    })
}

pub(crate) fn of_tls(peers: &Peers, name: Name) -> Option<Fact<'_>> {
    let tls = peers.tls.as_ref()?;
    Some(Fact::Text(match name {
        Name::TlsVersion => &tls.version,
        Name::Sni => tls.sni.as_deref()?,
        Name::Alpn => tls.alpn.as_deref()?,
        Name::Identity => tls.identity.as_deref()?,
        _ => return None,
    }))
}

/// What is operated on.
pub(crate) fn of_operation<'o>(operation: &Operation<'o>, name: Name) -> Option<Fact<'o>> {
    Some(match name {
        Name::Key => Fact::Bytes(operation.key?),
        Name::RangeEnd => Fact::Bytes(operation.range_end?),
        Name::Resource => Fact::Text(operation.object?.resource),
        Name::Group => Fact::Text(operation.object?.group?),
        Name::Namespace => Fact::Text(operation.object?.namespace?),
        Name::ObjectName => Fact::Text(operation.object?.name?),
        Name::ObjectKind => Fact::Text(operation.kind()?),
        Name::Encryption => Fact::Text(operation.encryption()?),
        _ => return None,
    })
}

/// What else a request asks for.
pub(crate) fn of_request(request: &Request, name: Name) -> Option<Fact<'_>> {
    Some(match (name, request) {
        (Name::Limit, Request::Range(asked)) => Fact::Number(unless(asked.limit, 0)?),
        (Name::AtRevision, Request::Range(asked)) => Fact::Number(unless(asked.revision, 0)?),
        (Name::KeysOnly, Request::Range(asked)) => yes(asked.keys_only)?,
        (Name::Serializable, Request::Range(asked)) => yes(asked.serializable)?,
        (Name::IfRevision, Request::Txn(asked)) => match asked.compares.as_slice() {
            [guard] if guard.target == CompareTarget::ModRevision => Fact::Number(guard.number),
            _ => return None,
        },
        (Name::Lease, Request::Op(Op::Put { lease, .. })) => hexadecimal(*lease)?,
        (Name::Lease, Request::Txn(asked)) => match asked.success.first() {
            Some(Op::Put { lease, .. }) => hexadecimal(*lease)?,
            _ => return None,
        },
        (Name::Lease, Request::Lease { id, .. }) => hexadecimal(*id)?,
        (Name::Ttl, Request::Lease { ttl, .. }) => Fact::seconds(unless(*ttl, 0)?),
        (Name::CompactRevision, Request::Compact { revision }) => Fact::Number(*revision),
        (Name::AtRevision, Request::Named { revision, .. }) => {
            Fact::Number(unless((*revision)?, 0)?)
        }
        (Name::Subject, Request::Named { name, .. }) => Fact::Text(name.as_deref()?),
        _ => return None,
    })
}

/// etcd prints leases in hexadecimal.
pub(crate) fn hexadecimal(lease: i64) -> Option<Fact<'static>> {
    Some(Fact::Made(Made::of(format_args!(
        "{:x}",
        unless(lease, 0)?
    ))))
}

pub(crate) fn yes(yes: bool) -> Option<Fact<'static>> {
    yes.then_some(Fact::Flag(true))
}

/// A number, but for the one that stands for none.
pub(crate) fn unless<N: PartialEq>(number: N, none: N) -> Option<N> {
    (number != none).then_some(number)
}
