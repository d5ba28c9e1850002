//! Rules of the user's: whose values are replaced besides (`--redact`).

use std::fmt;

use crate::kube::key::{KeySpace, ResourceKey};
use crate::notation::nearest;

/// What a rule is asked about: a key whose value is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'k> {
    /// The key.
    pub key: &'k [u8],
    /// What it means, if it is the API server's.
    pub object: Option<ResourceKey<'k>>,
}

impl<'k> Subject<'k> {
    /// A key, read as `key_space` has it.
    pub fn new(key: &'k [u8], key_space: &KeySpace) -> Subject<'k> {
        Subject {
            key,
            object: key_space.parse(key),
        }
    }
}

/// Whose values are replaced: those of the keys for which all terms hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// `configmaps`, or with its group `deployments.apps`.
    Resource(Box<str>),
    Namespace(Box<str>),
    Name(Box<str>),
    /// The key; `*` stands for anything.
    Key(Box<[u8]>),
}

/// The names of terms.
const TERMS: [&str; 4] = ["resource", "namespace", "name", "key"];

impl Rule {
    /// Reads `resource=configmaps,namespace=kube-system` or `key=/registry/foo/*`.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        let error = |what| RuleError {
            rule: text.to_owned(),
            what,
        };
        let mut terms = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            if part.is_empty() {
                return Err(error(What::EmptyTerm));
            }
            let Some((name, value)) = part.split_once('=') else {
                return Err(error(What::NoValue(part.to_owned())));
            };
            let (name, value) = (name.trim(), value.trim());
            if !TERMS.contains(&name) {
                return Err(error(What::UnknownTerm(name.to_owned())));
            }
            if value.is_empty() {
                return Err(error(What::NoValue(name.to_owned())));
            }
            if name != "key" && value.contains(['*', '/']) {
                return Err(error(What::NotAName(name.to_owned(), value.to_owned())));
            }
            let term = match name {
                "resource" => Term::Resource(value.into()),
                "namespace" => Term::Namespace(value.into()),
                "name" => Term::Name(value.into()),
                _ => Term::Key(value.as_bytes().into()),
            };
            let twice =
                |other: &Term| std::mem::discriminant(other) == std::mem::discriminant(&term);
            if terms.iter().any(twice) {
                return Err(error(What::Twice(name.to_owned())));
            }
            terms.push(term);
        }
        Ok(Rule { terms })
    }

    /// Whether the value of `subject` is to be replaced.
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        self.terms.iter().all(|term| term.holds(subject))
    }
}

impl Term {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let object = subject.object.as_ref();
        match self {
            Term::Resource(wanted) => {
                object.is_some_and(|object| match wanted.strip_prefix(object.resource) {
                    Some("") => true,
                    Some(rest) => rest.strip_prefix('.') == object.group && object.group.is_some(),
                    None => false,
                })
            }
            Term::Namespace(wanted) => {
                object.is_some_and(|object| object.namespace == Some(&**wanted))
            }
            Term::Name(wanted) => object.is_some_and(|object| object.name == Some(&**wanted)),
            Term::Key(pattern) => is_like(pattern, subject.key),
        }
    }
}

/// Whether a key is like a pattern in which `*` stands for anything.
fn is_like(pattern: &[u8], key: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = key.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match term {
                Term::Resource(value) => write!(f, "resource={value}")?,
                Term::Namespace(value) => write!(f, "namespace={value}")?,
                Term::Name(value) => write!(f, "name={value}")?,
                Term::Key(value) => write!(f, "key={}", String::from_utf8_lossy(value))?,
            }
        }
        Ok(())
    }
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    rule: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    EmptyTerm,
    NoValue(String),
    UnknownTerm(String),
    NotAName(String, String),
    Twice(String),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a rule of redaction: ", self.rule)?;
        match &self.what {
            What::EmptyTerm => f.write_str(
                "a term is empty; a rule is for example `resource=configmaps,namespace=kube-system` \
                 or `key=/registry/foo/*`",
            ),
            What::NoValue(term) => match nearest(term, TERMS) {
                Some(name) => write!(f, "`{term}` has no value; write `{name}=VALUE`"),
                None => write!(
                    f,
                    "`{term}` has no value; write `resource={term}` if you mean the resource"
                ),
            },
            What::UnknownTerm(name) => {
                write!(f, "there is no term `{name}`")?;
                match nearest(name, TERMS) {
                    Some(meant) => write!(f, "; did you mean `{meant}`?"),
                    None => write!(f, "; there are {}", TERMS.join(", ")),
                }
            }
            What::NotAName(name, value) => write!(
                f,
                "`{value}` is no {name}: a {name} has neither `*` nor `/` in it; patterns go with \
                 `key=`, as in `key=/registry/configmaps/*`"
            ),
            What::Twice(name) => write!(
                f,
                "`{name}` stands in it twice, and all terms of a rule must hold; for either of two \
                 give two rules"
            ),
        }
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, key: &str) -> bool {
        let rule = Rule::parse(rule).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Rule::parse(&rule.to_string()), Ok(rule.clone()));
        rule.holds(&Subject::new(key.as_bytes(), &KeySpace::default()))
    }

    #[test]
    fn all_terms_must_hold() {
        let key = "/registry/configmaps/kube-system/kubeadm-config";
        for rule in [
            "resource=configmaps",
            "namespace=kube-system",
            "name=kubeadm-config",
            " resource = configmaps , namespace=kube-system ",
            "key=/registry/configmaps/*",
            "key=/registry/configmaps/kube-system/kubeadm-config",
            "key=*kubeadm*",
            "key=*",
        ] {
            assert!(holds(rule, key), "{rule}");
        }
        for rule in [
            "resource=configmap",
            "resource=configmaps.apps",
            "resource=configmaps,namespace=lab",
            "namespace=lab",
            "key=/registry/configmaps",
            "key=/registry/*/kubeadm",
            "key=*x*",
        ] {
            assert!(!holds(rule, key), "{rule}");
        }
        assert!(holds(
            "resource=deployments.apps",
            "/registry/deployments/lab/web"
        ));
        assert!(holds(
            "resource=widgets.example.com",
            "/registry/example.com/widgets/lab/web"
        ));
        assert!(!holds(
            "resource=configmaps",
            "/elsewhere/configmaps/lab/web"
        ));
    }

    #[test]
    fn a_slip_in_a_rule_is_explained() {
        for (rule, expected) in [
            ("", "a term is empty"),
            ("resource=pods,", "a term is empty"),
            ("pods", "write `resource=pods`"),
            ("resorce=pods", "did you mean `resource`?"),
            ("namespace", "write `namespace=VALUE`"),
            ("namespace=", "write `namespace=VALUE`"),
            ("colour=red", "there are resource, namespace, name, key"),
            ("resource=config*", "patterns go with `key=`"),
            ("resource=a,resource=b", "give two rules"),
        ] {
            let error = Rule::parse(rule).expect_err(rule).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, key, like) in [
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
        ] {
            assert_eq!(
                is_like(pattern.as_bytes(), key.as_bytes()),
                like,
                "{pattern} {key}"
            );
        }
    }
}
