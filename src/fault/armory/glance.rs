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
use crate::fault::plan::{Action, FaultSpec, Match, known_methods};
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
        for (method, name) in known_methods() {
            if fits_method(fault, method, &name) {
                methods |= bit(method);
            }
        }
        Glance {
            methods,
            segments: segments(&fault.matches),
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
fn stands_in(wanted: &[u8], mut key: &[u8]) -> bool {
    loop {
        let end = key.iter().position(|byte| *byte == b'/');
        let (segment, rest) = key.split_at(end.unwrap_or(key.len()));
        if segment == wanted {
            return true;
        }
        match rest.split_first() {
            Some((_, rest)) => key = rest,
            None => return false,
        }
    }
}

fn segments(terms: &Match) -> Vec<AnySegment> {
    let literal = |text: &str| (!text.contains(['*', '/'])).then(|| text.as_bytes().into());
    let mut all = Vec::new();
    for globs in [&terms.namespace, &terms.name] {
        let any: Option<AnySegment> = globs.iter().map(|glob| literal(glob.text())).collect();
        all.extend(any);
    }
    let stored = terms.resource.iter().flat_map(|term| {
        let name = term.parts().0;
        let builtin = stored_below(name).map(|segment| segment.as_bytes().into());
        builtin.chain([name.as_bytes().into()])
    });
    all.push(stored.collect());
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
