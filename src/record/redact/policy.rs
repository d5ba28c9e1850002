//! What the user wants kept and replaced.

use std::fmt;

use super::judge::Verdict;
use super::key::RecordingKey;
use super::rule::{Rule, Subject};
use super::{Hash, Why};
use crate::kube::key::KeySpace;
use crate::kube::secret::is_secret_key;
use crate::notation::nearest;

/// Which values a recording keeps (`--record-values`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// All but those of Secrets; no tokens, nothing that cannot be decoded.
    #[default]
    Redacted,
    /// All. Passwords, and tokens in metadata, are not kept even so.
    All,
    /// None at all.
    None,
}

impl Values {
    /// The values of the flag.
    pub const NAMES: [&str; 3] = ["redacted", "all", "none"];

    /// Reads the flag.
    pub fn parse(text: &str) -> Result<Values, UnknownValues> {
        match text {
            "redacted" => Ok(Values::Redacted),
            "all" => Ok(Values::All),
            "none" => Ok(Values::None),
            _ => Err(UnknownValues(text.to_owned())),
        }
    }

    /// How the flag spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Values::Redacted => "redacted",
            Values::All => "all",
            Values::None => "none",
        }
    }
}

/// A word that is none of [`Values::NAMES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownValues(String);

impl fmt::Display for UnknownValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownValues(text) = self;
        write!(
            f,
            "`{text}` is not a choice of values; `redacted` keeps all but those of Secrets, `all` \
             keeps all, `none` keeps none"
        )?;
        match nearest(text, Values::NAMES) {
            Some(meant) => write!(f, " (did you mean `{meant}`?)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownValues {}

/// What of a recording's messages is kept and what replaced.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which values are kept.
    pub values: Values,
    /// Values that are replaced besides; one that holds is enough.
    pub rules: Vec<Rule>,
    /// The recording's key.
    pub key: RecordingKey,
    /// Where the API server keeps its objects (`--etcd-prefix`); rules about
    /// resources and namespaces need it, the rest does not.
    pub key_space: KeySpace,
}

impl Policy {
    /// The default policy, with a key.
    pub fn new(key: RecordingKey) -> Policy {
        Policy {
            values: Values::Redacted,
            rules: Vec::new(),
            key,
            key_space: KeySpace::default(),
        }
    }

    /// Nothing is replaced that may be kept at all.
    pub(super) fn keeps_all(&self) -> bool {
        self.values == Values::All && self.rules.is_empty()
    }

    /// Tokens are replaced wherever they stand.
    pub(super) fn hides_tokens(&self) -> bool {
        self.values != Values::All
    }

    /// What follows from a value's key.
    pub(super) fn judge_key(&self, key: &[u8]) -> Verdict {
        if self.values == Values::Redacted && is_secret_key(key) {
            return Verdict::Hide(Why::Secret);
        }
        let ruled = || {
            let subject = Subject::new(key, &self.key_space);
            self.rules.iter().any(|rule| rule.holds(&subject))
        };
        if !self.rules.is_empty() && ruled() {
            return Verdict::Hide(Why::Rule);
        }
        if self.values == Values::None {
            return Verdict::Hide(Why::ValuesNone);
        }
        Verdict::Show
    }

    /// What becomes of a value of which nothing says whose it is.
    pub(super) fn keyless(&self) -> Why {
        match self.values {
            Values::Redacted => Why::Secret,
            Values::All => Why::Rule,
            Values::None => Why::ValuesNone,
        }
    }

    /// The hash of a value, with this recording's key.
    pub fn hash(&self, value: &[u8]) -> Hash {
        self.key.hash(value)
    }
}
