//! Whether a fault is about a call: what the connection shows, what the call's
//! head shows, what its request shows, each looked at as soon as it is known.

use crate::etcd::EventKind;
use crate::etcd::verdict::Asked;
use crate::etcd::watch_verdict::AskedWatch;
use crate::etcd::{Method, MethodName, Request};
use crate::fault::plan::{
    Action, FaultSpec, Match, lies_within, lives_on, may_have_later_requests,
};
use crate::kube::operation::Operation;
use crate::relay::Peers;

/// Whether calls of this connection could be meant.
pub(super) fn fits_connection(terms: &Match, peers: &Peers) -> bool {
    let tls = peers.tls.as_ref();
    let identity = tls.and_then(|tls| tls.identity.as_deref());
    let sni = tls.and_then(|tls| tls.sni.as_deref());
    terms.listener.holds(|term| term.fits(peers.listener))
        && terms.client.holds(|term| term.fits(peers.client))
        && (terms.tls_identity).holds(|glob| identity.is_some_and(|text| glob.fits(text)))
        && terms
            .sni
            .holds(|glob| sni.is_some_and(|text| glob.fits(text)))
}

/// Whether calls of this method could be meant, and anything be done to them.
pub(super) fn fits_method(fault: &FaultSpec, method: Method, name: &MethodName) -> bool {
    let terms = &fault.matches;
    terms.service.holds(|term| term.fits(&name.service))
        && (terms.method).holds(|term| term.fits(&name.service, &name.method))
        && (terms.verb).holds(|term| term.methods().contains(&method))
        && is_possible(&fault.action, name)
}

/// Whether the client that calls could be meant.
pub(super) fn fits_caller(terms: &Match, call: &Asked<'_>) -> bool {
    (terms.user_agent).holds(|glob| call.user_agent.is_some_and(|text| glob.fits(text)))
}

/// Whether a call whose connection and head fit is meant.
pub(super) fn fits_request(terms: &Match, call: &Asked<'_>, operation: &Operation<'_>) -> bool {
    terms.verb.holds(|term| operation.verb == Some(term.0))
        && fits_object(terms, operation)
        && (terms.request_size).is_none_or(|sizes| {
            // An empty message (to ask for everything) has a size, a message that
            // was never sent has none.
            let sent = call.request_bytes > 0 || *call.request != Request::Unread;
            sent && sizes.contains(call.request_bytes)
        })
}

/// Whether what is read or written is meant.
fn fits_object(terms: &Match, operation: &Operation<'_>) -> bool {
    let object = operation.object.as_ref();
    let (key, end) = (operation.key, operation.range_end);
    (terms.resource)
        .holds(|term| object.is_some_and(|object| term.fits(object.resource, object.group)))
        && terms
            .group
            .holds(|term| object.is_some_and(|object| !object.internal && term.fits(object.group)))
        && terms.namespace.holds(|glob| {
            let namespace = object.and_then(|object| object.namespace);
            namespace.is_some_and(|text| glob.fits(text))
        })
        && terms.name.holds(|glob| {
            let name = object.and_then(|object| object.name);
            name.is_some_and(|text| glob.fits(text))
        })
        && (terms.key).holds(|wanted| end.is_none() && key == Some(wanted.bytes()))
        && (terms.key_prefix)
            .holds(|prefix| key.is_some_and(|key| lies_within(prefix.bytes(), key, end)))
        && (terms.key_range).holds(|range| key.is_some_and(|key| range.meets(key, end)))
}

/// Whether anything can be done to calls of this method. A stream that lives as
/// long as its client wants has no whole answer; a call of one request has no
/// later messages.
fn is_possible(action: &Action, name: &MethodName) -> bool {
    let only_later_requests = match action {
        Action::Delay(delay) => {
            delay.each_request_message.is_some()
                && delay.request.is_none()
                && delay.response.is_none()
                && delay.each_response_message.is_none()
        }
        _ => false,
    };
    let never = matches!(action, Action::Watch(_))
        || action.needs_an_end() && lives_on(name)
        || only_later_requests && !may_have_later_requests(name);
    !never
}

/// Whether watches of a Watch stream with this head could be meant.
pub(super) fn fits_watch_stream(terms: &Match, call: &Asked<'_>) -> bool {
    let name = call.name;
    terms.service.holds(|term| term.fits(&name.service))
        && (terms.method).holds(|term| term.fits(&name.service, &name.method))
        && fits_caller(terms, call)
}

/// Whether a watch is meant. What is asked of the key and of the object is asked
/// of the event where there is one, and else of the watched range.
pub(super) fn fits_watch(
    terms: &Match,
    watch: &AskedWatch<'_>,
    event: Option<EventKind>,
    operation: &Operation<'_>,
) -> bool {
    let end = Some(watch.range_end).filter(|end| !end.is_empty());
    (terms.watched_prefix).holds(|prefix| lies_within(prefix.bytes(), watch.key, end))
        && (terms.watch_id).holds(|wanted| watch.watch_id == i64::try_from(*wanted).ok())
        && (terms.start_revision).is_none_or(|range| range.contains(watch.start_revision))
        && (terms.event).holds(|term| event == Some(term.0))
        && fits_object(terms, operation)
}
