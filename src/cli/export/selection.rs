//! Which part of a recording is exported.
//!
//! Lines are chosen by the filters of the live log, and by time. A format that
//! is made of messages takes whole calls: those of which a line was chosen.

use std::time::{Duration, Instant};

use clap::Args;
use rustc_hash::FxHashSet;

use super::super::Failure;
use crate::filter;
use crate::notation;
use crate::record::reader::{AnyOf, Asked, Line, Query, Wants};
use crate::record::recall::Recall;
use crate::trace::Filter;

const SELECTION: &str = "Selection";

/// Calls that can be chosen in messages' formats, by connection and stream.
type Calls = FxHashSet<(u64, u32)>;

/// Which lines, or the calls they tell of.
#[derive(Debug, Args)]
pub(super) struct SelectionFlags {
    /// Only from this time on (2026-11-03T08:05:32Z)
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    from: Option<String>,

    /// Only up to this time
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    until: Option<String>,

    /// Only this method, such as Range or KV/Range
    #[arg(long, value_name = "NAME", help_heading = SELECTION)]
    method: Vec<String>,

    /// Only this verb, such as list or create
    #[arg(long, value_name = "VERB", help_heading = SELECTION)]
    verb: Vec<String>,

    /// Only this resource, such as pods or deployments.apps
    #[arg(long, value_name = "NAME", help_heading = SELECTION)]
    resource: Vec<String>,

    /// Only this namespace
    #[arg(long, value_name = "NAME", help_heading = SELECTION)]
    namespace: Vec<String>,

    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX", help_heading = SELECTION)]
    key_prefix: Vec<String>,

    /// Only calls that took at least this long
    #[arg(long, value_name = "DURATION", help_heading = SELECTION)]
    min_duration: Option<String>,

    /// Only what failed
    #[arg(long, help_heading = SELECTION)]
    errors_only: bool,

    /// Only that for which this holds, such as 'duration > 100ms && !failed'
    #[arg(long, value_name = "EXPR", help_heading = SELECTION)]
    filter: Option<String>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Selection {
    from: Option<u64>,
    until: Option<u64>,
    filter: Filter,
}

impl SelectionFlags {
    /// Reads the flags; `None` if everything is asked for.
    pub fn read(&self) -> Result<Option<Selection>, Failure> {
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let filter = Filter {
            methods: texts(&self.method),
            verbs: texts(&self.verb),
            resources: texts(&self.resource),
            namespaces: texts(&self.namespace),
            key_prefixes: self
                .key_prefix
                .iter()
                .map(|prefix| prefix.as_bytes().into())
                .collect(),
            min_duration: min_duration(self.min_duration.as_deref())?,
            errors_only: self.errors_only,
            expression: expression(self.filter.as_deref())?,
        };
        let selection = Selection {
            from: time("--from", self.from.as_deref())?,
            until: time("--until", self.until.as_deref())?,
            filter,
        };
        if let (Some(from), Some(until)) = (selection.from, selection.until)
            && until < from
        {
            return Err(Failure::asked(
                "--until is before --from; write the later time as --until",
            ));
        }
        let all =
            selection.filter.is_empty() && selection.from.is_none() && selection.until.is_none();
        Ok((!all).then_some(selection))
    }
}

impl Selection {
    /// What may hold the lines.
    pub fn query(&self) -> Query {
        // A resource's group stands behind its first dot.
        let bare = |name: &str| Box::from(name.split('.').next().unwrap_or(name));
        let resources = self.filter.resources.iter();
        let resources: Vec<_> = resources.map(|name| Asked::Resource(bare(name))).collect();
        let namespaces = self.filter.namespaces.iter();
        let namespaces: Vec<_> = namespaces.cloned().map(Asked::Namespace).collect();
        let terms = [resources, namespaces].into_iter();
        Query {
            from: self.from,
            to: self.until,
            terms: terms.filter(|any| !any.is_empty()).map(AnyOf).collect(),
            ..Query::all(Wants::LINES)
        }
    }

    /// Begins to choose.
    pub fn begin(&self) -> Selected<'_> {
        Selected {
            selection: Some(self),
            recall: Recall::new(Instant::now()),
            calls: Calls::default(),
            connections: FxHashSet::default(),
            first: u64::MAX,
            last: 0,
            by_call: false,
        }
    }
}

/// What was chosen so far.
#[derive(Debug)]
pub(super) struct Selected<'s> {
    selection: Option<&'s Selection>,
    recall: Recall,
    calls: Calls,
    connections: FxHashSet<u64>,
    /// When the first of the calls began and the last ended.
    first: u64,
    last: u64,
    /// The calls are known: now it goes by them.
    by_call: bool,
}

impl Selected<'_> {
    /// Everything.
    pub fn all() -> Selected<'static> {
        Selected {
            selection: None,
            recall: Recall::new(Instant::now()),
            calls: Calls::default(),
            connections: FxHashSet::default(),
            first: 0,
            last: u64::MAX,
            by_call: false,
        }
    }

    /// Chooses the call of a line that is asked for.
    pub fn note(&mut self, line: &Line) {
        let Some(stream) = line.line.stream else {
            return;
        };
        if !self.line(line) {
            return;
        }
        self.calls.insert((line.line.conn, stream));
        self.connections.insert(line.line.conn);
        let took = line.line.duration_us.unwrap_or_default();
        let began = line.at.saturating_sub(took.saturating_mul(1000));
        self.first = self.first.min(began);
        self.last = self.last.max(line.at);
    }

    /// From now on it goes by the calls that were chosen.
    pub fn choose(&mut self) {
        self.by_call = true;
    }

    /// What holds the calls that were chosen.
    pub fn query(&self) -> Query {
        let mut query = Query::all(Wants::ALL);
        if self.by_call {
            // Of a stream of watches only some lines may have been chosen: it goes
            // on, and began before.
            (query.from, query.to) = (None, Some(self.last));
        }
        query
    }

    /// Whether a line is asked for.
    pub fn line(&mut self, line: &Line) -> bool {
        let Some(selection) = self.selection else {
            return true;
        };
        if self.by_call {
            let conn = line.line.conn;
            return match line.line.stream {
                Some(stream) => self.calls.contains(&(conn, stream)),
                None => self.connections.contains(&conn),
            };
        }
        let anchor = self.recall.anchor();
        // A line that nobody can read passes no filter.
        let recalled = self.recall.line(line);
        recalled.is_ok_and(|recalled| {
            selection.filter.is_empty() || recalled.passes(&selection.filter, anchor)
        })
    }

    /// Whether the messages of a call are.
    pub fn call(&self, conn: u64, stream: u32) -> bool {
        !self.by_call || self.calls.contains(&(conn, stream))
    }
}

/// Nanoseconds since 1970.
fn time(flag: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        Failure::asked(format!(
            "{flag}: {text:?} is no time; write it as the log does, such as 2026-11-03T08:05:32Z"
        ))
    };
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    let nanos = u64::try_from(time.as_nanosecond()).map_err(|_| wrong())?;
    Ok(Some(nanos))
}

fn expression(text: Option<&str>) -> Result<Option<filter::Filter>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.parse::<filter::Filter>();
    let wrong = |mistake: filter::Mistake| Failure::asked(format!("--filter: {}", mistake.drawn()));
    parsed.map(Some).map_err(wrong)
}

fn min_duration(text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let parsed = notation::parse_duration(text);
    let duration = parsed.map_err(|error| Failure::asked(format!("--min-duration: {error}")))?;
    Ok(Some(duration))
}
