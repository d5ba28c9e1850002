//! What a rule is not about, seen at a glance.
//!
//! Most calls are nobody's. Who asks for a resource, a namespace or a name asks
//! for a whole segment of the key, so a key without it needs no reading; and
//! whether a method fits is the same for all its calls. So a call that a fault
//! passes by costs a loop over its key, and little code to fetch: between two
//! calls the processor has forgotten it.

use super::fitting::fits_method;
use crate::etcd::verdict::Suspicion;
use crate::etcd::{Method, MethodName, Op, Request};
use crate::fault::plan::{Action, FaultSpec, Match, VerbTerm, known_methods};
use crate::filter::{Literal, Name, Terms};
use crate::kube::resources::stored_below;

/// What of a fault's terms can be told without reading.
#[derive(Debug)]
pub(super) struct Glance {
    /// The known methods that fit, a bit each.
    methods: u32,
    /// Of each of these a segment must stand in the key.
    segments: Vec<AnySegment>,
}

/// Segments of which one must stand in the key.
type AnySegment = Vec<Box<[u8]>>;

impl Glance {
    pub fn of(fault: &FaultSpec) -> Glance {
        let mut methods = 0;
        // What a filter needs for certain is needed of the call, too.
        let terms = fault.matches.when.as_ref().map(|when| when.0.requires());
        let terms = terms.unwrap_or_default();
        for (method, name) in known_methods() {
            if fits_method(fault, method, &name) && may_be(&terms, method, &name) {
                methods |= bit(method);
            }
        }
        Glance {
            methods,
            segments: segments(&fault.matches, &terms),
        }
    }

    /// Whether calls of this method may fit; of one without a number of its own
    /// its name decides.
    pub fn may_fit_method(&self, fault: &FaultSpec, method: Method, name: &MethodName) -> bool {
        match method {
            Method::Other => fits_method(fault, method, name),
            known => self.methods & bit(known) != 0,
        }
    }

    /// Whether such a request may fit.
    pub fn may_fit(&self, method: Method, request: &Request) -> bool {
        if method != Method::Other && self.methods & bit(method) == 0 {
            return false;
        }
        if self.segments.is_empty() {
            return true;
        }
        let key = match request {
            Request::Range(asked) => &asked.key,
            Request::Op(Op::Put { key, .. }) => key,
            Request::Watch { key, .. } => key,
            // Which of several keys counts is not told at a glance.
            _ => return true,
        };
        (self.segments.iter()).all(|any| any.iter().any(|wanted| stands_in(wanted, key)))
    }
}

/// What the faults that are active say of a call by its method alone.
#[derive(Debug)]
pub(super) struct Heads {
    /// Methods whose calls are to be judged, a bit each.
    judged: u32,
    /// Methods of which more of the head has to be looked at.
    asked: u32,
}

impl Default for Heads {
    fn default() -> Heads {
        Heads {
            judged: 0,
            asked: bit(Method::Other),
        }
    }
}

impl Heads {
    /// Adds what a fault says.
    pub fn add(&mut self, glance: &Glance, fault: &FaultSpec) {
        let asks = !fault.matches.user_agent.is_empty();
        match asks || matches!(fault.action, Action::Duplicate(_)) {
            true => self.asked |= glance.methods,
            false => self.judged |= glance.methods,
        }
    }

    /// Whether calls of this method are suspected, if that says it.
    pub fn told(&self, method: Method) -> Option<Suspicion> {
        let bit = bit(method);
        if self.asked & bit != 0 {
            None
        } else if self.judged & bit != 0 {
            Some(Suspicion::Judge)
        } else {
            Some(Suspicion::None)
        }
    }
}

fn bit(method: Method) -> u32 {
    1 << method as u32
}

/// Whether `wanted` is a segment of `key`.
fn stands_in(wanted: &[u8], key: &[u8]) -> bool {
    let mut begins = 0;
    for (at, byte) in key.iter().enumerate() {
        if *byte == b'/' {
            if key[begins..at] == *wanted {
                return true;
            }
            begins = at + 1;
        }
    }
    key[begins..] == *wanted
}

/// Whether a call of this method can have the facts that a filter needs.
fn may_be(terms: &Terms, method: Method, name: &MethodName) -> bool {
    let is_one_of = |fact, is: &dyn Fn(&str) -> bool| {
        terms.values(fact).is_none_or(|values| {
            values.iter().any(|value| match value {
                Literal::Text(text) => str::from_utf8(text).is_ok_and(is),
                Literal::Number(_) => false,
            })
        })
    };
    is_one_of(Name::Method, &|wanted| wanted == name.method)
        && is_one_of(Name::Verb, &|wanted| match wanted.parse() {
            Ok(verb) => VerbTerm(verb).methods().contains(&method),
            Err(_) => wanted == name.method,
        })
}

/// The names that a filter needs, of which one must stand in the key.
fn needed(terms: &Terms, fact: Name) -> impl Iterator<Item = &str> {
    let values = terms.values(fact).unwrap_or_default();
    values.iter().filter_map(|value| match value {
        Literal::Text(text) => str::from_utf8(text).ok(),
        Literal::Number(_) => None,
    })
}

fn segments(terms: &Match, when: &Terms) -> Vec<AnySegment> {
    let literal = |text: &str| (!text.contains(['*', '/'])).then(|| text.as_bytes().into());
    let mut all = Vec::new();
    for globs in [&terms.namespace, &terms.name] {
        let any: Option<AnySegment> = globs.iter().map(|glob| literal(glob.text())).collect();
        all.extend(any);
    }
    for fact in [Name::Namespace, Name::ObjectName] {
        let any: Option<AnySegment> = needed(when, fact).map(literal).collect();
        all.extend(any);
    }
    fn stored(name: &str) -> impl Iterator<Item = Box<[u8]>> {
        let builtin = stored_below(name).map(|segment| segment.as_bytes().into());
        builtin.chain([name.as_bytes().into()])
    }
    let resources = terms.resource.iter().map(|term| term.parts().0);
    all.push(resources.flat_map(stored).collect());
    all.push(needed(when, Name::Resource).flat_map(stored).collect());
    all.retain(|any| !any.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::RangeAsked;

    fn may_fit(terms: &str, key: &str) -> bool {
        let text = format!("{{name: a, match: {terms}, action: hang}}");
        let fault = FaultSpec::from_yaml("", &text).expect("a fault");
        let request = Request::Range(RangeAsked {
            key: key.as_bytes().into(),
            ..RangeAsked::default()
        });
        Glance::of(&fault).may_fit(Method::Range, &request)
    }

    #[test]
    fn what_lacks_a_segment_does_not_fit() {
        let pod = "/registry/pods/lab/web-0";
        assert!(may_fit("{}", pod));
        assert!(may_fit(
            "{resource: pods, namespace: lab, name: web-0}",
            pod
        ));
        assert!(!may_fit("{resource: pods, namespace: la}", pod));
        assert!(!may_fit("{resource: secrets, namespace: lab}", pod));
        assert!(may_fit("{namespace: [lab, kube-system]}", pod));
        // What a pattern means is not told at a glance.
        assert!(may_fit("{namespace: [nowhere, x*]}", pod));
        assert!(may_fit("{resource: [secrets, pods.example.org]}", pod));
    }

    #[test]
    fn resources_are_looked_for_where_they_are_kept() {
        assert!(may_fit("{resource: nodes}", "/registry/minions/a"));
        assert!(may_fit(
            "{resource: services}",
            "/registry/services/specs/a/b"
        ));
        let custom = "/registry/example.org/nodes/a";
        assert!(may_fit("{resource: nodes}", custom));
        assert!(may_fit("{resource: pods}", "/registry/pods/"));
    }
}
