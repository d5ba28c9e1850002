//! The call log as a reader of the file sees it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::patience::until;

/// One line of the JSON log.
#[derive(Debug, Clone)]
pub struct Line(pub Value);

impl Line {
    /// A text field; empty if it is not there.
    pub fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or("")
    }

    /// A number field.
    pub fn number(&self, field: &str) -> Option<i64> {
        self.0.get(field).and_then(Value::as_i64)
    }

    /// Whether it tells of this event.
    pub fn is(&self, event: &str) -> bool {
        self.text("event") == event
    }

    /// Whether it tells of a finished call of this method.
    pub fn is_call(&self, method: &str) -> bool {
        self.is("call") && self.text("method") == method
    }
}

/// A log file that is being written.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at a path; it need not be there yet.
    pub fn at(path: &Path) -> Log {
        let path = path.to_owned();
        Log { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every whole line so far.
    pub fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => Line(value),
            Err(error) => panic!("not JSON ({error}): {line}"),
        };
        whole.lines().map(parse).collect()
    }

    /// Every line so far that matches.
    pub fn all(&self, matches: impl Fn(&Line) -> bool) -> Vec<Line> {
        self.lines()
            .into_iter()
            .filter(|line| matches(line))
            .collect()
    }

    /// The first line that matches, waited for.
    pub async fn wait_for(&self, what: &str, matches: impl Fn(&Line) -> bool) -> Line {
        let found = self.wait_for_count(what, 1, matches).await;
        found.into_iter().next().unwrap()
    }

    /// At least so many lines that match, waited for.
    pub async fn wait_for_count(
        &self,
        what: &str,
        count: usize,
        matches: impl Fn(&Line) -> bool,
    ) -> Vec<Line> {
        until(&format!("the log has {count} x {what}"), async || {
            let found = self.all(&matches);
            (found.len() >= count).then_some(found)
        })
        .await
    }
}
