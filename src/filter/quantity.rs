//! Numbers, durations and times, and reckoning with them.

use super::fact::{Fact, Facts};
use super::name::Name;

/// A number of some kind, as it is made of facts. Durations and times count in
/// nanoseconds. The compiler has seen that the kinds go together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Quantity {
    Literal(i64),
    Of(Name),
    Negative(Box<Quantity>),
    Of2(Box<Quantity>, Operator, Box<Quantity>),
}

/// How two are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

impl Quantity {
    /// How much it is; `None` where a fact is absent, or where there is no such
    /// number (it is too large, or over zero).
    pub fn value<F: Facts + ?Sized>(&self, facts: &F) -> Option<i64> {
        match self {
            Quantity::Literal(number) => Some(*number),
            Quantity::Of(name) => match facts.fact(*name)? {
                Fact::Number(number) | Fact::Duration(number) | Fact::Time(number) => Some(number),
                _ => None,
            },
            Quantity::Negative(of) => of.value(facts)?.checked_neg(),
            Quantity::Of2(left, operator, right) => {
                let (left, right) = (left.value(facts)?, right.value(facts)?);
                match operator {
                    Operator::Plus => left.checked_add(right),
                    Operator::Minus => left.checked_sub(right),
                    Operator::Times => left.checked_mul(right),
                    Operator::Over => left.checked_div(right),
                    Operator::Modulo => left.checked_rem(right),
                }
            }
        }
    }

    /// If it is the same for all facts: how much it is.
    pub fn constant(&self) -> Option<i64> {
        struct Nothing;
        impl Facts for Nothing {
            fn fact(&self, _: Name) -> Option<Fact<'_>> {
                None
            }
        }
        // What asks for a fact has no value here.
        self.value(&Nothing)
    }
}
