//! What was replaced in a message.

use std::fmt;

use super::key::Hash;

/// Ranges that are listed of one message; more are only counted.
pub const MOST_LISTED: usize = 1024;

/// What was replaced in one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The ranges in the order of the message, [`MOST_LISTED`] at most.
    pub redacted: Vec<Redacted>,
    /// How many more there are.
    pub unlisted: u64,
    /// Bytes that were replaced in all.
    pub bytes: u64,
    /// All bytes came that the message's prefix had announced.
    pub whole: bool,
}

impl Findings {
    /// Nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.redacted.is_empty()
    }

    pub(super) fn add(&mut self, redacted: Redacted) {
        self.bytes += redacted.length;
        if self.redacted.len() < MOST_LISTED {
            self.redacted.push(redacted);
        } else {
            self.unlisted += 1;
        }
    }
}

/// A range of a message that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redacted {
    /// Where it begins, in bytes from the beginning of the message.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// The hash of what stood there; `None` where not even that is told: of
    /// fewer than four bytes, and of what carries credentials.
    pub hash: Option<Hash>,
    /// Why it was replaced.
    pub why: Why,
}

/// Why something was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// It is the value of a Secret, or nothing says whose value it is.
    Secret,
    /// It is a token, or its encoding.
    Token,
    /// A rule of the user's.
    Rule,
    /// No values are kept at all.
    ValuesNone,
    /// It could not be decoded, or is a part of the whole database.
    Undecodable,
    /// A field that etcd's schema, as we know it, does not have.
    UnknownField,
    /// A message that carries a password or gives a token.
    Credentials,
}

impl Why {
    /// The name in recordings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Secret => "secret",
            Why::Token => "token",
            Why::Rule => "rule",
            Why::ValuesNone => "values_none",
            Why::Undecodable => "undecodable",
            Why::UnknownField => "unknown_field",
            Why::Credentials => "credentials",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
