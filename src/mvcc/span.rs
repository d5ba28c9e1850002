//! Keys from one to another, as etcd writes them.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

/// Keys from `start` on, up to an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first key.
    pub start: Bytes,
    /// Where it ends.
    pub end: End,
}

/// Where a span ends. The order is that of the keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Before this key.
    Before(Bytes),
    /// There is no end.
    Open,
}

impl Span {
    /// Every key.
    pub fn all() -> Span {
        Span {
            start: Bytes::new(),
            end: End::Open,
        }
    }

    /// One key.
    pub fn key(key: &Bytes) -> Span {
        Span {
            start: key.clone(),
            end: End::Before(next(key)),
        }
    }

    /// What `key` and `range_end` of a request mean: one key without an end, all
    /// that follow where the end is one zero byte.
    pub fn asked(key: &Bytes, range_end: &Bytes) -> Span {
        match range_end.as_ref() {
            [] => Span::key(key),
            [0] => Span {
                start: key.clone(),
                end: End::Open,
            },
            _ => Span {
                start: key.clone(),
                end: End::Before(range_end.clone()),
            },
        }
    }

    /// What they mean of a watch, to which no key is the first one.
    pub fn watched(key: &Bytes, range_end: &Bytes) -> Span {
        match key.is_empty() {
            true => Span::asked(&Bytes::from_static(&[0]), range_end),
            false => Span::asked(key, range_end),
        }
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if *end <= self.start)
    }

    /// Whether it is one key.
    pub fn is_key(&self) -> bool {
        let End::Before(end) = &self.end else {
            return false;
        };
        end.len() == self.start.len() + 1 && end.ends_with(&[0]) && end.starts_with(&self.start)
    }

    /// Whether the key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref() <= key
            && match &self.end {
                End::Before(end) => key < end.as_ref(),
                End::Open => true,
            }
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Span) -> bool {
        other.is_empty() || (self.start <= other.start && other.end <= self.end)
    }

    /// What is in both.
    pub fn and(&self, other: &Span) -> Span {
        Span {
            start: (&self.start).max(&other.start).clone(),
            end: (&self.end).min(&other.end).clone(),
        }
    }

    /// For `BTreeMap::range`; `None` if it is empty, which that would not take.
    pub(super) fn bounds(&self) -> Option<Bounds<'_>> {
        let end = match &self.end {
            End::Before(end) => Bound::Excluded(end.as_ref()),
            End::Open => Bound::Unbounded,
        };
        (!self.is_empty()).then_some((Bound::Included(self.start.as_ref()), end))
    }
}

/// Where keys begin and where they end.
type Bounds<'s> = (Bound<&'s [u8]>, Bound<&'s [u8]>);

/// The key that follows.
fn next(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.escape_ascii();
        match &self.end {
            _ if self.is_key() => write!(f, "{start}"),
            End::Open => write!(f, "the keys from {start} on"),
            End::Before(end) => write!(f, "the keys from {start} to {}", end.escape_ascii()),
        }
    }
}
