//! What an index can make of a filter: what has to be so for anything to pass.

use super::name::{Kind, Name};
use super::quantity::Quantity;
use super::test::{Relation, ResourceIs, Test, Wording};

/// What all that passes has for certain. What is not among the terms may still be
/// asked: who skips by terms has to ask the filter about the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Of each of these, the fact is there and is one of the values.
    pub any_of: Vec<AnyOf>,
    /// The key begins with each of these.
    pub key_prefixes: Vec<Box<[u8]>>,
    /// The earliest time, in nanoseconds since 1970; it is included.
    pub from: Option<i64>,
    /// The latest time; it is included.
    pub until: Option<i64>,
}

/// A fact, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf {
    /// Which fact.
    pub name: Name,
    /// What it may be; never empty.
    pub values: Vec<Literal>,
}

/// A value that stands in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Text, or the bytes of a key.
    Text(Box<[u8]>),
    /// A number, or a duration or time in nanoseconds.
    Number(i64),
}

impl Terms {
    /// The values that a fact may have; `None` for any.
    pub fn values(&self, name: Name) -> Option<&[Literal]> {
        let any = self.any_of.iter().find(|any| any.name == name)?;
        Some(&any.values)
    }

    pub(super) fn of(test: &Test) -> Terms {
        let mut terms = Terms::default();
        terms.add(test);
        terms
    }

    fn add(&mut self, test: &Test) {
        match test {
            Test::All(tests) => tests.iter().for_each(|test| self.add(test)),
            Test::Any(tests) => self.any_of.extend(joined(tests)),
            Test::Text {
                of: Name::Key,
                is: Wording::Begins(prefix),
                wanted: true,
            } => self.key_prefixes.push(prefix.clone()),
            Test::Resource { any, wanted: true } => {
                self.any_of.extend(one_of(test));
                // A group only where it is the same for all.
                if let [
                    ResourceIs {
                        group: Some(group), ..
                    },
                ] = &**any
                {
                    self.any_of.push(AnyOf {
                        name: Name::Group,
                        values: vec![Literal::Text(group.clone())],
                    });
                }
            }
            Test::Number(Name::Time, relation, at) => self.bound(*relation, *at),
            other => self.any_of.extend(one_of(other)),
        }
    }

    fn bound(&mut self, relation: Relation, at: i64) {
        let later = |than: Option<i64>, at: i64| Some(than.map_or(at, |than| than.max(at)));
        let sooner = |than: Option<i64>, at: i64| Some(than.map_or(at, |than| than.min(at)));
        match relation {
            Relation::Equal => {
                self.from = later(self.from, at);
                self.until = sooner(self.until, at);
            }
            Relation::Unequal => {}
            Relation::More | Relation::AtLeast => self.from = later(self.from, at),
            Relation::Less | Relation::AtMost => self.until = sooner(self.until, at),
        }
    }
}

/// If the test says what one fact may be.
fn one_of(test: &Test) -> Option<AnyOf> {
    let texts = |values: &[Box<[u8]>]| values.iter().cloned().map(Literal::Text).collect();
    let (name, values): (Name, Vec<Literal>) = match test {
        Test::Text {
            of,
            is: Wording::OneOf(values),
            wanted: true,
        } => (*of, texts(values)),
        Test::Fault {
            is: Wording::OneOf(values),
            wanted: true,
        } => (Name::Fault, texts(values)),
        Test::Resource { any, wanted: true } => {
            let values = any.iter().map(|is| Literal::Text(is.resource.clone()));
            (Name::Resource, values.collect())
        }
        Test::Number(name, Relation::Equal, value) => (*name, vec![Literal::Number(*value)]),
        Test::OneOf {
            of: Quantity::Of(name),
            any,
        } if name.kind() != Kind::Time => {
            (*name, any.iter().copied().map(Literal::Number).collect())
        }
        _ => return None,
    };
    (!values.is_empty()).then_some(AnyOf { name, values })
}

/// `verb == "get" || verb == "list"` is `verb in ["get", "list"]`.
fn joined(tests: &[Test]) -> Option<AnyOf> {
    let mut all = tests.iter().map(one_of);
    let mut first = all.next()??;
    for next in all {
        let next = next.filter(|next| next.name == first.name)?;
        first.values.extend(next.values);
    }
    Some(first)
}
