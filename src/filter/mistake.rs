//! What is wrong with a filter.

use std::fmt;
use std::ops::Range;

/// What is wrong with a filter, where, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    text: Box<str>,
    at: Range<usize>,
    what: Box<str>,
    hint: Option<Box<str>>,
}

/// Characters of a long line that are shown before the mistake.
const BEFORE: usize = 60;
/// And from there on.
const AFTER: usize = 60;

impl Mistake {
    /// A mistake at these bytes of the text.
    pub(super) fn new(text: &str, at: Range<usize>, what: impl Into<Box<str>>) -> Mistake {
        let end = at.end.min(text.len());
        Mistake {
            text: text.into(),
            at: at.start.min(end)..end,
            what: what.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<Box<str>>) -> Mistake {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe(self, hint: Option<String>) -> Mistake {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would be right: `did you mean duration?`.
    pub fn suggestion(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// The column in it, in characters, from 1.
    pub fn column(&self) -> usize {
        self.before_in_line().chars().count() + 1
    }

    /// The line with the mistake, and below it a line that points there. What is
    /// long is cut.
    pub fn picture(&self) -> String {
        let before = self.before_in_line();
        let start = self.at.start - before.len();
        let line = self.text[start..].lines().next().unwrap_or_default();
        let rest = line.get(before.len()..).unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(BEFORE);
        let mark = if skipped > 0 { "…" } else { "" };
        let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
        let before: String = before.chars().skip(skipped).map(shown).collect();
        let after: String = rest.chars().take(AFTER).map(shown).collect();
        let more = if after.len() < rest.len() { "…" } else { "" };
        let inside = &rest[..rest.len().min(self.at.len())];
        let carets = inside.chars().count().clamp(1, AFTER);
        let indent = mark.chars().count() + before.chars().count();
        format!(
            "{mark}{before}{after}{more}\n{}{}",
            " ".repeat(indent),
            "^".repeat(carets)
        )
    }

    /// The sentence, and below it the picture, indented: for whoever reads a
    /// terminal.
    pub fn drawn(&self) -> String {
        let picture = self.picture().replace('\n', "\n  ");
        format!("{self}\n  {picture}")
    }

    fn before(&self) -> &str {
        &self.text[..self.at.start]
    }

    fn before_in_line(&self) -> &str {
        self.before().rsplit('\n').next().unwrap_or_default()
    }
}

/// The sentence alone: `column 1: there is no name …; did you mean …?`.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            1 => write!(f, "column {}: {}", self.column(), self.what)?,
            line => write!(f, "line {line}, column {}: {}", self.column(), self.what)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}
