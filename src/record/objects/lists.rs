//! What was there before a write, from the lists that came before it.
//!
//! A list is not about one key, so it is looked for only where no call and no event
//! about the key itself says what was there: the latest few that cover it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Carriers, Objects, is_deletion, key_of, revision_of};
use crate::mvcc::Span;
use crate::record::reader::{AnyOf, Asked, Item, Line, Query, Recordings, Refusal, Wants};
use crate::record::schema::v1::LogLine;
use crate::record::schema::v1::log_line::Form;

/// How many lists are looked into for one write: one that came in pages may lack the
/// key in its latest.
const MOST_LISTS: usize = 3;

/// A write of which it is not known what was there before.
#[derive(Debug)]
struct Need {
    key: Bytes,
    /// The revision that it made.
    revision: i64,
    /// The latest lists before it, by what they tell of and their time.
    lists: BTreeMap<(i64, u64), LogLine>,
}

impl Objects {
    /// Looks for what was there before these lines in the lists that came before
    /// them, where it is not known yet.
    ///
    /// # Errors
    /// If the recording cannot be read any more.
    pub fn look_into_lists<'l>(
        &mut self,
        recordings: &Recordings,
        lines: impl IntoIterator<Item = &'l Line>,
    ) -> Result<(), Refusal> {
        let mut needs = Vec::new();
        let mut resources = Vec::new();
        let mut until = 0;
        for line in lines {
            let Some(need) = self.need(&line.line) else {
                continue;
            };
            needs.push(need);
            until = until.max(line.at);
            resources.push(line.line.resource.clone());
        }
        if needs.is_empty() {
            return Ok(());
        }
        let mut terms = vec![AnyOf(vec![Asked::Method("Range".into())])];
        // Of a key that is no object of Kubernetes nobody knows whose list it is in.
        if let Some(mut resources) = resources.into_iter().collect::<Option<Vec<String>>>() {
            resources.sort_unstable();
            resources.dedup();
            let asked = |resource: String| Asked::Resource(resource.into());
            terms.push(AnyOf(resources.into_iter().map(asked).collect()));
        }
        let query = Query {
            to: Some(until),
            terms,
            ..Query::all(Wants::LINES)
        };
        for item in recordings.read(query) {
            if let Item::Line(line) = item?
                && let Some(list) = List::of(&line.line)
            {
                for need in &mut needs {
                    need.offer(&list, line.at, &line.line);
                }
            }
        }
        let mut carriers = Carriers::default();
        for need in needs {
            for ((_, at), line) in need.lists {
                carriers.carry(at, &line);
            }
            carriers.keys.insert(need.key);
        }
        self.take_from(recordings, carriers)
    }

    fn need(&self, line: &LogLine) -> Option<Need> {
        let is_new = line.verb.as_deref() == Some("create");
        let (key, revision) = (key_of(line)?, revision_of(line)?);
        let writes = line.event == "watch_event" || line.asked() != Form::Range;
        let known = matches!(self.previous(line), Some((_, true)));
        (writes && !is_new && !is_deletion(line) && !known).then(|| Need {
            key: key.clone(),
            revision,
            lists: BTreeMap::new(),
        })
    }
}

/// A list that brought values.
struct List {
    span: Span,
    /// What it tells of.
    revision: i64,
}

impl List {
    fn of(line: &LogLine) -> Option<List> {
        let brings = line.event == "call"
            && line.asked() == Form::Range
            && line.status.as_deref() == Some("OK")
            && !line.keys_only
            && !line.count_only
            && line.count.is_none_or(|count| count > 0);
        let end = line.range_end.as_ref().filter(|end| !end.is_empty())?;
        brings.then_some(List {
            span: Span::asked(line.key.as_ref()?, end),
            revision: line.at_revision.or(line.revision)?,
        })
    }
}

impl Need {
    fn offer(&mut self, list: &List, at: u64, line: &LogLine) {
        if list.revision < self.revision && list.span.contains(&self.key) {
            self.lists.insert((list.revision, at), line.clone());
            if self.lists.len() > MOST_LISTS {
                self.lists.pop_first();
            }
        }
    }
}
