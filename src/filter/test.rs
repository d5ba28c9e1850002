//! A filter as it runs: tests on borrowed facts.

use regex::bytes::Regex;

use super::fact::{Fact, Facts};
use super::moment::DAY;
use super::name::Name;
use super::quantity::Quantity;

/// What is tested. A test of a fact that is absent does not hold.
#[derive(Debug)]
pub(super) enum Test {
    Always(bool),
    All(Box<[Test]>),
    Any(Box<[Test]>),
    Not(Box<Test>),
    /// If the first holds, the second; if not, the third.
    Either(Box<(Test, Test, Test)>),
    /// The fact is there.
    Has(Name),
    /// It is there and yes.
    Flag(Name),
    Text {
        of: Name,
        is: Wording,
        /// Whether it is to be so, or there and otherwise.
        wanted: bool,
    },
    /// Two texts of the same facts.
    Texts(Name, Relation, Name),
    /// The resource, with its group where one is named.
    Resource {
        any: Box<[ResourceIs]>,
        wanted: bool,
    },
    /// One fault's name is so; or faults struck, and none is.
    Fault {
        is: Wording,
        wanted: bool,
    },
    /// A number against a number that is known: most tests of numbers.
    Number(Name, Relation, i64),
    Numbers(Quantity, Relation, Quantity),
    OneOf {
        of: Quantity,
        any: Box<[i64]>,
    },
    /// A time against the time of a day.
    OfDay(Quantity, Relation, i64),
}

/// How a text is.
#[derive(Debug)]
pub(super) enum Wording {
    OneOf(Box<[Box<[u8]>]>),
    /// A service with or without its package.
    Service(Box<[Box<[u8]>]>),
    Begins(Box<[u8]>),
    Ends(Box<[u8]>),
    Contains(Box<[u8]>),
    Matches(Box<Regex>),
    Is(Relation, Box<[u8]>),
}

/// A resource that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceIs {
    pub resource: Box<[u8]>,
    /// `None` for any.
    pub group: Option<Box<[u8]>>,
}

/// How two things stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Relation {
    #[inline]
    pub fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Relation::Equal => left == right,
            Relation::Unequal => left != right,
            Relation::Less => left < right,
            Relation::AtMost => left <= right,
            Relation::More => left > right,
            Relation::AtLeast => left >= right,
        }
    }

    /// The same, said from the other side.
    pub fn turned(self) -> Relation {
        match self {
            Relation::Less => Relation::More,
            Relation::AtMost => Relation::AtLeast,
            Relation::More => Relation::Less,
            Relation::AtLeast => Relation::AtMost,
            same => same,
        }
    }
}

impl Test {
    /// Whether it holds. Deep tests are refused before they are built.
    pub fn holds<F: Facts + ?Sized>(&self, facts: &F) -> bool {
        match self {
            Test::Always(holds) => *holds,
            Test::All(tests) => tests.iter().all(|test| test.holds(facts)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(facts)),
            Test::Not(test) => !test.holds(facts),
            Test::Either(tests) => match tests.0.holds(facts) {
                true => tests.1.holds(facts),
                false => tests.2.holds(facts),
            },
            Test::Has(Name::Fault) => facts.any_fault(&mut |_| true),
            Test::Has(name) => facts.fact(*name).is_some(),
            Test::Flag(name) => facts.fact(*name) == Some(Fact::Flag(true)),
            Test::Text { of, is, wanted } => with_text(facts, *of, |text| is.fits(text) == *wanted),
            Test::Texts(left, relation, right) => with_text(facts, *left, |left| {
                with_text(facts, *right, |right| relation.holds(left, right))
            }),
            Test::Resource { any, wanted } => with_text(facts, Name::Resource, |resource| {
                any.iter().any(|is| is.fits(resource, facts)) == *wanted
            }),
            Test::Fault { is, wanted } => {
                let mut struck = false;
                let fits = facts.any_fault(&mut |name| {
                    struck = true;
                    is.fits(name.as_bytes())
                });
                struck && fits == *wanted
            }
            Test::Number(of, relation, number) => match facts.fact(*of) {
                Some(Fact::Number(fact) | Fact::Duration(fact) | Fact::Time(fact)) => {
                    relation.holds(&fact, number)
                }
                _ => false,
            },
            Test::Numbers(left, relation, right) => match (left.value(facts), right.value(facts)) {
                (Some(left), Some(right)) => relation.holds(&left, &right),
                _ => false,
            },
            Test::OneOf { of, any } => of.value(facts).is_some_and(|fact| any.contains(&fact)),
            Test::OfDay(of, relation, time) => of
                .value(facts)
                .is_some_and(|fact| relation.holds(&fact.rem_euclid(DAY), time)),
        }
    }
}

impl Wording {
    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Wording::OneOf(any) => any.iter().any(|one| **one == *text),
            Wording::Service(any) => any.iter().any(|one| {
                **one == *text
                    || text
                        .strip_suffix(&**one)
                        .is_some_and(|package| package.ends_with(b"."))
            }),
            Wording::Begins(with) => text.starts_with(with),
            Wording::Ends(with) => text.ends_with(with),
            Wording::Contains(part) => contains(text, part),
            Wording::Matches(pattern) => pattern.is_match(text),
            Wording::Is(relation, other) => relation.holds(text, &**other),
        }
    }
}

impl ResourceIs {
    fn fits<F: Facts + ?Sized>(&self, resource: &[u8], facts: &F) -> bool {
        *self.resource == *resource
            && self
                .group
                .as_ref()
                .is_none_or(|group| with_text(facts, Name::Group, |is| *is == **group))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else {
        return true;
    };
    text.iter()
        .enumerate()
        .any(|(at, byte)| byte == first && text[at + 1..].starts_with(rest))
}

/// What `holds` says of a text; an absent one does not.
#[inline]
fn with_text<F: Facts + ?Sized>(facts: &F, of: Name, holds: impl FnOnce(&[u8]) -> bool) -> bool {
    match facts.fact(of) {
        Some(Fact::Text(text)) => holds(text.as_bytes()),
        Some(Fact::Bytes(bytes)) => holds(bytes),
        Some(Fact::Made(made)) => holds(made.as_bytes()),
        _ => false,
    }
}
