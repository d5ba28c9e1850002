//! What changed between two revisions of an object, and who did it.
//!
//! Lists are compared as Kubernetes merges them: by the keys that the managed
//! fields name, else by the member that tells their items apart (`name`, `type`,
//! `uid`, …), else by place. Who did it comes from `metadata.managedFields`: the
//! managers that own the place, and of these the ones whose entry changed in
//! between.

mod lists;
mod owners;
mod print;

use std::fmt;

use serde::{Serialize, Serializer};

use super::tree::{Key, Node, Tree};
use lists::Matching;
pub use owners::Manager;
use owners::{Ledger, Scopes};
pub use print::Print;

/// What changed from one revision of an object to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// In the order of the new object; what a map or a list lost comes at its end.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where.
    pub path: Path,
    /// Before; `None` if there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Node>,
    /// After; `None` if there is nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Node>,
    /// The items of a list only changed places; old and new name them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reordered: bool,
    /// Who did it.
    pub by: By,
    /// The API server's or a tool's own accounts of what else changed: managed
    /// fields, generation, the copy that `kubectl apply` keeps.
    pub bookkeeping: bool,
}

/// Who made a change, as far as the managed fields tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "certainty", content = "managers")]
pub enum By {
    /// They own the place, and their entries changed in between.
    Wrote(Vec<Manager>),
    /// They own the place, or did; their entries say nothing of a write.
    Owns(Vec<Manager>),
    /// Nobody is named.
    Unknown,
}

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A member of a map.
    Member(String),
    /// The item of a list that has these members.
    Keyed(Vec<(String, Node)>),
    /// This item of a list of scalars.
    Value(Node),
    /// The item at this place, from 0.
    Index(usize),
}

/// A place in an object, written `.spec.containers[name=app].image`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Path(pub Vec<Step>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for step in &self.0 {
            match step {
                Step::Member(name) if is_word(name) => write!(f, ".{name}")?,
                Step::Member(name) => write!(f, "[{}]", Node::Text(name.clone()).json_line())?,
                Step::Keyed(keys) => {
                    f.write_str("[")?;
                    for (at, (name, value)) in keys.iter().enumerate() {
                        let comma = if at > 0 { "," } else { "" };
                        write!(f, "{comma}{name}={}", Bare(value))?;
                    }
                    f.write_str("]")?;
                }
                Step::Value(value) => write!(f, "[={}]", Bare(value))?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

/// A scalar, without quotes where it needs none to be told from the path.
struct Bare<'n>(&'n Node);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Text(text) if is_bare(text) => f.write_str(text),
            other => f.write_str(&other.json_line()),
        }
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'#' | b'$'))
}

fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && !"[]=,\"".contains(c))
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Path {
    /// Whether it leads to what is written down about changes only.
    fn is_bookkeeping(&self) -> bool {
        const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
        let member = |at: usize| match self.0.get(at) {
            Some(Step::Member(name)) => name.as_str(),
            _ => "",
        };
        member(0) == "metadata"
            && match member(1) {
                "managedFields" | "resourceVersion" | "generation" | "selfLink" => true,
                "annotations" => member(2) == LAST_APPLIED,
                _ => false,
            }
    }
}

/// Compares two revisions of an object. Hidden values are told to have changed,
/// and stay hidden.
pub fn diff(old: &Tree, new: &Tree) -> Diff {
    let ledger = Ledger::new(&old.root, &new.root);
    let mut walk = Walk {
        ledger: &ledger,
        path: Path::default(),
        changes: Vec::new(),
    };
    walk.compare(&old.root, &new.root, &ledger.scopes());
    Diff {
        changes: walk.changes,
    }
}

/// The comparison under way.
struct Walk<'t> {
    ledger: &'t Ledger<'t>,
    path: Path,
    changes: Vec<Change>,
}

impl<'t> Walk<'t> {
    fn compare(&mut self, old: &'t Node, new: &'t Node, scopes: &Scopes<'t>) {
        if old == new {
            return;
        }
        match (old, new) {
            (Node::Map(before), Node::Map(after)) => self.maps(before, after, scopes),
            (Node::List(before), Node::List(after)) => self.lists(before, after, scopes),
            _ => self.changed(Some(old), Some(new), scopes),
        }
    }

    fn maps(&mut self, old: &'t [(Key, Node)], new: &'t [(Key, Node)], scopes: &Scopes<'t>) {
        let before = lists::by_name(old);
        let after = lists::by_name(new);
        let gone = old.iter().filter(|(key, _)| !after.contains_key(&**key));
        for (key, value) in new {
            let scopes = scopes.member(key);
            self.path.0.push(Step::Member(key.to_string()));
            match before.get(&**key) {
                Some(old) => self.compare(old, value, &scopes),
                None => self.changed(None, Some(value), &scopes),
            }
            self.path.0.pop();
        }
        for (key, value) in gone {
            self.path.0.push(Step::Member(key.to_string()));
            self.changed(Some(value), None, &scopes.member(key));
            self.path.0.pop();
        }
    }

    fn lists(&mut self, old: &'t [Node], new: &'t [Node], scopes: &Scopes<'t>) {
        let matching = Matching::of(old, new, scopes);
        let prepared = scopes.prepare();
        for pair in &matching.pairs {
            // Owners go by what the item is now, or was.
            let Some(item) = pair.new.map(|at| &new[at]).or(pair.old.map(|at| &old[at])) else {
                continue;
            };
            let index = pair.new.or(pair.old).unwrap_or_default();
            let scopes = prepared.item(item, index);
            self.path.0.push(pair.step.clone());
            match (pair.old, pair.new) {
                (Some(before), Some(after)) => self.compare(&old[before], &new[after], &scopes),
                (before, after) => {
                    self.changed(before.map(|at| &old[at]), after.map(|at| &new[at]), &scopes)
                }
            }
            self.path.0.pop();
        }
        if let Some((before, after)) = matching.order {
            let change = Change {
                path: self.path.clone(),
                old: Some(Node::List(before)),
                new: Some(Node::List(after)),
                reordered: true,
                by: self.ledger.wrote(scopes, false),
                bookkeeping: self.path.is_bookkeeping(),
            };
            self.changes.push(change);
        }
    }

    fn changed(&mut self, old: Option<&Node>, new: Option<&Node>, scopes: &Scopes<'t>) {
        let bookkeeping = self.path.is_bookkeeping();
        self.changes.push(Change {
            path: self.path.clone(),
            by: self.ledger.wrote(scopes, new.is_none()),
            bookkeeping,
            old: old.cloned(),
            new: new.cloned(),
            reordered: false,
        });
    }
}

#[cfg(test)]
mod tests;
