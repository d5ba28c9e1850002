//! The `cel` crate reads the tokens.
//!
//! Its recursion is bounded by the bounds of the text, and takes up to ten
//! megabytes of stack where it is not optimised (cel-rust issue 212). So it runs
//! on a stack of its own, for the moment that it takes.

use std::thread;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

use super::mistake::Mistake;
use super::token::{Is, Token};

/// What is kept free for it: the deepest text that the bounds allow needs a third
/// of this. The system gives only what is used.
const STACK: usize = 32 << 20;

/// What the `cel` crate read, and where each part stands.
#[derive(Debug)]
pub(super) struct Tree {
    pub root: IdedExpr,
    info: SourceInfo,
    /// Where the tokens begin in the text that it got.
    begins: Vec<usize>,
}

impl Tree {
    /// The token at which an expression stands: of a comparison its operator, of
    /// a call its opening bracket.
    pub fn token(&self, id: u64) -> usize {
        let begin = self.info.offset_for(id).map_or(0, |(begin, _)| begin);
        token_at(&self.begins, begin as usize)
    }
}

/// The token that begins here, or else the last one before.
fn token_at(begins: &[usize], at: usize) -> usize {
    begins
        .partition_point(|begin| *begin <= at)
        .saturating_sub(1)
}

/// Reads the tokens, and gives the tree to `then`. The tree is used up there: it
/// is deep, and has to be left on the same stack.
pub(super) fn with_tree<T: Send>(
    text: &str,
    tokens: &[Token],
    then: impl FnOnce(&Tree) -> Result<T, Mistake> + Send,
) -> Result<T, Mistake> {
    let whole = || 0..text.len();
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("filter".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || then(&parse(text, tokens)?));
        match reader {
            Ok(reader) => reader
                .join()
                .unwrap_or_else(|_| Err(Mistake::new(text, whole(), "this could not be read"))),
            Err(_) => {
                let what = "the system has no thread to read this with";
                Err(Mistake::new(text, whole(), what))
            }
        }
    })
}

fn parse(text: &str, tokens: &[Token]) -> Result<Tree, Mistake> {
    let mut source = String::with_capacity(text.len() * 2);
    let mut begins = Vec::with_capacity(tokens.len());
    for (nth, token) in tokens.iter().enumerate() {
        begins.push(source.len());
        token.for_cel(text, nth, &mut source);
        source.push(' ');
    }
    let end = source.len();
    // Our bounds are narrower than its own.
    let parser = Parser::new()
        .max_recursion_depth(1024)
        .error_recovery_limit(0);
    match parser.parse_with_source_info(&source) {
        Ok((root, info)) => Ok(Tree { root, info, begins }),
        Err(errors) => {
            let at = errors
                .errors
                .iter()
                .filter(|error| error.pos.0 == 1)
                .filter_map(|error| usize::try_from(error.pos.1 - 1).ok())
                .min()
                .unwrap_or(0);
            Err(wrong(text, tokens, &begins, at.min(end)))
        }
    }
}

/// The mistake at which the `cel` crate stopped.
fn wrong(text: &str, tokens: &[Token], begins: &[usize], at: usize) -> Mistake {
    let nth = token_at(begins, at);
    let Some(token) = tokens.get(nth) else {
        return Mistake::new(text, 0..text.len(), "this is no condition");
    };
    // Its end stands behind the last blank.
    let last = begins.last().copied().unwrap_or(0);
    let is_end = nth + 1 == tokens.len() && at > last + 1;
    if is_end {
        let end = token.at.end;
        let open = open_bracket(text, tokens);
        let hint = match open {
            Some(bracket) => {
                let column = text[..bracket.at.start].chars().count() + 1;
                let closing = if bracket.text(text) == "(" { ")" } else { "]" };
                format!("put {closing} for the bracket of column {column}")
            }
            None => "something has to follow".to_owned(),
        };
        return Mistake::new(text, end..end, "the filter ends too early").hint(hint);
    }
    let written = token.text(text);
    let what = match token.is {
        Is::Text => format!("{written} cannot be read as text here"),
        Is::Cel if written.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{written} is too large, or cannot stand here")
        }
        _ => format!("\"{written}\" cannot stand here"),
    };
    let hint = match (token.is, nth.checked_sub(1).and_then(|nth| tokens.get(nth))) {
        (Is::Text, _) if written.contains('\\') => {
            Some("escapes are \\\\, \\\", \\n, \\t, \\x41, \\u00e9; r\"…\" has none")
        }
        (Is::Name | Is::Text | Is::Cel, Some(before))
            if matches!(
                before.is,
                Is::Name | Is::Text | Is::Duration(_) | Is::Size(_)
            ) =>
        {
            Some("join conditions with && or ||, and compare with ==")
        }
        _ => None,
    };
    Mistake::new(text, token.at.clone(), what).maybe(hint.map(str::to_owned))
}

/// The last bracket that is not closed.
fn open_bracket<'t>(text: &str, tokens: &'t [Token]) -> Option<&'t Token> {
    let mut open = Vec::new();
    for token in tokens.iter().filter(|token| token.is == Is::Sign) {
        match token.text(text) {
            "(" | "[" => open.push(token),
            ")" | "]" => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}
