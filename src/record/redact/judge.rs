//! Whether a value is to be replaced: by its key, and by what it says of itself.

use super::Why;
use super::policy::{Policy, Values};
use super::shape::{Role, Shape, Shapes};
use super::walk::{Field, next_field};
use crate::kube::secret::is_secret_value;

/// What is known about the values of a message at some place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There was no key yet.
    NoKey,
    /// There was one, and it asks for nothing.
    Show,
    /// They are replaced.
    Hide(Why),
}

impl Verdict {
    /// What two keys of one message lead to.
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Hide(_), _) | (_, Verdict::NoKey) => self,
            _ => other,
        }
    }
}

/// What the keys in a message say of its values, wherever they stand in it.
pub(super) fn judge_message(policy: &Policy, shape: &Shape, message: &[u8]) -> Verdict {
    let mut verdict = Verdict::NoKey;
    let mut rest = message;
    loop {
        match next_field(rest) {
            Field::Number { len } | Field::Fixed { len, .. } => {
                rest = rest.get(len..).unwrap_or_default();
            }
            Field::Bytes { number, head, len } => {
                let Some(bytes) = rest[head..].get(..usize::try_from(len).unwrap_or(usize::MAX))
                else {
                    return verdict;
                };
                verdict = verdict.and(judge_field(policy, shape.role(number), bytes));
                rest = &rest[head + bytes.len()..];
            }
            // What is broken here will be found to be so when it is walked.
            Field::Short | Field::Broken => return verdict,
        }
    }
}

/// What one field says of the values beside it.
pub(super) fn judge_field(policy: &Policy, role: Role, bytes: &[u8]) -> Verdict {
    match role {
        // No key in etcd is empty.
        Role::Key if !bytes.is_empty() => policy.judge_key(bytes),
        // The election's keys begin so, and go on with a slash.
        Role::Election if !bytes.is_empty() => policy.judge_key(&[bytes, b"/"].concat()),
        // A range of keys may hold any.
        Role::RangeEnd if !bytes.is_empty() => Verdict::Hide(policy.keyless()),
        Role::Nested(inner) => {
            let inner = Shapes::built_in().shape(inner);
            match inner.lends_key {
                true => judge_message(policy, inner, bytes),
                false => Verdict::NoKey,
            }
        }
        _ => Verdict::NoKey,
    }
}

/// Whether a value is replaced, and why. `cut` says that only its beginning is
/// there.
pub(super) fn judge_value(
    policy: &Policy,
    verdict: Verdict,
    value: &[u8],
    cut: bool,
) -> Option<Why> {
    match verdict {
        Verdict::Hide(why) => Some(why),
        Verdict::NoKey => Some(policy.keyless()),
        Verdict::Show => (policy.values == Values::Redacted && is_secret_value(value, cut))
            .then_some(Why::Secret),
    }
}
