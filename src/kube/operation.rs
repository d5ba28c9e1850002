//! What a call to etcd is in Kubernetes' own words.
//!
//! kube-apiserver speaks to etcd in a few set phrases: a create, an update and
//! a delete are each one guarded Txn on one key, a list is a Range over a
//! prefix. This file knows the phrases; what is none of them keeps etcd's own
//! name.

use std::fmt;
use std::str::FromStr;

use super::key::{COMPACT_REV_KEY, Extent, KeySpace, ResourceKey};
use super::value::{self, Stored};
use crate::etcd::{
    Call, Compare, CompareTarget, EventKind, KeyValue, Method, Op, RangeAsked, Request, Response,
    TxnAsked, Value, WatchNote, Watched,
};
use crate::grpc::Code;

/// What a call does, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// A Range of one key.
    Get,
    /// A Range of a whole prefix.
    List,
    /// A Range of a prefix with a limit or from a continue key on.
    ListPage,
    /// A Range that only counts.
    Count,
    /// A Txn: if the key does not exist, put it. Also an event of a new key.
    Create,
    /// A Txn: if the key is unchanged, put it. Also an event of a changed key.
    Update,
    /// A Txn: if the key is unchanged, delete it; or a DeleteRange of one key.
    /// Also an event of a key that went.
    Delete,
    /// A create, update or delete whose guard did not hold.
    Conflict,
    /// Lease/LeaseGrant.
    LeaseGrant,
    /// Lease/LeaseKeepAlive.
    LeaseKeepalive,
    /// KV/Compact, and the Txn by which API servers agree on who compacts.
    Compaction,
    /// A watch: its stream, its creation, its end.
    Watch,
    /// etcd's word that a watch is up to date.
    Progress,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 13] = [
        Verb::Get,
        Verb::List,
        Verb::ListPage,
        Verb::Count,
        Verb::Create,
        Verb::Update,
        Verb::Delete,
        Verb::Conflict,
        Verb::LeaseGrant,
        Verb::LeaseKeepalive,
        Verb::Compaction,
        Verb::Watch,
        Verb::Progress,
    ];

    /// The verb as logs and filters spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::ListPage => "list_page",
            Verb::Count => "count",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
            Verb::Conflict => "conflict",
            Verb::LeaseGrant => "lease_grant",
            Verb::LeaseKeepalive => "lease_keepalive",
            Verb::Compaction => "compaction",
            Verb::Watch => "watch",
            Verb::Progress => "progress",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No verb is spelled so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownVerb;

impl fmt::Display for UnknownVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such verb; there are")?;
        for (i, verb) in Verb::ALL.iter().enumerate() {
            write!(f, "{} {verb}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownVerb {}

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(text: &str) -> Result<Verb, UnknownVerb> {
        Verb::ALL
            .into_iter()
            .find(|verb| verb.as_str() == text)
            .ok_or(UnknownVerb)
    }
}

/// What a call, or a note of a watch, does and to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operation<'c> {
    /// What it does; `None` where only etcd's own name says it.
    pub verb: Option<Verb>,
    /// The key, or the first of a range. Of a Txn, that of the operation that
    /// counts.
    pub key: Option<&'c [u8]>,
    /// The first key after the range; `None` for a single key.
    pub range_end: Option<&'c [u8]>,
    /// What that key or range means to Kubernetes.
    pub object: Option<ResourceKey<'c>>,
    /// What the stored value is: the one that is put, or else the first one
    /// that is answered.
    pub stored: Option<Stored<'c>>,
}

impl<'c> Operation<'c> {
    /// Says what `call` does. Objects of Kubernetes are looked for below the
    /// prefix of `keys` only.
    pub fn of_call(call: &'c Call, keys: &KeySpace) -> Operation<'c> {
        let mut operation = Operation::of_request(call.method, &call.request, keys);
        if is_refused_txn(call)
            && matches!(
                operation.verb,
                Some(Verb::Create | Verb::Update | Verb::Delete)
            )
        {
            operation.verb = Some(Verb::Conflict);
        }
        if operation.stored.is_none() {
            operation.stored = first_answered(&call.response).and_then(|kv| sniff(&kv.value));
        }
        operation
    }

    /// Says what a request asks for, before it is known what becomes of it: a
    /// write whose guard will not hold is no [`Verb::Conflict`] yet.
    pub fn of_request(method: Method, request: &'c Request, keys: &KeySpace) -> Operation<'c> {
        let mut operation = match request {
            Request::Range(asked) => Operation::of_range(asked, keys),
            Request::Op(op) => Operation::of_op(op, keys),
            Request::Txn(asked) => Operation::of_txn(asked, keys),
            Request::Named { key, range_end, .. } => {
                Operation::of_keys(key.as_deref(), range_end.as_deref(), keys)
            }
            Request::Watch { key, range_end, .. } => {
                Operation::of_keys(Some(key), Some(range_end), keys)
            }
            Request::Compact { .. } | Request::Lease { .. } | Request::Unread => {
                Operation::default()
            }
        };
        operation.verb = match method {
            Method::Watch => Some(Verb::Watch),
            Method::Compact => Some(Verb::Compaction),
            Method::LeaseGrant => Some(Verb::LeaseGrant),
            // Without a request it is the stream's own end: each keepalive on it
            // was a call before.
            Method::LeaseKeepAlive if *request != Request::Unread => Some(Verb::LeaseKeepalive),
            _ => operation.verb,
        };
        operation
    }

    /// Says what `note` tells.
    pub fn of_note(note: &'c WatchNote, keys: &KeySpace) -> Operation<'c> {
        match &note.watched {
            Watched::Created { key, range_end, .. } | Watched::Canceled { key, range_end, .. } => {
                let key = (!key.is_empty()).then_some(&**key);
                Operation {
                    verb: Some(Verb::Watch),
                    ..Operation::of_keys(key, Some(range_end), keys)
                }
            }
            Watched::Event { kind, kv, .. } => Operation {
                verb: Some(match kind {
                    EventKind::Delete => Verb::Delete,
                    EventKind::Put if kv.create_revision == kv.mod_revision => Verb::Create,
                    EventKind::Put => Verb::Update,
                }),
                stored: sniff(&kv.value),
                ..Operation::of_keys(Some(&kv.key), None, keys)
            },
            Watched::Progress => Operation {
                verb: Some(Verb::Progress),
                ..Operation::default()
            },
        }
    }

    /// The object's `kind`, where its value shows it.
    pub fn kind(&self) -> Option<&'c str> {
        self.stored.and_then(|stored| stored.kind())
    }

    /// Whether the value is encrypted at rest, and by which provider.
    pub fn encryption(&self) -> Option<&'c str> {
        match self.stored {
            Some(Stored::Encrypted { provider, .. }) => Some(provider.unwrap_or("unknown")),
            _ => None,
        }
    }

    /// Says what a key, or a range of keys, means; nothing of what is done.
    pub fn of_keys(key: Option<&'c [u8]>, end: Option<&'c [u8]>, keys: &KeySpace) -> Operation<'c> {
        let end = end.filter(|end| !end.is_empty());
        Operation {
            key,
            range_end: end,
            // What goes on past its resource is not about that resource.
            object: key
                .and_then(|key| keys.parse_range(key, end.unwrap_or_default()))
                .filter(|object| object.extent != Extent::Onward),
            ..Operation::default()
        }
    }

    fn of_range(asked: &'c RangeAsked, keys: &KeySpace) -> Operation<'c> {
        let mut operation = Operation::of_keys(Some(&asked.key), Some(&asked.range_end), keys);
        operation.verb = operation.object.map(|object| {
            if asked.count_only {
                Verb::Count
            } else if operation.range_end.is_none() {
                Verb::Get
            } else if asked.limit > 0 || object.continue_after().is_some() {
                Verb::ListPage
            } else {
                Verb::List
            }
        });
        operation
    }

    /// A Put or a DeleteRange outside a Txn. The API server writes by Txn
    /// only, so that an unguarded Put stays a Put; deleting one object is
    /// deleting it, however it is asked for.
    fn of_op(op: &'c Op, keys: &KeySpace) -> Operation<'c> {
        match op {
            Op::Range(asked) => Operation::of_range(asked, keys),
            Op::Put { key, value, .. } => Operation {
                stored: sniff(value),
                ..Operation::of_keys(Some(key), None, keys)
            },
            Op::DeleteRange { key, range_end } => {
                let mut operation = Operation::of_keys(Some(key), Some(range_end), keys);
                if operation.object.is_some_and(|object| object.is_one()) {
                    operation.verb = Some(Verb::Delete);
                }
                operation
            }
            Op::Txn => Operation::default(),
        }
    }

    fn of_txn(asked: &'c TxnAsked, keys: &KeySpace) -> Operation<'c> {
        let Some(main) = main_op(asked) else {
            return match asked.failure.first() {
                Some(op) => Operation {
                    verb: None,
                    ..Operation::of_op(op, keys)
                },
                None => {
                    let key = asked.compares.first().map(|compare| &*compare.key);
                    Operation::of_keys(key, None, keys)
                }
            };
        };
        let mut operation = Operation {
            verb: None,
            ..Operation::of_op(main, keys)
        };
        let guards = &asked.compares;
        let is = |key: &[u8], compare: &Compare| &*compare.key == key;
        operation.verb = match main {
            Op::Put { key, .. } if **key == *COMPACT_REV_KEY.as_bytes() => Some(Verb::Compaction),
            _ if operation.object.is_none() || !is_one_phrase(asked) => None,
            Op::Put { key, .. } => match guards.as_slice() {
                [guard] if is(key, guard) => match guard.target {
                    CompareTarget::ModRevision
                    | CompareTarget::CreateRevision
                    | CompareTarget::Version => Some(match guard.number {
                        0 => Verb::Create,
                        _ => Verb::Update,
                    }),
                    _ => None,
                },
                _ => None,
            },
            // Old API servers deleted without a guard.
            Op::DeleteRange { key, range_end } if range_end.is_empty() => guards
                .iter()
                .all(|guard| is(key, guard))
                .then_some(Verb::Delete),
            _ => None,
        };
        operation
    }
}

/// The operation that a Txn is about: its first write, or else its first.
fn main_op(asked: &TxnAsked) -> Option<&Op> {
    let writes = |op: &&Op| matches!(op, Op::Put { .. } | Op::DeleteRange { .. });
    let branch = &asked.success;
    branch.iter().find(writes).or_else(|| branch.first())
}

/// Whether etcd executed a Txn and its guards did not hold.
fn is_refused_txn(call: &Call) -> bool {
    let guarded = matches!(&call.request, Request::Txn(asked) if !asked.compares.is_empty());
    let failed = matches!(
        call.response,
        Response::Txn {
            succeeded: false,
            ..
        }
    );
    guarded && failed && call.status.code == Code::OK
}

/// Whether a Txn writes one key only and otherwise just reads it, as all of
/// the API server's do.
fn is_one_phrase(asked: &TxnAsked) -> bool {
    let writes = asked
        .success
        .iter()
        .filter(|op| !matches!(op, Op::Range(_)))
        .count();
    let reads_only = asked.failure.iter().all(|op| matches!(op, Op::Range(_)));
    writes == 1 && reads_only && asked.omitted == 0
}

fn first_answered(response: &Response) -> Option<&KeyValue> {
    match response {
        Response::Range { first, .. } | Response::Txn { first, .. } => first.as_deref(),
        _ => None,
    }
}

fn sniff(value: &Value) -> Option<Stored<'_>> {
    match value::sniff(&value.head) {
        Stored::Empty | Stored::Other => None,
        stored => Some(stored),
    }
}

#[cfg(test)]
mod tests;
