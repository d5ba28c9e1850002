//! What is asked of a recording, and which chunks cannot know the answer.

use std::ops::{Range, RangeInclusive};

use crate::record::index::{Term, may_hold};
use crate::record::schema::v1::ChunkIndex;

/// What is asked of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The earliest time, in nanoseconds since 1970; it is included.
    pub from: Option<u64>,
    /// The latest; it is included.
    pub to: Option<u64>,
    /// Only what was whole within one of these; in order, and apart.
    pub within: Option<Vec<Range<u64>>>,
    /// Each of these is so of every line that is asked for. Chunks whose lines
    /// cannot all be so are passed by, with the messages in them; the lines that
    /// come are still to be asked one by one.
    pub terms: Vec<AnyOf>,
    /// The same for revisions: chunks in which no line names one of these are
    /// passed by.
    pub revisions: Option<RangeInclusive<i64>>,
    /// Which kinds of records come.
    pub wants: Wants,
}

/// Which kinds of records are asked for. Losses always come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// Lines of the log.
    pub lines: bool,
    /// Messages and parts of great ones.
    pub messages: bool,
    /// Header blocks.
    pub headers: bool,
}

impl Wants {
    /// All there is.
    pub const ALL: Wants = Wants {
        lines: true,
        messages: true,
        headers: true,
    };

    /// Only lines.
    pub const LINES: Wants = Wants {
        lines: true,
        messages: false,
        headers: false,
    };
}

/// One of these is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf(pub Vec<Asked>);

/// A fact that is asked for; [`Term`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A key, whole.
    Key(Box<[u8]>),
    /// A resource.
    Resource(Box<str>),
    /// A namespace.
    Namespace(Box<str>),
    /// An object's name.
    Name(Box<str>),
    /// A method, without its service.
    Method(Box<str>),
}

impl Asked {
    fn term(&self) -> Term<'_> {
        match self {
            Asked::Key(key) => Term::Key(key),
            Asked::Resource(resource) => Term::Resource(resource),
            Asked::Namespace(namespace) => Term::Namespace(namespace),
            Asked::Name(name) => Term::Name(name),
            Asked::Method(method) => Term::Method(method),
        }
    }
}

impl Query {
    /// Everything of these kinds.
    pub fn all(wants: Wants) -> Query {
        Query {
            from: None,
            to: None,
            within: None,
            terms: Vec::new(),
            revisions: None,
            wants,
        }
    }

    /// Whether a record of that time is asked for.
    pub fn asks_for(&self, at: u64) -> bool {
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at <= to)
            && self.is_within(at, at)
    }

    /// Whether a window has a moment from `from` to `to`.
    fn is_within(&self, from: u64, to: u64) -> bool {
        let Some(windows) = &self.within else {
            return true;
        };
        let after = windows.partition_point(|window| window.end <= from);
        windows.get(after).is_some_and(|window| window.start <= to)
    }

    /// Whether a chunk may hold something that is asked for.
    pub fn may_want(&self, index: &ChunkIndex) -> bool {
        if self.from.is_some_and(|from| index.to_ns < from)
            || self.to.is_some_and(|to| index.from_ns > to)
            || !self.is_within(index.from_ns, index.to_ns)
        {
            return false;
        }
        if self.terms.is_empty() && self.revisions.is_none() {
            return true;
        }
        // Terms and revisions are a line's.
        index.lines > 0
            && self.revisions.as_ref().is_none_or(|asked| {
                index.most_revision >= *asked.start() && index.least_revision <= *asked.end()
            })
            && self.terms.iter().all(|AnyOf(any)| {
                any.iter()
                    .any(|asked| may_hold(&index.bloom, index.bloom_hashes, asked.term()))
            })
    }
}
