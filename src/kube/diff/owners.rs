//! Who owns which place: the sets of `metadata.managedFields` (FieldsV1 of
//! structured merge diff).
//!
//! A set is a tree: `f:name` is a member, `k:{…}` the item of a list with these
//! keys, `v:…` an item by its value, `i:N` one by its place, `.` the place
//! itself. An empty set owns all that lies below it.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::super::tree::{Key, Node};
use super::By;
use super::lists::identity;

/// A writer of an object, as its managed fields name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// Its name, by default the beginning of its user agent.
    pub manager: String,
    /// `Apply` (server-side apply) or `Update`.
    pub operation: String,
    /// The subresource it wrote to (`status`, `scale`); empty for the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// When it last changed its fields, as the object says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// The managed fields of both revisions.
pub(super) struct Ledger<'t> {
    entries: Vec<Entry<'t>>,
}

/// One manager of one revision.
struct Entry<'t> {
    manager: Manager,
    set: Option<&'t Node>,
    /// It is the new revision's.
    new: bool,
    /// The new revision has it otherwise than the old one.
    updated: bool,
}

impl<'t> Ledger<'t> {
    pub fn new(old: &'t Node, new: &'t Node) -> Ledger<'t> {
        const NAMES: &[&str] = &["manager", "operation", "apiVersion", "subresource"];
        let index = |entries: &'t [Node]| -> FxHashMap<Option<String>, &'t Node> {
            let entries = entries.iter();
            entries
                .map(|entry| (identity(entry, NAMES), entry))
                .collect()
        };
        let (before, after) = (managed(old), managed(new));
        let (old_index, new_index) = (index(before), index(after));
        let entry = |node: &'t Node, new: bool, updated: bool| Entry {
            manager: manager(node),
            set: node.member("fieldsV1"),
            new,
            updated,
        };
        let olds = before.iter().map(|node| {
            let now = new_index.get(&identity(node, NAMES));
            entry(node, false, now.is_some_and(|now| *now != node))
        });
        let news = after.iter().map(|node| {
            let before = old_index.get(&identity(node, NAMES));
            entry(node, true, before.is_none_or(|before| *before != node))
        });
        Ledger {
            entries: olds.chain(news).collect(),
        }
    }

    /// What each entry owns of the whole object.
    pub fn scopes(&self) -> Scopes<'t> {
        Scopes(self.entries.iter().map(|e| Scope::of(e.set)).collect())
    }

    /// Who made a change at a place.
    pub fn wrote(&self, scopes: &Scopes<'_>, removed: bool) -> By {
        let owners = |new: bool| {
            let entries = self.entries.iter().zip(&scopes.0);
            entries
                .filter(move |(entry, scope)| entry.new == new && scope.is_owned())
                .map(|(entry, _)| entry)
        };
        let name = |entries: Vec<&Entry<'_>>| -> Vec<Manager> {
            entries.iter().map(|entry| self.now(entry)).collect()
        };
        let owners: Vec<_> = owners(!removed).collect();
        let updated: Vec<_> = owners.iter().copied().filter(|e| e.updated).collect();
        if !updated.is_empty() {
            return By::Wrote(name(updated));
        }
        if removed && !owners.is_empty() {
            // Whoever takes another's field away leaves no trace but its own
            // entry's.
            let mut others = self
                .entries
                .iter()
                .filter(|entry| entry.new && entry.updated);
            if let (Some(only), None) = (others.next(), others.next()) {
                return By::Wrote(vec![only.manager.clone()]);
            }
        }
        match owners.is_empty() {
            true => By::Unknown,
            false => By::Owns(name(owners)),
        }
    }

    /// The manager as the new revision has it.
    fn now(&self, entry: &Entry<'_>) -> Manager {
        let same = |other: &&Entry<'_>| {
            other.new
                && other.manager.manager == entry.manager.manager
                && other.manager.operation == entry.manager.operation
                && other.manager.subresource == entry.manager.subresource
        };
        let now = self.entries.iter().find(same).filter(|_| !entry.new);
        now.unwrap_or(entry).manager.clone()
    }
}

fn managed(object: &Node) -> &[Node] {
    let metadata = object.member("metadata");
    match metadata.and_then(|metadata| metadata.member("managedFields")) {
        Some(Node::List(entries)) => entries,
        _ => &[],
    }
}

fn manager(entry: &Node) -> Manager {
    let text = |name| entry.member(name).and_then(Node::text);
    let owned = |name| text(name).unwrap_or_default().to_owned();
    Manager {
        manager: owned("manager"),
        operation: owned("operation"),
        subresource: owned("subresource"),
        time: text("time").map(str::to_owned),
    }
}

/// What one entry owns of a place.
#[derive(Debug, Clone, Copy)]
enum Scope<'t> {
    Nothing,
    /// Something at it or below it.
    Some(&'t [(Key, Node)]),
    /// The place and all below.
    All,
}

impl<'t> Scope<'t> {
    fn of(set: Option<&'t Node>) -> Scope<'t> {
        match set {
            Some(Node::Map(members)) if members.is_empty() => Scope::All,
            Some(Node::Map(members)) => Scope::Some(members),
            _ => Scope::Nothing,
        }
    }

    fn is_owned(self) -> bool {
        !matches!(self, Scope::Nothing)
    }

    fn step(self, name: &str) -> Scope<'t> {
        match self {
            Scope::Some(members) => Scope::of(
                members
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, set)| set),
            ),
            other => other,
        }
    }
}

/// What every entry owns of a place, in the ledger's order.
#[derive(Debug, Clone)]
pub(super) struct Scopes<'t>(Vec<Scope<'t>>);

impl<'t> Scopes<'t> {
    pub fn member(&self, name: &str) -> Scopes<'t> {
        let name = format!("f:{name}");
        Scopes(self.0.iter().map(|scope| scope.step(&name)).collect())
    }

    /// The keys by which the managers tell this list's items apart.
    pub fn list_keys(&self) -> Vec<Vec<String>> {
        let mut found: Vec<Vec<String>> = Vec::new();
        for scope in &self.0 {
            let Scope::Some(members) = scope else {
                continue;
            };
            // Each item has the same; the first will do.
            let first = members.iter().find_map(|(key, _)| key.strip_prefix("k:"));
            if let Some(Node::Map(keys)) = first.and_then(parse) {
                let names: Vec<_> = keys.into_iter().map(|(key, _)| key.into_owned()).collect();
                if !found.contains(&names) {
                    found.push(names);
                }
            }
        }
        found
    }

    /// Whether the managers tell this list's items apart by their values.
    pub fn is_set(&self) -> bool {
        self.0.iter().any(|scope| {
            matches!(scope, Scope::Some(members)
                if members.iter().any(|(key, _)| key.starts_with("v:")))
        })
    }

    /// Reads the sets of a list's items once, however many items are asked for.
    pub fn prepare(&self) -> Items<'t> {
        Items(self.0.iter().map(|scope| Item::of(*scope)).collect())
    }
}

/// The keys of an item as `k:` has them: a JSON object in a text.
fn parse(json: &str) -> Option<Node> {
    Node::from_json(json.as_bytes())
}

/// What every entry owns of a list's items.
pub(super) struct Items<'t>(Vec<Item<'t>>);

struct Item<'t> {
    scope: Scope<'t>,
    /// By their keys: the keys' names, and what belongs to which values.
    keyed: Vec<(Vec<String>, FxHashMap<String, &'t Node>)>,
}

impl<'t> Item<'t> {
    fn of(scope: Scope<'t>) -> Item<'t> {
        let mut keyed: Vec<(Vec<String>, FxHashMap<String, &'t Node>)> = Vec::new();
        if let Scope::Some(members) = scope {
            for (key, set) in members {
                let Some(item) = key.strip_prefix("k:").and_then(parse) else {
                    continue;
                };
                let Node::Map(keys) = &item else { continue };
                let names: Vec<String> = keys.iter().map(|(key, _)| key.to_string()).collect();
                let Some(identity) = identity(&item, &names) else {
                    continue;
                };
                match keyed.iter_mut().find(|(known, _)| *known == names) {
                    Some((_, sets)) => drop(sets.insert(identity, set)),
                    None => keyed.push((names, FxHashMap::from_iter([(identity, set)]))),
                }
            }
        }
        Item { scope, keyed }
    }

    fn scope(&self, item: &Node, index: usize) -> Scope<'t> {
        if !matches!(self.scope, Scope::Some(_)) {
            return self.scope;
        }
        for (names, sets) in &self.keyed {
            let set = identity(item, names).and_then(|identity| sets.get(&identity));
            if let Some(set) = set {
                return Scope::of(Some(set));
            }
        }
        let by_value = self.scope.step(&format!("v:{}", item.json_line()));
        match by_value {
            Scope::Nothing => self.scope.step(&format!("i:{index}")),
            found => found,
        }
    }
}

impl<'t> Items<'t> {
    pub fn item(&self, item: &Node, index: usize) -> Scopes<'t> {
        Scopes(
            self.0
                .iter()
                .map(|entry| entry.scope(item, index))
                .collect(),
        )
    }
}
