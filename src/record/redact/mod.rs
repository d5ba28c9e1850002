//! What of the traffic may stand in a file.
//!
//! The relay fails open, the recorder fails closed: by default values of
//! Secrets, tokens, and all that cannot be decoded are replaced before a
//! recording is written. `docs/redaction.md` says what is replaced, how, and
//! what that does not promise.
//!
//! A [`Redactor`] takes one message of one call, in one piece or in several, and
//! gives back as many bytes at the same places: so no length in the message
//! changes, it can still be decoded, and sizes stay true. What is replaced
//! becomes stars with a [`Hash`] at their end, which is keyed per recording:
//! equal values stay recognisable, and nothing can be read back.
//!
//! | file | concern |
//! |---|---|
//! | `policy`, `rule` | what the user wants kept and replaced |
//! | `key` | the key of a recording, and its hashes |
//! | `method` | what becomes of a message, before its first byte is seen |
//! | `shape` | etcd's messages: which fields are keys, values, messages |
//! | `walk` | a message's fields, as they come; what is to be replaced |
//! | `judge` | whether a value is to be replaced |
//! | `redactor`, `findings` | the replacing; what was found |
//! | `metadata` | header fields |

mod findings;
mod judge;
mod key;
mod metadata;
mod method;
mod policy;
mod redactor;
mod rule;
mod shape;
mod walk;

pub use findings::{Findings, MOST_LISTED, Redacted, Why};
pub use key::{Hash, RecordingKey, RecordingKeyError, redacted_hash};
pub use metadata::{Shown, metadata};
pub(super) use method::{Plan, plan};
pub use method::{Treatment, treatment, treatment_of_http1};
pub use policy::{Policy, UnknownValues, Values};
pub use redactor::{MOST_HELD, Redactor};
pub use rule::{Rule, RuleError, Subject};

pub use crate::kube::token::scrub as scrub_text;

#[cfg(test)]
mod tests;
