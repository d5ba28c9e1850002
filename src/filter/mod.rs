//! One language for "which of these": a line of the log, a record of a
//! recording, a call that a fault is about.
//!
//! It is a part of CEL, the language of Kubernetes' own rules:
//! `resource == "pods" && duration > 100ms`. The `cel` crate reads it; what it
//! reads is turned, once, into a small tree of typed tests, and that is what runs
//! a million times on borrowed facts. `docs/filter.md` is the language's page.
//!
//! | file | |
//! |---|---|
//! | [`token`] | the text, cut; units of time and size, which CEL does not have |
//! | [`parse`] | the tokens, read by the `cel` crate; places come back as the user's |
//! | [`compile`] | types, names and values are held against a vocabulary |
//! | [`test`] | the tree that is left, and how it runs |
//! | [`name`], [`vocabulary`] | what can be asked about, and where |
//! | [`fact`] | what answers |
//! | [`known`] | the facts of connections, operations and requests |
//! | [`terms`] | what an index can make of a filter |

mod compile;
mod fact;
pub(crate) mod known;
mod mistake;
mod moment;
mod name;
mod parse;
mod quantity;
mod terms;
mod test;
mod token;
mod vocabulary;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use fact::{Fact, Facts, Made};
pub use mistake::Mistake;
pub use name::{Kind, Name};
pub use terms::{AnyOf, Literal, Terms};
pub use vocabulary::Vocabulary;

use test::Test;
use vocabulary::Names;

/// A filter that can be asked. Cheap to clone; two are equal if their texts are.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    test: Test,
    names: Names,
}

impl Filter {
    /// Reads a filter that may speak of what the vocabulary has.
    ///
    /// # Errors
    /// What is wrong and where: at most one mistake, the first.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Filter, Mistake> {
        let tokens = token::cut(text)?;
        let (test, names) = parse::with_tree(text, &tokens, |tree| {
            compile::compile(tree, text, &tokens, vocabulary)
        })?;
        Ok(Filter(Arc::new(Compiled {
            text: text.into(),
            test,
            names,
        })))
    }

    /// Whether these facts pass. Never fails, and allocates nothing.
    pub fn passes<F: Facts + ?Sized>(&self, facts: &F) -> bool {
        self.0.test.holds(facts)
    }

    /// The text, as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it asks about this.
    pub fn asks(&self, name: Name) -> bool {
        self.0.names.contains(name)
    }

    /// What everything that passes has for certain.
    pub fn requires(&self) -> Terms {
        Terms::of(&self.0.test)
    }
}

impl FromStr for Filter {
    type Err = Mistake;

    /// Reads a filter of the log.
    fn from_str(text: &str) -> Result<Filter, Mistake> {
        Filter::parse(text, &Vocabulary::LOG)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Filter) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.0.text).finish()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests;
