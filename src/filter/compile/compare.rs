//! Two sides of a comparison: whether they go together, and whether it can hold.

use std::ops::Range;

use cel::common::ast::IdedExpr;

use super::{Compiler, Element, Outcome, Side, negated};
use crate::filter::mistake::Mistake;
use crate::filter::moment::{self, Moment};
use crate::filter::name::{Kind, Name};
use crate::filter::quantity::Quantity;
use crate::filter::test::{Relation, ResourceIs, Test, Wording};
use crate::grpc::Code;
use crate::kube::operation::Verb;
use crate::notation::nearest;

impl Compiler<'_> {
    pub(super) fn compare(
        &mut self,
        expr: &IdedExpr,
        relation: Relation,
        (left_expr, left): (&IdedExpr, Side),
        (right_expr, right): (&IdedExpr, Side),
    ) -> Outcome<Test> {
        let equality = matches!(relation, Relation::Equal | Relation::Unequal);
        let wanted = relation == Relation::Equal;
        // What is known stands right.
        let is_literal = |side: &Side| match side {
            Side::Words(_) => true,
            Side::Number(of) | Side::Duration(of) | Side::Time(of) => {
                matches!(of, Quantity::Literal(_))
            }
            Side::Condition(test) => matches!(test, Test::Always(_)),
            _ => false,
        };
        if is_literal(&left) && !is_literal(&right) {
            return self.compare(
                expr,
                relation.turned(),
                (right_expr, right),
                (left_expr, left),
            );
        }
        let kinds = (left.kind(), right.kind());
        match (left, right) {
            (Side::TextOf(of), Side::Words(words)) if equality => {
                let words = [(words, self.at(right_expr))];
                self.is_one_of(of, words.into(), wanted)
            }
            (Side::TextOf(of), Side::Words(words)) => Ok(Test::Text {
                of,
                is: Wording::Is(relation, words),
                wanted: true,
            }),
            (Side::TextOf(left), Side::TextOf(right)) => Ok(Test::Texts(left, relation, right)),
            (Side::Faults, Side::Words(words)) if equality => Ok(Test::Fault {
                is: Wording::OneOf([words].into()),
                wanted,
            }),
            (Side::Condition(test), Side::Condition(Test::Always(yes))) if equality => {
                Ok(if yes == wanted { test } else { negated(test) })
            }
            (Side::Condition(_), Side::Condition(_)) => Err(self
                .wrong(self.at(expr), "conditions are not compared")
                .hint("join them with && or ||; put ! before what shall not hold")),
            (Side::Time(of), Side::Words(words)) => {
                let words = String::from_utf8_lossy(&words);
                match moment::parse(&words) {
                    Some(Moment::At(nanos)) => Ok(numbers(of, relation, Quantity::Literal(nanos))),
                    Some(Moment::OfDay(nanos)) => Ok(Test::OfDay(of, relation, nanos)),
                    None => Err(self.no_moment(self.at(right_expr), &words)),
                }
            }
            (Side::Number(left), Side::Number(right))
            | (Side::Duration(left), Side::Duration(right))
            | (Side::Time(left), Side::Time(right)) => Ok(numbers(left, relation, right)),
            // No time at all needs no unit.
            (Side::Duration(left), Side::Number(Quantity::Literal(0))) => {
                Ok(numbers(left, relation, Quantity::Literal(0)))
            }
            (left, right) => Err(self.mismatch(expr, kinds, &left, (right_expr, &right))),
        }
    }

    /// Two kinds that do not go together.
    fn mismatch(
        &self,
        expr: &IdedExpr,
        kinds: (&str, &str),
        left: &Side,
        (right_expr, right): (&IdedExpr, &Side),
    ) -> Mistake {
        let right_at = self.at(right_expr);
        let written = |at: Range<usize>| &self.text[at];
        let what = match (left, right) {
            (Side::Words(_), Side::Words(_)) => {
                return self
                    .wrong(self.at(expr), "this compares two texts, and no fact")
                    .hint("names stand without quotes");
            }
            (Side::Faults, _) if kinds.1 == "text" => {
                return self
                    .wrong(self.at(expr), "names of faults are equal or not")
                    .hint("write fault == \"…\"");
            }
            (Side::TextOf(name), _)
            | (Side::Number(Quantity::Of(name)), _)
            | (Side::Duration(Quantity::Of(name)), _)
            | (Side::Time(Quantity::Of(name)), _)
            | (Side::Condition(Test::Flag(name)), _) => {
                format!("{name} is {}, and this is {}", name.kind(), kinds.1)
            }
            _ => format!("{} and {} are not compared", kinds.0, kinds.1),
        };
        let hint = match (left, right) {
            (Side::TextOf(_), Side::Number(_) | Side::Duration(_)) => Some(format!(
                "text stands in quotes: \"{}\"",
                written(right_at.clone())
            )),
            (Side::Duration(_), Side::Number(Quantity::Literal(number))) => {
                Some(format!("give it a unit: {number}ms, {number}s"))
            }
            (Side::Duration(_) | Side::Number(_), Side::Words(words)) => {
                Some(match std::str::from_utf8(words) {
                    Ok(words) if !words.is_empty() => format!("write it without quotes: {words}"),
                    _ => "write it without quotes".to_owned(),
                })
            }
            (Side::Time(_), _) => Some("write time > \"2026-11-03T08:05:00Z\"".to_owned()),
            (Side::Condition(Test::Flag(name)), _) => Some(format!("write {name} or !{name}")),
            (Side::Faults, _) => Some("write fault == \"…\"".to_owned()),
            (_, Side::List(_)) => Some("write name in […]".to_owned()),
            _ => None,
        };
        self.wrong(right_at, what).maybe(hint)
    }

    pub(super) fn is_in(
        &mut self,
        expr: &IdedExpr,
        one: &IdedExpr,
        list: &IdedExpr,
    ) -> Outcome<Test> {
        let side = self.side(one)?;
        let elements = match (&side, self.side(list)?) {
            (_, Side::List(elements)) => elements,
            (Side::Words(words), Side::Faults) => {
                return Ok(Test::Fault {
                    is: Wording::OneOf([words.clone()].into()),
                    wanted: true,
                });
            }
            (_, Side::TextOf(name)) => {
                let written = &self.text[self.at(one)];
                return Err(self
                    .wrong(self.at(expr), format!("{name} is text, and no list"))
                    .hint(format!("write {name}.contains({written})")));
            }
            (_, other) => {
                let what = format!(
                    "a list is expected behind \"in\", and this is {}",
                    other.kind()
                );
                return Err(self
                    .wrong(self.at(list), what)
                    .hint("write name in [\"…\", \"…\"]"));
            }
        };
        match side {
            Side::TextOf(of) => {
                let mut words = Vec::with_capacity(elements.len());
                for element in elements {
                    match element.side {
                        Side::Words(text) => words.push((text, element.at)),
                        other => return Err(self.no_element(of.kind(), other, element.at)),
                    }
                }
                self.is_one_of(of, words, true)
            }
            Side::Faults => {
                let mut words = Vec::with_capacity(elements.len());
                for element in elements {
                    match element.side {
                        Side::Words(text) => words.push(text),
                        other => return Err(self.no_element(Kind::Text, other, element.at)),
                    }
                }
                Ok(Test::Fault {
                    is: Wording::OneOf(words.into()),
                    wanted: true,
                })
            }
            Side::Number(of) => self.one_of_numbers(of, Kind::Number, elements),
            Side::Duration(of) => self.one_of_numbers(of, Kind::Duration, elements),
            other => {
                let what = format!("{} is not looked for in lists", other.kind());
                Err(self.wrong(self.at(one), what))
            }
        }
    }

    fn one_of_numbers(&self, of: Quantity, kind: Kind, elements: Vec<Element>) -> Outcome<Test> {
        let mut any = Vec::with_capacity(elements.len());
        for element in elements {
            let number = match &element.side {
                Side::Number(number) if kind == Kind::Number => number.constant(),
                Side::Duration(number) if kind == Kind::Duration => number.constant(),
                _ => None,
            };
            match number {
                Some(number) => any.push(number),
                None => return Err(self.no_element(kind, element.side, element.at)),
            }
        }
        Ok(Test::OneOf {
            of,
            any: any.into(),
        })
    }

    fn no_element(&self, kind: Kind, side: Side, at: Range<usize>) -> Mistake {
        let what = format!("the list is of {kind}, and this is {}", side.kind());
        self.wrong(at, what)
    }

    /// A fact that is one of these texts, each with its place.
    fn is_one_of(
        &self,
        of: Name,
        words: Vec<(Box<[u8]>, Range<usize>)>,
        wanted: bool,
    ) -> Outcome<Test> {
        for (words, at) in &words {
            self.possible(of, words, at)?;
        }
        let words = words.into_iter().map(|(words, _)| words);
        Ok(match of {
            Name::Resource => Test::Resource {
                any: words.map(|words| resource(&words)).collect(),
                wanted,
            },
            Name::Service => Test::Text {
                of,
                is: Wording::Service(words.collect()),
                wanted,
            },
            of => Test::Text {
                of,
                is: Wording::OneOf(words.collect()),
                wanted,
            },
        })
    }

    /// Refuses what a fact can never be.
    fn possible(&self, of: Name, words: &[u8], at: &Range<usize>) -> Outcome<()> {
        let refuse = |hint: Option<String>| {
            let words = String::from_utf8_lossy(words);
            let what = format!("{of} is never \"{words}\"");
            Err(self.wrong(at.clone(), what).maybe(hint))
        };
        let Ok(words) = std::str::from_utf8(words) else {
            return match of {
                Name::Key | Name::RangeEnd => Ok(()),
                _ => refuse(None),
            };
        };
        let mean = |known: &[&'static str]| match nearest(words, known.iter().copied()) {
            Some(meant) => Some(format!("did you mean \"{meant}\"?")),
            None => Some(format!("it is one of {}", known.join(", "))),
        };
        match of {
            Name::Verb => {
                let verbs: Vec<&'static str> = Verb::ALL
                    .into_iter()
                    .filter(|verb| {
                        self.vocabulary.knows_outcomes()
                            || !matches!(verb, Verb::Conflict | Verb::Progress)
                    })
                    .map(Verb::as_str)
                    .collect();
                // etcd's own names begin with a capital letter.
                let own = words.starts_with(|letter: char| letter.is_ascii_uppercase())
                    && !verbs.iter().any(|verb| verb.eq_ignore_ascii_case(words));
                match own || verbs.contains(&words) {
                    true => Ok(()),
                    false => refuse(mean(&verbs)),
                }
            }
            Name::Status => {
                let numbered = words
                    .strip_prefix("CODE_")
                    .is_some_and(|code| code.parse::<u32>().is_ok_and(|code| code > 16));
                match numbered || Code::from_name(words).is_some() {
                    true => Ok(()),
                    false => {
                        let names: Vec<_> = Code::named().filter_map(Code::name).collect();
                        refuse(mean(&names))
                    }
                }
            }
            Name::Method if words.contains('/') => {
                let (service, method) = words.rsplit_once('/').unwrap_or_default();
                refuse(Some(format!(
                    "write service == \"{service}\" && method == \"{method}\""
                )))
            }
            of => match of.values() {
                Some(values) if !values.contains(&words) => refuse(mean(values)),
                _ => Ok(()),
            },
        }
    }
}

fn numbers(left: Quantity, relation: Relation, right: Quantity) -> Test {
    match (left, right.constant()) {
        (Quantity::Of(name), Some(number)) => Test::Number(name, relation, number),
        (left, _) => Test::Numbers(left, relation, right),
    }
}

/// `pods`, or `deployments.apps` with its group.
fn resource(words: &[u8]) -> ResourceIs {
    let point = words.iter().position(|byte| *byte == b'.');
    let (resource, group) = match point {
        Some(at) => (&words[..at], Some(words[at + 1..].into())),
        None => (words, None),
    };
    ResourceIs {
        resource: resource.into(),
        group,
    }
}
