//! What is wrong with a plan, where, and how to put it right.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The file, as it was named; empty if it came without one.
    pub file: Box<str>,
    /// Where in the text; `None` where the text does not say (JSON that was read
    /// already).
    pub place: Option<Place>,
    /// The field: `faults[1].match.verb`; empty for the whole.
    pub path: Box<str>,
    /// What is wrong.
    pub what: Box<str>,
    /// What would be right: `did you mean list?`.
    pub hint: Option<Box<str>>,
}

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for PlanError {
    /// `plan.yaml:7:13: faults[1].match.verb: …; did you mean …?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.file, self.place) {
            ("", None) => {}
            ("", Some(at)) => write!(f, "{}:{}: ", at.line, at.column)?,
            (file, None) => write!(f, "{file}: ")?,
            (file, Some(at)) => write!(f, "{file}:{}:{}: ", at.line, at.column)?,
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanError {}

/// All that is wrong with a plan, in the order of its text; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(pub Vec<PlanError>);

impl fmt::Display for PlanErrors {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}
