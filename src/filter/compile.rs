//! From what the `cel` crate read to tests: names are looked up, kinds have to go
//! together, values have to be possible.

mod compare;

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::bytes::RegexBuilder;

use super::mistake::Mistake;
use super::moment::{self, Moment};
use super::name::{Kind, Name};
use super::parse::Tree;
use super::quantity::{Operator, Quantity};
use super::test::{Relation, Test, Wording};
use super::token::{self, Is, Token};
use super::vocabulary::{Names, Vocabulary};
use crate::notation::nearest;

/// Operators within operators: a test runs on whatever stack it is asked on.
const DEPTH_MAX: usize = 128;
/// Bytes that a pattern may take when it is compiled, and then when it runs.
const PATTERN_MAX: usize = 1 << 20;

/// Makes tests of a tree, and says which names it asks about.
pub(super) fn compile(
    tree: &Tree,
    text: &str,
    tokens: &[Token],
    vocabulary: &Vocabulary,
) -> Result<(Test, Names), Mistake> {
    let mut compiler = Compiler {
        tree,
        text,
        tokens,
        vocabulary,
        names: Names::NONE,
        depth: 0,
    };
    let test = compiler.condition(&tree.root)?;
    Ok((test, compiler.names))
}

struct Compiler<'c> {
    tree: &'c Tree,
    text: &'c str,
    tokens: &'c [Token],
    vocabulary: &'c Vocabulary,
    names: Names,
    depth: usize,
}

/// What can stand on a side of a comparison.
enum Side {
    Words(Box<[u8]>),
    TextOf(Name),
    Number(Quantity),
    Duration(Quantity),
    Time(Quantity),
    Faults,
    Condition(Test),
    List(Vec<Element>),
}

/// An element of a list, and its bytes in the text.
struct Element {
    side: Side,
    at: Range<usize>,
}

impl Side {
    fn kind(&self) -> &'static str {
        match self {
            Side::Words(_) | Side::TextOf(_) => "text",
            Side::Number(_) => "a number",
            Side::Duration(_) => "a duration",
            Side::Time(_) => "a time",
            Side::Faults => "names of faults",
            Side::Condition(_) => "a condition",
            Side::List(_) => "a list",
        }
    }
}

type Outcome<T> = Result<T, Mistake>;

impl Compiler<'_> {
    /// The bytes of the token at which an expression stands.
    fn at(&self, expr: &IdedExpr) -> Range<usize> {
        self.bytes(self.tree.token(expr.id))
    }

    fn bytes(&self, nth: usize) -> Range<usize> {
        let whole = 0..self.text.len();
        self.tokens.get(nth).map_or(whole, |token| token.at.clone())
    }

    /// The bytes of the name of a call.
    fn called_at(&self, expr: &IdedExpr) -> Range<usize> {
        let bracket = self.tree.token(expr.id);
        let named =
            |nth: &usize| matches!(self.tokens.get(*nth), Some(token) if token.is == Is::Name);
        // Its bracket, or the point before it.
        let nth = [bracket, bracket.saturating_sub(1), bracket + 1]
            .into_iter()
            .find(named);
        self.bytes(nth.unwrap_or(bracket))
    }

    fn wrong(&self, at: Range<usize>, what: impl Into<Box<str>>) -> Mistake {
        Mistake::new(self.text, at, what)
    }

    fn deeper<T>(
        &mut self,
        expr: &IdedExpr,
        then: impl FnOnce(&mut Self) -> Outcome<T>,
    ) -> Outcome<T> {
        if self.depth == DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} operators stand within each other");
            return Err(self.wrong(self.at(expr), what));
        }
        self.depth += 1;
        let outcome = then(self);
        self.depth -= 1;
        outcome
    }

    /// An expression that holds or does not.
    fn condition(&mut self, expr: &IdedExpr) -> Outcome<Test> {
        match self.side(expr)? {
            Side::Condition(test) => Ok(test),
            other => {
                let at = self.at(expr);
                let what = format!("this is {}, and no condition", other.kind());
                let wrong = self.wrong(at, what);
                Err(match other {
                    Side::TextOf(name) => {
                        wrong.hint(format!("write {name} == \"…\", or has({name})"))
                    }
                    Side::Duration(Quantity::Of(name)) => {
                        wrong.hint(format!("write {name} > 100ms, or has({name})"))
                    }
                    Side::Number(Quantity::Of(name)) => {
                        wrong.hint(format!("write {name} > 0, or has({name})"))
                    }
                    Side::Faults => wrong.hint("write has(fault), or fault == \"…\""),
                    Side::Words(_) => wrong.hint("write name == \"…\""),
                    _ => wrong,
                })
            }
        }
    }

    fn side(&mut self, expr: &IdedExpr) -> Outcome<Side> {
        self.deeper(expr, |compiler| compiler.side_here(expr))
    }

    fn side_here(&mut self, expr: &IdedExpr) -> Outcome<Side> {
        match &expr.expr {
            Expr::Literal(value) => self.literal(expr, value),
            Expr::Ident(name) => self.ident(expr, name),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                let mut elements = Vec::with_capacity(list.elements.len());
                for element in &list.elements {
                    elements.push(Element {
                        at: self.at(element),
                        side: self.side(element)?,
                    });
                }
                Ok(Side::List(elements))
            }
            Expr::Select(select) => {
                let at = self.at(expr);
                let field = select.field.trim_start_matches('_');
                let what = format!("facts have no fields, and no \".{field}\"");
                let flat = Name::find(field).map(|name| format!("write {name}"));
                Err(self.wrong(at, what).maybe(flat))
            }
            Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.wrong(self.at(expr), "this is no part of a filter"))
            }
        }
    }

    fn literal(&mut self, expr: &IdedExpr, value: &LiteralValue) -> Outcome<Side> {
        Ok(match value {
            LiteralValue::String(text) => Side::Words(text.inner().as_bytes().into()),
            LiteralValue::Bytes(bytes) => Side::Words(bytes.inner().into()),
            LiteralValue::Boolean(yes) => Side::Condition(Test::Always(*yes.inner())),
            LiteralValue::Int(number) => Side::Number(Quantity::Literal(*number.inner())),
            LiteralValue::UInt(number) => match i64::try_from(*number.inner()) {
                Ok(number) => Side::Number(Quantity::Literal(number)),
                Err(_) => return Err(self.wrong(self.at(expr), "this number is too large")),
            },
            LiteralValue::Double(_) => {
                return Err(self.wrong(self.at(expr), "numbers are whole here"));
            }
            LiteralValue::Null => {
                return Err(self
                    .wrong(self.at(expr), "no fact is ever null; it is there or absent")
                    .hint("write has(name) or !has(name)"));
            }
        })
    }

    fn ident(&mut self, expr: &IdedExpr, ident: &str) -> Outcome<Side> {
        if let Some(token) = token::quantity(ident, self.tokens) {
            return Ok(match token.is {
                Is::Duration(nanos) => Side::Duration(Quantity::Literal(nanos)),
                Is::Size(bytes) => Side::Number(Quantity::Literal(bytes)),
                _ => return Err(self.wrong(token.at.clone(), "this is no quantity")),
            });
        }
        let name = self.name(self.at(expr), ident)?;
        Ok(match name.kind() {
            Kind::Text => Side::TextOf(name),
            Kind::Number => Side::Number(Quantity::Of(name)),
            Kind::Duration => Side::Duration(Quantity::Of(name)),
            Kind::Time => Side::Time(Quantity::Of(name)),
            Kind::Flag => Side::Condition(Test::Flag(name)),
            Kind::Faults => Side::Faults,
        })
    }

    /// A name as the `cel` crate got it.
    fn name(&mut self, at: Range<usize>, ident: &str) -> Outcome<Name> {
        let written = ident.strip_prefix('_').unwrap_or(ident);
        let Some(name) = Name::find(written) else {
            let known = || self.vocabulary.names().map(Name::as_str);
            let meant = match written {
                "ts" | "timestamp" => Some("time"),
                "connection" => Some("conn"),
                "error" | "errors" | "err" => Some("failed"),
                "latency" | "took" => Some("duration"),
                "ns" => Some("namespace"),
                "faults" => Some("fault"),
                _ => nearest(written, known()).or_else(|| {
                    let bare = written.replace("_us", "");
                    known().find(|name| *name == bare)
                }),
            };
            let meant = meant.filter(|name| known().any(|known| known == *name));
            let what = format!("there is no name \"{written}\"");
            let hint = meant.map(|name| format!("did you mean {name}?"));
            return Err(self.wrong(at, what).maybe(hint));
        };
        if !self.vocabulary.knows(name) {
            let what = format!("\"{name}\" is not known {}", self.vocabulary.place());
            let known: Vec<&str> = self.vocabulary.names().map(Name::as_str).collect();
            let hint = format!("known are {}", known.join(", "));
            return Err(self.wrong(at, what).hint(hint));
        }
        self.names = self.names.with(name);
        Ok(name)
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Outcome<Side> {
        let args = call.args.as_slice();
        let relation = match call.func_name.as_str() {
            operators::EQUALS => Some(Relation::Equal),
            operators::NOT_EQUALS => Some(Relation::Unequal),
            operators::LESS => Some(Relation::Less),
            operators::LESS_EQUALS => Some(Relation::AtMost),
            operators::GREATER => Some(Relation::More),
            operators::GREATER_EQUALS => Some(Relation::AtLeast),
            _ => None,
        };
        let operator = match call.func_name.as_str() {
            operators::ADD => Some(Operator::Plus),
            operators::SUBSTRACT => Some(Operator::Minus),
            operators::MULTIPLY => Some(Operator::Times),
            operators::DIVIDE => Some(Operator::Over),
            operators::MODULO => Some(Operator::Modulo),
            _ => None,
        };
        match (call.func_name.as_str(), args) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, args) => {
                let all = call.func_name == operators::LOGICAL_AND;
                let mut tests = Vec::with_capacity(args.len());
                for arg in args {
                    // The crate makes a balanced tree of a chain.
                    match self.condition(arg)? {
                        Test::All(more) if all => tests.extend(more),
                        Test::Any(more) if !all => tests.extend(more),
                        test => tests.push(test),
                    }
                }
                let tests = tests.into_boxed_slice();
                Ok(Side::Condition(match all {
                    true => Test::All(tests),
                    false => Test::Any(tests),
                }))
            }
            (operators::LOGICAL_NOT, [of]) => {
                let test = self.condition(of)?;
                Ok(Side::Condition(negated(test)))
            }
            (operators::NEGATE, [of]) => match self.side(of)? {
                Side::Number(of) => Ok(Side::Number(Quantity::Negative(Box::new(of)))),
                Side::Duration(of) => Ok(Side::Duration(Quantity::Negative(Box::new(of)))),
                other => {
                    let what = format!("{} has no opposite", other.kind());
                    Err(self.wrong(self.at(expr), what))
                }
            },
            (operators::CONDITIONAL, [asked, yes, no]) => {
                let asked = self.condition(asked)?;
                let (yes, no) = (self.condition(yes)?, self.condition(no)?);
                Ok(Side::Condition(Test::Either(Box::new((asked, yes, no)))))
            }
            (operators::IN, [one, list]) => self.is_in(expr, one, list).map(Side::Condition),
            (_, [left, right]) if relation.is_some() => {
                let relation = relation.unwrap_or(Relation::Equal);
                let sides = (self.side(left), self.side(right));
                let (left_side, right_side) = match sides {
                    (Ok(left), Ok(right)) => (left, right),
                    // `resource == pods`
                    (Ok(Side::TextOf(_)), Err(wrong)) => return Err(self.unquoted(right, wrong)),
                    (Err(wrong), _) | (_, Err(wrong)) => return Err(wrong),
                };
                self.compare(expr, relation, (left, left_side), (right, right_side))
                    .map(Side::Condition)
            }
            (_, [left, right]) if operator.is_some() => {
                let operator = operator.unwrap_or(Operator::Plus);
                let (left, right) = (self.side(left)?, self.side(right)?);
                self.reckon(expr, operator, left, right)
            }
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => {
                Err(self.wrong(self.at(expr), "facts have no elements and no fields"))
            }
            _ => self.function(expr, call),
        }
    }

    /// A mistake in a name that stands where a text is expected.
    fn unquoted(&self, expr: &IdedExpr, wrong: Mistake) -> Mistake {
        match &expr.expr {
            Expr::Ident(name) if Name::find(name.trim_start_matches('_')).is_none() => {
                let hint = format!(
                    "text stands in quotes: \"{}\"",
                    name.trim_start_matches('_')
                );
                wrong.hint(hint)
            }
            _ => wrong,
        }
    }

    fn function(&mut self, expr: &IdedExpr, call: &CallExpr) -> Outcome<Side> {
        const ON_TEXT: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];
        const ALONE: [&str; 3] = ["has", "duration", "timestamp"];
        let name = call.func_name.strip_prefix('_').unwrap_or(&call.func_name);
        let at = self.called_at(expr);
        match (&call.target, name, call.args.as_slice()) {
            (None, "has", [of]) => match &of.expr {
                Expr::Ident(ident) => {
                    let name = self.name(self.at(of), ident)?;
                    Ok(Side::Condition(Test::Has(name)))
                }
                _ => Err(self.wrong(self.at(of), "has() asks about a name")),
            },
            (None, "duration", [of]) => {
                let words = self.words(of)?;
                match crate::notation::parse_duration(&words) {
                    Ok(duration) if i64::try_from(duration.as_nanos()).is_ok() => {
                        let nanos = duration.as_nanos() as i64;
                        Ok(Side::Duration(Quantity::Literal(nanos)))
                    }
                    Ok(_) => Err(self.wrong(self.at(of), "this duration is too long")),
                    Err(what) => Err(self.wrong(self.at(of), what)),
                }
            }
            (None, "timestamp", [of]) => {
                let words = self.words(of)?;
                match moment::parse(&words) {
                    Some(Moment::At(nanos)) => Ok(Side::Time(Quantity::Literal(nanos))),
                    _ => Err(self.no_moment(self.at(of), &words)),
                }
            }
            (Some(target), name, [of]) if ON_TEXT.contains(&name) => {
                let side = self.side(target)?;
                let words = self.words_as_bytes(of)?;
                let is = match name {
                    "startsWith" => Wording::Begins(words),
                    "endsWith" => Wording::Ends(words),
                    "contains" => Wording::Contains(words),
                    _ => Wording::Matches(Box::new(self.pattern(of, &words)?)),
                };
                let wanted = true;
                match side {
                    Side::TextOf(of) => Ok(Side::Condition(Test::Text { of, is, wanted })),
                    Side::Faults => Ok(Side::Condition(Test::Fault { is, wanted })),
                    other => {
                        let what = format!("{name} asks about text, and this is {}", other.kind());
                        Err(self.wrong(at, what))
                    }
                }
            }
            (None, name, [_, _]) if ON_TEXT.contains(&name) => Err(self
                .wrong(at, format!("{name} stands behind what it asks about"))
                .hint(format!("write key.{name}(\"…\")"))),
            (_, name, args) if ON_TEXT.contains(&name) || ALONE.contains(&name) => {
                let what = match (call.target.is_some(), ON_TEXT.contains(&name)) {
                    (_, true) => format!("{name} stands behind a name, with one text"),
                    (true, false) => format!("{name} stands alone, not behind a name"),
                    (false, false) => format!("{name} takes one thing, not {}", args.len()),
                };
                Err(self.wrong(at, what))
            }
            (_, name, _) => {
                let known = ON_TEXT.into_iter().chain(ALONE);
                let meant = nearest(name, known.clone())
                    .map(|name| format!("did you mean {name}?"))
                    .unwrap_or_else(|| {
                        let all: Vec<&str> = known.collect();
                        format!("there are {}", all.join(", "))
                    });
                Err(self
                    .wrong(at, format!("there is no function \"{name}\""))
                    .hint(meant))
            }
        }
    }

    fn pattern(&self, expr: &IdedExpr, words: &[u8]) -> Outcome<regex::bytes::Regex> {
        let pattern = String::from_utf8_lossy(words);
        let built = RegexBuilder::new(&pattern)
            .size_limit(PATTERN_MAX)
            .dfa_size_limit(PATTERN_MAX)
            .nest_limit(64)
            .build();
        built.map_err(|error| {
            let what = match error {
                regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
                error => {
                    // The first lines draw the pattern; the last says why.
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default();
                    let why = why.trim_start_matches("error: ");
                    format!("this is no pattern: {why}")
                }
            };
            self.wrong(self.at(expr), what)
        })
    }

    /// The text that a function takes.
    fn words_as_bytes(&mut self, expr: &IdedExpr) -> Outcome<Box<[u8]>> {
        match self.side(expr) {
            Ok(Side::Words(words)) => Ok(words),
            Ok(other) => {
                let what = format!("a text in quotes is expected, and this is {}", other.kind());
                Err(self.wrong(self.at(expr), what))
            }
            Err(wrong) => Err(self.unquoted(expr, wrong)),
        }
    }

    fn words(&mut self, expr: &IdedExpr) -> Outcome<String> {
        let words = self.words_as_bytes(expr)?;
        Ok(String::from_utf8_lossy(&words).into_owned())
    }

    fn no_moment(&self, at: Range<usize>, words: &str) -> Mistake {
        self.wrong(at, format!("\"{words}\" is no time"))
            .hint("write 2026-11-03T08:05:00Z, 2026-11-03 or 08:05, in UTC")
    }

    fn reckon(
        &self,
        expr: &IdedExpr,
        operator: Operator,
        left: Side,
        right: Side,
    ) -> Outcome<Side> {
        use Operator::{Minus, Modulo, Over, Plus, Times};
        let kinds = (left.kind(), right.kind());
        let of2 = |left, right| Quantity::Of2(Box::new(left), operator, Box::new(right));
        Ok(match (left, operator, right) {
            (Side::Number(left), _, Side::Number(right)) => Side::Number(of2(left, right)),
            (Side::Duration(left), Plus | Minus | Modulo, Side::Duration(right)) => {
                Side::Duration(of2(left, right))
            }
            (Side::Duration(left), Times | Over, Side::Number(right)) => {
                Side::Duration(of2(left, right))
            }
            (Side::Number(left), Times, Side::Duration(right)) => Side::Duration(of2(left, right)),
            (Side::Duration(left), Over, Side::Duration(right)) => Side::Number(of2(left, right)),
            (Side::Time(left), Plus | Minus, Side::Duration(right)) => Side::Time(of2(left, right)),
            (Side::Time(left), Minus, Side::Time(right)) => Side::Duration(of2(left, right)),
            _ => {
                let at = self.at(expr);
                let sign = &self.text[at.clone()];
                let what = format!("{} {sign} {} makes no sense", kinds.0, kinds.1);
                return Err(self.wrong(at, what));
            }
        })
    }
}

fn negated(test: Test) -> Test {
    match test {
        Test::Not(test) => *test,
        Test::Always(holds) => Test::Always(!holds),
        test => Test::Not(Box::new(test)),
    }
}
