//! Rules of the user's: whose values are replaced besides (`--redact`).

use std::fmt;

use crate::filter::{Fact, Facts, Filter, Mistake, Name, Vocabulary};
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

impl Facts for Subject<'_> {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        Some(match name {
            Name::Key => Fact::Bytes(self.key),
            Name::Resource => Fact::Text(self.object?.resource),
            Name::Group => Fact::Text(self.object?.group?),
            Name::Namespace => Fact::Text(self.object?.namespace?),
            Name::ObjectName => Fact::Text(self.object?.name?),
            _ => return None,
        })
    }
}

/// Whose values are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Is);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    /// Those of the keys for which all terms hold.
    Terms(Vec<Term>),
    /// Those of the keys that pass.
    Filter(Filter),
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
    /// Reads `resource=configmaps,namespace=kube-system`, `key=/registry/foo/*`, or a
    /// filter that asks about a key: `resource == "configmaps" && name != "public"`.
    ///
    /// # Errors
    /// What is wrong with it; of a filter that asks about more than a key, that too.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        if is_filter(text) {
            return match Filter::parse(text, &Vocabulary::STORED) {
                Ok(filter) => Ok(Rule(Is::Filter(filter))),
                Err(mistake) => Err(RuleError {
                    rule: text.to_owned(),
                    what: What::Mistake(mistake),
                }),
            };
        }
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
            if value.starts_with(['"', '\'']) || name != "key" && value.contains(OF_FILTERS) {
                return Err(error(What::HalfAFilter(name.to_owned(), value.to_owned())));
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
        Ok(Rule(Is::Terms(terms)))
    }

    /// Whether the value of `subject` is to be replaced.
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        match &self.0 {
            Is::Terms(terms) => terms.iter().all(|term| term.holds(subject)),
            Is::Filter(filter) => filter.passes(subject),
        }
    }
}

/// What stands in filters, and in no name of a resource, namespace or object.
const OF_FILTERS: [char; 10] = ['"', '\'', '&', '|', '(', ')', '<', '>', '!', '='];

/// Whether a text is a filter: it does not begin as a term does, and has a sign that
/// filters have.
fn is_filter(text: &str) -> bool {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let rest = text.trim_start().trim_start_matches(is_name).trim_start();
    let is_term = rest.starts_with('=') && !rest.starts_with("==");
    !is_term && text.contains(OF_FILTERS)
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
        let terms = match &self.0 {
            Is::Terms(terms) => terms,
            Is::Filter(filter) => return filter.fmt(f),
        };
        for (i, term) in terms.iter().enumerate() {
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
    HalfAFilter(String, String),
    Twice(String),
    Mistake(Mistake),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let What::Mistake(mistake) = &self.what {
            // It shows the text, and the place in it.
            return mistake.fmt(f);
        }
        write!(f, "`{}` is not a rule of redaction: ", self.rule)?;
        match &self.what {
            What::Mistake(_) => Ok(()),
            What::HalfAFilter(name, value) => {
                let value = value.trim_matches(['"', '\'']);
                let value = value.split(OF_FILTERS).next().unwrap_or_default().trim_end();
                write!(
                    f,
                    "it is half a filter; a filter compares with two signs and has quotes, as in \
                     `{name} == \"{value}\"`, and a term has neither, as in `{name}={value}`"
                )
            }
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
            ("resource=\"pods\"", "as in `resource == \"pods\"`"),
            ("key=\"/registry/x/*\"", "as in `key=/registry/x/*`"),
            ("resource=pods && namespace=lab", "as in `resource=pods`"),
            ("resource == pods", "text stands in quotes: \"pods\""),
            ("resorce == \"pods\"", "did you mean resource?"),
            ("namespace == \"lab\" &&", "column"),
        ] {
            let error = Rule::parse(rule).expect_err(rule).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_filter_is_a_rule() {
        let key = "/registry/configmaps/kube-system/kubeadm-config";
        for rule in [
            "resource == \"configmaps\" && namespace == \"kube-system\"",
            "resource in [\"leases\", \"configmaps\"]",
            "!(resource == \"pods\")",
            "name.matches('^kubeadm-')",
            "key.startsWith(\"/registry/configmaps/\")",
            "!has(group)",
        ] {
            assert!(holds(rule, key), "{rule}");
        }
        for rule in [
            "resource == \"configmaps\" && namespace != \"kube-system\"",
            "resource == \"configmaps.apps\"",
            "has(group) || name == \"public\"",
        ] {
            assert!(!holds(rule, key), "{rule}");
        }
        // Such a pattern is none.
        assert!(holds("key=/elsewhere/a==(b)*", "/elsewhere/a==(b)c"));
        assert!(holds(
            "resource == \"deployments.apps\"",
            "/registry/deployments/lab/web"
        ));
    }

    #[test]
    fn a_filter_may_ask_only_what_a_key_tells() {
        for (rule, name) in [
            ("duration > 100ms", "duration"),
            ("resource == \"pods\" && status != \"OK\"", "status"),
            ("kind == \"Pod\"", "kind"),
            ("client.startsWith(\"10.\")", "client"),
            ("verb == \"create\"", "verb"),
        ] {
            let error = Rule::parse(rule).expect_err(rule).to_string();
            let expected = format!("\"{name}\" is not known of a value before it is written down");
            assert!(error.contains(&expected), "{error}");
            let known = "known are key, resource, group, namespace, name";
            assert!(error.contains(known), "{error}");
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
