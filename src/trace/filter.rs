//! Which lines are written.
//!
//! Each term names a fact and the values of it that pass; a line passes if it
//! passes every term that is set. A line that does not have the fact at all
//! does not pass: with `--resource pods` there are no connection lines. An
//! expression, where there is one, has to hold as well.

use std::time::Duration;

use super::facts::{CallFacts, ConnectionFacts, HttpFacts, NoteFacts};
use crate::etcd::{CancelCause, WatchNote, Watched};
use crate::filter;
use crate::http1::Exchange;
use crate::kube::key::ResourceKey;
use crate::kube::operation::Operation;

/// Which lines are written. An empty term asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Methods: `Range`, `KV/Range` or `etcdserverpb.KV/Range`; of HTTP/1.1,
    /// `GET`. Case does not matter.
    pub methods: Vec<Box<str>>,
    /// Verbs as the log spells them; etcd's own names where it shows those.
    /// Case does not matter.
    pub verbs: Vec<Box<str>>,
    /// Resources: `pods`, or with their group `deployments.apps`.
    pub resources: Vec<Box<str>>,
    /// Namespaces.
    pub namespaces: Vec<Box<str>>,
    /// Beginnings of keys.
    pub key_prefixes: Vec<Box<[u8]>>,
    /// Only what took at least so long.
    pub min_duration: Option<Duration>,
    /// Only what failed.
    pub errors_only: bool,
    /// Only that for which this holds.
    pub expression: Option<filter::Filter>,
}

impl Filter {
    /// Whether everything passes, so that no filter is needed.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a call's line passes.
    pub(crate) fn passes_call(&self, line: &CallFacts<'_>) -> bool {
        let (call, operation) = (line.call, line.operation);
        (!self.errors_only || call.failed())
            && self.passes_duration(call.ended.saturating_duration_since(call.started))
            && self.passes_method(&call.name.service, &call.name.method)
            && self.passes_operation(operation, &call.name.method)
            && self.passes_expression(line)
    }

    /// Whether the line of what happened to a watch passes.
    pub(crate) fn passes_note(&self, line: &NoteFacts<'_>) -> bool {
        (!self.errors_only || is_failure(line.note))
            && self.min_duration.is_none()
            && self.passes_method(WATCH_SERVICE, WATCH_METHOD)
            && self.passes_operation(line.operation, WATCH_METHOD)
            && self.passes_expression(line)
    }

    /// Whether a plain HTTP request's line passes.
    pub(crate) fn passes_http1(&self, line: &HttpFacts<'_>) -> bool {
        let exchange = line.exchange;
        (!self.errors_only || is_failed_exchange(exchange))
            && self.passes_duration(exchange.ended.saturating_duration_since(exchange.started))
            && self.passes_method("", &exchange.method)
            && self.passes_operation(&Operation::default(), "")
            && self.passes_expression(line)
    }

    /// Whether a connection's line passes. They have no call's facts; what is left
    /// is whether they failed, and the expression.
    pub(crate) fn passes_connection(&self, line: &ConnectionFacts<'_>) -> bool {
        (!self.errors_only || line.failed())
            && self.min_duration.is_none()
            && self.methods.is_empty()
            && self.verbs.is_empty()
            && self.passes_operation(&Operation::default(), "")
            && self.passes_expression(line)
    }

    fn passes_expression(&self, line: &impl filter::Facts) -> bool {
        (self.expression.as_ref()).is_none_or(|expression| expression.passes(line))
    }

    fn passes_duration(&self, duration: Duration) -> bool {
        self.min_duration.is_none_or(|least| duration >= least)
    }

    fn passes_method(&self, service: &str, method: &str) -> bool {
        any(&self.methods, |wanted| match wanted.rsplit_once('/') {
            None => wanted.eq_ignore_ascii_case(method),
            Some((wanted_service, wanted_method)) => {
                let short = service.rsplit('.').next().unwrap_or(service);
                wanted_method.eq_ignore_ascii_case(method)
                    && [service, short]
                        .iter()
                        .any(|name| wanted_service.eq_ignore_ascii_case(name))
            }
        })
    }

    fn passes_operation(&self, operation: &Operation<'_>, method: &str) -> bool {
        let verb = operation.verb.map_or(method, |verb| verb.as_str());
        let object = operation.object.as_ref();
        any(&self.verbs, |wanted| wanted.eq_ignore_ascii_case(verb))
            && any(&self.resources, |wanted| {
                object.is_some_and(|object| is_resource(object, wanted))
            })
            && any(&self.namespaces, |wanted| {
                object.is_some_and(|object| object.namespace == Some(wanted))
            })
            && any(&self.key_prefixes, |wanted| {
                operation.key.is_some_and(|key| key.starts_with(wanted))
            })
    }
}

/// The service of every watch note.
pub(crate) const WATCH_SERVICE: &str = "etcdserverpb.Watch";
/// The method of every watch note.
pub(crate) const WATCH_METHOD: &str = "Watch";

fn any<T: AsRef<U>, U: ?Sized>(wanted: &[T], is: impl Fn(&U) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| is(wanted.as_ref()))
}

/// `pods`, `deployments.apps`, and `deployments` of whatever group.
fn is_resource(object: &ResourceKey<'_>, wanted: &str) -> bool {
    match wanted.strip_prefix(object.resource) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('.') == object.group && object.group.is_some(),
        None => false,
    }
}

pub(super) fn is_failed_exchange(exchange: &Exchange) -> bool {
    exchange.status.is_none_or(|status| status >= 400)
}

pub(super) fn is_failure(note: &WatchNote) -> bool {
    match &note.watched {
        Watched::Canceled { cause, .. } => match cause {
            CancelCause::Requested | CancelCause::StreamEnded => false,
            CancelCause::Refused | CancelCause::Compacted { .. } | CancelCause::Server => true,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
