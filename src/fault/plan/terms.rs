//! Which calls a fault is about.
//!
//! Every term that is given must hold; a term with several values holds if one
//! of them does. A call that lacks what a term asks about (no key, no user
//! agent, no TLS, a message that cannot be read) does not fit. Of a Txn the terms
//! look at the operation that counts, as the log does: its first write, or else
//! its first.

use std::fmt;

use serde::Serialize;

use super::address::{ClientTerm, ListenerTerm};
use super::scalar::{AnyOf, Glob, KeyText, Size, as_text};
use super::watch::{CreatedTerm, EventTerm, RevisionRange};
use super::when::When;
use crate::etcd::Method;
use crate::kube::operation::Verb;

as_text!(ServiceTerm, MethodTerm, VerbTerm, ResourceTerm, GroupTerm);

/// The terms of a fault's `match`. With none of them it is about every call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The gRPC service: `KV`, or with its package `etcdserverpb.KV`.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub service: AnyOf<ServiceTerm>,
    /// The method: `Range`, `KV/Range` or `etcdserverpb.KV/Range`.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub method: AnyOf<MethodTerm>,
    /// What the request does, in Kubernetes' words: `list`, `list_page`,
    /// `create`. Whether a write will be a `conflict` nobody knows yet.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub verb: AnyOf<VerbTerm>,
    /// The resource: `pods`, or with its group `deployments.apps`.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub resource: AnyOf<ResourceTerm>,
    /// The API group; "" is the core group.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub group: AnyOf<GroupTerm>,
    /// The namespace, with `*` for any letters. A list over all namespaces has
    /// none.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub namespace: AnyOf<Glob>,
    /// The object's name, with `*` for any letters. A list has none.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub name: AnyOf<Glob>,
    /// Exactly this one key of etcd; a range is not one key.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub key: AnyOf<KeyText>,
    /// The key, or the whole range, lies within this prefix.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub key_prefix: AnyOf<KeyText>,
    /// The key, or a part of the range, lies within this range.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub key_range: AnyOf<KeyRange>,
    /// The size of the request's first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_size: Option<SizeRange>,
    /// The client's `user-agent`, with `*` for any letters.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub user_agent: AnyOf<Glob>,
    /// The client's address: an IP address, a CIDR or IP:PORT.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub client: AnyOf<ClientTerm>,
    /// The common name (or else the first subject alternative name) of the
    /// client's certificate, with `*` for any letters.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub tls_identity: AnyOf<Glob>,
    /// The server name that the client asked for in its TLS handshake, with `*`
    /// for any letters.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub sni: AnyOf<Glob>,
    /// Our own address that the client called: IP:PORT or :PORT.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub listener: AnyOf<ListenerTerm>,
    /// Of a watch: the whole range that it watches lies within this prefix.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub watched_prefix: AnyOf<KeyText>,
    /// Of a watch: its number on its stream.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub watch_id: AnyOf<u64>,
    /// Of a watch: the revision that it was asked to start from; 0 for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_revision: Option<RevisionRange>,
    /// Of a watch: whether it stood when the fault began (`before`), or is created
    /// while it holds (`during`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<CreatedTerm>,
    /// Of an event of a watch: how the key changed, `put` or `delete`.
    #[serde(skip_serializing_if = "AnyOf::is_absent")]
    pub event: AnyOf<EventTerm>,
    /// A filter, as `docs/filter.md` describes it, over what is known by then:
    /// `resource == "pods" && request_bytes > 1MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

impl Match {
    /// Whether a term asks about a watch.
    pub fn asks_for_watch(&self) -> bool {
        !(self.watched_prefix.is_absent()
            && self.watch_id.is_absent()
            && self.start_revision.is_none()
            && self.created.is_none()
            && self.event.is_absent())
    }

    /// Whether a term asks about the key, or about what it means to Kubernetes.
    pub fn asks_for_key(&self) -> bool {
        !(self.resource.is_absent()
            && self.group.is_absent()
            && self.namespace.is_absent()
            && self.name.is_absent()
            && self.key.is_absent()
            && self.key_prefix.is_absent()
            && self.key_range.is_absent())
    }
}

/// A gRPC service, with or without its package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minLength" = 1)))]
pub struct ServiceTerm(#[cfg_attr(test, schemars(with = "String"))] pub(super) Box<str>);

impl ServiceTerm {
    /// Whether the service with this full name is meant.
    pub fn fits(&self, service: &str) -> bool {
        is_service(&self.0, service)
    }
}

impl fmt::Display for ServiceTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gRPC method, with or without its service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minLength" = 1)))]
pub struct MethodTerm(#[cfg_attr(test, schemars(with = "String"))] pub(super) Box<str>);

impl MethodTerm {
    /// Whether this method of the service with this full name is meant.
    pub fn fits(&self, service: &str, method: &str) -> bool {
        match self.parts() {
            (None, wanted) => wanted == method,
            (Some(wanted_service), wanted) => {
                wanted == method && is_service(wanted_service, service)
            }
        }
    }

    /// The service, if it was named, and the method.
    pub(super) fn parts(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((service, method)) => (Some(service), method),
            None => (None, &self.0),
        }
    }
}

impl fmt::Display for MethodTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `KV` and `etcdserverpb.KV` both mean the latter.
fn is_service(wanted: &str, service: &str) -> bool {
    wanted == service || service.rsplit('.').next() == Some(wanted)
}

/// A verb that a request shows before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerbTerm(pub Verb);

impl VerbTerm {
    /// The verbs that a plan may name: `conflict` and `progress` are known only
    /// afterwards.
    pub fn all() -> impl Iterator<Item = Verb> {
        Verb::ALL
            .into_iter()
            .filter(|verb| !matches!(verb, Verb::Conflict | Verb::Progress))
    }

    /// The methods whose requests can be this verb.
    pub fn methods(self) -> &'static [Method] {
        match self.0 {
            Verb::Get | Verb::List | Verb::ListPage | Verb::Count => {
                &[Method::Range, Method::RangeStream]
            }
            Verb::Create | Verb::Update => &[Method::Txn],
            Verb::Delete => &[Method::Txn, Method::DeleteRange],
            Verb::LeaseGrant => &[Method::LeaseGrant],
            Verb::LeaseKeepalive => &[Method::LeaseKeepAlive],
            Verb::Compaction => &[Method::Compact, Method::Txn],
            Verb::Watch => &[Method::Watch],
            Verb::Conflict | Verb::Progress => &[],
        }
    }
}

impl fmt::Display for VerbTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A resource by its plural name, with or without its group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minLength" = 1)))]
pub struct ResourceTerm(#[cfg_attr(test, schemars(with = "String"))] pub(super) Box<str>);

impl ResourceTerm {
    /// The plural name, and the group if it was named.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.0.split_once('.') {
            Some((resource, group)) => (resource, Some(group)),
            None => (&self.0, None),
        }
    }

    /// Whether this resource of this group is meant.
    pub fn fits(&self, resource: &str, group: Option<&str>) -> bool {
        let (wanted, wanted_group) = self.parts();
        wanted == resource && wanted_group.is_none_or(|wanted| group == Some(wanted))
    }
}

impl fmt::Display for ResourceTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An API group; empty for the core group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupTerm(#[cfg_attr(test, schemars(with = "String"))] pub(super) Box<str>);

impl GroupTerm {
    /// Whether this group is meant.
    pub fn fits(&self, group: Option<&str>) -> bool {
        group.unwrap_or_default() == &*self.0
    }
}

impl fmt::Display for GroupTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys from `from` on and before `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyRange {
    /// The first key.
    pub from: KeyText,
    /// The first key after the range.
    pub to: KeyText,
}

impl KeyRange {
    /// Whether the key, or a part of the range, lies within. `end` is etcd's
    /// `range_end`: `\0` is everything from `key` on.
    pub fn meets(&self, key: &[u8], end: Option<&[u8]>) -> bool {
        key < self.to.bytes()
            && match end {
                None => key >= self.from.bytes(),
                Some(b"\0") => true,
                Some(end) => end > self.from.bytes(),
            }
    }
}

/// From `min` to `max` bytes, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("minProperties" = 1)))]
#[serde(deny_unknown_fields, default)]
pub struct SizeRange {
    /// At least so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Size>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Size>,
}

impl SizeRange {
    /// Whether so many bytes lie within.
    pub fn contains(&self, bytes: u64) -> bool {
        self.min.is_none_or(|min| bytes >= min.0) && self.max.is_none_or(|max| bytes <= max.0)
    }
}

/// Whether the key, or the whole range, lies within `prefix`. `end` is etcd's
/// `range_end`.
pub(in crate::fault) fn lies_within(prefix: &[u8], key: &[u8], end: Option<&[u8]>) -> bool {
    key.starts_with(prefix)
        && end.is_none_or(|end| {
            // Everything from the key on never ends within a prefix; what begins
            // with it does, and so does the first key after all of those.
            end != b"\0" && (end.starts_with(prefix) || is_end_of(prefix, end))
        })
}

/// Whether `end` is the first key after all that begin with `prefix`.
fn is_end_of(prefix: &[u8], end: &[u8]) -> bool {
    // Trailing 0xff cannot be counted up; the byte before them is.
    let kept = prefix.iter().rposition(|byte| *byte != 0xff);
    kept.is_some_and(|last| {
        end.len() == last + 1 && end[..last] == prefix[..last] && end[last] == prefix[last] + 1
    })
}

#[cfg(test)]
mod tests;
