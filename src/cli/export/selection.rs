//! Which part of a recording is exported.
//!
//! Lines are chosen as `show` chooses them. A format that is made of messages
//! takes whole calls: those of which a line was chosen.

use std::time::Instant;

use rustc_hash::FxHashSet;

use super::super::look::Asked;
use crate::record::reader::{Line, Query, Wants};
use crate::record::recall::Recall;

/// What was chosen so far.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    asked: &'a Asked,
    recall: Recall,
    /// The calls that were chosen, by connection and stream, and their
    /// connections.
    calls: FxHashSet<(u64, u32)>,
    connections: FxHashSet<u64>,
    /// When the last of them was told of.
    last: u64,
    /// The calls are known: now it goes by them.
    by_call: bool,
}

impl Selected<'_> {
    /// Begins to choose.
    pub fn new(asked: &Asked) -> Selected<'_> {
        Selected {
            asked,
            recall: Recall::new(Instant::now()),
            calls: FxHashSet::default(),
            connections: FxHashSet::default(),
            last: 0,
            by_call: false,
        }
    }

    /// Chooses the call of a line that is asked for.
    pub fn note(&mut self, line: &Line) {
        let Some(stream) = line.line.stream else {
            return;
        };
        if self.line(line) {
            self.calls.insert((line.line.conn, stream));
            self.connections.insert(line.line.conn);
            self.last = self.last.max(line.at);
        }
    }

    /// From now on it goes by the calls that were chosen. What holds them.
    pub fn choose(&mut self) -> Query {
        self.by_call = true;
        Query {
            // A stream of watches began long before what it was chosen for.
            to: Some(self.last),
            ..Query::all(Wants::ALL)
        }
    }

    /// Whether a line is asked for.
    pub fn line(&mut self, line: &Line) -> bool {
        if self.by_call {
            let conn = line.line.conn;
            return match line.line.stream {
                Some(stream) => self.calls.contains(&(conn, stream)),
                None => self.connections.contains(&conn),
            };
        }
        if self.asked.is_all() {
            return true;
        }
        let anchor = self.recall.anchor();
        // A line that nobody can read passes no filter.
        let recalled = self.recall.line(line);
        recalled.is_ok_and(|recalled| self.asked.passes(&recalled, anchor))
    }

    /// Whether the messages of a call are.
    pub fn call(&self, conn: u64, stream: u32) -> bool {
        !self.by_call || self.calls.contains(&(conn, stream))
    }
}
